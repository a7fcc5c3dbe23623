"""One text on its way through translation: what is asked, what has come, what may go out.

Segments are translated in any order and leave in order.  No I/O here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from engine.contract.events import Alternative, End, FinishReason, Token, TooLong, worst
from engine.contract.options import Options
from services.inference.errors import TextTooLongError
from services.inference.rows.window import CallRow, row_seed
from services.inference.text.long_sentences import split
from services.inference.text.segmentation import TextSegment
from services.inference.text.terms import TermMatch


@dataclass(frozen=True, slots=True)
class TranslatedSegment:
    """Spans are in code points of the source and of the translation.

    `quality`, from 0 to 1, is None where the variant estimates none.
    """

    source_start: int
    source_end: int
    target_start: int
    target_end: int
    finish_reason: FinishReason
    score: float
    log_prob: float
    tokens: Sequence[Token]
    alternatives: Sequence[Alternative]
    output_tokens: int
    quality: float | None


@dataclass(frozen=True, slots=True)
class DocumentDelta:
    """Text to append to the translation of one of the contents."""

    content: int
    segment: int
    text: str


@dataclass(frozen=True, slots=True)
class PivotLanguage:
    """The language through which a text was translated, and the variant that translated to it."""

    code: str
    model: str


@dataclass(slots=True)
class DocumentEnd:
    """The translation of one of the contents is complete; the deltas were its text.

    `model` is the variant that ended it.
    """

    content: int
    segments: list[TranslatedSegment] = field(default_factory=list)
    finish_reason: FinishReason = FinishReason.EOS
    input_tokens: int = 0
    output_tokens: int = 0
    warnings: list[str] = field(default_factory=list)
    glossary_matches: list[TermMatch] = field(default_factory=list)
    detected_language: str = ""
    model: str = ""
    pivot: PivotLanguage | None = None

    @property
    def quality(self) -> float | None:
        """The mean over the segments by their tokens; None where one of them has none."""
        weighted, tokens = 0.0, 0
        for segment in self.segments:
            if segment.quality is None:
                return None
            weighted += segment.quality * segment.output_tokens
            tokens += segment.output_tokens
        return round(weighted / tokens, 4) if tokens else None


class Sentence(CallRow):
    """A sentence, whose translation may go out as it comes; `is_part` of one that was split.

    `parts` take its place when it is too long.
    """

    def __init__(
        self, content: int, segment: TextSegment, asked: Options, *, is_part: bool = False
    ) -> None:
        seed = row_seed(asked.seed, content, segment.start)
        super().__init__(content, segment.text, replace(asked, seed=seed))
        self.segment = segment
        self.parts: Sequence[Sentence] = ()
        self.glossary_matches: Sequence[TermMatch] = ()
        self._asked = asked
        self._is_part = is_part

    @property
    def warnings(self) -> list[str]:
        """Tells that it was split, unless it is itself a part."""
        if self.refusal is None or self._is_part:
            return []
        return [
            f"sentence was split: [{self.segment.start}, {self.segment.end}) has"
            f" {self.refusal.input_tokens} tokens and the model takes {self.refusal.limit}"
        ]

    def divide(self, refusal: TooLong) -> Sequence[CallRow]:
        """Its two parts; TextTooLongError when there is nothing left to split."""
        super().divide(refusal)
        if not self.segment.can_split:
            raise TextTooLongError(
                f"[{self.segment.start}, {self.segment.end}) cannot be split, and is longer than"
                " the model takes",
                content=self.content,
            )
        later = replace(self._asked, target_prefix="")
        left, right = self._halves()
        self.parts = [
            type(self)(self.content, left, self._asked, is_part=True),
            type(self)(self.content, right, later, is_part=True),
        ]
        return self.parts

    def _halves(self) -> tuple[TextSegment, TextSegment]:
        return split(self.segment)


class Document:
    """The rows of one text, in order, and how far its translation has gone out."""

    def __init__(self, content: int, rows: Iterable[Sentence], tail: str) -> None:
        self.content = content
        self.done = False
        self.rows = list(rows)
        self._tail = tail
        self._head = 0
        self._head_started = False
        self._length = 0
        self._target_start = 0
        self._result = DocumentEnd(content)

    def drain(self) -> list[DocumentDelta | DocumentEnd]:
        """What may go out now: at most one delta for each segment, then the end."""
        out: list[DocumentDelta | DocumentEnd] = []
        while self._head < len(self.rows):
            row = self.rows[self._head]
            if row.parts:
                self._result.warnings += row.warnings
                self.rows[self._head : self._head + 1] = row.parts
                continue
            if not row.said and row.end is None:
                return out
            self._emit(row, out)
            if row.end is None:
                return out
            self._head += 1
            self._head_started = False
        if not self.done:
            self._close(out)
        return out

    def _emit(self, row: Sentence, out: list[DocumentDelta | DocumentEnd]) -> None:
        text = row.take()
        if not self._head_started:
            self._head_started = True
            self._target_start = self._length + len(row.segment.gap)
            text = row.segment.gap + text
        self._length += len(text)
        if row.end is not None:
            self._add(row, row.end)
            if self._head == len(self.rows) - 1:
                text += self._tail
        if text:
            out.append(DocumentDelta(self.content, self._head, text))

    def _add(self, row: Sentence, end: End) -> None:
        result = self._result
        result.segments.append(
            TranslatedSegment(
                source_start=row.segment.start,
                source_end=row.segment.end,
                target_start=self._target_start,
                target_end=self._length,
                finish_reason=end.finish_reason,
                score=end.score,
                log_prob=end.log_prob,
                tokens=end.tokens,
                alternatives=end.alternatives,
                output_tokens=end.output_tokens,
                quality=end.quality,
            )
        )
        result.glossary_matches.extend(
            replace(
                match,
                target_start=match.target_start + self._target_start,
                target_end=match.target_end + self._target_start,
            )
            for match in row.glossary_matches
        )
        result.finish_reason = worst(result.finish_reason, end.finish_reason)
        result.input_tokens += end.input_tokens
        result.output_tokens += end.output_tokens

    def _close(self, out: list[DocumentDelta | DocumentEnd]) -> None:
        if not self.rows and self._tail:
            out.append(DocumentDelta(self.content, 0, self._tail))
        out.append(self._result)
        self.done = True
