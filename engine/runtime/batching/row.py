"""One text of a request on its way through the engine."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engine.contract.options import Options
from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.choice import Choice
from engine.runtime.request import Request
from engine.runtime.text.detokenizer import Detokenizer

Span = tuple[int, int]


@dataclass(eq=False)
class Row:
    """What is to be done for one text; times are of the monotonic clock, in seconds.

    `limit` is the most tokens of the answer, of which the first `prompt` are forced by the caller
    and not counted by beam search. `decoder` None is plain greedy decoding, inside the graph.
    It takes `width` slots, one for each beam, and says `answers` hypotheses.
    `first_step` counts the steps that its lane had made when it started.
    `needs` are the outputs of the step, beyond its own, that the decoder looks at.
    """

    request: Request
    index: int
    source: list[int]
    limit: int
    detokenizer: Detokenizer
    arrived: float
    deadline: float
    width: int = 1
    answers: int = 1
    start_id: int = 0
    prompt: int = 0
    forced: Mapping[int, int] = field(default_factory=dict)
    decoder: Choice | BeamSearch | None = None
    needs: frozenset[str] = frozenset()
    spans: list[Span] = field(default_factory=list)

    admitted: float = 0.0
    encoded: float = 0.0
    first_step: int = 0
    first_token: float = 0.0
    flushed: int = 0
    cancelled: bool = False
    slots: list[int] = field(default_factory=list)

    @property
    def options(self) -> Options:
        """Those of its request."""
        return self.request.options

    @property
    def cost(self) -> int:
        """Tokens that the row is expected to hold: its source and a target of about its length."""
        return self.width * (len(self.source) + min(self.limit, 2 * len(self.source) + 16))

    @property
    def textual(self) -> NDArray[np.bool_]:
        """Which tokens of the source stand for text, `[source]`."""
        return np.array([end > start for start, end in self.spans], dtype=np.bool_)
