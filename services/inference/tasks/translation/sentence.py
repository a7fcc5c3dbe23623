"""A segment of a text as a row, and what the engine has said about it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from services.inference.markup import MarkedSegment, render
from services.inference.rows.events import End, Hypothesis, TooLong
from services.inference.rows.generation import Generation, row_seed
from services.inference.rows.window import CallRow
from services.inference.text.terms import TermMatch

if TYPE_CHECKING:
    from services.inference.tasks.translation.document import Document


class Sentence(CallRow):
    """A segment and what the engine has said about it; `is_part` of a sentence that was split.

    A plain one may go out as it comes.  What is placed inside another, such as a tag, needs all of
    the translation.
    """

    def __init__(
        self,
        document: "Document",
        segment: MarkedSegment,
        generation: Generation,
        *,
        is_part: bool = False,
    ) -> None:
        self.document = document
        self.segment = segment
        self.end: End | None = None
        self.glossary_matches: list[TermMatch] = []
        self.ready = ""
        self._raw = ""
        self._is_part = is_part
        self._generation = replace(
            generation,
            stream=generation.stream and segment.is_plain,
            alignment=segment.needs_alignment,
            seed=row_seed(generation.seed, document.content, segment.start),
        )

    @property
    def text(self) -> str:
        """What the model translates."""
        return self.segment.text

    @property
    def generation(self) -> Generation:
        """Asks for the alignment where `render` needs it."""
        return self._generation

    @property
    def content(self) -> int:
        """That of its document."""
        return self.document.content

    def append(self, text: str) -> None:
        """Takes more of the translation."""
        if self.segment.is_plain:
            self.ready += text
        else:
            self._raw += text

    def finish(self, end: End) -> None:
        """Takes the end of the translation, and puts back what the model did not see."""
        self.append(end.text)
        if not self.segment.is_plain:
            rendered = render(self.segment, self._raw, end.alignment)
            self.ready, self.glossary_matches = rendered.text, rendered.glossary_matches
            end = replace(end, alternatives=[self._render(each) for each in end.alternatives])
        self.end = end

    def divide(self, refusal: TooLong) -> Sequence[CallRow]:
        """Two rows, which stand in its place from now on."""
        return self.document.divide(self, refusal, is_part=self._is_part)

    def _render(self, alternative: Hypothesis) -> Hypothesis:
        """The engine aligns the best answer only: the parts of others are placed by share."""
        return replace(alternative, text=render(self.segment, alternative.text, ()).text)
