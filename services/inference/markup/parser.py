"""From a source to passages and their segments."""

from collections.abc import Sequence

from services.inference.markup.passage import MarkedText, MarkKind
from services.inference.markup.protector import Protector
from services.inference.markup.segments import Segmenter
from services.inference.markup.source.block import PassageBuilder
from services.inference.markup.source.cdata import Sections
from services.inference.markup.source.elements import PREFORMATTED
from services.inference.markup.source.scanner import (
    CDATA_START,
    MarkupToken,
    TokenKind,
    language_of_section,
    scan,
)
from services.inference.markup.source.tag_pairs import Structure, structure
from services.inference.text.media_types import MIME_TYPES, MarkupKind
from services.inference.text.terms import TermTrie


def parse(source: str, mime_type: str, language: str, terms: TermTrie | None = None) -> MarkedText:
    """The segments of `source`, a text in the BCP-47 language; `mime_type` is of MIME_TYPES.

    Markup may be broken: what is no markup is text, and nothing is refused.
    """
    markup = MIME_TYPES[mime_type]
    tokens = list(scan(source, markup))
    found = structure(source, tokens, markup)
    sections = _sections(source, tokens, found)
    protector = Protector(source, markup, terms or TermTrie(), sections)
    segmenter = Segmenter(source, markup, language, sections)
    return _Parser(source, markup, sections, protector, segmenter).parse(tokens, found)


def _sections(source: str, tokens: Sequence[MarkupToken], found: Structure) -> Sections:
    spans = [
        (token.end, tokens[found.partner[index]].start)
        for index, token in enumerate(tokens)
        if token.kind is TokenKind.START and token.name == CDATA_START
    ]
    return Sections(
        tuple((start, end, language_of_section(source[start:end])) for start, end in spans)
    )


class _Parser:
    """Collects inline tokens into a run, and cuts it into segments where a block begins or ends."""

    def __init__(
        self,
        source: str,
        markup: MarkupKind,
        sections: Sections,
        protector: Protector,
        segmenter: Segmenter,
    ) -> None:
        self._source = source
        self._markup = markup
        self._protector = protector
        self._segmenter = segmenter
        self._sections = sections
        self._run = PassageBuilder(source, markup, sections)
        self._preformatted = 0

    def parse(self, tokens: Sequence[MarkupToken], found: Structure) -> MarkedText:
        index = 0
        while index < len(tokens):
            last = found.atom_end.get(index, index)
            if last > index:
                self._run.add_element(tokens[index : last + 1])
            else:
                self._add(index, tokens[index], found)
            index = last + 1
        self._flush()
        return self._segmenter.finish()

    def _add(self, index: int, token: MarkupToken, found: Structure) -> None:
        if token.kind is TokenKind.TEXT:
            if found.is_translated[index]:
                self._run.add_text(token.start, token.end)
            else:
                self._flush()
        elif found.ends_sentence[index]:
            self._flush()
            self._follow_preformatted(token, found.partner[index] >= 0)
        elif token.kind is TokenKind.START or token.kind is TokenKind.END:
            self._run.add_tag(token, index, found.partner[index])
        else:
            self._run.add_mark(token.start, token.end, MarkKind.POINT)

    def _follow_preformatted(self, token: MarkupToken, is_paired: bool) -> None:
        if is_paired and token.name in PREFORMATTED:
            self._preformatted += 1 if token.kind is TokenKind.START else -1

    def _flush(self) -> None:
        if not self._run.is_empty:
            passage = self._protector.protect(self._run.passage())
            self._segmenter.add(passage, is_preformatted=self._preformatted > 0)
        self._run = PassageBuilder(self._source, self._markup, self._sections)
