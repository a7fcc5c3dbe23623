"""The tasks of an encoder-decoder: translation and summarization."""

import random
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.families import pegasus
from engine.model.transformer import Transformer
from engine.training.batches import Batch, Example, collate_pairs, encode_pairs, make_batches
from engine.training.config import TrainingConfig
from engine.training.corpus import load_pairs
from engine.training.task import Task, load_start
from engine.training.vocabulary import train_vocabulary


class GenerationTask(Task[Example, Batch]):
    """Writes the target, token by token, teacher-forced."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.tokenizer = self._load_tokenizer()

    def new_model(self) -> Transformer:
        """A Transformer, at random or from the initial checkpoint."""
        model = Transformer(self.config.transformer)
        model.initialise()
        if self.config.initial_checkpoint:
            start = load_start(self.config.initial_checkpoint).state_dict()
            start = {name: weight for name, weight in start.items() if name != "output_bias"}
            model.load_state_dict(start)
        return model

    def read_examples(self, path: Path) -> list[Example]:
        """Pairs in token ids, both sides with an end of sequence."""
        config = self.config
        return encode_pairs(
            load_pairs(path), self.tokenizer, config.max_length, cut=config.cut_sources
        )

    def batches(
        self, examples: Sequence[Example], tokens: int, order: random.Random
    ) -> Iterator[Batch]:
        """Batches of pairs of similar length."""
        collate = partial(collate_pairs, config=self.config.transformer)
        return make_batches(examples, collate, tokens, order)

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        """The summed label-smoothed cross-entropy (Szegedy et al. 2016, arXiv:1512.00567)."""
        logits = model(batch.source, batch.mask, batch.inputs)
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            batch.labels.flatten(),
            label_smoothing=self.config.label_smoothing,
            reduction="sum",
        )

    def save(self, model: Transformer, folder: Path) -> None:
        """Writes a Pegasus checkpoint."""
        config = self.config
        pegasus.save(
            model,
            config.output / "tokenizer.json",
            folder,
            config.languages,
            max_length=config.max_target_tokens,
        )

    def _load_tokenizer(self) -> Tokenizer:
        path = self.config.output / "tokenizer.json"
        start = self.config.initial_checkpoint
        if not path.exists() and start:
            Tokenizer.from_file(str(start / "tokenizer.json")).save(str(path))
        elif not path.exists():
            pairs = load_pairs(self.config.train)
            texts = [text for pair in pairs for text in (pair.source, pair.target)]
            train_vocabulary(texts, self.config.transformer.vocab_size).save(str(path))
        return Tokenizer.from_file(str(path))
