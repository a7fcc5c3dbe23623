"""CDATA sections of XML: text that is written without references, and may be HTML itself."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from services.inference.markup.source.entities import escape
from services.inference.markup.source.scanner import CDATA_END, CDATA_START
from services.inference.text.media_types import MarkupKind

_SPLIT = f"]]{CDATA_END}{CDATA_START}>"


@dataclass(frozen=True, slots=True)
class Sections:
    """Where the contents of a source's sections stand, in order, and how each is written."""

    spans: tuple[tuple[int, int, MarkupKind], ...] = ()

    def language(self, place: int) -> MarkupKind | None:
        """How the section is written that `place` is in, up to its end; None outside."""
        span = self._span(place)
        return None if span is None else span[2]

    def end(self, place: int) -> int:
        """Where the content ends that `place` is in."""
        span = self._span(place)
        return place if span is None else span[1]

    def _span(self, place: int) -> tuple[int, int, MarkupKind] | None:
        index = bisect_right(self.spans, place, key=_start) - 1
        return self.spans[index] if index >= 0 and place <= self.spans[index][1] else None


NO_SECTIONS = Sections()


def _start(span: tuple[int, int, MarkupKind]) -> int:
    return span[0]


class SourceWriter:
    """What is written in the place of a segment: escaped as each place of it needs."""

    def __init__(
        self, sections: Sections, start: int, language: MarkupKind, spellings: Mapping[str, str]
    ) -> None:
        self._sections = sections
        self._outside = language
        self._spellings = spellings
        self._inside = sections.language(start)
        self._parts: list[str] = []
        # What stands before is not known here.
        self._tail = "]]"
        self.length = 0

    def add_text(self, text: str) -> None:
        """Adds text, as it is to be read."""
        self._add(escape(text, self._spellings, self._inside or self._outside))

    def add_slice(self, text: str, place: int) -> tuple[int, int]:
        """Adds what is written as at `place` of the source; returns where it stands.

        Where that is in a section and this is in none, it gets one, and the other way round.
        """
        is_at_home = (self._sections.language(place) is None) is (self._inside is None)
        before, behind = (CDATA_END, CDATA_START) if self._inside else (CDATA_START, CDATA_END)
        if not is_at_home:
            self._add_markup(before)
        start = self.length
        if is_at_home:
            self._add(text)
        else:
            self._add_markup(text)
        end = self.length
        if not is_at_home:
            self._add_markup(behind)
        return start, end

    def add_mark(self, text: str, place: int) -> None:
        """Adds markup that ends at `place` of the source."""
        self._add_markup(text)
        if text == CDATA_START:
            self._inside = self._sections.language(place)
        elif text == CDATA_END:
            self._inside = None

    def finish(self, source: str, end: int) -> str:
        """All that was added; `source[end:]` follows."""
        if self._inside is not None:
            following = source[end : min(end + 2, self._sections.end(end))]
            if CDATA_END in self._tail + following:
                self._add_markup(CDATA_END + CDATA_START)
        return "".join(self._parts)

    def _add(self, text: str) -> None:
        """Adds text that is escaped; in a section, where it would end that, it is split."""
        if self._inside is not None:
            known = self._tail
            text = (known + text).replace(CDATA_END, _SPLIT)[len(known) :]
        self._add_markup(text)

    def _add_markup(self, text: str) -> None:
        self._parts.append(text)
        self.length += len(text)
        self._tail = (self._tail + text)[-2:]
