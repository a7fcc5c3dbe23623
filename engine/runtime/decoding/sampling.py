"""Drawing a token: temperature, top-k, top-p, and a random number of the row's own."""

import numpy as np
from numpy.typing import NDArray

from engine.runtime.decoding.candidates import MOST_CANDIDATES, SPARE, Ranking
from engine.runtime.decoding.selection import Floats, Ints, top
from engine.runtime.decoding.settings import Decoding

_NUCLEUS = 256
"""How many tokens are looked at first when only top-p bounds them."""


class Sampler:
    """Draws the tokens of one row.

    Its random numbers come from Philox (Salmon et al. 2011), a counter-based generator keyed by the
    seed and the index of the text: one number for each token drawn, so neither other rows nor the
    batch change them.
    """

    def __init__(self, decoding: Decoding, seed: int, index: int) -> None:
        self._decoding = decoding
        self.candidates = decoding.top_k + SPARE if decoding.top_k else MOST_CANDIDATES + 1
        """How many are looked at; more than a session tells of where nothing bounds them."""
        key = np.array([seed, index], dtype=np.uint64)
        self._random = np.random.Generator(np.random.Philox(key=key))

    def draw(self, scores: Floats) -> int:
        """A token, given processed logits `[V]`."""
        return self._drawn(*distribution(scores, self._decoding))

    def draw_ranked(self, ranking: Ranking) -> int | None:
        """The token that `draw` gives, or None where the ranking does not say so."""
        limit = self._decoding.top_k
        heated = ranking.scores / np.float32(self._decoding.temperature)
        if not 0 < limit < heated.size or heated[-1] == heated[limit - 1]:
            return None
        kept = int(np.count_nonzero(heated >= heated[limit - 1]))
        # What differed may be equal now.
        order = np.lexsort((ranking.ids[:kept], -heated[:kept]))
        probabilities = _softmax(heated[order])
        return self._drawn(*_within(self._decoding.top_p, ranking.ids[order], probabilities))

    def _drawn(self, ids: Ints, probabilities: NDArray[np.float64]) -> int:
        cumulative = probabilities.cumsum()
        place = np.searchsorted(cumulative, self._random.random() * cumulative[-1], side="right")
        return int(ids[min(int(place), ids.size - 1)])


def distribution(scores: Floats, decoding: Decoding) -> tuple[Ints, NDArray[np.float64]]:
    """The tokens that can be drawn, likeliest first unless all can, and how probable each is.

    As `transformers`' warpers: the temperature divides the logits; top-k (Fan et al. 2018,
    arXiv:1805.04833) keeps the k best and what equals the last of them; top-p (Holtzman et al.
    2020, arXiv:1904.09751) then keeps the fewest whose probability reaches p.
    """
    heated = scores / np.float32(decoding.temperature)
    if decoding.top_k and decoding.top_k < scores.size:
        ids = _best(heated, decoding.top_k)
        return _within(decoding.top_p, ids, _softmax(heated[ids]))
    if decoding.top_p == 1.0:
        return np.arange(scores.size), _softmax(heated)
    return _within(decoding.top_p, *_head(heated, decoding.top_p))


def _within(
    top_p: float, ids: Ints, probabilities: NDArray[np.float64]
) -> tuple[Ints, NDArray[np.float64]]:
    """Those of the likeliest tokens that top-p keeps, whose probabilities sum to 1 then."""
    if top_p < 1.0:
        kept = _nucleus(probabilities, top_p)
        ids, probabilities = ids[:kept], probabilities[:kept]
    return ids, probabilities / probabilities.sum()


def _best(scores: Floats, count: int) -> Ints:
    ids = top(scores, count)
    equal = np.flatnonzero(scores == scores[ids[-1]])
    return np.concatenate([ids, np.setdiff1d(equal, ids)])


def _head(scores: Floats, mass: float) -> tuple[Ints, NDArray[np.float64]]:
    """The best tokens that together surely reach `mass`, and their shares of all of it."""
    probabilities = _softmax(scores)
    count = _NUCLEUS
    while count < scores.size:
        ids = top(scores, count)
        if probabilities[ids].sum() > mass:
            return ids, probabilities[ids]
        count *= 8
    ids = top(scores, scores.size)
    return ids, probabilities[ids]


def _nucleus(probabilities: NDArray[np.float64], mass: float) -> int:
    """How many of the sorted `probabilities` stay: those before a token reach `mass` or not."""
    before = np.concatenate([[0.0], probabilities.cumsum()[:-1]])
    return max(1, int((before < mass).sum()))


def _softmax(scores: Floats) -> NDArray[np.float64]:
    weights = np.exp((scores - scores.max()).astype(np.float64))
    normal: NDArray[np.float64] = weights / weights.sum()
    return normal
