"""What a hostile source costs grows with its length, not with its square."""

import time

import pytest

from services.inference.markup import parse
from services.inference.text.terms import TermEntry
from tests.services.inference.markup.models import MODELS, Model, check_span, translate

LENGTH, MOST_SECONDS = 100_000, 5.0
HOSTILE = [
    "<",
    "</",
    "<?x",
    "<!--",
    "<!doctype [>",
    "<!doctype [<!--",
    "<![CDATA[",
    "<!",
    "<a ",
    '<a x="',
    "<a b='>",
    '<a x=\'>" y=">',
    "<title>",
    "<textarea>",
    "<b>",
    "</i>",
    "&amp;",
    "<p>Some <b>text</b> &amp; more. ",
    "<b></i>",
    "a.",
    "a-@",
    "http://.",
    "http://a)",
    "http://a(",
    "http://a&lt;",
    "http://a=b'",
    "http://漢",
    "http://日.",
    "http://é/д",
    "a+",
    "漢www.",
    "é@",
    "д@",
    "@a.",
    "%a",
    "%a.",
    "%%a",
    "%(a",
    "%1",
    "__a",
    "[[a",
    "{{a",
    "{%a",
    "{a:{",
    "<%a",
    "<?=a",
    "$a.",
    "$(a ",
    ":a-",
    "&a1",
    "\\n",
    "C:\\a",
    "\\\\a.",
    "/a.",
    "{a,plural,{b}",
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
    began = time.process_time()
    marked = parse(source, mime_type, "en")
    assert time.process_time() - began < MOST_SECONDS
    end = 0
    for segment in marked.segments:
        check_span(source, segment, end)
        end = segment.end
    assert marked.tail == source[end:]


CROWDED = ["a<br/>", "a <b>c</b> ", "a <b></b><i></i>", "a&#160;", "{n} a ", "{n}<b>d</b>", "dog "]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("piece", CROWDED)
def test_a_sentence_full_of_markup_is_rendered_soon(piece: str, model: Model) -> None:
    source = f"<p>Text {piece * 600}</p>"
    output, _ = translate(
        source, "text/xml", model, glossary=[TermEntry("dog", "chien")], with_links=True
    )
    for tag in ("<br/>", "<b>", "</b>", "<i>", "&#160;", "{n}"):
        assert output.count(tag) == source.count(tag)
    assert output.count("chien") == source.count("dog")
