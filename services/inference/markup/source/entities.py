"""Character references: read for the model, written as the source wrote them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from html.entities import html5

from services.inference.text.media_types import MarkupKind

_REFERENCE = re.compile(r"&(?:#\d+;?|#[xX][0-9a-fA-F]+;?|[A-Za-z][A-Za-z0-9]*;?)")
_LONGEST_NAME = max(map(len, html5))
_XML_NAMES = {"lt;": "<", "gt;": ">", "amp;": "&", "quot;": '"', "apos;": "'"}
_ALWAYS_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Not allowed in XML 1.0 in any form, and of no use in HTML.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class TextStretch:
    """`source[start:end]` and the text that it stands for.

    A reference stands for `text`; one that only a document type can explain, or that stands for no
    character, has none.
    """

    start: int
    end: int
    text: str
    is_reference: bool = False


def decode(source: str, start: int, end: int, language: MarkupKind) -> Iterator[TextStretch]:
    """The text and the references of `source[start:end]`, in order."""
    if language is MarkupKind.PLAIN:
        yield TextStretch(start, end, source[start:end])
        return
    for found in _REFERENCE.finditer(source, start, end):
        text, length = _meaning(found[0], language)
        if not length:
            continue
        if found.start() > start:
            yield TextStretch(start, found.start(), source[start : found.start()])
        start = found.start() + length
        yield TextStretch(found.start(), start, text, is_reference=True)
    if start < end:
        yield TextStretch(start, end, source[start:end])


def _meaning(found: str, language: MarkupKind) -> tuple[str, int]:
    """What `found` stands for, and how many of its characters are the reference: 0 if it is text.

    HTML knows some names without a semicolon, also where letters follow: "&copyright" is "©right".
    """
    if found[1] == "#":
        return _character(found[2:].rstrip(";"), language), len(found)
    if language is MarkupKind.XML:
        return _XML_NAMES.get(found[1:], ""), len(found) if found.endswith(";") else 0
    for end in range(min(len(found), _LONGEST_NAME + 1), 2, -1):
        if found[1:end] in html5:
            return html5[found[1:end]], end
    return "", 0


def _character(number: str, language: MarkupKind) -> str:
    """The character of that number; none where no text may hold it."""
    digits, base = (number[1:], 16) if number[0] in "xX" else (number, 10)
    digits = digits.lstrip("0")
    code = int(digits, base) if 0 < len(digits) <= 7 else 0
    if language is MarkupKind.HTML and 0x80 <= code < 0xA0:
        return unescape(f"&#{code};")  # browsers read these as Windows-1252
    character = chr(code) if code <= 0x10FFFF else "\0"
    return "" if _FORBIDDEN.match(character) else character


def escape(text: str, spellings: Mapping[str, str], language: MarkupKind) -> str:
    """`text` as it stands in the source: escaped in markup, with the spellings of the source."""
    if language is MarkupKind.PLAIN:
        return text
    table = str.maketrans(_ALWAYS_ESCAPED | dict(spellings))
    return _FORBIDDEN.sub("", text).translate(table)
