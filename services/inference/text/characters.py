"""Characters and words as readers see them: where one ends and the next begins."""

import sys
import unicodedata
from itertools import groupby


def _class_of_marks() -> str:
    """All combining marks, as the inside of a character class; `re` knows no categories."""
    marks = (
        code for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "M"
    )
    runs = [list(run) for _, run in groupby(enumerate(marks), lambda each: each[1] - each[0])]
    return "".join(f"{chr(run[0][1])}-{chr(run[-1][1])}" for run in runs)


# They belong to the character before them; so do the joiners of Persian and Indian scripts.
MARKS = _class_of_marks() + "\u200c\u200d"

# Scripts that put no space between words: each of their characters counts as a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_FLAG = "[\U0001f1e6-\U0001f1ff]{2}"
_SKIN_TONES = "\U0001f3fb-\U0001f3ff"
_LETTER = rf"[^\W{_UNSPACED}]"
_SYMBOL = rf"[^\w\s][{MARKS}{_SKIN_TONES}]*"

# A word, a character of such a script, or another character; emoji of several parts are one.
# To be used as a whole pattern or as its last alternative: then nothing in it is ever tried twice.
WORD = (
    rf"[{_UNSPACED}][{MARKS}]*"
    rf"|{_LETTER}+(?:[{MARKS}]+{_LETTER}*)*"
    rf"|{_FLAG}"
    rf"|{_SYMBOL}(?:(?<=\u200d){_SYMBOL})*"
)

_ZERO_WIDTH_JOINER = "\u200d"


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
