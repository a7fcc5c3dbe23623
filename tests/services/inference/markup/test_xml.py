"""XML stays well formed, with all that is in it, whatever the model does."""

import random
from collections import Counter
from xml.etree import ElementTree

import pytest

from services.inference.markup import parse
from tests.services.inference.markup.models import MODELS, Model, translate

DOCUMENTS = [
    "<doc><title>A title</title><par>First sentence. Second <b>one</b>.</par></doc>",
    '<?xml version="1.0"?>\n<!DOCTYPE doc [<!ENTITY name "Seqway">]>\n<doc>Say &name; twice.</doc>',
    "<doc><!-- a comment --><par>Text <?pi some data?> here.</par></doc>",
    "<doc><par>Text <![CDATA[<b>as & is</b>]]> goes on.</par></doc>",
    "<doc>Fish &amp; chips &lt;3 &#233; &#xe9; &quot;q&quot; &apos;a&apos;</doc>",
    "<a><b/><c x='1'/>Text <d/> in <e f='g'>mixed <h>content</h></e>.</a>",
    '<x:doc xmlns:x="urn:x"><x:p its:translate="no" xmlns:its="urn:i">No.</x:p>Yes.</x:doc>',
    '<resources><string name="a">Hello %1$s, you have %2$d</string><string name="b"/></resources>',
    "<doc>a > b and <Upper>Case</Upper> <upper>case</upper></doc>",
    "<été>Élan <mot>vital</mot></été>",
]


def skeleton(source: str) -> Counter[str]:
    parser = ElementTree.XMLParser(
        target=ElementTree.TreeBuilder(insert_comments=True, insert_pis=True)
    )
    tree = ElementTree.fromstring(source, parser)
    return Counter(
        f"{each.tag} {sorted(each.attrib.items())}"
        if isinstance(each.tag, str)
        else f"{each.tag.__name__} {each.text}"
        for each in tree.iter()
    )


def random_document(chance: random.Random, depth: int = 0) -> str:
    name = chance.choice(["doc", "b", "par", "item"])
    parts = [
        chance.choice(["Text.", "some words ", "&amp;", "<e/>", "<!--c-->", " ", "{x} and %d", "é"])
        if depth > 3 or chance.random() < 0.6
        else random_document(chance, depth + 1)
        for _ in range(chance.randrange(6))
    ]
    return f"<{name} n='{chance.randrange(9)}'>{''.join(parts)}</{name}>"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_documents(model: Model) -> None:
    for source in [*DOCUMENTS, *(random_document(random.Random(seed)) for seed in range(150))]:
        for limit in (0, 9):
            output, _ = translate(source, "application/xml", model, with_links=True, limit=limit)
            assert skeleton(output) == skeleton(source), output


def test_sentences_end_at_elements_that_hold_text_alone() -> None:
    source = "<doc><title>A title</title><par>One <b>two</b> three</par><par>four</par></doc>"
    texts = [segment.text for segment in parse(source, "text/xml", "en").segments]
    assert texts == ["A title", "One two three", "four"]


def test_entities_of_a_document_type_are_kept() -> None:
    source = '<!DOCTYPE d [<!ENTITY n "x">]><d>Ask &n; now</d>'
    assert translate(source, "text/xml", str.upper)[0] == source.replace("Ask", "ASK").replace(
        "now", "NOW"
    )


def test_cdata_is_kept() -> None:
    source = "<d>Some text <![CDATA[a < b]]> here</d>"
    assert "<![CDATA[a < b]]>" in translate(source, "text/xml", str.upper)[0]


def test_a_byte_order_mark_stays_in_front() -> None:
    source = "\ufeff<?xml version='1.0'?><d>Some text</d>"
    assert translate(source, "text/xml", lambda text: text[::-1])[0] == source.replace(
        "Some text", "txet emoS"
    )
    assert [each.text for each in parse("\ufeffText", "", "en").segments] == ["Text"]
