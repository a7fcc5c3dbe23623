"""What the parts of this package hand to each other: passages, segments and what came of them.

A passage is text for the model with what does not go through the model: *marks* (tags and the like,
at places between characters) and *atoms* (stretches that come back as they are, or as a glossary
says).  Places are in code points of the passage's text, source spans in code points of the source.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from services.inference.markup.source.cdata import NO_SECTIONS, Sections
from services.inference.text.media_types import MarkupKind
from services.inference.text.segmentation import Segmentation, TextSegment
from services.inference.text.terms import TermMatch


class MarkKind(Enum):
    """What a mark is to the structure."""

    OPEN = "open"
    CLOSE = "close"
    POINT = "point"  # a void element, a comment
    BROKEN = "broken"  # a tag without its partner; broken tags keep their order
    SPACE = "space"  # a reference that stands for white space, such as &nbsp;


@dataclass(frozen=True, slots=True)
class Mark:
    """Markup in front of the character at `position`; `pair` is the same for a tag and its end.

    `is_apart` says whether white space stood directly before and behind it.
    """

    position: int
    text: str
    kind: MarkKind
    source_start: int
    source_end: int
    pair: int = -1
    is_apart: tuple[bool, bool] = (False, False)


class AtomKind(Enum):
    """Why a stretch of text does not come from the model."""

    PLACEHOLDER = "placeholder"  # what a program or a browser reads: each comes exactly once
    PHRASE = "phrase"  # a do-not-translate phrase, or an element that says so
    TERM = "term"  # of the glossary
    REFERENCE = "reference"  # a character that the model would lose, such as &nbsp;


@dataclass(frozen=True, slots=True)
class Atom:
    """`text[start:end]` of the passage, which comes back as `output` (markup, escaped)."""

    start: int
    end: int
    output: str
    kind: AtomKind
    source_start: int
    source_end: int
    entry: int = -1
    target: str = ""  # the term that it becomes, not escaped
    is_masked: bool = False  # whether the text is made up, and the model is not to see what it is


@dataclass(frozen=True, slots=True)
class PassagePart:
    """Characters from `place` on that come from `source[start:end]`.

    One by one when there are as many of them; else all of them from all of it.
    """

    place: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Passage:
    """Text that belongs together; its pieces, marks and atoms in order, atoms without overlap."""

    text: str
    pieces: tuple[PassagePart, ...]
    marks: tuple[Mark, ...]
    atoms: tuple[Atom, ...]
    spellings: Mapping[str, str]

    def source_start(self, place: int) -> int:
        """Where the character at `place` starts in the source."""
        return next(self.stretches(place, place + 1))[2]

    def source_end(self, place: int) -> int:
        """Where the character before `place` ends in the source."""
        return next(self.stretches(place - 1, place))[3]

    def stretches(self, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
        """`text[start:end]` in parts that stand together in the source.

        (start, end, source start, source end) of each; a part that is written otherwise in the
        source has the source span of all of its piece.
        """
        index = bisect_right(self.pieces, start, key=_place) - 1
        while start < end:
            piece = self.pieces[index]
            is_last = index + 1 == len(self.pieces)
            following = len(self.text) if is_last else self.pieces[index + 1].place
            stop = min(end, following)
            if following - piece.place == piece.end - piece.start:
                shift = piece.start - piece.place
                yield start, stop, start + shift, stop + shift
            else:
                yield start, stop, piece.start, piece.end
            start = stop
            index += 1


def _place(piece: PassagePart) -> int:
    return piece.place


@dataclass(frozen=True, slots=True)
class MarkedSegment(TextSegment):
    """A sentence for the model, without markup and references; its gap may hold them.

    `text` is that of the passage.
    """

    passage: Passage
    source: str
    language: MarkupKind
    sections: Sections = NO_SECTIONS

    @property
    def is_plain(self) -> bool:
        """Whether the translation is the output, so that it may be passed on as it comes."""
        return not self.needs_alignment and self.language is MarkupKind.PLAIN

    @property
    def needs_alignment(self) -> bool:
        """Whether `render` places something inside the translation."""
        return bool(self.passage.marks or self.passage.atoms)

    @property
    def can_split(self) -> bool:
        """Whether there are two characters that may stand apart."""
        atoms = self.passage.atoms
        is_atom = len(atoms) == 1 and atoms[0].end - atoms[0].start == len(self.text)
        return len(self.text) > 1 and not is_atom


@dataclass(frozen=True, slots=True)
class MarkedText(Segmentation):
    """The segments of a source with markup."""

    segments: Sequence[MarkedSegment]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A segment's translation as it goes out, and where terms of the glossary were applied."""

    text: str
    glossary_matches: list[TermMatch]
