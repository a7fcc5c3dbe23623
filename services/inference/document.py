"""One text on its way through translation: what is asked, what has come, what may go out.

Segments are translated in any order and leave in order.  No I/O here.
"""

from dataclasses import dataclass, field

from services.inference.errors import ModelFailedError, TextTooLongError
from services.inference.events import End, FinishReason, TooLong
from services.inference.segmentation import Segment, Segmentation
from services.inference.splitting import split


@dataclass(slots=True, eq=False)
class Row:
    """A segment and what the engine has said about it; `part` of a sentence that was split."""

    document: "Document"
    segment: Segment
    part: bool = False
    text: str = ""
    end: End | None = None


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    """Spans are in code points of the source and of the translation."""

    source_start: int
    source_end: int
    target_start: int
    target_end: int
    finish_reason: FinishReason
    score: float


@dataclass(frozen=True, slots=True)
class TextDelta:
    """Text to append to the translation of one of the contents."""

    content: int
    segment: int
    text: str


@dataclass(slots=True)
class TextEnd:
    """The translation of one of the contents is complete; the deltas were its text."""

    content: int
    segments: list[TranslatedSegment] = field(default_factory=list)
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    warnings: list[str] = field(default_factory=list)


class Document:
    """The rows of one text, in order, and how far its translation has gone out."""

    def __init__(self, content: int, segmentation: Segmentation) -> None:
        self.content = content
        self.rows = [Row(self, segment) for segment in segmentation.segments]
        self.done = False
        self._tail = segmentation.tail
        self._head = 0
        self._head_started = False
        self._length = 0
        self._target_start = 0
        self._result = TextEnd(content)

    def append(self, row: Row, text: str) -> None:
        """Takes more of the translation of a row."""
        row.text += text

    def finish(self, row: Row, end: End) -> None:
        """Takes the end of a row; ModelFailedError when its generation failed."""
        if end.finish_reason is FinishReason.ERROR:
            raise ModelFailedError("the model failed on a sentence")
        row.text += end.text
        row.end = end

    def split(self, row: Row, refusal: TooLong) -> tuple[Row, Row]:
        """Puts two rows in the place of one that was too long, and returns them.

        A warning tells of it.  TextTooLongError when there is nothing left to split.
        """
        segment = row.segment
        if len(segment.text) < 2:
            raise TextTooLongError(
                f"the character at {segment.start} alone is longer than the model takes",
                field=f"contents[{self.content}]",
            )
        if not row.part:
            self._result.warnings.append(
                f"sentence was split: [{segment.start}, {segment.end}) has {refusal.input_tokens}"
                f" tokens and the model takes {refusal.limit}"
            )
        left, right = (Row(self, part, part=True) for part in split(segment))
        at = self.rows.index(row, self._head)
        self.rows[at : at + 1] = [left, right]
        return left, right

    def drain(self) -> list[TextDelta | TextEnd]:
        """What may go out now: at most one delta for each segment, then the end."""
        out: list[TextDelta | TextEnd] = []
        while self._head < len(self.rows):
            row = self.rows[self._head]
            if not row.text and row.end is None:
                return out
            self._emit(row, out)
            if row.end is None:
                return out
            self._head += 1
            self._head_started = False
        if not self.done:
            self._close(out)
        return out

    def _emit(self, row: Row, out: list[TextDelta | TextEnd]) -> None:
        text, row.text = row.text, ""
        if not self._head_started:
            self._head_started = True
            self._target_start = self._length + len(row.segment.gap)
            text = row.segment.gap + text
        self._length += len(text)
        if row.end is not None:
            self._add(row.segment, row.end)
            if self._head == len(self.rows) - 1:
                text += self._tail
        if text:
            out.append(TextDelta(self.content, self._head, text))

    def _add(self, segment: Segment, end: End) -> None:
        result = self._result
        result.segments.append(
            TranslatedSegment(
                source_start=segment.start,
                source_end=segment.end,
                target_start=self._target_start,
                target_end=self._length,
                finish_reason=end.finish_reason,
                score=end.score,
            )
        )
        result.finish_reason = max(result.finish_reason, end.finish_reason)
        result.input_tokens += end.input_tokens
        result.output_tokens += end.output_tokens

    def _close(self, out: list[TextDelta | TextEnd]) -> None:
        if not self.rows and self._tail:
            out.append(TextDelta(self.content, 0, self._tail))
        out.append(self._result)
        self.done = True
