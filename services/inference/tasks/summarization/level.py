"""A level of a summary in parts: the text that is summarized, and what came of its parts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from services.inference.rows.events import TooLong
from services.inference.text.parts import Part, pack

# Summaries are joined as paragraphs of their own.
_JOINT = "\n\n"

# Token counts of parts are estimated from the whole: leave some room.
_FILL = 0.9


@dataclass(frozen=True, slots=True)
class LevelStretch:
    """`text[start:end]` of a level comes from `[source_start, source_end)` of the source."""

    start: int
    end: int
    source_start: int
    source_end: int


@dataclass(frozen=True, slots=True)
class Level:
    """A text: number 0 is the source itself, those above are summaries of the one below."""

    number: int
    text: str
    stretches: Sequence[LevelStretch]

    def source_span(self, part: Part) -> tuple[int, int]:
        """Where a part comes from, in code points of the source."""
        if not self.number:
            return part.start, part.end
        under = [each for each in self.stretches if each.start < part.end and part.start < each.end]
        return under[0].source_start, under[-1].source_end


@dataclass(slots=True)
class PartSummary:
    """A part of a level, and its summary once that is done."""

    part: Part
    text: str | None = None


@dataclass(slots=True)
class Division:
    """The parts of a level, in order."""

    level: Level
    summaries: list[PartSummary] = field(default_factory=list)

    @property
    def done(self) -> int:
        """Parts that are summarized."""
        return sum(each.text is not None for each in self.summaries)

    def replace(self, whole: PartSummary, parts: Iterable[Part]) -> list[PartSummary]:
        """Puts smaller parts in the place of one, and returns them."""
        smaller = [PartSummary(each) for each in parts]
        at = self.summaries.index(whole)
        self.summaries[at : at + 1] = smaller
        return smaller

    def empty(self) -> list[PartSummary]:
        """Parts of which the model said nothing."""
        return [each for each in self.summaries if not each.text]

    def joined(self) -> Level:
        """The next level: the summaries of the parts."""
        pieces: list[str] = []
        stretches: list[LevelStretch] = []
        length = 0
        for each in self.summaries:
            if each.text:
                length += len(_JOINT) if pieces else 0
                span = self.level.source_span(each.part)
                stretches.append(LevelStretch(length, length + len(each.text), *span))
                pieces.append(each.text)
                length += len(each.text)
        return Level(self.level.number + 1, _JOINT.join(pieces), stretches)


def parts_of(text: str, language: str, refusal: TooLong) -> list[Part]:
    """Parts of a text that was too long, each likely to fit, of about the same size.

    A text that is one word or the like is cut within; it has two characters or more.
    """
    most = int(len(text) * _FILL * refusal.limit / max(refusal.input_tokens, 1))
    most = max(1, min(most, (len(text) + 1) // 2))
    return pack(text, language, most)
