"""One text on its way to its summary: what is asked, what has come, what may go out.

A text that the model takes is one row.  Of another, the parts are summarized, their summaries are
joined, and the joined text takes the same way, until one fits.  No I/O here.
"""

from collections.abc import Sequence
from dataclasses import replace

from services.inference.rows.events import End, TooLong
from services.inference.rows.generation import Generation, row_seed
from services.inference.rows.window import CallRow
from services.inference.tasks.summarization.digest_rows import Attempt, PartRow
from services.inference.tasks.summarization.level import (
    Division,
    Level,
    LevelStretch,
    PartSummary,
    parts_of,
)
from services.inference.tasks.summarization.summary import (
    DigestDelta,
    DigestEnd,
    DigestOutput,
    DigestPart,
    DigestProgress,
    OmittedSpan,
)
from services.inference.text.parts import Part

# No token is longer on average: a text with more characters for each token that the model takes is
# cut without asking the engine, which would have to tokenize all of it.
_LONGEST_TOKENS = 16
# The characters of a token, where nothing else is known; a part that is too long is divided again.
_USUAL_TOKEN = 4


class Digest:
    """One text, the level that it is at, and what it has said.

    Whoever drives it runs the rows of `start`, and those of `advance` whenever `is_due`.
    """

    def __init__(
        self, content: int, text: str, language: str, generation: Generation, limit: int
    ) -> None:
        self.content = content
        self.done = False
        self.refused: TooLong | None = None
        self._language = language
        self._generation = replace(generation, seed=row_seed(generation.seed, content))
        self._limit = limit
        self._level = Level(0, text, [LevelStretch(0, len(text), 0, len(text))])
        self._division: Division | None = None
        self._ready = ""
        self._reported = (-1, -1)
        self._result = DigestEnd(content)

    @property
    def is_due(self) -> bool:
        """Whether `advance` has something to do."""
        division = self._division
        is_divided = division is not None and division.done == len(division.summaries)
        return not self.done and (self.refused is not None or is_divided)

    def start(self) -> list[CallRow]:
        """The first rows to run."""
        if not self._level.text.strip():
            self._result.warnings.append("the text is white space")
            self.done = True
            return []
        return self._attempt()

    def advance(self) -> list[CallRow]:
        """The rows to run next; takes long when a long text is to be cut."""
        if self.refused is not None:
            return self._divide(self.refused)
        division, self._division = self._division, None
        assert division is not None
        return self._rise(division)

    def part_generation(self, part: Part) -> Generation:
        """How a part is summarized: as asked, but the model may choose how long."""
        general = self._generation
        return replace(
            general,
            stream=False,
            max_new_tokens=0,
            min_new_tokens=None,
            num_hypotheses=0,
            target_prefix="",
            token_log_probs=False,
            seed=row_seed(general.seed, self._level.number + 1, part.start),
        )

    def say(self, text: str) -> None:
        """Takes more of the summary."""
        self._ready += text

    def count(self, end: End) -> None:
        """Counts a generation."""
        result = self._result
        result.finish_reason = max(result.finish_reason, end.finish_reason)
        result.input_tokens += end.input_tokens
        result.output_tokens += end.output_tokens

    def conclude(self, end: End) -> None:
        """Takes the end of the last generation."""
        self.count(end)
        result = self._result
        result.score, result.log_prob = end.score, end.log_prob
        result.tokens, result.alternatives = end.tokens, end.alternatives
        self.done = True

    def divide_part(self, summary: PartSummary, text: str, refusal: TooLong) -> list[CallRow]:
        """Rows of smaller parts in the place of one that is still too long."""
        assert self._division is not None
        if len(text) < 2:
            summary.text = ""
            self._drop(summary.part, "one character has more tokens than the model takes")
            return []
        smaller = (
            Part(summary.part.start + each.start, summary.part.start + each.end)
            for each in parts_of(text, self._language, refusal)
        )
        return self._rows(self._division.replace(summary, smaller))

    def drain(self) -> list[DigestOutput]:
        """What may go out now."""
        out: list[DigestOutput] = []
        if self._division is not None:
            self._report(self._division, out)
        if self._ready:
            out.append(DigestDelta(self.content, self._ready))
            self._ready = ""
        return out

    def end(self) -> DigestEnd:
        """The closing event, once it is done."""
        result = self._result
        if not result.parts:
            result.parts.append(DigestPart(0, len(self._level.text), ""))
        result.dropped.sort(key=lambda span: span.source_start)
        return result

    def _attempt(self) -> list[CallRow]:
        """The level as one row; none when that cannot fit, which makes the digest due."""
        text = self._level.text
        if self._limit and len(text) > self._limit * _LONGEST_TOKENS:
            self.refused = TooLong(0, len(text) // _USUAL_TOKEN, self._limit)
            return []
        return [Attempt(self, text, self._generation)]

    def _divide(self, refusal: TooLong) -> list[CallRow]:
        self.refused = None
        level = self._level
        self._division = Division(level)
        self._division.summaries = [
            PartSummary(part) for part in parts_of(level.text, self._language, refusal)
        ]
        return self._rows(self._division.summaries)

    def _rise(self, division: Division) -> list[CallRow]:
        """Goes on with the joined summaries of the parts."""
        for each in division.empty():
            self._drop(each.part, "the model said nothing of it")
        if not division.level.number:
            self._note_parts(division)
        above = division.joined()
        summaries = len(above.stretches)
        if summaries > 1 and len(above.text) < len(division.level.text):
            self._level = above
            self._result.levels = above.number
            return self._attempt()
        if summaries > 1:
            self._result.warnings.append(
                "the summaries of the parts are no shorter than the text: they are joined as"
                " they are"
            )
        self.say(above.text)
        self.done = True
        return []

    def _rows(self, summaries: Sequence[PartSummary]) -> list[CallRow]:
        text = self._level.text
        return [PartRow(self, each, text[each.part.start : each.part.end]) for each in summaries]

    def _note_parts(self, division: Division) -> None:
        result = self._result
        result.parts = [
            DigestPart(each.part.start, each.part.end, each.text or "")
            for each in division.summaries
        ]
        result.warnings.append(
            f"the text was summarized in {len(result.parts)} parts: it is longer than the model"
            " takes at once"
        )

    def _drop(self, part: Part, reason: str) -> None:
        start, end = self._level.source_span(part)
        known = self._result.dropped
        if not any(each.source_start <= start and end <= each.source_end for each in known):
            known.append(OmittedSpan(start, end, reason))

    def _report(self, division: Division, out: list[DigestOutput]) -> None:
        counts = division.done, len(division.summaries)
        if counts != self._reported:
            self._reported = counts
            out.append(DigestProgress(self.content, division.level.number, *counts))
