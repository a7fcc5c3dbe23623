"""What has no word in it never reaches a model, and comes back byte for byte."""

import pytest

from services.inference.markup import parse
from services.inference.text.terms import TermTrie

RULERS = ["---", "=====", "* * *", "|---|:--:|", "+----+----+", "────────", "~~~", "...", "…"]
NUMBERS = ["42", "3.14", "-1,000.5", "12:30", "50 %", "2024-01-31", "٣٤", "１２", "½"]
SYMBOLS = ["🎉", "👩‍👩‍👧‍👦 🇫🇷", "☃☃", "→", "©", "\u200b", "\u200d\ufeff", "\u3164", "€", "•"]
TIME_CODES = ["00:00:01,000 --> 00:00:02,500", "[00:12.34]", "00:01:02.345 --> 00:01:04.000"]
WORDLESS = RULERS + NUMBERS + SYMBOLS + TIME_CODES

SUBTITLES = """1\r
00:00:01,000 --> 00:00:02,500\r
Hello there.\r
\r
2\r
00:00:03,000 --> 00:00:04,000\r
Bye now. 🎉\r
"""


def texts(source: str, mime_type: str = "text/plain") -> list[str]:
    marked = parse(source, mime_type, "en", TermTrie([], []))
    assert "".join(each.gap + each.text for each in marked.segments) + marked.tail == source
    return [each.text for each in marked.segments]


@pytest.mark.parametrize("line", WORDLESS)
def test_a_line_without_a_word_is_no_segment(line: str) -> None:
    assert texts(line) == []
    assert texts(f"A house.\n{line}\nA garden.\n") == ["A house.", "A garden."]


@pytest.mark.parametrize("line", ["%s", "{name}", "https://example.com/a", "{a} {b}: 3"])
def test_placeholders_and_addresses_alone_are_no_segment(line: str) -> None:
    marked = parse(line, "text/plain", "en", TermTrie([], []))
    assert marked.segments == []
    assert marked.tail == line


@pytest.mark.parametrize("line", ["<p>42</p>", "<td>---</td><td>&nbsp;🎉</td>"])
def test_nor_is_it_in_markup(line: str) -> None:
    marked = parse(line, "text/html", "en", TermTrie([], []))
    assert marked.segments == []
    assert marked.tail == line


def test_indices_time_codes_and_tabs_stay() -> None:
    assert texts(SUBTITLES) == ["Hello there.", "Bye now. 🎉"] or texts(SUBTITLES) == [
        "Hello there.",
        "Bye now.",
    ]
    assert texts("Name\tAge\t12\tLast seen\n---\t---\n") == ["Name", "Age", "Last seen"]


@pytest.mark.parametrize("line", ["a", "Ж", "語", "ก", "3 km", "x²", "№ A"])
def test_one_letter_is_a_word(line: str) -> None:
    assert texts(line) == [line]
