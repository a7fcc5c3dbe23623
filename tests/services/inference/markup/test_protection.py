"""Placeholders, phrases and terms come through, whatever the model does to the text."""

import random
from collections import Counter

import pytest

from services.inference.markup import parse
from services.inference.text.placeholders import placeholders
from services.inference.text.terms import TermEntry
from tests.services.inference.markup.models import MODELS, Model, translate

ONE_WORD_FORMS = r"""
    {name} {0} {} {{x}} <%=x%> {x!r:>10} {a[0]} {name:.2f} %s %d %5.2f %ld %-10s %(name)s %(n)03d
    %1$s %2$-8d %@ %% %PATH% %{name} ${x} ${a.b} $HOME $(cmd) #{x} ~/.config/app /usr/share/doc/x
    %name% %date% %user.name% %env(APP)% %имя% %%title%% %1% %1 %L2 %1!s! %s %u %lld %zu %-5.2f %+d
    %05d %.3s %*d %<name>s %<n>.2f %[1]d %1$@ %name %count %Y {{{html}}} {{#if}} ${{x}} {%tag%}
    {#note#} $USER$ $user->name __count__ __NAME__ @name@ @VERSION@ :name :smile: &nbsp; &#160;
    &#xA0; [[name]] [[${user.name}]] {x:>{width}} {user.name} {@html} @{x} \(name) $t(a.b) <?=x?>
    https://a.example/x?y=1&z=2#f http://user@host:80/~p ftp://f.example www.a.example/b
    a.b+c@mail.example mailto:x@y.example C:\dir\file
"""
FORMS = [
    *dict.fromkeys(ONE_WORD_FORMS.split()),
    "{{ user.name }}",
    "{% if x %}",
    "{n, plural, one {# file} other {# files}}",
    "{g, select, male {{n, plural, one {He has {x} {y}} other {'}'}}} other {They}}",
    "{n, number, ::currency/USD}",
    "{0:d MMM yyyy}",
    "<%= x > 3 ? 1 : 2 %>",
    '{% if x == "{y}" %}',
    "<?php echo x; ?>",
    "[[ name ]]",
]
NUMBERED_TAGS = ["<0>", "</0>", "<1/>"]
SENTENCES = [
    "{0} has {1} new messages.", "Hello, %s!", "See {0} ({1}) or {2}: it is there.",
    "{0}", "{0}{1}", "\"{0}\" and '{1}'.", "Open {0}, then close {1}.", "a {0}, b {0}, c {0}",
    "{0}. {1}? {2}!", "It costs 100% more than $5, {0}",
]  # fmt: skip


def strings() -> list[str]:
    chance = random.Random(11)
    found = []
    for index in range(140):
        text = SENTENCES[index % len(SENTENCES)]
        for slot in ("{0}", "{1}", "{2}"):
            text = text.replace(slot, chance.choice(FORMS))
        found.append(text)
    return found


def found_in(text: str) -> Counter[str]:
    return Counter(text[start:end] for start, end in placeholders(text))


@pytest.mark.parametrize("form", [*FORMS, *NUMBERED_TAGS])
def test_each_form_is_found_whole(form: str) -> None:
    assert found_in(f"Say {form} now") == Counter([form])
    assert found_in(f"Say {form}, now") == Counter([form])
    assert found_in(f"Say ({form}).") == Counter([form])


@pytest.mark.parametrize(
    ("text", "forms"),
    [
        (
            "Hello %name%, your order of %date% is ready, %username%.",
            ["%name%", "%date%", "%username%"],
        ),
        ("%dx%d, %s%s, %ld%lu", ["%dx", "%d", "%s", "%s", "%ld", "%lu"]),
        ("%s_%s, file%s, %d-%d, %s/%s", ["%s", "%s", "%s", "%d", "%d", "%s", "%s"]),
        ("%s%% of %5d%%, %d%%.", ["%s", "%%", "%5d", "%%", "%d", "%%"]),
        ("%date%username%", ["%date%"]),
        ("%Y-%m-%d %H:%M", ["%Y", "%m", "%d", "%H", "%M"]),
        ("%1%2 and %1.", ["%1", "%2", "%1"]),
        ("**%name%**, %name%'s, %name%s", ["%name%"] * 3),
        ("%ds ago, %dpx, %.1fkm, %02dh", ["%ds", "%dpx", "%.1f", "%02d"]),
        ("%s和%s、%d件、%nameさん、$nameさん", ["%s", "%s", "%d", "%name", "$name"]),
        ("名前は{name}さん、%name%さん。", ["{name}", "%name%"]),
        ("{count, plural, one {a} other {b", ["{a}"]),
        ("$HOME/bin, ${HOME}/bin", ["$HOME", "${HOME}"]),
        ("'__a__', (:b), \":c\"; :d.", ["__a__", ":b", ":c", ":d"]),
        ("Fish &amp; chips", ["&amp;"]),
    ],
)
def test_what_stands_together_is_told_apart(text: str, forms: list[str]) -> None:
    assert [text[start:end] for start, end in placeholders(text)] == forms


