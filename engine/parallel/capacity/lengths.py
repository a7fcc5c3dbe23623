"""How long sources and answers are: a mean of each, or the lengths of texts in a file."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from engine.parallel.capacity.errors import CapacityError

_MEANS = re.compile(r"(\d+):(\d+)")
_SPREAD = 0.5
"""Of the logarithm of lengths that are drawn around a mean: 16 % are 1.6 times as long, or more."""
_DRAWN = 64
"""Quantiles that stand for such a distribution."""

TOKENS_PER_CHARACTER = 0.27
"""An assumption for files of texts where no tokenizer counts: 3.7 characters a token."""


@dataclass(frozen=True)
class LengthDistribution:
    """Tokens of sources and of their answers, `[N]` each, all as probable."""

    sources: NDArray[np.float64]
    targets: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name, values in (("source", self.sources), ("answer", self.targets)):
            if not values.size or values.min() < 1:
                raise CapacityError(f"--lengths: every {name} has to have 1 token or more.")

    @classmethod
    def around(cls, source: int, target: int) -> "LengthDistribution":
        """Log-normal lengths with these means; longer sources have longer answers."""
        if min(source, target) < 1:
            raise CapacityError(f"--lengths {source}:{target}: both have to be 1 or more.")
        chances = (np.arange(_DRAWN) + 0.5) / _DRAWN
        normal = np.array([NormalDist().inv_cdf(chance) for chance in chances.tolist()])
        shape = np.exp(_SPREAD * normal)
        shape /= shape.mean()
        return cls(np.maximum(1, source * shape), np.maximum(1, target * shape))

    @classmethod
    def of_pairs(cls, pairs: Sequence[tuple[float, float]]) -> "LengthDistribution":
        """Those of known texts."""
        sources, targets = zip(*pairs, strict=True)
        return cls(np.array(sources, float), np.array(targets, float))

    @cached_property
    def source(self) -> float:
        """The mean source."""
        return float(self.sources.mean())

    @cached_property
    def target(self) -> float:
        """The mean answer."""
        return float(self.targets.mean())

    @cached_property
    def attended_source(self) -> float:
        """The mean source over the steps, of which long answers have more."""
        return float((self.sources * self.targets).mean() / self.targets.mean())

    @cached_property
    def attended_position(self) -> float:
        """The mean of the positions that a step attends to, over the steps of all answers."""
        return float(((self.targets * (self.targets + 1)).mean()) / (2 * self.targets.mean()))

    def limited(self, longest: int) -> "LengthDistribution":
        """Cut to what the model takes."""
        return LengthDistribution(
            np.minimum(self.sources, longest), np.minimum(self.targets, longest)
        )


def read_lengths(text: str, count: Callable[[str], int] | None = None) -> LengthDistribution:
    """The distribution that "200:60" means, or of a file of texts or of pairs.

    Of a file with sources only, answers are taken to be as long as these. `count` gives the tokens
    of a text; without it they are estimated from its characters.

    Raises:
        CapacityError: it is neither.
        TextFileError: the file can't be read, or holds no text.

    """
    match = _MEANS.fullmatch(text.strip())
    if match is not None:
        return LengthDistribution.around(int(match[1]), int(match[2]))
    path = Path(text)
    if not path.is_file():
        raise CapacityError(
            f"--lengths {text} is neither means such as 200:60, of source and answer in tokens, "
            "nor a file of texts."
        )
    return LengthDistribution.of_pairs(_pairs(path, count or _estimate))


def _pairs(path: Path, count: Callable[[str], int]) -> list[tuple[float, float]]:
    from engine.export.text_files import TextFileError, read_pairs, read_texts

    try:
        found = [(pair.source, pair.target) for pair in read_pairs(path)]
    except TextFileError:
        found = [(text, text) for text in read_texts(path)]
    return [(max(1, count(source)), max(1, count(target))) for source, target in found]


def _estimate(text: str) -> int:
    return math.ceil(TOKENS_PER_CHARACTER * len(text)) + 1
