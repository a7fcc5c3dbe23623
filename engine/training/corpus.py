"""Builds the English-French corpus: aligned, cleaned, split by source package.

Package descriptions are full of near copies ("This package contains the development files"), so
a random split overrates a model.  Here a *source package* belongs to one split as a whole, and a
test or dev paragraph whose word 5-grams mostly stand in the training text is dropped.
"""

import hashlib
import json
import logging
import random
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import sentencex

from engine.training.debian import Description, fetch_indices, read_descriptions

logger = logging.getLogger(__name__)

TEST_PAIRS = 1000
DEV_PAIRS = 1000
NGRAM = 5


@dataclass(frozen=True)
class Pair:
    """A paragraph (or sentence) and its translation, with the source package that it is from."""

    source: str
    target: str
    package: str = ""


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


def clean_text(text: str) -> str:
    """NFC, with every run of white space (no-break spaces too) as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())


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
    """Splits by a hash of the source package: about 94 % train, 2 % dev, 4 % test.

    Dev and test keep only paragraphs of at least four words with fewer than half of their word
    5-grams in the training text, and are cut to `DEV_PAIRS` and `TEST_PAIRS`.
    """
    splits: dict[str, list[Pair]] = {"train": [], "dev": [], "test": []}
    for pair in pairs:
        splits[split_of(pair.package)].append(pair)
    known = {gram for pair in splits["train"] for gram in ngrams(pair.source)}
    for name, limit in (("dev", DEV_PAIRS), ("test", TEST_PAIRS)):
        fresh = [pair for pair in splits[name] if _is_fresh(pair, known)]
        random.Random(name).shuffle(fresh)
        splits[name] = fresh[:limit]
    return splits


def split_of(package: str) -> Literal["train", "dev", "test"]:
    """The split that a source package belongs to, in every corpus."""
    bucket = int(hashlib.sha256(package.encode()).hexdigest(), 16) % 100
    return "test" if bucket < 4 else "dev" if bucket < 6 else "train"


def ngrams(text: str) -> set[tuple[str, ...]]:
    """The word `NGRAM`-grams of a text, in lower case; a shorter text is one gram."""
    words = re.findall(r"\w+", text.lower())
    last = max(1, len(words) - NGRAM + 1)
    return {tuple(words[start : start + NGRAM]) for start in range(last)}


def _is_fresh(pair: Pair, known: set[tuple[str, ...]]) -> bool:
    grams = ngrams(pair.source)
    return len(pair.source.split()) >= 4 and len(grams & known) < 0.5 * len(grams)


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


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Writes one JSON object a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for pair in pairs:
            file.write(json.dumps(asdict(pair), ensure_ascii=False) + "\n")


def load_pairs(path: Path) -> list[Pair]:
    """Reads what `write_pairs` wrote."""
    with path.open(encoding="utf-8") as file:
        return [Pair(**json.loads(line)) for line in file]
