"""A sentence of a text as a row, and what the engine has said about it."""

from collections.abc import Sequence
from dataclasses import replace

from services.inference.errors import TextTooLongError
from services.inference.rows.events import TooLong
from services.inference.rows.generation import Generation, row_seed
from services.inference.rows.window import CallRow
from services.inference.text.long_sentences import split
from services.inference.text.segmentation import TextSegment
from services.inference.text.terms import TermMatch


class Sentence(CallRow):
    """A sentence, whose translation may go out as it comes; `is_part` of one that was split.

    `parts` take its place when it is too long.
    """

    def __init__(
        self, content: int, segment: TextSegment, asked: Generation, *, is_part: bool = False
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
                field=f"contents[{self.content}]",
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
