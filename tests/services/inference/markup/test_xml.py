"""XML stays well formed, with all that is in it, whatever the model does."""

import random
from collections import Counter
from xml.etree import ElementTree

import pytest

from services.inference.markup import parse
from services.inference.text.terms import TermEntry
from tests.services.inference.markup.models import MODELS, Model, translate

DOCUMENTS = [
    "<doc><title>A title</title><par>First sentence. Second <b>one</b>.</par></doc>",
    '<?xml version="1.0"?>\n<!DOCTYPE doc [<!ENTITY name "Seqway">]>\n<doc>Say &name; twice.</doc>',
    "<doc><!-- a comment --><par>Text <?pi some data?> here.</par></doc>",
    "<doc><par>Text <![CDATA[<b>as & is</b>]]> goes on.</par></doc>",
    "<doc><![CDATA[<p>One <b>two</b>. Three {x}</p><script>a</script><p>Four &eacute;</p>]]></doc>",
    "<doc><![CDATA[A < b & c. Next one]]> and &lt; <![CDATA[]]> <b>so <![CDATA[on]]></b></doc>",
    "<doc>See <![CDATA[https://a.example/?a=1&b=2]]> &amp; https://a.example/?c=3&amp;d=4 %s</doc>",
    "<doc><b><![CDATA[<i>]]>text<![CDATA[</i>]]></b> <![CDATA[</b> <u>odd]]> x ]]&gt; y</doc>",
    "<doc>It ends ]]<![CDATA[]]]]><![CDATA[>]]> here. <![CDATA[One. Two]]. > Three]]></doc>",
    "<doc>Fish &amp; chips &lt;3 &#233; &#xe9; &quot;q&quot; &apos;a&apos;</doc>",
    "<a><b/><c x='1'/>Text <d/> in <e f='g'>mixed <h>content</h></e>.</a>",
    '<x:doc xmlns:x="urn:x"><x:p its:translate="no" xmlns:its="urn:i">No.</x:p>Yes.</x:doc>',
    '<resources><string name="a">Hello %1$s, you have %2$d</string><string name="b"/></resources>',
    "<doc>a > b and <Upper>Case</Upper> <upper>case</upper></doc>",
    "<été>Élan <mot>vital</mot></été>",
]


TEXTS = [
    "Text.", "some words ", "&amp;", "<e/>", "<!--c-->", " ", "{x} and %d", "é",
    "<![CDATA[a < b. More & more]]>", "<![CDATA[<p>So</p> <i>it</i> is&nbsp;{y}]]>",
]  # fmt: skip


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
        chance.choice(TEXTS)
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


def test_the_text_of_cdata_is_translated_where_it_stands() -> None:
    for source, output, texts in [
        (
            "<d><![CDATA[Hello world.]]></d>",
            "<d><![CDATA[HELLO WORLD.]]></d>",
            ["Hello world."],
        ),
        (
            "<d>Some text <![CDATA[a < b]]> here &amp; there</d>",
            "<d>SOME TEXT <![CDATA[A < B]]> HERE &amp; THERE</d>",
            ["Some text a < b here & there"],
        ),
        (
            "<d><![CDATA[<p>Fish &amp; <b>chips</b>.</p><p>More</p>]]></d>",
            "<d><![CDATA[<p>FISH &amp; <b>CHIPS</b>.</p><p>MORE</p>]]></d>",
            ["Fish & chips.", "More"],
        ),
        (
            "<d><![CDATA[Tom & Jerry. One < two]]></d>",
            "<d><![CDATA[TOM & JERRY. ONE < TWO]]></d>",
            ["Tom & Jerry.", "One < two"],
        ),
        (
            "<d translate='no'><![CDATA[Keep it]]></d>",
            "<d translate='no'><![CDATA[Keep it]]></d>",
            [],
        ),
        ("<d><![CDATA[{x} 1]]><![CDATA[]]></d>", "<d><![CDATA[{x} 1]]><![CDATA[]]></d>", None),
    ]:
        segments = parse(source, "text/xml", "en").segments
        assert texts is None or [each.text for each in segments] == texts
        assert translate(source, "text/xml", str.upper)[0] == output


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_whatever_a_model_writes_ends_no_cdata(model: Model) -> None:
    def hostile(text: str) -> str:
        return f"]]> {model(text)} ]]"

    for source in DOCUMENTS:
        for limit in (0, 9):
            output, _ = translate(source, "text/xml", hostile, with_links=True, limit=limit)
            assert skeleton(output) == skeleton(source), output
            assert output.count("<![CDATA[") >= source.count("<![CDATA[")


def test_terms_and_addresses_may_move_into_cdata_and_out_of_it() -> None:
    glossary = [TermEntry("dog", "chien & <co>"), TermEntry("cat", "]]> & chat")]
    source = "<d>The dog <![CDATA[saw a cat]]>, a dog</d>"
    for model in MODELS.values():
        output, matches = translate(source, "text/xml", model, glossary=glossary, with_links=True)
        text = "".join(ElementTree.fromstring(output).itertext())
        assert text.count("chien & <co>") == 2 and text.count("]]> & chat") == 1, output
        assert len(matches) == 3


def test_cdata_of_html_is_a_comment() -> None:
    source = "<p>Some <![CDATA[kept as it is]]> text</p>"
    assert translate(source, "text/html", str.upper)[0] == (
        "<p>SOME <![CDATA[kept as it is]]> TEXT</p>"
    )


def test_a_byte_order_mark_stays_in_front() -> None:
    source = "\ufeff<?xml version='1.0'?><d>Some text</d>"
    assert translate(source, "text/xml", lambda text: text[::-1])[0] == source.replace(
        "Some text", "txet emoS"
    )
    assert [each.text for each in parse("\ufeffText", "", "en").segments] == ["Text"]
