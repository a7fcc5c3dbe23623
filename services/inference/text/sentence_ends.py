"""Whether a full stop, or what else `sentencex` cuts behind, ends a sentence after all."""

import re

from services.inference.text.abbreviations import ABBREVIATIONS, BEFORE_NUMBERS, SAME_LANGUAGE

_CLOSERS = "\"'”’»›)]}）」』】〉》〕］｝＂＇"
# Behind these no space is expected.
_ENDS_WITHOUT_SPACE = frozenset("。．｡！？‼⁇⁈⁉…؟۔॥।։።፧။។༎།〜")
_ASCII_ENDS = frozenset("!?")
_LAST_WORD = re.compile(r"""([^\s("'“‘«‹\[{]+)\.$""")
_NUMBER = re.compile(r"\W?\d|[IVXLCDM]+\b")
_SHORT = 3


def base_language(code: str) -> str:
    """The language of a code however that is spelled, without script and region.

    So `sentencex` and the lists here name it: "de-DE", "DE", "de_AT" and "deu_Latn" are "de".
    """
    primary = code.replace("_", "-").partition("-")[0].strip().lower()
    return SAME_LANGUAGE.get(primary, primary)


def is_cut(before: str, after: str, language: str) -> bool:
    """Whether a sentence ends between the two, as `sentencex` says.

    `before` is the text up to there, with its white space; `language` is a `base_language`.
    """
    text = before.rstrip()
    if text == before and not after[:1].isspace():
        return _ends_without_space(text, after)
    found = _LAST_WORD.search(text[-64:])
    return found is None or not _goes_on(found[1], after.lstrip(), language)


def _ends_without_space(text: str, after: str) -> bool:
    """Full stops in file names, numbers and identifiers ("ASP.NET") end nothing."""
    bare = text.rstrip(_CLOSERS)
    if bare[-1:] in _ENDS_WITHOUT_SPACE:
        return True
    neighbours = (bare[-2:-1], after[:1])
    return bare[-1:] in _ASCII_ENDS and any(map(_is_written_without_spaces, neighbours))


def _is_written_without_spaces(character: str) -> bool:
    """Whether its script has no spaces between words, as Chinese, Japanese and Thai."""
    return bool(character) and (
        "\u3040" <= character <= "\u30ff"
        or "\u3400" <= character <= "\u9fff"
        or "\u0e00" <= character <= "\u0eff"
        or "\u1000" <= character <= "\u109f"
        or "\u1780" <= character <= "\u17ff"
        or "\U00020000" <= character <= "\U0003ffff"
    )


def _goes_on(word: str, after: str, language: str) -> bool:
    """Whether the full stop belongs to the word, and the sentence goes on behind it."""
    folded = word.casefold()
    if folded in ABBREVIATIONS.get(language, ()):
        return True
    if folded in BEFORE_NUMBERS and _NUMBER.match(after):
        return True
    if len(word) == 1 and word.isupper():  # the initial of a name
        return after[:1].isupper()
    letters = sum(map(str.isalpha, word))
    # Other short words with a full stop, and ordinals ("3. oktober"), before a small letter.
    return after[:1].islower() and (word.isdigit() or (0 < letters <= _SHORT))
