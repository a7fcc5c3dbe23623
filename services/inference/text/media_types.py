"""The media types of texts: `type/subtype; parameter=value`, as RFC 9110 (8.3.1) writes them."""

import re
from enum import Enum

from services.inference.errors import UnsupportedMimeTypeError


class MarkupKind(Enum):
    """How a text is written."""

    PLAIN = "plain"
    HTML = "html"
    XML = "xml"


MIME_TYPES = {
    "": MarkupKind.PLAIN,
    "text/plain": MarkupKind.PLAIN,
    "text/html": MarkupKind.HTML,
    "application/xhtml+xml": MarkupKind.HTML,
    "application/xml": MarkupKind.XML,
    "text/xml": MarkupKind.XML,
}

_TOKEN = r"[\w!#$%&'*+.^`|~-]+"
_PARAMETER = re.compile(
    rf"\s*(?:(?P<name>{_TOKEN})="
    rf"(?:\"(?P<quoted>[^\"\\]*(?:\\.[^\"\\]*)*)\"|(?P<value>{_TOKEN}))\s*)?(?:;|\Z)",
    re.ASCII,
)
_ESCAPED = re.compile(r"\\(.)")
_UTF_8 = ("utf-8", "utf8")
_LONGEST = 255


def mime_type_of(written: str) -> str:
    """The type that a request's `mime_type` names, one of MIME_TYPES: no case, no parameters.

    The charset, where one is given, must be UTF-8, which is what strings of a request are; other
    parameters mean nothing here.  Raises UnsupportedMimeTypeError.
    """
    name, _, parameters = written.partition(";")
    name = name.strip().lower()
    if name not in MIME_TYPES:
        known = ", ".join(sorted(filter(None, MIME_TYPES)))
        raise UnsupportedMimeTypeError(f"mime_type must be one of {known}", field="mime_type")
    at = 0
    while at < len(parameters):
        found = _PARAMETER.match(parameters, at) if len(written) <= _LONGEST else None
        if found is None:
            raise UnsupportedMimeTypeError(
                f"mime_type must be at most {_LONGEST} characters, with its parameters as "
                "name=value after semicolons, such as text/html; charset=utf-8",
                field="mime_type",
            )
        _check_parameter(found)
        at = found.end()
    return name


def _check_parameter(found: re.Match[str]) -> None:
    if (found["name"] or "").lower() != "charset":
        return
    value = found["value"] if found["quoted"] is None else _ESCAPED.sub(r"\1", found["quoted"])
    if value.lower() not in _UTF_8:
        raise UnsupportedMimeTypeError(
            "the charset of mime_type must be utf-8 or left out: the texts of a request are "
            "always UTF-8, so decode yours first if it is stored in another charset",
            field="mime_type",
        )
