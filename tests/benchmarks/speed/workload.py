"""The texts that are timed, from the test set of the example: descriptions of Debian packages."""

import random
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from engine.export.text_files import read_pairs
from engine.training.corpus import Pair

ROOT = Path(__file__).parents[3]
EXAMPLE = ROOT / "examples" / "checkpoints" / "en-fr"
BUILD = ROOT / "build" / "bench"
TEST_SET = ROOT / "examples" / "data" / "en-fr.test.jsonl"
WORDS = range(14, 27)
_SEED = 7


def sentences() -> list[Pair]:
    """The single sentences of 14 to 26 words."""
    return [
        pair
        for pair in read_pairs(TEST_SET)
        if len(pair.source.split()) in WORDS and ". " not in pair.source
    ]


def descriptions(count: int, *, single: bool = False) -> list[str]:
    """So many descriptions of all lengths, in an order that is always the same.

    With `single`, those of one sentence: our gateway would run each of several as a row of its own.
    """
    sources = [pair.source for pair in read_pairs(TEST_SET)]
    if single:
        sources = [source for source in sources if ". " not in source]
    random.Random(_SEED).shuffle(sources)
    return repeated(sources, count)


def repeated(texts: Sequence[str], count: int) -> list[str]:
    """So many texts; where there are fewer, they come again."""
    return list(islice(cycle(texts), count))
