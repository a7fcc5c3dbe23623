import pytest

from engine.runtime.text.detokenizer import Detokenizer
from engine.runtime.text.pieces import piece_bytes


def _ids(pieces: list[str]) -> tuple[list[bytes], list[int]]:
    return [piece_bytes(piece) for piece in pieces], list(range(len(pieces)))


def test_pieces_become_words() -> None:
    table, ids = _ids(["▁Bon", "jour", "▁le", "▁monde"])
    assert Detokenizer(table).push(ids, end=True) == "Bonjour le monde"


def test_a_character_is_never_split() -> None:
    pieces = ["▁a", *(f"<0x{byte:02X}>" for byte in "😀é".encode()), "b"]
    table, ids = _ids(pieces)
    detokenizer = Detokenizer(table)
    deltas = [detokenizer.push([index]) for index in ids]
    assert deltas == ["a", "", "", "", "😀", "", "é", "b"]


def test_an_unfinished_character_is_given_out_at_the_end() -> None:
    table, ids = _ids(["▁a", "<0xF0>", "<0x9F>"])
    detokenizer = Detokenizer(table)
    assert detokenizer.push(ids) == "a"
    assert detokenizer.push([], end=True) == "\ufffd"


def test_deltas_concatenate_however_they_are_cut() -> None:
    pieces = ["▁", "▁x", *(f"<0x{byte:02X}>" for byte in "日本".encode()), "▁end", "."]
    table, ids = _ids(pieces)
    whole = Detokenizer(table).push(ids, end=True)
    for cut in range(len(ids)):
        detokenizer = Detokenizer(table)
        assert detokenizer.push(ids[:cut]) + detokenizer.push(ids[cut:], end=True) == whole


@pytest.mark.parametrize("piece", ["<0x0G>", "<0x41", "x<0x41>"])
def test_what_only_looks_like_a_byte_is_text(piece: str) -> None:
    assert piece_bytes(piece) == piece.encode()
