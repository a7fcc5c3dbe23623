"""Train, dev and test split by source package, without near copies.

Package descriptions are full of near copies ("This package contains the development files"), so
a random split overrates a model.  Here a *source package* belongs to one split as a whole, and a
test or dev text whose word 5-grams mostly stand in the training text is dropped.
"""

import hashlib
import re
import unicodedata
from typing import Literal

NGRAM = 5


def split_of(package: str) -> Literal["train", "dev", "test"]:
    """The split that a source package belongs to: about 94 % train, 2 % dev, 4 % test."""
    bucket = int(hashlib.sha256(package.encode()).hexdigest(), 16) % 100
    return "test" if bucket < 4 else "dev" if bucket < 6 else "train"


def is_fresh(text: str, known: set[tuple[str, ...]]) -> bool:
    """Whether a text has at least four words, and fewer than half of its 5-grams are `known`."""
    grams = ngrams(text)
    return len(text.split()) >= 4 and len(grams & known) < 0.5 * len(grams)


def ngrams(text: str) -> set[tuple[str, ...]]:
    """The word `NGRAM`-grams of a text, in lower case; a shorter text is one gram."""
    words = re.findall(r"\w+", text.lower())
    last = max(1, len(words) - NGRAM + 1)
    return {tuple(words[start : start + NGRAM]) for start in range(last)}


def clean_text(text: str) -> str:
    """NFC, with every run of white space (no-break spaces too) as one space."""
    return " ".join(unicodedata.normalize("NFC", text).split())
