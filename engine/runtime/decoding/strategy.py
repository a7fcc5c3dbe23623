"""What the running batch asks of a decoding strategy, which chooses the tokens of one row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from engine.contract.events import FinishReason
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.trail import ScoredTrail, Trail


@dataclass(slots=True)
class StepView:
    """A decoder step as one row sees it, before its tokens are taken; beams count from 0.

    `outputs` are those of all slots, of which the row has `slots`; `argmax [N]` are the session's
    own choices, `history [N,n]` the start tokens and what was made since. `forced` is the token
    that must be made, if one must. `trail` gives what a slot has made with a token after it, of a
    log-probability.
    """

    slots: list[int]
    outputs: Mapping[str, Floats]
    argmax: Ints
    history: Ints
    forced: int | None
    trail: Callable[[int, int, float], Trail]


class NextTokens(NamedTuple):
    """The tokens that a row's slots go on with, and the model's log-probabilities of them.

    The i-th stands after beam `parents[i]` of this step; None: after the i-th.
    """

    tokens: Sequence[int] | Ints
    log_probs: Sequence[float] | Floats
    parents: Ints | None = None


class DecodingStrategy(Protocol):
    """Chooses the tokens of one row, and holds what it must remember for that.

    It takes `width` slots and looks at the outputs `needs` of each step beyond the session's own
    choice of tokens.
    """

    width: int
    needs: frozenset[str]

    def advance(self, step: StepView, /) -> NextTokens | None:
        """How the row goes on; None: with the session's choice, or the token that is forced."""
        ...

    def finish_reason(self, last: int | None, is_looping: bool, /) -> FinishReason | None:
        """Why the row ends after a step; None while it goes on.

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
