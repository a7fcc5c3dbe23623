"""Builds the corpora of the summarizer and of the classifier from the English descriptions.

Summary: the long description, and the synopsis to be written.  Section: synopsis and long
description, and the archive section to be named.  Splits are by source package (`splits`).
Packages of one source share most of their text, so near copies are dropped inside a split too.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.training.corpus import Pair, write_pairs
from examples.debian.archive import Description, read_descriptions
from examples.debian.splits import clean_text, is_fresh, ngrams, split_of

SMALLEST_SECTION = 20
LIMITS = {"dev": 1000, "test": 2000}
# A text is a near copy when this share of its 5-grams has been met.
NEAR_COPY = {"train": 0.8, "dev": 0.5, "test": 0.5}


@dataclass
class Corpus:
    """The splits of one task, as they grow; `met` holds the 5-grams of the kept texts."""

    splits: dict[str, list[Pair]] = field(default_factory=lambda: {name: [] for name in NEAR_COPY})
    met: dict[tuple[str, str], set[tuple[str, ...]]] = field(default_factory=dict)

    def add(self, split: str, pair: Pair, group: str = "") -> None:
        """Keeps the pair unless it is a near copy of what `split` has in the same `group`."""
        grams = ngrams(pair.source)
        met = self.met.setdefault((split, group), set())
        if len(grams & met) < NEAR_COPY[split] * len(grams):
            met |= grams
            self.splits[split].append(pair)


def build_description_corpora(folder: Path) -> dict[str, int]:
    """Writes `summary` and `section` `.{train,dev,test}.jsonl`; returns the size of each.

    `folder / "indices"` holds the archive's indices (`archive.fetch_indices`).
    """
    entries = list(read_descriptions(folder / "indices", "en"))
    known = known_grams(entries)
    sizes = {}
    for name, corpus in (
        ("summary", summary_corpus(entries, known)),
        ("section", section_corpus(entries, known)),
    ):
        for split, pairs in corpus.splits.items():
            kept = _limited(split, pairs)
            write_pairs(folder / f"{name}.{split}.jsonl", kept)
            sizes[f"{name}.{split}"] = len(kept)
    return sizes


def known_grams(entries: Iterable[Description]) -> set[tuple[str, ...]]:
    """The 5-grams of every description of the training split, also of those left out of it."""
    return {
        gram
        for entry in entries
        if split_of(entry.source) == "train"
        for gram in ngrams(full_text(entry))
    }


def summary_corpus(entries: Iterable[Description], known: set[tuple[str, ...]]) -> Corpus:
    """Long descriptions of at least ten words and their synopses of at least two."""
    corpus = Corpus()
    for entry in entries:
        pair = Pair(long_text(entry), clean_text(entry.synopsis), entry.source)
        split = split_of(entry.source)
        if len(pair.source.split()) < 10 or len(pair.target.split()) < 2:
            continue
        if split == "train" or is_fresh(pair.source, known):
            corpus.add(split, pair)
    return corpus


def section_corpus(entries: Iterable[Description], known: set[tuple[str, ...]]) -> Corpus:
    """Full descriptions and their sections; only near copies in the same section are dropped.

    Sections with fewer than `SMALLEST_SECTION` training texts are left out of every split.
    """
    corpus = Corpus()
    for entry in entries:
        split = split_of(entry.source)
        pair = Pair(full_text(entry), entry.section, entry.source)
        if split == "train" or is_fresh(pair.source, known):
            corpus.add(split, pair, group=entry.section)
    counts = Counter(pair.target for pair in corpus.splits["train"])
    for pairs in corpus.splits.values():
        pairs[:] = [pair for pair in pairs if counts[pair.target] >= SMALLEST_SECTION]
    return corpus


def long_text(entry: Description) -> str:
    """The long description, a line to each paragraph."""
    return "\n".join(clean_text(paragraph) for paragraph in entry.paragraphs)


def full_text(entry: Description) -> str:
    """The synopsis and below it the long description."""
    return f"{clean_text(entry.synopsis)}\n{long_text(entry)}".strip()


def _limited(split: str, pairs: list[Pair]) -> list[Pair]:
    if split not in LIMITS:
        return pairs
    shuffled = random.Random(split).sample(pairs, len(pairs))
    return shuffled[: LIMITS[split]]
