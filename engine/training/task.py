"""What a trainer has to know of a task: its tokenizer, model, batches, loss and file format."""

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any, Generic, Protocol, Self, TypeVar

from tokenizers import Tokenizer
from torch import Tensor, nn

from engine.model.checkpoint import load_checkpoint
from engine.model.transformer import Transformer
from engine.training.config import ConfigError


class Batch(Protocol):
    """Rows on one device."""

    @property
    def weight(self) -> int:
        """How many terms the summed loss has: target tokens, or rows."""

    def to(self, device: str) -> Self:
        """The same batch on another device."""

    def shuffled(self) -> Self:
        """The same targets, each with the source of another row."""


E = TypeVar("E")
B = TypeVar("B", bound=Batch)


class Task(ABC, Generic[E, B]):
    """One way to train: `E` is an example in token ids, `B` a padded batch of them."""

    tokenizer: Tokenizer

    @abstractmethod
    def new_model(self) -> nn.Module:
        """A model at its start: at random, or with the weights of the initial checkpoint."""

    @abstractmethod
    def read_examples(self, path: Path) -> list[E]:
        """The examples of a JSON Lines file of pairs."""

    @abstractmethod
    def batches(self, examples: Sequence[E], tokens: int, order: random.Random) -> Iterator[B]:
        """Every example once, in batches of at most `tokens` padded tokens."""

    @abstractmethod
    def loss(self, model: nn.Module, batch: B) -> Tensor:
        """The summed loss over the batch."""

    @abstractmethod
    def save(self, model: Any, folder: Path) -> None:
        """Writes a model that `new_model` made, and the tokenizer, in a Hugging Face format."""


def load_start(initial_checkpoint: Path) -> Transformer:
    """The encoder-decoder of a checkpoint.

    Raises:
        ConfigError: it holds another kind of model.
        CheckpointError: it can't be loaded.

    """
    model = load_checkpoint(initial_checkpoint).model
    if not isinstance(model, Transformer):
        raise ConfigError(f"initial_checkpoint: {initial_checkpoint} is no encoder-decoder.")
    return deepcopy(model)  # a checkpoint's weights are mapped, and may share memory
