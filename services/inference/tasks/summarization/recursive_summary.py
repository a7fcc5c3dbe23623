"""The summary of one text as it is made: what is asked, what has come, what may go out.

A text that the model takes is one row.  Of another, the parts are summarized, their summaries are
joined, and the joined text takes the same way, until one fits.  No I/O here.
"""

from collections.abc import Sequence
from dataclasses import replace

from engine.contract.events import End, TooLong, worst
from engine.contract.options import Options
from services.inference.rows.window import CallRow, row_seed
from services.inference.tasks.summarization.level import Level, PartRow
from services.inference.tasks.summarization.summary import (
    CompletedSummary,
    OmittedSpan,
    PartsProgress,
    SummarizedPart,
    SummaryEvent,
    SummaryTextDelta,
)

# No token is longer on average: a text with more characters for each token that the model takes is
# cut without asking the engine, which would have to tokenize all of it.
_LONGEST_TOKENS = 16
# The characters of a token, where nothing else is known; a part that is too long is divided again.
_USUAL_TOKEN = 4


class RecursiveSummary:
    """The summary of one text, and the level that it is at: a row of all of it, or of each part.

    Whoever drives it runs the rows of `start`, and those of `advance` whenever `is_due`, and calls
    `drain` when a row has news.
    """

    def __init__(
        self, content: int, text: str, language: str, generation: Options, limit: int
    ) -> None:
        asked = replace(generation, seed=row_seed(generation.seed, content))
        self.done = False
        self._limit = limit
        self._level = Level(0, content, text, language, asked)
        self._whole = CallRow(content, text, asked)
        self._parts: list[PartRow] = []
        self._reported = (-1, -1)
        self._result = CompletedSummary(content)

    @property
    def is_due(self) -> bool:
        """Whether `advance` has something to do."""
        if self._parts:
            return all(row.summary is not None for row in self._parts)
        return self._whole.refusal is not None and not self.done

    def start(self) -> list[CallRow]:
        """The first rows to run."""
        if not self._level.text.strip():
            self._result.warnings.append("the text is blank")
            self.done = True
            return []
        return self._attempt()

    def advance(self) -> Sequence[CallRow]:
        """The rows to run next; takes long when a long text is to be cut."""
        if self._parts:
            return self._rise()
        assert self._whole.refusal is not None
        self._parts = self._level.divide(self._whole.refusal)
        return self._parts

    def drain(self) -> list[SummaryEvent]:
        """What may go out now."""
        out: list[SummaryEvent] = []
        if self._parts:
            self._parts = [part for row in self._parts for part in row.parts or [row]]
            self._report(out)
        if text := self._whole.take():
            out.append(SummaryTextDelta(self._result.content, text))
        if self._whole.end is not None and not self.done:
            self._conclude(self._whole.end)
        return out

    def end(self) -> CompletedSummary:
        """The closing event, once it is done."""
        result = self._result
        if not result.parts:
            result.parts.append(SummarizedPart(0, len(self._level.text), ""))
        result.dropped.sort(key=lambda span: span.source_start)
        return result

    def _attempt(self) -> list[CallRow]:
        """The level as one row; none when that cannot fit, which makes `advance` due."""
        text = self._level.text
        self._whole, self._parts = CallRow(self._level.content, text, self._level.asked), []
        if self._limit and len(text) > self._limit * _LONGEST_TOKENS:
            self._whole.refusal = TooLong(0, len(text) // _USUAL_TOKEN, self._limit)
            return []
        return [self._whole]

    def _rise(self) -> list[CallRow]:
        """Goes on with the joined summaries of the parts."""
        for row in self._parts:
            self._note_part(row)
        if not self._level.number:
            self._note_division()
        above = self._level.above(self._parts)
        if len(above.stretches) > 1 and len(above.text) < len(self._level.text):
            self._level = above
            self._result.levels = above.number
            return self._attempt()
        if len(above.stretches) > 1:
            self._result.warnings.append(
                "the summaries of the parts are no shorter than the text: they are joined without"
                " being summarized again"
            )
        self._whole.append(above.text)
        self._parts = []
        self.done = True
        return []

    def _note_part(self, row: PartRow) -> None:
        if row.end is not None:
            self._count(row.end)
        if not row.summary:
            start, end = self._level.source_span(row.part)
            known = self._result.dropped
            if not any(each.source_start <= start and end <= each.source_end for each in known):
                reason = "the model wrote no summary of it"
                if row.refusal is not None:
                    reason = "one character has more tokens than the model takes"
                known.append(OmittedSpan(start, end, reason))

    def _note_division(self) -> None:
        result = self._result
        result.parts = [
            SummarizedPart(row.part.start, row.part.end, row.summary or "") for row in self._parts
        ]
        result.warnings.append(
            f"the text was summarized in {len(result.parts)} parts: it is longer than the model"
            " takes at once"
        )

    def _count(self, end: End) -> None:
        result = self._result
        result.finish_reason = worst(result.finish_reason, end.finish_reason)
        result.input_tokens += end.input_tokens
        result.output_tokens += end.output_tokens

    def _conclude(self, end: End) -> None:
        """Takes the end of the last generation."""
        self._count(end)
        result = self._result
        result.score, result.log_prob = end.score, end.log_prob
        result.tokens, result.alternatives = end.tokens, end.alternatives
        self.done = True

    def _report(self, out: list[SummaryEvent]) -> None:
        """Tells how many parts are done, when that has changed."""
        done = sum(row.summary is not None for row in self._parts)
        counts = done, len(self._parts)
        if counts != self._reported:
            self._reported = counts
            out.append(PartsProgress(self._result.content, self._level.number, *counts))
