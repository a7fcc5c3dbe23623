"""The bytes that one token of a vocabulary stands for."""

import re

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def piece_bytes(piece: str) -> bytes:
    """The UTF-8 bytes of a SentencePiece piece: "▁" is a space, "<0xE2>" a byte."""
    if match := _BYTE.fullmatch(piece):
        return bytes([int(match[1], 16)])
    return piece.replace("▁", " ").encode()


def byte_level_bytes(piece: str) -> bytes:
    """The bytes of a byte-level BPE token, each of whose characters stands for one byte.

    An added token may hold characters that stand for none; it is its own UTF-8.
    """
    if all(character in BYTE_OF_CHARACTER for character in piece):
        return bytes(BYTE_OF_CHARACTER[character] for character in piece)
    return piece.encode()


def word_bytes(word: str) -> bytes:
    """A whole word's, of a tokenizer that joins its tokens by spaces."""
    return f" {word}".encode()


def word_piece_bytes(piece: str, prefix: str, *, clean_up: bool) -> bytes:
    """A WordPiece token's: with `prefix` ("##") it goes on with the word before.

    `clean_up` sets punctuation and English contractions close to it, as the decoder of tokenizers.
    """
    if piece.startswith(prefix):
        return piece.removeprefix(prefix).encode()
    text = f" {piece}"
    return (_CLOSE.sub(r"\1", text) if clean_up else text).encode()


_CLOSE = re.compile(r" ([.?!,]|n't|'(?:m|s|ve|re))")


def _byte_of_character() -> dict[str, int]:
    """GPT-2's map (`bytes_to_unicode`), reversed: printable bytes are themselves, others moved."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    moved = [byte for byte in range(0x100) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable}
    return table | {chr(0x100 + index): byte for index, byte in enumerate(moved)}


BYTE_OF_CHARACTER = _byte_of_character()
