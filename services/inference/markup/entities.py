"""Character references: read for the model, written as the source wrote them."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html.entities import html5

from services.inference.markup.scanning import Language

_REFERENCE = re.compile(r"&(?:#\d{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]*;?)")
_XML_NAMES = {"lt;": "<", "gt;": ">", "amp;": "&", "quot;": '"', "apos;": "'"}
_ALWAYS_ESCAPED = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Not allowed in XML 1.0 in any form, and of no use in HTML.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Stretch:
    """`source[start:end]` and the text that it stands for.

    A reference stands for `text`; one that only a document type can explain has none.
    """

    start: int
    end: int
    text: str
    is_reference: bool = False


def decode(source: str, start: int, end: int, language: Language) -> Iterator[Stretch]:
    """The text and the references of `source[start:end]`, in order."""
    if language is Language.PLAIN:
        yield Stretch(start, end, source[start:end])
        return
    for found in _REFERENCE.finditer(source, start, end):
        text = _meaning(found[0][1:], language)
        if text is None:
            continue
        if found.start() > start:
            yield Stretch(start, found.start(), source[start : found.start()])
        yield Stretch(found.start(), found.end(), text, is_reference=True)
        start = found.end()
    if start < end:
        yield Stretch(start, end, source[start:end])


def _meaning(reference: str, language: Language) -> str | None:
    """What `reference` (no ampersand) stands for; None when it is just text."""
    if reference.startswith("#"):
        return _character(reference.strip("#;"))
    if language is Language.HTML:
        return html5.get(reference)
    if not reference.endswith(";"):
        return None
    return _XML_NAMES.get(reference, "")


def _character(number: str) -> str | None:
    code = int(number[1:], 16) if number[0] in "xX" else int(number)
    is_character = 0 < code <= 0x10FFFF and not 0xD800 <= code < 0xE000
    return chr(code) if is_character else None


def escape(text: str, spellings: Mapping[str, str], language: Language) -> str:
    """`text` as it stands in the source: escaped in markup, with the spellings of the source."""
    if language is Language.PLAIN:
        return text
    table = str.maketrans(_ALWAYS_ESCAPED | dict(spellings))
    return _FORBIDDEN.sub("", text).translate(table)
