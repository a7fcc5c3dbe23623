import random

import pytest

from services.inference.text.long_sentences import split
from services.inference.text.segmentation import Segmentation, TextSegment, segment

NASTY = [
    "",
    " ",
    "\n\n\t ",
    "One. Two! Three?",
    "  leading and trailing \t\n",
    "Tabs\tinside. And\tmore.\tEnd",
    "CRLF one.\r\nCRLF two. Three.\r\n\r\n\r\nFour",
    "Empty\n\n\n\nparagraph.\n \nEnd\n",
    "😀 Emoji 👩‍👩‍👧‍👦 family. 🇫🇷 Flag! e\u0301",
    "שלום עולם. מה שלומך?\nمرحبا بالعالم. كيف حالك؟",
    "你好。世界！\u3000再见",
    "x" * 3000,
    "Dr. Smith paid $3.50, e.g. for tea... Really?  Yes.",
    "\u2028line\u2029sep\x0bvt\x0cff\x85nel\x1cfs",
    "\u00a0nbsp\u00a0. \u200bzero width. \ufeff",
    "\n".join(f"Paragraph {n}. It has two sentences." for n in range(200)),
]


def joined(segmentation: Segmentation) -> str:
    return "".join(each.gap + each.text for each in segmentation.segments) + segmentation.tail


def check(text: str) -> None:
    found = segment(text, "en")
    assert joined(found) == text
    for each in found.segments:
        assert text[each.start : each.end] == each.text
        assert each.text == each.text.strip() != ""
        assert each.gap.strip() == ""
        assert len(each.text.splitlines()) == 1


@pytest.mark.parametrize("text", NASTY)
def test_nothing_is_lost(text: str) -> None:
    check(text)


def test_random_mixtures_round_trip() -> None:
    chance = random.Random(7)
    atoms = [
        "a",
        "B",
        ".",
        "!",
        "?",
        " ",
        "\n",
        "\r\n",
        "\t",
        "😀",
        "é",
        "\u0301",
        "ש",
        "。",
        "\u2028",
    ]
    for _ in range(500):
        check("".join(chance.choices(atoms, k=chance.randrange(60))))


def test_sentences_of_a_line_are_apart() -> None:
    texts = [each.text for each in segment("Hello Mr. Smith. How are you?  Fine!", "en").segments]
    assert texts == ["Hello Mr. Smith.", "How are you?", "Fine!"]


def test_white_space_has_no_segments() -> None:
    assert segment(" \n\t", "en") == Segmentation([], " \n\t")


def test_long_lines_are_cut_between_sentences() -> None:
    text = "This is a sentence of a very long line. " * 500
    check(text)
    assert {each.text for each in segment(text, "en").segments} == {text[:39]}


@pytest.mark.parametrize("text", ["(\"'“" * 10_000, "word " * 10_000, "y" * 50_000, "a. " * 9_000])
@pytest.mark.timeout(20)
def test_long_lines_cost_no_quadratic_time(text: str) -> None:
    check(text)


@pytest.mark.parametrize("text", ["🇫🇷" * 30_000, "\u0301" * 60_000, "x" * 60_000])
@pytest.mark.timeout(20)
def test_splitting_costs_no_quadratic_time(text: str) -> None:
    halves(text)


def halves(text: str) -> tuple[str, str, str]:
    left, right = split(TextSegment(10, 10 + len(text), "  ", text))
    assert left.start == 10 and left.gap == "  "
    assert right.start == 10 + len(left.text) + len(right.gap)
    assert left.text + right.gap + right.text == text
    assert left.text and right.text
    return left.text, right.gap, right.text


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("one two three, four five six", ("one two three,", " ", "four five six")),
        ("aaaa bbbb", ("aaaa", " ", "bbbb")),
        ("aaaa/bbbb", ("aaaa/", "", "bbbb")),
        ("aaaa   \t  bbbb", ("aaaa", "   \t  ", "bbbb")),
        ("xxxxxxxx", ("xxxx", "", "xxxx")),
        ("ab", ("a", "", "b")),
        ("abc", ("a", "", "bc")),
        ("🇫🇷🇩🇪🇮🇹", ("🇫🇷", "", "🇩🇪🇮🇹")),
        ("aae\u0301bbb", ("aae\u0301", "", "bbb")),
        ("👩‍👧👩‍👧", ("👩‍👧", "", "👩‍👧")),
    ],
)
def test_cuts_at_the_best_place(text: str, cut: tuple[str, str, str]) -> None:
    assert halves(text) == cut


def test_every_text_can_be_split_to_the_end() -> None:
    whole = ("e\u0301" * 40 + "👩‍👧" * 9 + " ,. " * 5).strip()
    parts = [TextSegment(0, len(whole), "", whole)]
    while any(len(part.text) > 1 for part in parts):
        parts = [
            half for part in parts for half in (split(part) if len(part.text) > 1 else (part,))
        ]
    assert "".join(part.gap + part.text for part in parts) == whole


@pytest.mark.parametrize("character", ["👩‍👧", "🇫🇷", "e\u0301\u0302", "👍🏽"])
def test_a_long_row_of_characters_is_cut_between_them(character: str) -> None:
    for lead in ("", "x", "xy"):
        text = lead + character * 3000
        pieces = [each.text for each in segment(text, "en").segments]
        assert "".join(pieces) == text and len(pieces) > 1
        assert all(piece.removeprefix(lead).replace(character, "") == "" for piece in pieces)
