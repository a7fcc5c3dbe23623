import random
from itertools import pairwise

import pytest

from services.inference.text.parts import Part, pack


def texts(text: str, size: int, overlap: int = 0) -> list[str]:
    return [text[part.start : part.end] for part in pack(text, "en", size, overlap)]


def check(text: str, size: int, overlap: int = 0) -> list[Part]:
    """Checks what holds for any text, and returns its parts."""
    parts = pack(text, "en", size, overlap)
    held = bytearray(len(text))
    for part in parts:
        assert 0 < part.end - part.start <= size
        assert text[part.start : part.end] == text[part.start : part.end].strip()
        held[part.start : part.end] = b"\1" * (part.end - part.start)
    assert all(held[at] or text[at].isspace() for at in range(len(text)))
    assert all(a.start < b.start and a.end < b.end for a, b in pairwise(parts))
    return parts


def test_a_paragraph_that_fits_stays_whole() -> None:
    text = "One is here. Two too.\n\nThree. Four.\n \nFive."
    assert texts(text, 22) == ["One is here. Two too.", "Three. Four.\n \nFive."]


def test_a_longer_one_is_cut_between_sentences() -> None:
    assert texts("One is here. Two too. Three, four.", 22) == [
        "One is here. Two too.",
        "Three, four.",
    ]


def test_a_long_sentence_is_cut_within() -> None:
    assert texts("aaaa bbbb cccc dddd", 10) == ["aaaa bbbb", "cccc dddd"]
    assert texts("x" * 10, 4) == ["xx", "xxx", "xx", "xxx"]


def test_windows_overlap_by_sentences() -> None:
    text = "A one. B two. C three. D four. E five."
    assert texts(text, 16, overlap=8) == [
        "A one. B two.",
        "B two. C three.",
        "C three. D four.",
        "D four. E five.",
    ]


@pytest.mark.parametrize("overlap", [0, 1, 10, 49])
def test_random_texts_are_covered(overlap: int) -> None:
    chance = random.Random(3)
    atoms = ["word ", "A. ", "Longer? ", "\n", "\n\n", "\t", "é", "x" * 60, "日本。", "😀 "]
    for _ in range(200):
        text = "".join(chance.choices(atoms, k=chance.randrange(1, 60)))
        if text.strip():
            check(text, 50, overlap)


@pytest.mark.timeout(30)
def test_a_very_long_text_costs_no_quadratic_time() -> None:
    assert len(check("This is one of many sentences. " * 20_000, 2000)) > 300
