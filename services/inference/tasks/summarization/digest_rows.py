"""The rows that a digest runs: a level as a whole, and its parts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from services.inference.rows.events import End, TooLong
from services.inference.rows.generation import Generation
from services.inference.rows.window import CallRow
from services.inference.tasks.summarization.level import PartSummary

if TYPE_CHECKING:
    from services.inference.tasks.summarization.digest import Digest


class Attempt(CallRow):
    """A whole level as one row: the last one, if the model takes it."""

    def __init__(self, digest: "Digest", text: str, generation: Generation) -> None:
        self.digest = digest
        self._text = text
        self._generation = generation

    @property
    def text(self) -> str:
        """The text of the level."""
        return self._text

    @property
    def generation(self) -> Generation:
        """As the call asks for."""
        return self._generation

    @property
    def content(self) -> int:
        """That of its digest."""
        return self.digest.content

    def append(self, text: str) -> None:
        """Takes more of the summary."""
        self.digest.say(text)

    def finish(self, end: End) -> None:
        """Takes the end of the summary."""
        self.digest.say(end.text)
        self.digest.conclude(end)

    def divide(self, refusal: TooLong) -> Sequence[CallRow]:
        """Leaves it to the digest, which needs time for that."""
        self.digest.refused = refusal
        return ()


class PartRow(CallRow):
    """A part of a level as a row."""

    def __init__(self, digest: "Digest", summary: PartSummary, text: str) -> None:
        self.digest = digest
        self._summary = summary
        self._text = text
        self._said = ""

    @property
    def text(self) -> str:
        """The text of the part."""
        return self._text

    @property
    def generation(self) -> Generation:
        """As the model likes."""
        return self.digest.part_generation(self._summary.part)

    @property
    def content(self) -> int:
        """That of its digest."""
        return self.digest.content

    def append(self, text: str) -> None:
        """Takes more of the summary of the part."""
        self._said += text

    def finish(self, end: End) -> None:
        """Takes the end of the summary of the part."""
        self.digest.count(end)
        self._summary.text = (self._said + end.text).strip()

    def divide(self, refusal: TooLong) -> Sequence[CallRow]:
        """The rows of smaller parts; none when the part is a single character."""
        return self.digest.divide_part(self._summary, self._text, refusal)
