"""The events of a stream."""

from dataclasses import dataclass

from seqway.results import FinishReason, Summary, Timings, TokenCounts, Translation


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Append `text` to the translation of text `content_index`."""

    content_index: int
    segment_index: int
    text: str


@dataclass(frozen=True, slots=True)
class TextEnd:
    """Text `content_index` is complete.

    `translation` is what `translate` returns, with an empty `text`: the deltas were the text.
    """

    content_index: int
    translation: Translation


@dataclass(frozen=True, slots=True)
class SummaryDelta:
    """Append `text` to the summary of text `content_index`."""

    content_index: int
    text: str


@dataclass(frozen=True, slots=True)
class SummaryProgress:
    """How many parts of text `content_index` are summarized; level 0 is the source itself."""

    content_index: int
    level: int
    parts_done: int
    parts_total: int


@dataclass(frozen=True, slots=True)
class SummaryEnd:
    """Text `content_index` is complete.

    `summary` is what `summarize` returns, with an empty `text`: the deltas were the text.
    """

    content_index: int
    summary: Summary


@dataclass(frozen=True, slots=True)
class StreamSummary:
    """The last event, sent once: the worst finish reason and the token counts of all texts."""

    finish_reason: FinishReason
    token_counts: TokenCounts
    timings: Timings
    model: str


StreamEvent = TextDelta | TextEnd | StreamSummary
SummarizeEvent = SummaryDelta | SummaryProgress | SummaryEnd | StreamSummary
