"""Characters as readers see them: where one ends and the next begins, and which are letters."""

import unicodedata

_ZERO_WIDTH_JOINER = "\u200d"
# They are letters to Unicode, and nothing to readers.
_FILLERS = "\u115f\u1160\u3164\uffa0"


def has_word(text: str) -> bool:
    """Whether there is a letter in it, of whatever script."""
    return any(each.isalpha() and each not in _FILLERS for each in text)


def is_boundary(text: str, at: int) -> bool:
    """Whether a reader sees two characters on both sides of `at`."""
    if at <= 0 or at >= len(text):
        return False
    before, after = text[at - 1], text[at]
    if _ZERO_WIDTH_JOINER in (before, after) or _extends(after):
        return False
    return not (_is_flag_letter(after) and _flag_letters_before(text, at) % 2)


def _extends(character: str) -> bool:
    is_skin_tone = "\U0001f3fb" <= character <= "\U0001f3ff"
    return is_skin_tone or unicodedata.category(character).startswith("M")


def _is_flag_letter(character: str) -> bool:
    return "\U0001f1e6" <= character <= "\U0001f1ff"


def _flag_letters_before(text: str, at: int) -> int:
    start = at
    while start and _is_flag_letter(text[start - 1]):
        start -= 1
    return at - start
