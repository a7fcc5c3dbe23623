"""Tags, placeholders and terms survive the real model."""

import random
import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import pytest
from seqway import Client, GlossaryEntry

from tests.integration import texts

INLINE = ("b", "i", "em", "strong", "span", "u", "small", "sub", "mark", "a")
VOID = {"br", "img", "hr", "input", "wbr"}
HAND_WRITTEN = [
    "<p>A <b>small</b> text editor.</p>",
    '<p>Read the <a href="https://x.org/?a=1&amp;b=2" title="the manual">manual</a> first.</p>',
    "<ul><li>A game.</li><li>A <em>fast</em> library &amp; its headers.</li></ul>",
    "<table><tr><th>Name</th><td>A text editor</td></tr></table>",
    "<p>One line<br>another line<br/>a third line.</p>",
    "<!-- a comment with <b>tags</b> --><p>A text.</p>",
    '<p>Type <code>make install</code> and <kbd translate="no">Enter</kbd>.</p>',
    "<p>An <b>unclosed tag and a text.</p>",
    "<p>A <b>misnested <i>pair</b> of tags</i> here.</p>",
    "A stray < sign, 3 > 2 and AT&T.",
    "<P CLASS=big>Upper case <B>tags</B>.</P>",
    '<p>A picture <img src="a.png" alt="of a game"> here.</p>',
    "<script>var x = '<b>not text</b>';</script><p>A text.</p>",
    "<style>p > b { color: red }</style><p>A text.</p>",
    "<div><div><p>Deep <span><b><i>nesting</i></b></span> of tags.</p></div></div>",
    "<p></p><p> </p><br>",
    "&lt;b&gt; is a tag, &quot;quoted&quot;, and 5&nbsp;MB.",
    "<!DOCTYPE html><html><head><title>A title</title></head><body>A text.</body></html>",
    "</b>A closing tag too many.",
    "<p>A text that ends in the middle of a <b",
]


class Tags(HTMLParser):
    """The tags of a text, with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.found: Counter[str] = Counter()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [f"{name}={value}" for name, value in attrs if name not in ("alt", "title")]
        self.found[" ".join([tag, *names])] += 1

    def handle_endtag(self, tag: str) -> None:
        self.found[f"/{tag}"] += 1

    def handle_comment(self, data: str) -> None:
        self.found[f"<!--{data}"] += 1


def is_balanced(text: str) -> bool:
    """Whether every tag that opens is closed in its place."""
    stack: list[str] = []
    for slash, name, own in re.findall(r"<(/?)([a-z][a-z0-9]*)[^>]*?(/?)>", text):
        if name in VOID or own:
            continue
        if not slash:
            stack.append(name)
        elif not stack or stack.pop() != name:
            return False
    return not stack


def generated(count: int) -> list[str]:
    """Fragments of real texts with random inline tags, well formed."""
    choice = random.Random(3)
    fragments = []
    for text in texts.spread(count):
        words = text.replace("&", "and").replace("<", "").replace(">", "").split()
        fragments.append(f"<p>{_dressed(choice, words, 3)}</p>")
    return fragments


def _dressed(choice: random.Random, words: list[str], depth: int) -> str:
    if depth == 0 or len(words) < 3:
        return " ".join(words)
    start, end = sorted(choice.sample(range(len(words) + 1), 2))
    name = choice.choice(INLINE)
    attribute = choice.choice(["", f' class="c{depth}"', " data-x='1 > 0'"])
    inner = _dressed(choice, words[start:end], depth - 1)
    outer = [*words[:start], f"<{name}{attribute}>{inner}</{name}>", *words[end:]]
    return " ".join(outer)


FRAGMENTS = [*HAND_WRITTEN, *generated(100 - len(HAND_WRITTEN))]


def test_100_fragments_keep_their_tags(client: Client) -> None:
    assert len(FRAGMENTS) == 100
    answers = client.translate(
        FRAGMENTS, source="en", target="fr", mime_type="text/html", timeout=200
    ).texts
    for source, target in zip(FRAGMENTS, answers, strict=True):
        assert Tags(target).found == Tags(source).found, (source, target)
        if is_balanced(source):
            assert is_balanced(target), (source, target)


def test_streams_of_markup_are_the_unary_answer(client: Client) -> None:
    for fragment in FRAGMENTS[::10]:
        arguments: Any = {"source": "en", "target": "fr", "mime_type": "text/html"}
        whole = client.translate(fragment, **arguments).text
        assert "".join(client.stream_translate(fragment, **arguments).text()) == whole


def test_xml_stays_well_formed(client: Client) -> None:
    source = (
        '<?xml version="1.0"?><book xml:lang="en"><title>A text editor</title>'
        "<p>It is <em>small</em> &amp; fast.</p><raw><![CDATA[a < b]]></raw><empty/></book>"
    )
    target = client.translate(source, source="en", target="fr", mime_type="application/xml").text
    before, after = ElementTree.fromstring(source), ElementTree.fromstring(target)
    assert [one.tag for one in before.iter()] == [one.tag for one in after.iter()]
    assert "<![CDATA[" in target


PLACEHOLDERS = [
    *("{name}", "{0}", "{{user}}", "%s", "%d", "%(count)s", "%1$s", "${path}", "$HOME"),
    *("https://example.org/a?b=1", "someone@example.org", "%.2f", "{count, number}", "<0/>"),
]


def test_100_strings_keep_every_placeholder(client: Client) -> None:
    choice = random.Random(5)
    marked, wanted = [], []
    for text in texts.short(100):
        words = re.sub(r"[<>{}%$&]", "", text).split()
        chosen = choice.sample(PLACEHOLDERS[:13], choice.randint(1, 3))
        for one in chosen:
            words.insert(choice.randint(0, len(words)), one)
        marked.append(" ".join(words))
        wanted.append(Counter(chosen))
    answers = client.translate(marked, source="en", target="fr", timeout=200).texts
    for source, target, counts in zip(marked, answers, wanted, strict=True):
        for one, count in counts.items():
            assert target.count(one) >= count, (source, target, one)


def test_a_glossary_of_50_pairs_is_applied(client: Client) -> None:
    words = Counter(
        word for text in texts.spread(300) for word in set(re.findall(r"\b[a-z]{5,}\b", text))
    )
    terms = [word for word, _ in words.most_common(50)]
    glossary = [GlossaryEntry(term, f"TERME{index}") for index, term in enumerate(terms)]
    contents = [text for text in texts.spread(300) if any(term in text for term in terms)][:60]
    answer = client.translate(
        contents, source="en", target="fr", glossary=glossary, model="en-fr_int8", timeout=200
    )
    for text, translation in zip(contents, answer.translations, strict=True):
        expected = Counter(
            index
            for index, term in enumerate(terms)
            for _ in re.findall(rf"(?<!\w){term}(?!\w)", text, re.IGNORECASE)
        )
        matches = translation.glossary_matches
        assert Counter(match.entry_index for match in matches) == expected, (text, translation.text)
        for match in matches:
            term = text[match.source_start : match.source_end]
            assert term.casefold() == terms[match.entry_index]
            made = translation.text[match.target_start : match.target_end]
            assert made.casefold() == f"terme{match.entry_index}"


@pytest.mark.parametrize("phrase", ["text editor", "Debian", "GNU/Linux"])
def test_phrases_stay(client: Client, phrase: str) -> None:
    text = f"This is the {phrase} of the system."
    kept = client.translate(text, source="en", target="fr", do_not_translate=[phrase]).text
    assert phrase in kept
