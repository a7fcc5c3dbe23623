"""What the running batch asks of a decoding strategy, which chooses the tokens of one row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from engine.contract.events import FinishReason
from engine.runtime.decoding.candidates import Candidates
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.trail import ScoredTrail, Trail

if TYPE_CHECKING:
    from engine.runtime.decoding.beam_search import BeamSearch

FREE = -1
"""Stands for no token where a forced one might be."""

NEVER = np.float32(-1e9)
"""The score of what must not be chosen, finite as in `transformers`."""


@dataclass(frozen=True)
class StepView:
    """The last decoder step of a lane, before its tokens are taken.

    `outputs` gives those that were asked for, indexed by slot. `forced` gives for slots `[...]` the
    tokens that they must make, or `FREE`, and `is_last` whether these are the last that are
    allowed. `scores [N]` are what beams rank by. `history` gives the start token of a slot and what
    it has made since, `candidates` so many of each of some slots, `logits` all of a slot's `[V]`,
    and `trail` what a slot has made with a token after it, of a log-probability.
    """

    outputs: Callable[[], Mapping[str, Floats]]
    forced: Callable[[Ints], Ints]
    is_last: Callable[[Ints], NDArray[np.bool_]]
    scores: Floats
    history: Callable[[int], Ints]
    candidates: Callable[[Sequence[int] | Ints, int], Candidates]
    logits: Callable[[int], Floats]
    trail: Callable[[int, int, float], Trail]


class DecodingStrategy(Protocol):
    """Chooses the tokens of one row, and holds what it must remember for that.

    It takes `width` slots, is told of the `candidates` most probable tokens of each, and looks at
    the outputs `needs` of each step beyond the session's own choice of tokens. A strategy of one
    slot chooses by itself; beams are chosen for all texts at once (`beam_step.py`), whose
    strategies are a `search`.
    """

    width: int
    candidates: int
    needs: frozenset[str]

    @property
    def search(self) -> "BeamSearch | None":
        """The strategy itself if it is one of several beams."""
        ...

    def choose(self, step: StepView, slot: int, /) -> tuple[int, np.float32] | None:
        """The token after a slot's, and the model's log-probability of it; None: the session's."""
        ...

    def finish_reason(self, last: int | None, is_looping: bool, /) -> FinishReason | None:
        """Why the row ends after a step, if it does; asked of rows that have reason to end.

        Args:
            last: the token of its first slot if that is the end of sequence or the last allowed.
            is_looping: whether its first slot runs in a loop that is to be stopped.

        """
        ...

    def certain(self, sequences: list[Ints], /) -> int:
        """How many tokens of the first slot the answer surely begins with.

        `sequences` are the tokens of its slots so far, of equal lengths.
        """
        ...

    def results(self, trail: Trail, is_looping: bool, /) -> Sequence[ScoredTrail]:
        """The answers if the row ends now, best first; at least one.

        `trail` is that of its first slot, without the loop that it ran in if `is_looping`.
        """
        ...
