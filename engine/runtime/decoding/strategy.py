"""What the running batch asks of a decoding strategy, which chooses the tokens of one row."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.trail import ScoredTrail, Trail
from engine.runtime.request import FinishReason


class StepView(Protocol):
    """A decoder step as one row sees it, before its tokens are taken; beams count from 0."""

    @property
    def forced(self) -> int | None:
        """The token that must be made, if one must."""
        ...

    def output(self, name: str, beam: int) -> Floats:
        """What the step gave a beam, `[V]`; `name` is one of the strategy's `needs`."""
        ...

    def argmax(self, beam: int) -> int:
        """The most probable token of a beam."""
        ...

    def history(self, beam: int) -> Ints:
        """The start token and what the beam has made since."""
        ...

    def trail(self, beam: int, token: int, log_prob: float) -> Trail:
        """What the beam has made, with `token` after it."""
        ...


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
