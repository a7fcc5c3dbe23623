"""Mixed-precision training of any task, resumable at any step.

A run's folder holds `tokenizer.json`, `metrics.jsonl`, `state.pt` (what a resume needs) and, at the
end,
`loss.png`, `quality.json` and `checkpoint/` in a Hugging Face format.
"""

import json
import logging
import random
import signal
import time
from collections.abc import Iterator
from typing import Any

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from tokenizers import Tokenizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from engine.training.classification import ClassificationTraining
from engine.training.config import TrainingConfig
from engine.training.generation import GenerationTraining
from engine.training.task import TrainingBatch, TrainingTask

logger = logging.getLogger(__name__)

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def new_task(config: TrainingConfig) -> TrainingTask[Any, Any]:
    """The task that the configuration names."""
    if config.task == "classification":
        return ClassificationTraining(config)
    return GenerationTraining(config)


class Trainer:
    """Trains one model; `run` goes on from the last saved state of its folder, if there is one."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.folder = config.output
        self.folder.mkdir(parents=True, exist_ok=True)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        torch.manual_seed(config.seed)
        self.task = new_task(config)
        self.model = self.task.new_model().to(self.device)
        self.average = AveragedModel(
            self.model,
            multi_avg_fn=get_ema_multi_avg_fn(config.ema_decay),
        )
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.98), weight_decay=config.weight_decay
        )
        self.scaler = torch.amp.GradScaler(self.device, enabled=config.precision == "fp16")
        self.step = 0
        self.stopping = False

    def run(self) -> bool:
        """Trains to the last step. Returns whether it got there; a signal stops it early, saved."""
        self._restore()
        train = self.task.read_examples(self.config.train)
        dev = self.task.read_examples(self.config.dev)
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        if self.step < self.config.steps:
            self._train(train, dev)
        self._save()
        return self.step >= self.config.steps

    @property
    def tokenizer(self) -> Tokenizer:
        """The task's tokenizer."""
        return self.task.tokenizer

    def best_model(self) -> torch.nn.Module:
        """The last weights or their average over the last steps, by the lower dev loss.

        The average is better at a constant learning rate, and lags behind after a short decay.
        """
        dev = self.task.read_examples(self.config.dev)
        candidates = [self.model, self.average.module]
        losses = [self._dev_loss(model, dev) for model in candidates]
        logger.info("dev loss: last weights %.4f, averaged %.4f", *losses)
        best = self.task.new_model()
        best.load_state_dict(candidates[losses.index(min(losses))].state_dict())
        return best.eval()

    def _train(self, train: list[Any], dev: list[Any]) -> None:
        columns = (
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}  {task.fields[speed]:,.0f} tokens/s"),
            TimeRemainingColumn(),
        )
        with Progress(*columns) as progress:
            task = progress.add_task("", total=self.config.steps, loss=0.0, speed=0.0)
            loss_sum, tokens, began = 0.0, 0, time.perf_counter()
            for batch in self._stream(train):
                loss_sum += self._update(batch)
                tokens += batch.weight
                elapsed = time.perf_counter() - began
                loss = loss_sum / tokens
                progress.update(task, completed=self.step, loss=loss, speed=tokens / elapsed)
                if self.step % self.config.evaluate_every == 0 or self.step == self.config.steps:
                    self._report(loss, tokens / elapsed, dev)
                    self._save()
                    loss_sum, tokens, began = 0.0, 0, time.perf_counter()
                if self.stopping or self.step >= self.config.steps:
                    return

    def _stream(self, examples: list[Any]) -> Iterator[TrainingBatch]:
        """Batches from the present step on: the order follows from the seed and the epoch alone."""
        position, epoch = 0, 0
        while True:
            order = random.Random(f"{self.config.seed}-{epoch}")
            for batch in self.task.batches(examples, self.config.batch_tokens, order):
                if position >= self.step:
                    yield batch.to(self.device)
                position += 1
            epoch += 1

    def _update(self, batch: TrainingBatch) -> float:
        """One optimizer step. Returns the summed loss of the batch."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._learning_rate()
        self.model.train()
        loss = self._loss(self.model, batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss / batch.weight).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.average.update_parameters(self.model)
        self.step += 1
        return loss.item()

    def _loss(self, model: torch.nn.Module, batch: TrainingBatch) -> torch.Tensor:
        dtype = _AUTOCAST.get(self.config.precision, torch.float32)
        with torch.autocast(self.device, dtype, enabled=dtype != torch.float32):
            return self.task.loss(model, batch)

    def _learning_rate(self) -> float:
        config, step = self.config, self.step + 1
        warmup = min(1.0, step / max(1, config.warmup_steps))
        decay = (config.steps - self.step) / max(1, config.steps - config.warmup_steps)
        return config.peak_learning_rate * min(warmup, decay)

    def _report(self, loss: float, speed: float, dev: list[Any]) -> None:
        """Logs a row of metrics.

        With shuffled sources the dev loss must be far higher: else the model ignores its source.
        """
        row = {
            "step": self.step,
            "train_loss": round(loss, 4),
            "dev_loss": round(self._dev_loss(self.average, dev), 4),
            "dev_loss_shuffled_sources": round(self._dev_loss(self.average, dev, shuffle=True), 4),
            "learning_rate": self._learning_rate(),
            "tokens_per_second": round(speed),
        }
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        logger.info("%s", row)

    @torch.no_grad()
    def _dev_loss(self, model: torch.nn.Module, dev: list[Any], *, shuffle: bool = False) -> float:
        model.eval()
        loss, tokens = 0.0, 0
        for host_batch in self.task.batches(dev, 8192, random.Random(0)):
            batch = host_batch.to(self.device)
            if shuffle:
                batch = batch.shuffled()
            loss += self._loss(model, batch).item()
            tokens += batch.weight
        return loss / tokens

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "torch_rng": torch.get_rng_state(),
            "step": self.step,
        }

    def _save(self) -> None:
        partial = self.folder / "state.pt.partial"
        torch.save(self._state(), partial)
        partial.replace(self.folder / "state.pt")

    def _restore(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["torch_rng"].cpu())
        self.step = state["step"]
        logger.info("going on from step %d", self.step)

    def _stop(self, *_: object) -> None:
        self.stopping = True
