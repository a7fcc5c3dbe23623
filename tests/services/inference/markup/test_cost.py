"""What a hostile source costs grows with its length, not with its square."""

import pytest

from services.inference.markup import parse

LENGTH = 200_000
HOSTILE = [
    "<",
    "</",
    "<?x",
    "<!--",
    "<!doctype [>",
    "<!doctype [<!--",
    "<![CDATA[",
    "<a b='>",
    "<title>",
    "<textarea>",
    "<b>",
    "<b></i>",
    "a.",
    "a-@",
    "http://.",
    "-/a",
    "{",
    "{a,plural,",
    "%-1",
    "&a",
    "\n",
    "\U0001f600",
    '"(',
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("mime_type", ["text/plain", "text/html", "text/xml"])
@pytest.mark.parametrize("piece", HOSTILE)
def test_parsing_is_linear(piece: str, mime_type: str) -> None:
    source = piece * (LENGTH // len(piece)) + ">"
    marked = parse(source, mime_type, "en")
    assert sum(len(each.gap) + each.end - each.start for each in marked.segments) + len(
        marked.tail
    ) == len(source)
