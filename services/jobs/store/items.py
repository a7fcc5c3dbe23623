"""One line of a job's input."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Item:
    """A line, checked: `index` counts from 0 and is its place in results.

    `text` may be blank; `question` is None but for question answering.
    """

    index: int
    text: str
    custom_id: str = ""
    question: str | None = None
