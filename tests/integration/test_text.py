import pytest
from seqway import Client, FinishReason, Translation

from services.inference.text.segmentation import has_word
from tests.integration import texts
from tests.integration.conftest import INT8

TEXTS = {
    "emoji": "A text editor 😀 for the console. 👩‍👩‍👧‍👦 🇫🇷 👍🏽!",
    "right-to-left": "שלום עולם. A text editor. مرحبا بالعالم، كيف حالك؟",
    "tabs": "\tA text editor.\t\tIt is small.\t",
    "crlf": "A text editor.\r\nIt is small.\r\n\r\nIt is fast.\r\n",
    "empty paragraphs": "\n\n\nA text editor.\n\n\n\n \n\nIt is small.\n\n\n",
    "white space alone": " \t\r\n\u3000\n ",
    "one character": "a",
    "a 3,000-character word": "Pneumono" * 375,
    "a 3,000-character word among others": f"A text editor. {'x' * 3000} It is small.",
    "a sentence longer than the model takes": "the small text editor of the console, " * 150,
    "no-break and zero-width spaces": "A\u00a0text\u200beditor :\u202fit is\u2060small.",
    "control characters": "A text\x00 editor.\x07 It is \x1b[1msmall\x1b[0m.\x7f",
    "combining marks": "Z̷̢̛a̸̡l̵̨g̴o̶ is a te\u0301xt editor.",
    "private and unassigned": "A text \ue000\ufffd\U0010fffd editor.",
    "Chinese": "这是一个文本编辑器。它很小。",
    "the special tokens of the model": "</s> <pad> <unk> ▁ <0x41> A text editor. </s>",
}


ENDS = (FinishReason.EOS, FinishReason.LENGTH, FinishReason.REPETITION)


def translate(client: Client, text: str) -> Translation:
    answer = client.translate(text, source="en", target="fr", model=INT8)
    return answer.translations[0]


def streamed(client: Client, text: str) -> str:
    call = client.stream_translate(text, source="en", target="fr", model=INT8)
    return "".join(call.text())


def gaps(text: str, spans: list[tuple[int, int]]) -> list[str]:
    """What stands before, between and after the spans."""
    edges = [0, *(edge for span in spans for edge in span), len(text)]
    return [text[start:end] for start, end in zip(edges[::2], edges[1::2], strict=True)]


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_any_text_has_a_defined_result(client: Client, text: str) -> None:
    translation = translate(client, text)
    segments = translation.segments
    assert translation.finish_reason in ENDS
    assert bool(segments) == bool(text.strip())
    source = gaps(text, [(one.source_start, one.source_end) for one in segments])
    target = gaps(translation.text, [(one.target_start, one.target_end) for one in segments])
    assert source == target, "what stands between the sentences changed"
    assert not has_word("".join(source))
    assert streamed(client, text) == translation.text


SUBTITLES = """1\r
00:00:01,000 --> 00:00:02,500\r
This program plays music.\r
\r
2\r
00:00:03,000 --> 00:00:04,000\r
It is easy to use.\r
"""


def test_subtitles_keep_indices_and_time_codes_byte_for_byte(client: Client) -> None:
    made = translate(client, SUBTITLES).text.splitlines(keepends=True)
    given = SUBTITLES.splitlines(keepends=True)
    assert [line for line in made if not has_word(line)] == [
        line for line in given if not has_word(line)
    ]
    assert len(made) == len(given)
    assert made[2] != given[2]


@pytest.mark.parametrize("text", ["", "---", "42", "|---|:--:|", "🎉", "\u200b", "12:30 → 13:00"])
def test_what_has_no_word_comes_back_as_it_is(client: Client, text: str) -> None:
    given = [text, "A text editor.", text]
    made = client.translate(given, source="en", target="fr", model=INT8).translations
    assert [one.text for one in made[::2]] == [text, text]
    assert [len(one.segments) for one in made] == [0, 1, 0]
    assert streamed(client, text) == text


def test_a_document_keeps_its_200_paragraphs_in_order(client: Client) -> None:
    paragraphs = texts.short(200)
    assert len(paragraphs) == 200
    document = translate(client, "\n\n".join(paragraphs))
    apart = client.translate(paragraphs, source="en", target="fr", model=INT8).translations
    found = document.text.split("\n\n")
    assert len(found) == 200
    different = [pair for pair in zip(found, apart, strict=True) if pair[0] != pair[1].text]
    assert len(different) <= 1, different
    assert streamed(client, "\n\n".join(paragraphs)) == document.text
    assert document.finish_reason in ENDS


def test_what_was_split_is_told(client: Client) -> None:
    [warning] = translate(client, "x" * 3000).warnings
    assert "sentence was split" in warning
