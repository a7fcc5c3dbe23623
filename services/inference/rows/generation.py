"""How the texts of a call are generated: the options of docs/triton-protocol.md."""

from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import Any, Literal

PriorityName = Literal["interactive", "bulk"]


@dataclass(frozen=True, slots=True)
class Generation:
    """The options of a row; what is None, 0, "" or False is left to the checkpoint's defaults.

    The names are those of the engine.  Rows of equal options can share a request.
    """

    stream: bool = False
    priority: PriorityName = "interactive"
    max_new_tokens: int = 0
    min_new_tokens: int | None = None
    num_beams: int | None = None
    length_penalty: float | None = None
    early_stopping: bool | Literal["never"] | None = None
    num_hypotheses: int = 0
    sample: bool | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    seed: int | None = None
    no_repeat_ngram_size: int | None = None
    repetition_penalty: float | None = None
    stop_repetition: bool | None = None
    target_prefix: str = ""
    source_language: str = ""
    target_language: str = ""
    alignment: bool = False
    token_log_probs: bool = False

    @property
    def can_begin_anywhere(self) -> bool:
        """Whether an answer may be gone on with behind its first words by means of `target_prefix`.

        Bounds on tokens count from behind these, and details tell of them otherwise.
        """
        details = self.token_log_probs or self.alignment or self.num_hypotheses > 1
        return not (self.max_new_tokens or self.min_new_tokens or details)

    def options(self) -> dict[str, Any]:
        """What is set, as the keys of the engine's OPTIONS; whether to stream is always said."""
        values = ((each, getattr(self, each.name)) for each in fields(self))
        chosen = {each.name: value for each, value in values if value != each.default}
        return chosen | {"stream": self.stream}


def row_seed(seed: int | None, *place: int) -> int | None:
    """The seed of the row at a place of the call, such as (content, start of its source).

    Rows of one call must not draw the same numbers, and a row's must not depend on what else is in
    its request.  The row at (0, 0, ...) has the seed itself.
    """
    if seed is None or not any(place):
        return seed
    key = blake2b(repr((seed, *place)).encode(), digest_size=8)
    return int.from_bytes(key.digest(), "little")
