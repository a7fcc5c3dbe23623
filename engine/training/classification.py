"""The task of a classifier: the label of a whole text."""

import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from engine.training import saving
from engine.training.batches import cut_middle, make_batches, pad_sources
from engine.training.classifier import FirstTokenClassifier
from engine.training.config import TrainingConfig
from engine.training.corpus import load_pairs
from engine.training.task import Task, load_start
from engine.training.vocabulary import UNK, add_first_token, train_vocabulary


@dataclass(frozen=True)
class LabelledText:
    """Token ids of a text, `<s>` first and `</s>` last, and the id of its label."""

    source: list[int]
    label: int

    @property
    def length(self) -> int:
        """Tokens of the text."""
        return len(self.source)


@dataclass(frozen=True)
class LabelledBatch:
    """`source [B,S]`, its boolean `mask` and `labels [B]`."""

    source: Tensor
    mask: Tensor
    labels: Tensor

    @property
    def weight(self) -> int:
        """Rows."""
        return len(self.labels)

    def to(self, device: str) -> "LabelledBatch":
        """The same batch on another device."""
        return LabelledBatch(self.source.to(device), self.mask.to(device), self.labels.to(device))

    def shuffled(self) -> "LabelledBatch":
        """The same labels, each with the text of the row before."""
        return LabelledBatch(self.source.roll(1, 0), self.mask.roll(1, 0), self.labels)


class ClassificationTask(Task[LabelledText, LabelledBatch]):
    """Names the label of a text from the encoder's state at its first token."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.labels = sorted({pair.target for pair in load_pairs(config.train)})
        self.tokenizer = self._load_tokenizer()
        self.hidden_id = self.tokenizer.token_to_id(UNK) or 0

    def new_model(self) -> FirstTokenClassifier:
        """A classifier, at random or with the encoder of the initial checkpoint."""
        model = FirstTokenClassifier(self.config.transformer, len(self.labels))
        model.initialise()
        if self.config.initial_checkpoint:
            model.load_encoder(load_start(self.config.initial_checkpoint))
        return model

    def read_examples(self, path: Path) -> list[LabelledText]:
        """The texts in token ids; longer ones than `max_length` lose their middle.

        With `repeat_rare`, those of the training set are repeated by the number of their label.
        """
        pairs = load_pairs(path)
        encodings = self.tokenizer.encode_batch([pair.source for pair in pairs])
        ids = {label: number for number, label in enumerate(self.labels)}
        texts = [
            LabelledText(cut_middle(encoding.ids, self.config.max_length), ids[pair.target])
            for encoding, pair in zip(encodings, pairs, strict=True)
        ]
        if path == self.config.train and self.config.repeat_rare:
            return repeat_rare(texts)
        return texts

    def batches(
        self, examples: Sequence[LabelledText], tokens: int, order: random.Random
    ) -> Iterator[LabelledBatch]:
        """Batches of texts of similar length."""
        return make_batches(examples, self._collate, tokens, order)

    def loss(self, model: nn.Module, batch: LabelledBatch) -> Tensor:
        """The summed label-smoothed cross-entropy.

        While training, `word_dropout` of the tokens are hidden behind the unknown token.
        """
        source = batch.source
        if model.training and self.config.word_dropout:
            hidden = torch.rand(source.shape, device=source.device) < self.config.word_dropout
            hidden[:, 0] = False
            source = source.masked_fill(hidden & batch.mask, self.hidden_id)
        logits = model(source, batch.mask)
        return F.cross_entropy(
            logits.float(),
            batch.labels,
            label_smoothing=self.config.label_smoothing,
            reduction="sum",
        )

    def save(self, model: FirstTokenClassifier, folder: Path) -> None:
        """Writes an XLM-RoBERTa-XL checkpoint."""
        saving.save_classifier(model, self.config.output / "tokenizer.json", self.labels, folder)

    def _collate(self, group: Sequence[LabelledText]) -> LabelledBatch:
        source, mask = pad_sources([text.source for text in group], self.config.transformer.pad_id)
        return LabelledBatch(source, mask, torch.tensor([text.label for text in group]))

    def _load_tokenizer(self) -> Tokenizer:
        path = self.config.output / "tokenizer.json"
        start = self.config.initial_checkpoint
        if not path.exists():
            if start:
                tokenizer = Tokenizer.from_file(str(start / "tokenizer.json"))
            else:
                texts = [pair.source for pair in load_pairs(self.config.train)]
                tokenizer = train_vocabulary(texts, self.config.transformer.vocab_size - 1)
            add_first_token(tokenizer).save(str(path))
        return Tokenizer.from_file(str(path))


def repeat_rare(texts: Sequence[LabelledText]) -> list[LabelledText]:
    """Each text once, and those of labels with fewer texts than the mean several times."""
    counts = Counter(text.label for text in texts)
    mean = len(texts) / len(counts)
    times = {label: max(1, round(math.sqrt(mean / count))) for label, count in counts.items()}
    return [text for text in texts for _ in range(times[text.label])]
