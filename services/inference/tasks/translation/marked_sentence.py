"""A sentence of which parts do not go through the model: markup, placeholders, terms."""

from dataclasses import replace

from services.inference.markup import MarkedSegment, render, split
from services.inference.rows.events import End, Hypothesis
from services.inference.rows.generation import Generation
from services.inference.tasks.translation.sentence import Sentence


class MarkedSentence(Sentence):
    """A sentence whose parts are placed once its translation is complete."""

    def __init__(
        self, content: int, segment: MarkedSegment, asked: Generation, *, is_part: bool = False
    ) -> None:
        super().__init__(content, segment, asked, is_part=is_part)
        self._marked = segment
        self._raw = ""
        if not segment.is_plain:
            self.generation = replace(
                self.generation, stream=False, alignment=segment.needs_alignment
            )

    def append(self, text: str) -> None:
        """Takes more of the translation."""
        if self._marked.is_plain:
            super().append(text)
        else:
            self._raw += text

    def finish(self, end: End) -> None:
        """Takes the end of the translation, and puts back what the model did not see."""
        super().finish(end)
        if not self._marked.is_plain:
            rendered = render(self._marked, self._raw, end.alignment)
            self.said, self.glossary_matches = rendered.text, rendered.glossary_matches
            self.end = replace(end, alternatives=[self._render(one) for one in end.alternatives])

    def _render(self, alternative: Hypothesis) -> Hypothesis:
        """The engine aligns the best answer only: the parts of others are placed by share."""
        return replace(alternative, text=render(self._marked, alternative.text, ()).text)

    def _halves(self) -> tuple[MarkedSegment, MarkedSegment]:
        return split(self._marked)
