"""The phases of the check, each of which fills its part of the result as it goes."""

import json
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from engine.contract.manifest import Manifest, read_manifest
from engine.runtime.decoding.settings import Decoding
from engine.runtime.decoding.trail import Trail
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import load_model
from tests.engine.native.answers import decode
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows
from tests.gpu.check import driver, machine, median_seconds
from tests.gpu.peers import peers, tokens_per_second
from tests.gpu.shapes import (
    MARIAN_BASE,
    SMALL,
    Shape,
    endless,
    floor_seconds,
    manifest_of,
    random_model,
)
from tests.gpu.variant import CHECKPOINT, SOURCES_FILE, in_precision


@dataclass(frozen=True)
class Size:
    """How much is checked: on a GPU all, on a processor what takes some seconds."""

    texts: int
    limit: int
    beam_texts: int
    precisions: tuple[str, ...]
    rows: tuple[int, ...]
    peer_rows: tuple[int, ...]
    tokens: int
    shape: Shape


GPU = Size(128, 96, 32, ("fp32", "fp16", "bf16"), (1, 32, 256, 1024), (1, 32, 256), 32, MARIAN_BASE)
PROCESSOR = Size(6, 16, 2, ("fp32", "bf16"), (1, 4), (2,), 8, SMALL)


class Check:
    """The phases, on "cpu" or "cuda"; `variant` is what `tests.gpu.variant` wrote."""

    def __init__(self, device: str, variant: Path) -> None:
        self.index = 0 if device == "cuda" else None
        self.device, self.variant = torch.device(device), variant
        # Not where results go: all that lies there is sent back.
        self._scratch = tempfile.TemporaryDirectory()
        self.size = GPU if device == "cuda" else PROCESSOR
        self.manifest: Manifest = read_manifest(variant)

    def environment(self, part: dict[str, Any]) -> None:
        """Card, driver, versions, memory, and what copies and products reach."""
        part |= machine() | {"torch": torch.__version__, "cuda": torch.version.cuda}
        part["device"] = str(self.device)
        if self.index is None:
            return
        part["driver"] = driver()
        TorchDevice(self.index)  # or one sentence that says why not
        part["card"] = torch.cuda.get_device_name(0)
        part["capability"] = list(torch.cuda.get_device_capability(0))
        part["free_bytes"], part["total_bytes"] = torch.cuda.mem_get_info(0)
        many = torch.ones(1 << 28, dtype=torch.float16, device=self.device)
        other, square = torch.empty_like(many), many.view(16_384, 16_384)
        seconds = self._median(lambda: other.copy_(many))
        part["copy_bytes_per_second"] = 2 * many.nbytes / seconds
        seconds = self._median(lambda: square @ square)
        part["product_flops"] = 2 * 16_384**3 / seconds

    def correctness(self, part: dict[str, Any]) -> None:
        """Beside `transformers` in FP32 on the same device: greedy answers, beams, and scores."""
        from transformers import AutoModelForSeq2SeqLM

        loaded = AutoModelForSeq2SeqLM.from_pretrained(CHECKPOINT, dtype=torch.float32)
        model, size = loaded.eval().to(self.device), self.size
        model.generation_config.max_length = None  # it would warn of the limit beside it
        sources = json.loads((self.variant / SOURCES_FILE).read_text(encoding="utf-8"))
        sources = sources[: size.texts]
        expected = self._generated(model, sources, 1)
        for precision in size.precisions:
            folder = self._variant(precision)
            # A CUDA graph is captured for fewer rows than texts, so rows come and go.
            manifest = replace(self.manifest, precision=precision)
            session = TorchSession(folder, manifest, 64, self.index)
            trails = decode(session, sources, [size.limit] * len(sources), at_once=48)
            found = part[precision] = dict[str, Any]()
            found["texts"] = len(sources)
            found["identical"] = sum(
                trail.tokens.tolist() == tokens
                for tokens, trail in zip(expected, trails, strict=True)
            )
            apart = np.concatenate(
                [
                    np.abs(trail.log_probs - self._log_probs(model, source, trail))
                    for source, trail in zip(sources, trails, strict=True)
                ]
            )
            found["mean_log_prob_difference"] = float(apart.mean())
            found["largest_log_prob_difference"] = float(apart.max())
            if precision == "fp32":
                found |= self._beams(session, model, sources[: size.beam_texts])

    def _variant(self, precision: str) -> Path:
        folder = Path(self._scratch.name) / precision
        return folder if folder.exists() else in_precision(self.variant, precision, folder)

    def _beams(self, session: TorchSession, model: Any, sources: list[list[int]]) -> dict[str, int]:
        decoding = Decoding(self.size.limit, num_beams=4)
        wishes = [Wish(source, self.size.limit, decoding) for source in sources]
        answers = decode_rows(session, wishes, 64, seed=1)
        same = sum(
            answer[0][0] == tokens
            for tokens, answer in zip(self._generated(model, sources, 4), answers, strict=True)
        )
        return {"beam_texts": len(sources), "beam_identical": same}

    @torch.inference_mode()
    def _generated(self, model: Any, sources: list[list[int]], beams: int) -> list[list[int]]:
        """The answers of `transformers`, in one batch with padding."""
        width, pad, eos = max(map(len, sources)), self.manifest.pad_id, self.manifest.eos_id
        ids = torch.tensor([one + [pad] * (width - len(one)) for one in sources])
        mask = torch.tensor([[1] * len(one) + [0] * (width - len(one)) for one in sources])
        length = {"max_new_tokens": self.size.limit, "num_beams": beams, "do_sample": False}
        parts = ids.to(self.device), mask.to(self.device)
        made = model.generate(input_ids=parts[0], attention_mask=parts[1], **length)
        answers = [one[1:] for one in made.tolist()]
        return [one[: one.index(eos) + 1] if eos in one else one for one in answers]

    @torch.inference_mode()
    def _log_probs(self, model: Any, source: list[int], trail: Trail) -> Any:
        """What `transformers` makes of the tokens of an answer."""
        start = self.manifest.decoder_start_id
        before = torch.tensor([[start, *trail.tokens[:-1].tolist()]], device=self.device)
        ids = torch.tensor([source], device=self.device)
        logits = model(input_ids=ids, decoder_input_ids=before).logits[0].float()
        tokens = torch.tensor(trail.tokens.tolist(), device=self.device)
        chosen = logits.log_softmax(dim=1).gather(1, tokens[:, None])[:, 0]
        return chosen.cpu().numpy()

    def speed(self, part: dict[str, Any]) -> None:
        """Steps of rows of equal length, through the session and on the device alone."""
        size, place = self.size, TorchDevice(self.index)
        dtype = torch.float16 if place.is_cuda else torch.float32
        longest = 4 * size.tokens
        with place.use():
            folder = self._variant("fp16" if place.is_cuda else "fp32")
            example = load_model(folder, place.device, dtype)
            shape = random_model(size.shape, place.device, dtype, longest)
        place.wait()
        models = {"en-fr": (example, self.manifest)}
        models[size.shape.name] = shape, manifest_of(size.shape, longest)
        for name, (model, manifest) in models.items():
            part[name] = dict[str, Any]()
            for rows in size.rows:
                session = TorchSession.over(model, endless(manifest), rows, place, 0)
                found = part[name][rows] = self._timed(session, rows)
                least = floor_seconds(model, rows, size.tokens)
                found["floor_us"] = least * 1e6
                found["share_of_floor"] = least / (found["step_us"] / 1e6)
                del session

    def _timed(self, session: TorchSession, rows: int) -> dict[str, float]:
        """Medians, in microseconds, in the second half of answers as long as their sources."""
        tokens = self.size.tokens
        slots = self._filled(session, rows)
        session.run(slots, tokens // 2, 60, Interrupt())

        def several() -> None:
            self._rewind(slots)
            done = 0
            while done < tokens // 2:
                done += session.run(slots, tokens // 2 - done, 60, Interrupt()).steps

        whole = median_seconds(several, 5) / (tokens // 2)
        self._rewind(slots)
        device = self._device_seconds(session, slots)
        return {
            "step_us": whole * 1e6,
            "device_us": device * 1e6,
            "host_us": max(0.0, whole - device) * 1e6,
            "tokens_per_second": rows / whole,
        }

    def _device_seconds(self, session: TorchSession, slots: Slots) -> float:
        """Of a step that no host looks at."""
        lane, steps, taken = session._used, self.size.tokens // 2, []
        for _ in range(5):
            with session._device.use():
                lane.state.upload(slots, 1)
                session._device.wait()
                begin = time.perf_counter()
                for _ in range(steps):
                    lane.state.restart()
                    lane.step(slots.rows, self.size.tokens)
                session._device.wait()
            taken.append((time.perf_counter() - begin) / steps)
        return statistics.median(taken)

    def _filled(self, session: TorchSession, rows: int) -> Slots:
        slots, tokens = session.slots(rows), self.size.tokens
        source = [7] * tokens
        slots.admit(session.encode([source] * rows), [tokens] * rows, [4 * tokens] * rows)
        return slots

    def _rewind(self, slots: Slots) -> None:
        slots.positions[:] = self.size.tokens // 2

    def peers(self, part: dict[str, Any]) -> None:
        """Other systems on the shape of the phase before, as far as they are installed."""
        size = self.size
        dtype = torch.float16 if self.index is not None else torch.float32
        for name, opened in peers(size.shape, self.device, dtype, size.tokens).items():
            found = part[name] = dict[Any, Any]()
            try:
                of = opened()
                for rows in size.peer_rows:
                    made = tokens_per_second(of(rows), rows, size.tokens, self.device)
                    found[rows] = {"tokens_per_second": made}
            except TimeoutError:  # the phase's own
                raise
            except Exception as error:
                found["error"] = f"{type(error).__name__}: {error}"

    def _median(self, run: Any) -> float:
        def once() -> None:
            run()
            torch.cuda.synchronize()

        once()
        return median_seconds(once, 5)
