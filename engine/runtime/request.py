"""A request to the engine, and the rows that it becomes: one for each text.

A row is put together once; each of its parts has one writer.
"""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engine.contract.events import Event
from engine.contract.options import Options
from engine.runtime.decoding.strategy import DecodingStrategy
from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.source_format import Span

Sink = Callable[[list[Event], bool], None]
"""Takes the events of a request as they happen; the flag is true with the last ones."""


@dataclass(eq=False)
class Request:
    """Some texts, one row each. `sink` is called from the lanes' threads, one at a time.

    `begun` is called with the index of a text before an encoder reads it.
    """

    id: str
    texts: Sequence[str]
    options: Options
    sink: Sink
    begun: Callable[[int], None] = lambda _: None
    open_rows: int = field(default=0, init=False)
    last_flush: float = field(default=0.0, init=False)
    _emitting: threading.Lock = field(default_factory=threading.Lock, init=False)

    def emit(self, events: list[Event], ended: int = 0) -> None:
        """Hands events to the sink; `ended` rows end with them, and the last to end is told."""
        with self._emitting:
            self.open_rows -= ended
            self.sink(events, self.open_rows == 0)


@dataclass(frozen=True)
class RowPlan:
    """What is to be done, as the planner found it; times are of the monotonic clock, in seconds.

    The answer has at most `limit` tokens, of which the first `prompt` are forced by the caller, and
    says `hypotheses` answers at most. `forced` are tokens by their position, `key` makes the random
    numbers of a row that is sampled: the seed, and the index of its text. `needs` are the
    outputs of a step, beyond its own, that strategy and alignment look at. `spans` says which code
    points of the text each token of `source` stands for; empty unless alignment is wanted.
    """

    source: list[int]
    limit: int
    arrived: float
    deadline: float = np.inf
    start_id: int = 0
    prompt: int = 0
    key: tuple[int, int] = (0, 0)
    hypotheses: int = 1
    forced: Mapping[int, int] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()
    spans: list[Span] = field(default_factory=list)

    @cached_property
    def textual(self) -> NDArray[np.bool_]:
        """Which tokens of the source stand for text, `[source]`."""
        return np.array([end > start for start, end in self.spans], dtype=np.bool_)


@dataclass
class RowProgress:
    """What the lane notes about a row: times, and what was sent.

    `first_step` counts the steps that the lane had made when the row started, `sent` the tokens
    whose text was sent.
    """

    detokenizer: Detokenizer
    admitted: float = 0.0
    encoded: float = 0.0
    first_step: int = 0
    first_token: float = 0.0
    sent: int = 0
    cancelled: bool = False

    def new_text(self, tokens: Iterable[int], *, end: bool = False) -> str:
        """The text that `tokens`, which follow those that were sent, add to it."""
        ids = list(tokens)
        self.sent += len(ids)
        return self.detokenizer.push(ids, end=end)


@dataclass(frozen=True, eq=False)
class Row:
    """Text `index` of a request; the running batch moves its `slots` and asks its `strategy`."""

    request: Request
    index: int
    plan: RowPlan
    strategy: DecodingStrategy
    progress: RowProgress
    slots: list[int] = field(default_factory=list)

    @property
    def options(self) -> Options:
        """Those of its request."""
        return self.request.options

    @property
    def width(self) -> int:
        """How many slots it takes."""
        return self.strategy.width

    @property
    def length(self) -> int:
        """Tokens of the source."""
        return len(self.plan.source)

    @cached_property
    def cost(self) -> int:
        """Tokens that the row is expected to hold: its source and a target of about its length."""
        return self.width * (self.length + min(self.plan.limit, 2 * self.length + 16))
