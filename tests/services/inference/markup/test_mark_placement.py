"""Tags go where the alignment says, text is escaped, and sentences are cut where they should be."""

from collections.abc import Sequence

import pytest

from engine.contract.events import Link
from services.inference.markup import MarkedSegment, parse, render, split
from tests.services.inference.markup.models import translate


def links_of(source: str, target: str, pairs: Sequence[tuple[str, str]]) -> list[Link]:
    """Links between words that stand once in each text."""
    return [
        (target.index(there), target.index(there) + len(there), source.index(here),
         source.index(here) + len(here), 0.9)
        for here, there in pairs
    ]  # fmt: skip


def only_segment(source: str, mime_type: str = "text/html") -> MarkedSegment:
    [segment] = parse(source, mime_type, "en").segments
    return segment


@pytest.mark.parametrize(
    ("source", "target", "pairs", "output"),
    [
        (
            "The <b>red</b> <i>car</i> stops.",
            "La voiture rouge s'arrête.",
            [("The", "La"), ("red", "rouge"), ("car", "voiture"), ("stops", "arrête")],
            "La <i>voiture</i> <b>rouge</b> s'arrête.",
        ),
        (
            "See <a href=x>the user guide</a> first.",
            "Lisez d'abord le guide d'utilisation.",
            [("See", "Lisez"), ("user", "utilisation"), ("guide", "guide"), ("first", "abord")],
            "Lisez d'abord le <a href=x>guide d'utilisation</a>.",
        ),
        (
            "A cat <img src=c> and a dog.",
            "Un chat et un chien.",
            [("A", "Un"), ("cat", "chat"), ("and", "et"), ("dog", "chien")],
            "Un chat <img src=c> et un chien.",
        ),
        (
            "Five&nbsp;apples fell.",
            "Cinq pommes tombèrent.",
            [("Five", "Cinq"), ("apples", "pommes"), ("fell", "tombèrent")],
            "Cinq&nbsp;pommes tombèrent.",
        ),
        (
            "Say <code>a &lt; b</code> now",
            "Dites X1 maintenant",
            [],
            "Dites <code>a &lt; b</code> maintenant",
        ),
        ("Fish &amp; chips", "Poisson & frites < tout", [], "Poisson &amp; frites &lt; tout"),
        ("He said &quot;no&quot;", 'Il a dit "non"', [], "Il a dit &quot;non&quot;"),
        ("Linux<sup>1</sup> is here", "Ici Linux1", [], "Ici Linux<sup>1</sup>"),
        ("A <b>word</b> more", "", [], "<b></b>"),
    ],
)
def test_where_tags_go(source: str, target: str, pairs: list[tuple[str, str]], output: str) -> None:
    segment = only_segment(source)
    rendered = render(segment, target, links_of(segment.text, target, pairs))
    assert segment.gap + rendered.text == output


def test_a_tag_around_two_sentences_stays_around_them() -> None:
    source = "<p>Now <b>this is it. That was</b> it.</p>"
    segments = parse(source, "text/html", "en").segments
    assert [segment.text for segment in segments] == ["Now this is it.", "That was it."]
    outputs = [
        render(segments[0], "C'est cela.", []).text,
        render(segments[1], "Ce fut tout.", []).text,
    ]
    assert "<b>" in outputs[0] and outputs[1].count("</b>") == 1


def test_a_tag_around_a_whole_sentence_is_no_part_of_it() -> None:
    segment = only_segment("<p><b><a href=x>Read this.</a></b></p>")
    assert segment.is_plain is False
    assert not segment.needs_alignment
    assert segment.gap == "<p><b><a href=x>"


def test_what_the_model_sees() -> None:
    source = "<p>One&nbsp;&amp;\n two <code>f(x)</code> <span translate=no>Big Corp</span> %s.<br>B"
    assert [each.text for each in parse(source, "text/html", "en").segments] == [
        "One & two X1 Big Corp X2.",
        "B",
    ]


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("<p>One</p><p>Two</p>", ["One", "Two"]),
        ("<p>One\ntwo</p>", ["One two"]),
        ("<pre>One\ntwo</pre>", ["One", "two"]),
        ("<td>A<td>B", ["A", "B"]),
        ("One <b>two</b>. Three", ["One two.", "Three"]),
        ("See https://a.example/x.y. Then go.", ["See X1.", "Then go."]),
        ("<p translate=no>No</p><code>x</code>{0}", []),
        ("<script>a</script><style>b</style><textarea>c</textarea>", []),
        ("<title>A <b> title</title>", ["A <b> title"]),
        ("<!-- a --> &nbsp; <br>", []),
        ("X1 and {name}", ["X1 and X2"]),
    ],
)
def test_segments(source: str, texts: list[str]) -> None:
    assert [segment.text for segment in parse(source, "text/html", "en").segments] == texts


def test_attributes_are_not_translated() -> None:
    source = "<img alt='A picture' title=\"Its title\"><input placeholder='Name'> text"
    assert translate(source, "text/html", str.upper)[0] == source.replace(" text", " TEXT")


def test_split_keeps_everything() -> None:
    source = "<p>one <b>two three, four {x} five</b> six <i>seven</i> eight</p>"
    marked = parse(source, "text/html", "en")
    parts = list(split(marked.segments[0]))
    assert (
        "".join(each.gap + source[each.start : each.end] for each in parts) == "<p>" + source[3:-4]
    )
    output = "".join(each.gap + render(each, each.text).text for each in parts) + marked.tail
    assert output == source


def test_spans_are_those_of_the_source() -> None:
    source = "<p>😀 Caf&eacute; <b>noir</b>.</p> <p>Next &amp; last</p>"
    for segment in parse(source, "text/html", "en").segments:
        assert source[segment.start : segment.end].startswith(segment.text[:2])


@pytest.mark.parametrize(
    ("source", "target", "output"),
    [
        ("The <b>end</b>", "हिन्दी", {"<b>हिन्दी</b>"}),
        ("The <b>end</b> 👍", "👨\u200d👩\u200d👧👍🏽🇫🇷", None),
    ],
)
def test_no_tag_stands_in_a_character(source: str, target: str, output: set[str] | None) -> None:
    segment = only_segment(source)
    for at in range(len(target)):
        text = render(segment, target, [(at, at + 1, 4, 7, 0.9)]).text
        pieces = text.replace("<b>", "|").replace("</b>", "|").split("|")
        assert output is None or text in output
        assert all(not piece.startswith(("\u200d", "\U0001f3fd")) for piece in pieces)
        assert all(piece.count("\U0001f1eb") == piece.count("\U0001f1f7") for piece in pieces)
