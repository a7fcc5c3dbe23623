"""What comes out of the summary of a text."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from engine.contract.events import Alternative, FinishReason, Token


@dataclass(frozen=True, slots=True)
class SummaryTextDelta:
    """Text to append to the summary of one of the contents."""

    content: int
    text: str


@dataclass(frozen=True, slots=True)
class PartsProgress:
    """How many parts of a level are summarized."""

    content: int
    level: int
    parts_done: int
    parts_total: int


@dataclass(frozen=True, slots=True)
class SummarizedPart:
    """A part of the source and its own summary; spans are in code points of the source."""

    source_start: int
    source_end: int
    text: str


@dataclass(frozen=True, slots=True)
class OmittedSpan:
    """A part of the source that no summary has seen."""

    source_start: int
    source_end: int
    reason: str


@dataclass(slots=True)
class CompletedSummary:
    """The summary of one of the contents is complete; the deltas were its text."""

    content: int
    parts: list[SummarizedPart] = field(default_factory=list)
    levels: int = 0
    dropped: list[OmittedSpan] = field(default_factory=list)
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    score: float = 0.0
    log_prob: float = 0.0
    tokens: Sequence[Token] = ()
    alternatives: Sequence[Alternative] = ()
    warnings: list[str] = field(default_factory=list)


SummaryEvent = SummaryTextDelta | PartsProgress | CompletedSummary