@pytest.mark.parametrize(
    "text",
    [
        "100% sure",
        "100% done",
        "95 % sure",
        "95 %sure",
        "95\u00a0%sure",
        "95\u202f%des",
        "a 5%discount",
        "between 5%and 10%",
        "10%-20%",
        "5%ige Lösung, 6 %ige Lösung",
        "%50 indirim",
        "增长5%，降低3%",
        "it costs $5, $5.99 or US$5, C$7",
        "10 $ and 5 €",
        "at 12:30, see a:b and x::y",
        "my__name and __init",
        "AT&T; R&D; Q&A",
        "[1] and [[not one]]",
        "a@b and @home",
        "50 % of it",
        "$5 and 5$",
        "and/or",
        "a {curly word} b",
        "1/2 cup",
        "e.g. it",
        "5%",
    ],
)
def test_common_text_is_no_placeholder(text: str) -> None:
    assert found_in(text) == Counter()


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_strings_keep_their_placeholders(model: Model) -> None:
    for source in strings():
        for mime_type in ("text/plain", "text/html"):
            text = source
            if mime_type == "text/html":
                text = source.replace("&", "&amp;").replace("<", "&lt;")
            for limit in (0, 10):
                output, _ = translate(text, mime_type, model, with_links=limit > 0, limit=limit)
                output = output.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
                # A sentence without placeholders is the model's alone, and may be streamed.
                assert found_in(source) <= found_in(output), (source, output)
                assert limit or found_in(output) == found_in(source), (source, output)


def test_names_in_per_cent_signs_are_masked_whole() -> None:
    source = "Hello %name%, your order of %date% is ready, %username%."
    assert [each.text for each in parse(source, "", "en").segments] == [
        "Hello X1, your order of X2 is ready, X3."
    ]
    assert translate(source, "", str.upper)[0] == (
        "HELLO %name%, YOUR ORDER OF %date% IS READY, %username%."
    )


@pytest.mark.parametrize(
    ("source", "mime_type", "texts"),
    [
        ("Hello\\nWorld", "", ["Hello", "World"]),
        ("Name:\\tone\\r\\nTwo\\n", "", ["Name:", "one", "Two"]),
        ("Hello {x}\\n{y} there", "", ["Hello X1", "X1 there"]),
        (r"In C:\new\table now", "", ["In X1 now"]),
        (r"Some \textbf{some bold} text", "", [r"Some \textbf{some bold} text"]),
        ("<s>Hello\\nWorld</s>", "text/xml", ["Hello", "World"]),
        ('<p>Call <code>f("a\\n")</code> now.</p>', "text/html", ["Call X1 now."]),
    ],
)
def test_escapes_part_lines(source: str, mime_type: str, texts: list[str]) -> None:
    assert [each.text for each in parse(source, mime_type, "en").segments] == texts
    output, _ = translate(source, mime_type, lambda text: text[::-1])
    assert output.count("\\") == source.count("\\")
    assert translate(source, mime_type, MODELS["identity"])[0] == source


def test_plain_text_is_not_touched() -> None:
    source = 'Dear Sir,\n\nIt is 5 < 6 & "so".  Yours,\n * one\n'
    marked = parse(source, "text/plain", "en")
    assert all(segment.is_plain for segment in marked.segments)
    assert "".join(each.gap + each.text for each in marked.segments) + marked.tail == source


