"""Cuts a source into text and markup, and keeps the exact slice of each piece.

Follows the tokenizer of the HTML standard, also where markup is broken; nothing is refused, and
what is no markup is text.  Takes linear time.  (Parsers at hand keep no exact slices: html5lib,
lxml and selectolax give trees, html.parser drops what it does not understand.)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum
from html.entities import html5

from services.inference.markup.source.elements import ESCAPABLE_TEXT, RAW_TEXT, VOID
from services.inference.text.media_types import MarkupKind
from services.inference.text.placeholders import BYTE_ORDER_MARK, escapes


class TokenKind(Enum):
    """What a slice of the source is."""

    TEXT = "text"
    START = "start"
    END = "end"
    EMPTY = "empty"  # a void or self-closed element
    OTHER = "other"  # comment, processing instruction
    DOCTYPE = "doctype"
    RAW = "raw"  # the content of <script> and its like
    BREAK = "break"  # a line break or tab that is written as an escape: \n


@dataclass(frozen=True, slots=True)
class MarkupToken:
    """`source[start:end]`; the name of a tag is in lower case in HTML.

    The two ends of a CDATA section of XML are tags with the name CDATA_START; tokens inside have as
    `section` where its content starts.
    """

    kind: TokenKind
    start: int
    end: int
    name: str = ""
    section: int = -1


_NAMES = {MarkupKind.HTML: r"[A-Za-z][^\s/>]*", MarkupKind.XML: r"[^\W\d][^\s/>]*|:[^\s/>]+"}
_TAG_STARTS = {language: re.compile(rf"<(/?)({name})") for language, name in _NAMES.items()}
_ATTRIBUTES = re.compile(r"""=\s*"[^"]*"|=\s*'[^']*'|[^>=]+|=""")
# Markup of message catalogues: "Read <0>the guide</0><1/>".
_NUMBERED_TAG = re.compile(r"<(/?)(\d+)\s*/?>")
_DOCTYPE_START = re.compile(r"<!doctype", re.IGNORECASE)
_DOCTYPE = re.compile(r"""[^>\["']+|"[^"]*"|'[^']*'""")
_INTERNAL_SUBSET = re.compile(r"""[^\]"'<]+|<!--.*?-->|(?!<!--)<|"[^"]*"|'[^']*'""", re.DOTALL)
_INTERNAL_SUBSET_END = re.compile(r"\]\s*(?=>)")
CDATA_START = "<![CDATA["
CDATA_END = "]]>"
_HTML = re.compile(r"</?[A-Za-z]|<!--|&(?:#\d+|#[xX][0-9A-Fa-f]+|(?P<name>[A-Za-z0-9]+));")
_COMMENT = re.compile(r"<!--(?:-?>|.*?(?:--!?>|\Z))", re.DOTALL)


def scan(source: str, language: MarkupKind) -> Iterator[MarkupToken]:
    """The tokens of `source`, which they cover without a gap."""
    if language is MarkupKind.PLAIN:
        markup = _numbered_tags(source)
    else:
        markup = _Scanner(source, language).markup()
    end = 0
    if source.startswith(BYTE_ORDER_MARK):
        end = len(BYTE_ORDER_MARK)
        yield MarkupToken(TokenKind.OTHER, 0, end)
    for token in markup:
        if token.start > end:
            yield from _text(source, end, token.start)
        if token.end > token.start:
            yield token
        end = token.end
    if end < len(source):
        yield from _text(source, end, len(source))


def _text(source: str, start: int, end: int) -> Iterator[MarkupToken]:
    """The text of `source[start:end]`, which holds no markup, and the escapes in it."""
    for first, last in escapes(source, start, end):
        if first > start:
            yield MarkupToken(TokenKind.TEXT, start, first)
        start = last
        yield MarkupToken(TokenKind.BREAK, first, last)
    if start < end:
        yield MarkupToken(TokenKind.TEXT, start, end)


def _numbered_tags(source: str) -> Iterator[MarkupToken]:
    for found in _NUMBERED_TAG.finditer(source):
        kind = TokenKind.END if found[1] else TokenKind.START
        if not found[1] and found[0].endswith("/>"):
            kind = TokenKind.EMPTY
        yield MarkupToken(kind, found.start(), found.end(), found[2])


