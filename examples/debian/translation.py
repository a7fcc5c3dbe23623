"""Builds the English-French corpus: aligned, cleaned, split by source package."""

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import sentencex

from engine.training.corpus import Pair, write_pairs
from examples.debian.archive import Description, fetch_indices, read_descriptions
from examples.debian.splits import clean_text, is_fresh, ngrams, split_of

TEST_PAIRS = 1000
DEV_PAIRS = 1000


def build_translation_corpus(folder: Path, target: str = "fr") -> dict[str, int]:
    """Writes `train`, `dev` and `test.jsonl` under `folder`; returns the size of each."""
    indices = folder / "indices"
    fetch_indices(indices, ["en", target])
    pairs = list(read_pairs(indices, target))
    splits = split_by_package(pairs)
    splits["train"] += sentence_pairs(splits["train"], target)
    for name, rows in splits.items():
        write_pairs(folder / f"en-{target}.{name}.jsonl", rows)
    return {f"en-{target}.{name}": len(rows) for name, rows in splits.items()}


def read_pairs(indices: Path, target: str) -> Iterator[Pair]:
    """Yields each distinct clean pair of paragraphs once; synopses count as paragraphs."""
    translated = {entry.md5: entry for entry in read_descriptions(indices, target)}
    seen: set[tuple[str, str]] = set()
    for original in read_descriptions(indices, "en"):
        translation = translated.get(original.md5)
        if translation is None:
            continue
        for pair in align(original, translation):
            if is_clean(pair) and (pair.source, pair.target) not in seen:
                seen.add((pair.source, pair.target))
                yield pair


def align(original: Description, translation: Description) -> Iterator[Pair]:
    """Pairs the synopses, and the paragraphs where both sides have equally many."""
    left = [original.synopsis]
    right = [translation.synopsis]
    if len(original.paragraphs) == len(translation.paragraphs):
        left += original.paragraphs
        right += translation.paragraphs
    for source, target in zip(left, right, strict=True):
        yield Pair(clean_text(source), clean_text(target), original.source)


def is_clean(pair: Pair) -> bool:
    """Whether the pair looks like a translation: not a copy, of similar length, mostly letters."""
    source, target = pair.source, pair.target
    if source == target or not 3 <= len(source) <= 1000 or not 3 <= len(target) <= 1200:
        return False
    if "<trans>" in target or sum(c.isalpha() for c in target) < 0.5 * len(target):
        return False
    ratio = (len(target) + 10) / (len(source) + 10)
    return 0.6 <= ratio <= 2.2


def split_by_package(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Splits by source package; dev and test keep only fresh paragraphs, and few of them."""
    splits: dict[str, list[Pair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        splits[split_of(pair.package)].append(pair)
    known = {gram for pair in splits["train"] for gram in ngrams(pair.source)}
    for name, limit in (("dev", DEV_PAIRS), ("test", TEST_PAIRS)):
        fresh = [pair for pair in splits[name] if is_fresh(pair.source, known)]
        random.Random(name).shuffle(fresh)
        splits[name] = fresh[:limit]
    return splits


def sentence_pairs(pairs: Iterable[Pair], target: str) -> list[Pair]:
    """Pairs of sentences from the paragraphs in which both sides have equally many (at least 2).

    The service translates sentence by sentence, so the model has to meet single sentences.
    """
    found = {}
    for pair in pairs:
        left = [s.strip() for s in sentencex.segment("en", pair.source)]
        right = [s.strip() for s in sentencex.segment(target, pair.target)]
        if len(left) == len(right) > 1:
            for source, translation in zip(left, right, strict=True):
                sentence = Pair(source, translation, pair.package)
                if is_clean(sentence):
                    found[source, translation] = sentence
    return list(found.values())
