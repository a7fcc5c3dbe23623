"""The settings of CTranslate2 that a sweep compares."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Parts, and batches of each.
_SPLITS = ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (4, 1))
_SHORT_SPLITS = {1: ((1, 1),), 2: ((1, 2), (2, 1))}
_TOKENS = (512, 1024)


@dataclass(frozen=True, slots=True)
class BatchSetting:
    """How texts in flight reach CTranslate2.

    `inter` workers have `intra` threads each. The texts come in `parts`, each sent again as soon as
    it is answered. CTranslate2 sorts a part by length and cuts it into batches of at most
    `max_batch_size` of `batch_type`, "examples" or "tokens"; 0 leaves it whole.
    """

    inter: int
    intra: int
    parts: int = 1
    max_batch_size: int = 0
    batch_type: str = "examples"

    def __str__(self) -> str:
        cut = f", {self.max_batch_size} {self.batch_type}" if self.max_batch_size else ""
        return f"{self.inter} x {self.intra}, {self.parts} part{'s'[: self.parts - 1]}{cut}"


def settings_for(in_flight: int, threads: int, *, short: bool) -> list[BatchSetting]:
    """The settings worth trying: none that leaves a worker without texts, none twice."""
    found: dict[BatchSetting, None] = {}
    for inter in sorted({1, threads}):
        intra = threads // inter
        splits = _SHORT_SPLITS[inter] if short else _SPLITS
        for parts, batches in splits if in_flight > 1 else _SPLITS[:1]:
            if min(inter, in_flight) <= parts * batches <= in_flight:
                size = 0 if batches == 1 else -(-in_flight // (parts * batches))
                found[BatchSetting(inter, intra, parts, size)] = None
        if not short and in_flight > 8:
            for tokens in _TOKENS:
                found[BatchSetting(inter, intra, 1, tokens, "tokens")] = None
    return list(found)


def best_setting(speeds: Mapping[BatchSetting, Sequence[float]]) -> BatchSetting:
    """That of the highest median; of equal ones the first."""
    return max(speeds, key=lambda setting: statistics.median(speeds[setting]))