class _Scanner:
    def __init__(self, source: str, language: MarkupKind) -> None:
        self._source = source
        self._language = language
        self._tag_start = _TAG_STARTS[language]
        self._has_open_quote = False
        # Ends that were looked for and are not there: to look each time would be quadratic.
        self._absent: set[str] = set()
        self._last_bracket = source.rfind(">")

    def markup(self) -> Iterator[MarkupToken]:
        """All that is no text, in order."""
        at = self._source.find("<")
        while at >= 0:
            token = self._token(at)
            if token is None:
                at = self._source.find("<", at + 1)
                continue
            end = token.end
            if self._is_section(token):
                yield from _section(self._source, token)
            else:
                yield token
            if token.kind is TokenKind.START and self._language is MarkupKind.HTML:
                content = self._content(token)
                if content is not None:
                    yield content
                    end = content.end
            at = self._source.find("<", end)

    def _token(self, at: int) -> MarkupToken | None:
        if at > self._last_bracket and not self._source.startswith("<!--", at):
            return None
        second = self._source[at + 1 : at + 2]
        if second == "!":
            return self._declaration(at)
        if second == "?":
            return self._until(at, "?>") or self._bogus_comment(at)
        return self._tag_at(at) or (self._bogus_comment(at) if second == "/" else None)

    def _tag_at(self, at: int) -> MarkupToken | None:
        found = self._tag_start.match(self._source, at)
        last = -1 if found is None else self._last_of_tag(found.end())
        if found is None or last < 0:
            return None
        name = found[2].lower() if self._language is MarkupKind.HTML else found[2]
        is_closed = self._source[last - 1] == "/"
        return MarkupToken(self._tag_kind(found[1], name, is_closed), at, last + 1, name)

    def _last_of_tag(self, at: int) -> int:
        """The ">" that ends a tag whose name ends at `at`: the first that is in no quotes, or -1.

        Where a quote is never closed it is the first of all, for all tags from then on: to look for
        the end of the quote at each tag would take quadratic time.
        """
        if not self._has_open_quote:
            last = _end_of_run(_ATTRIBUTES, self._source, at)
            if self._source.startswith(">", last):
                return last
        last = self._source.find(">", at)
        self._has_open_quote = self._has_open_quote or last >= 0
        return last

    def _tag_kind(self, slash: str, name: str, is_closed: bool) -> TokenKind:
        if slash:
            return TokenKind.END
        is_void = self._language is MarkupKind.HTML and name in VOID
        return TokenKind.EMPTY if is_void or is_closed else TokenKind.START

    def _declaration(self, at: int) -> MarkupToken | None:
        if self._source.startswith("<!--", at):
            found = _COMMENT.match(self._source, at)
            assert found is not None
            return MarkupToken(TokenKind.OTHER, at, found.end())
        if self._source.startswith(CDATA_START, at):
            return self._until(at, CDATA_END) or self._bogus_comment(at)
        if "doctype" not in self._absent:
            found = _DOCTYPE_START.match(self._source, at)
            end = -1 if found is None else _end_of_doctype(self._source, found.end())
            if end >= 0:
                return MarkupToken(TokenKind.DOCTYPE, at, end)
            if found is not None:
                self._absent.add("doctype")
        return self._bogus_comment(at)

    def _is_section(self, token: MarkupToken) -> bool:
        return (
            self._language is MarkupKind.XML
            and self._source.startswith(CDATA_START, token.start)
            and self._source.endswith(CDATA_END, token.start, token.end)
        )

    def _until(self, at: int, mark: str) -> MarkupToken | None:
        if mark in self._absent:
            return None
        end = self._source.find(mark, at + 2)
        if end < 0:
            self._absent.add(mark)
            return None
        return MarkupToken(TokenKind.OTHER, at, end + len(mark))

    def _bogus_comment(self, at: int) -> MarkupToken | None:
        """What a browser takes for a comment: from `<!`, `<?` or `</` to the next `>`."""
        return self._until(at, ">")

    def _content(self, tag: MarkupToken) -> MarkupToken | None:
        """The content of an element that holds no markup; None for other elements."""
        if tag.name not in RAW_TEXT | ESCAPABLE_TEXT or tag.name in self._absent:
            return None
        end_tag = re.compile(rf"</{tag.name}(?=[\s/>])", re.IGNORECASE)
        found = end_tag.search(self._source, tag.end)
        if found is None and tag.name in ESCAPABLE_TEXT:
            self._absent.add(tag.name)
            return None  # better than to take the rest of the page for a title
        end = found.start() if found else len(self._source)
        kind = TokenKind.TEXT if tag.name in ESCAPABLE_TEXT else TokenKind.RAW
        return MarkupToken(kind, tag.end, end)


def language_of_section(content: str) -> MarkupKind:
    """HTML if there is a tag, a comment or a reference that HTML knows; else plain text."""
    for found in _HTML.finditer(content):
        if found["name"] is None or found["name"] + ";" in html5:
            return MarkupKind.HTML
    return MarkupKind.PLAIN


def _section(source: str, whole: MarkupToken) -> Iterator[MarkupToken]:
    """The tokens of a CDATA section: its two ends, and those of its content."""
    start, end = whole.start + len(CDATA_START), whole.end - len(CDATA_END)
    content = source[start:end]
    yield MarkupToken(TokenKind.START, whole.start, start, CDATA_START)
    for token in scan(content, language_of_section(content)):
        yield replace(token, start=start + token.start, end=start + token.end, section=start)
    yield MarkupToken(TokenKind.END, end, whole.end, CDATA_START)


def _end_of_doctype(source: str, at: int) -> int:
    """Behind the ">" of a document type whose keyword ends at `at`; -1 where there is none."""
    at = _end_of_run(_DOCTYPE, source, at)
    if source.startswith("[", at):
        found = _INTERNAL_SUBSET_END.match(source, _end_of_run(_INTERNAL_SUBSET, source, at + 1))
        at = found.end() if found else -1
    return at + 1 if at >= 0 and source.startswith(">", at) else -1


def _end_of_run(piece: re.Pattern[str], source: str, at: int) -> int:
    """Where the pieces that stand one behind the other from `at` on end.

    What a possessive quantifier would do; Python's were wrong until 3.11.5.
    """
    while found := piece.match(source, at):
        at = found.end()
    return at
