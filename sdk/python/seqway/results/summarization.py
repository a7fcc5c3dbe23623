"""What `summarize` returns."""

from dataclasses import dataclass

from seqway.results.generation import (
    FinishReason,
    Hypothesis,
    Timings,
    TokenCounts,
    TokenLogProb,
    only,
)


@dataclass(frozen=True, slots=True)
class SummaryPart:
    """A part of the source, [source_start, source_end) in code points, and its own summary.

    `text` is empty when the source fitted as a whole.
    """

    source_start: int
    source_end: int
    text: str


@dataclass(frozen=True, slots=True)
class DroppedSpan:
    """A part of the source that was left out of the summary, in code points, and why."""

    source_start: int
    source_end: int
    reason: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The summary of one text.

    A text that is longer than the model takes is summarized in `parts`, and their summaries again,
    `levels` times.  `score`, `log_prob`, `tokens` and `alternatives` are of the last generation;
    `finish_reason` is the worst of all.
    """

    text: str
    parts: tuple[SummaryPart, ...]
    levels: int
    dropped: tuple[DroppedSpan, ...]
    finish_reason: FinishReason
    token_counts: TokenCounts
    score: float
    log_prob: float
    tokens: tuple[TokenLogProb, ...]
    alternatives: tuple[Hypothesis, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SummarizeResult:
    """The answer to a call: a summary for each text, in the order of the request."""

    summaries: tuple[Summary, ...]
    model: str
    timings: Timings

    @property
    def text(self) -> str:
        """The summary of a call that held one text; `ValueError` when it held several."""
        return only(self.texts, "texts")

    @property
    def texts(self) -> tuple[str, ...]:
        """The summaries alone."""
        return tuple(summary.text for summary in self.summaries)
