"""What readers see as words and characters, for regular expressions."""

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