def test_numbered_tags_of_catalogues_are_tags() -> None:
    source = "Read <0>the guide</0> first.<1/>"
    assert parse(source, "", "en").segments[0].text == "Read the guide first."
    assert translate(source, "", str.upper)[0] == "READ <0>THE GUIDE</0> FIRST.<1/>"


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_phrases_stay(model: Model) -> None:
    phrases = ["Debian", "Free Software Foundation", "C++", "ア"]
    source = "<p>Debian and the <b>Free  Software</b> Foundation, C++; debian, Debians アプ.</p>"
    output, _ = translate(source, "text/html", model, phrases)
    assert "Debian" in output and "C++" in output and "ア" in output
    assert "Free  Software" in output and "Foundation" in output


def test_phrases_are_whole_words_in_their_case() -> None:
    output, _ = translate("Debian debian Debians", "", str.upper, ["Debian"])
    assert output == "Debian DEBIAN DEBIANS"


GLOSSARY = [TermEntry(f"term{index}", f"terme numéro {index}") for index in range(40)] + [
    TermEntry("free software", "logiciel libre"),
    TermEntry("software", "programme"),
    TermEntry("free", "gratuit"),
    TermEntry("IT", "informatique", case_sensitive=True),
    TermEntry("AT&T", "AT&T France"),
    TermEntry("C++", "C plus plus"),
    TermEntry("open source software", "logiciel à code ouvert"),
    TermEntry("R&D", "recherche <R>"),
    TermEntry("l'eau", "water"),
    TermEntry("漢字", "kanji"),
]


def document(chance: random.Random, *, html: bool) -> tuple[str, list[int]]:
    """A text, and the entries whose terms stand in it, in order."""
    parts, entries = [], []
    for _ in range(120):
        index = chance.randrange(len(GLOSSARY))
        term = GLOSSARY[index].source_term
        if not GLOSSARY[index].case_sensitive and chance.random() < 0.4:
            term = term.upper()
        if html:
            term = term.replace("&", "&amp;")
            term = term if chance.random() < 0.5 else f"<b>{term}</b>"
            term = term.replace(" ", "\n", 1) if chance.random() < 0.2 else term
        entries.append(index)
        parts.append(f"{chance.choice(['The', 'it', 'Use'])} {term} here{chance.choice(['', '.'])}")
    return " ".join(parts), entries


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("mime_type", ["text/plain", "text/html"])
def test_a_glossary_of_50_is_applied_everywhere(mime_type: str, model: Model) -> None:
    assert len(GLOSSARY) == 50
    html = mime_type == "text/html"
    source, entries = document(random.Random(3), html=html)
    for limit in (0, 30):
        output, matches = translate(
            source, mime_type, model, glossary=GLOSSARY, with_links=limit > 0, limit=limit
        )
        assert [match.entry_index for match in matches] == entries
        for match in matches:
            target = output[match.target_start : match.target_end]
            term = GLOSSARY[match.entry_index].target_term
            expected = term.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
            assert target == (expected if html else term)
            here = source[match.source_start : match.source_end].replace("&amp;", "&")
            wanted = GLOSSARY[match.entry_index].source_term
            assert " ".join(here.split()).casefold() == wanted.casefold()


def test_the_longest_term_wins() -> None:
    output, matches = translate("Free software and software", "", str.lower, glossary=GLOSSARY)
    assert output == "logiciel libre and programme"
    assert [match.entry_index for match in matches] == [40, 41]


def test_a_segment_of_terms_alone_is_translated_by_the_glossary() -> None:
    output, matches = translate("<td>Software</td>", "text/html", str.upper, glossary=GLOSSARY)
    assert output == "<td>programme</td>"
    assert (matches[0].source_start, matches[0].target_start) == (4, 4)


@pytest.mark.parametrize(
    ("source", "output"),
    [
        ("cafe\u0301 and caf\u00e9", "thé and thé"),
        ("cafe\u0301s", "cafe\u0301s"),
        ("हिन्दी हिन", "हिन्दी x"),
    ],
)
def test_combining_marks_belong_to_the_word(source: str, output: str) -> None:
    glossary = [
        TermEntry("cafe", "no"),
        TermEntry("caf\u00e9", "thé"),
        TermEntry("हिन", "x"),
    ]
    assert translate(source, "", MODELS["identity"], glossary=glossary)[0] == output


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_an_address_beside_an_untranslated_element_stays(model: Model) -> None:
    source = "<p>See https://a.example/x#f)<b translate=no>https://b.example</b> now</p>"
    output, _ = translate(source, "text/html", model)
    assert "https://a.example/x#f" in output
    assert "<b translate=no>https://b.example</b>" in output
