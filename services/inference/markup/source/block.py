"""Builds a passage from the text and the tags of a block, in the order of the source."""

import unicodedata
from collections.abc import Iterator, Sequence

from services.inference.markup.passage import Atom, AtomKind, Mark, MarkKind, Passage, PassagePart
from services.inference.markup.source.cdata import Sections
from services.inference.markup.source.entities import TextStretch, decode
from services.inference.markup.source.scanner import MarkupToken, TokenKind
from services.inference.text.media_types import MarkupKind


class PassageBuilder:
    """Text between two block tags, as it grows."""

    def __init__(self, source: str, language: MarkupKind, sections: Sections) -> None:
        self._source = source
        self._language = language
        self._sections = sections
        self._parts: list[str] = []
        self._length = 0
        self._pieces: list[PassagePart] = []
        self._marks: list[Mark] = []
        self._atoms: list[Atom] = []
        self._spellings: dict[str, str] = {}
        self._literal: list[str] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is no text, so that nothing is to be translated."""
        return not self._length

    def add_text(self, start: int, end: int) -> None:
        """Adds the text of `source[start:end]`."""
        for stretch in self._decode(start, end):
            if not stretch.is_reference:
                self._literal.append(stretch.text)
                self._append(stretch.text, stretch.start, stretch.end)
            elif not stretch.text:
                self.add_mark(stretch.start, stretch.end, MarkKind.POINT)
            else:
                self._add_reference(stretch)

    def add_tag(self, token: MarkupToken, index: int, partner: int) -> None:
        """Adds the tag that is token `index`; `partner` is the other tag of its element, or -1."""
        if partner < 0:
            kind = MarkKind.BROKEN
        else:
            kind = MarkKind.OPEN if token.kind is TokenKind.START else MarkKind.CLOSE
        self.add_mark(token.start, token.end, kind, min(index, partner))

    def add_mark(self, start: int, end: int, kind: MarkKind, pair: int = -1) -> None:
        """Adds `source[start:end]`, which is no text."""
        text = self._source[start:end]
        self._marks.append(Mark(self._length, text, kind, start, end, pair))

    def add_element(self, tokens: Sequence[MarkupToken]) -> None:
        """Adds an element whose content is not to be translated."""
        stretches = [
            stretch.text
            for token in tokens
            if token.kind is TokenKind.TEXT
            for stretch in self._decode(token.start, token.end)
        ]
        text = " ".join("".join(stretches).split())
        start, end = tokens[0].start, tokens[-1].end
        if text:
            self._add_atom(text, start, end, AtomKind.PHRASE, self._source[start:end])
        else:
            self.add_mark(start, end, MarkKind.POINT)

    def passage(self) -> Passage:
        """All that was added.

        A character is written as a reference where the passage always does so.
        """
        literal = "".join(self._literal)
        spellings = {
            character: spelling
            for character, spelling in self._spellings.items()
            if character not in literal
        }
        if self._language is MarkupKind.HTML and ">" in literal:
            spellings[">"] = ">"
        return Passage(
            "".join(self._parts),
            tuple(self._pieces),
            tuple(self._marks),
            tuple(self._atoms),
            spellings,
        )

    def _decode(self, start: int, end: int) -> Iterator[TextStretch]:
        language = self._sections.language(start) or self._language
        return decode(self._source, start, end, language)

    def _add_reference(self, stretch: TextStretch) -> None:
        # HTML lets the semicolon go where no letter or digit follows; what will is not known.
        spelling = self._source[stretch.start : stretch.end].rstrip(";") + ";"
        if stretch.text.isspace() or unicodedata.category(stretch.text[0]) == "Cf":
            kind = AtomKind.REFERENCE
            self._add_atom(stretch.text, stretch.start, stretch.end, kind, spelling)
            return
        if len(stretch.text) == 1 and self._sections.language(stretch.start) is None:
            self._spellings.setdefault(stretch.text, spelling)
        self._append(stretch.text, stretch.start, stretch.end)

    def _add_atom(self, text: str, start: int, end: int, kind: AtomKind, output: str) -> None:
        place = self._length
        self._append(text, start, end)
        self._atoms.append(Atom(place, self._length, output, kind, start, end))

    def _append(self, text: str, start: int, end: int) -> None:
        self._parts.append(text)
        self._pieces.append(PassagePart(self._length, start, end))
        self._length += len(text)
