"""A level of a recursive summary: a text, and the rows that summarize its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engine.contract.events import End, TooLong
from engine.contract.options import Options
from services.inference.rows.window import CallRow, row_seed
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
    """A text: number 0 is the source itself, those above are summaries of the one below.

    `asked` is how the text would be summarized as a whole, and `language` is what it is in.
    """

    number: int
    content: int
    text: str
    language: str
    asked: Options
    stretches: Sequence[LevelStretch] = ()

    def source_span(self, part: Part) -> tuple[int, int]:
        """Where a part comes from, in code points of the source."""
        if not self.number:
            return part.start, part.end
        under = [each for each in self.stretches if each.start < part.end and part.start < each.end]
        return under[0].source_start, under[-1].source_end

    def divide(self, refusal: TooLong, whole: Part | None = None) -> "list[PartRow]":
        """Rows for parts of the text, or of a part of it, that was too long.

        Each is likely to fit, and they are of about the same size.  A text that is one word or the
        like is cut within; it has two characters or more.
        """
        whole = whole or Part(0, len(self.text))
        text = self.text[whole.start : whole.end]
        most = int(len(text) * _FILL * refusal.limit / max(refusal.input_tokens, 1))
        most = max(1, min(most, (len(text) + 1) // 2))
        return [
            PartRow(self, Part(whole.start + part.start, whole.start + part.end))
            for part in pack(text, self.language, most)
        ]

    def above(self, rows: "Sequence[PartRow]") -> "Level":
        """The next level: the summaries of the parts."""
        pieces: list[str] = []
        stretches: list[LevelStretch] = []
        length = 0
        for row in rows:
            if row.summary:
                length += len(_JOINT) if pieces else 0
                span = self.source_span(row.part)
                stretches.append(LevelStretch(length, length + len(row.summary), *span))
                pieces.append(row.summary)
                length += len(row.summary)
        return replace(self, number=self.number + 1, text=_JOINT.join(pieces), stretches=stretches)


class PartRow(CallRow):
    """A part of a level, and its summary once that is done; `parts` take the place of a long one.

    The options are those of the call, but the model may choose how long the summary is.
    """

    def __init__(self, level: Level, part: Part) -> None:
        generation = replace(
            level.asked,
            stream=False,
            max_new_tokens=None,
            min_new_tokens=None,
            num_hypotheses=None,
            target_prefix="",
            token_log_probs=False,
            seed=row_seed(level.asked.seed, level.number + 1, part.start),
        )
        super().__init__(level.content, level.text[part.start : part.end], generation)
        self.part = part
        self.parts: Sequence[PartRow] = ()
        self.summary: str | None = None
        self._level = level

    def finish(self, end: End) -> None:
        """Takes the end of the summary."""
        super().finish(end)
        self.summary = self.said.strip()

    def divide(self, refusal: TooLong) -> Sequence[CallRow]:
        """The rows of smaller parts; none when it is a single character, which has no summary."""
        super().divide(refusal)
        if len(self.text) < 2:
            self.summary = ""
        else:
            self.parts = self._level.divide(refusal, self.part)
        return self.parts
