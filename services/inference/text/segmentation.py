"""Splits a text into sentences and what stands between them, and loses nothing.

`gap + text` of every segment in order, then the tail, is the text again.  Line breaks and tabs
never fall inside a segment, so paragraphs and columns survive whatever a model does with them; nor
do the markers that start the items of a list ("* ", "2. "), which models like to drop.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import sentencex

from engine.contract.languages import InvalidLanguageTagError, base_language
from services.inference.text.abbreviations import ABBREVIATIONS, BEFORE_NUMBERS, SPLIT_LIKE
from services.inference.text.characters import is_boundary

_BREAKS = re.compile(r"[\t\n\r\v\f\x1c-\x1e\x85\u2028\u2029]+")
_SPACE = re.compile(r"\s+")
_LIST_MARKER = re.compile(r"\s*(?:[-*+•·–—]|\d{1,3}[.)])\s+")
# They are letters to Unicode, and nothing to readers.
_FILLERS = "\u115f\u1160\u3164\uffa0"

# The splitter takes quadratic time on a text full of quotes and brackets: 33 s for 100,000.
_WINDOW = 2048

_CLOSERS = "\"'”’»›)]}）」』】〉》〕］｝＂＇"
# Behind these no space is expected.
_ENDS_WITHOUT_SPACE = frozenset("。．｡！？‼⁇⁈⁉…؟۔॥।։።፧။។༎།〜")
_ASCII_ENDS = frozenset("!?")
_LAST_WORD = re.compile(r"""([^\s("'“‘«‹\[{]+)\.$""")
_NUMBER = re.compile(r"\W?\d|[IVXLCDM]+\b")
_SHORT = 3


@dataclass(frozen=True, slots=True)
class TextSegment:
    """A sentence at `[start, end)` of its source, in code points, and what stands before it."""

    start: int
    end: int
    gap: str
    text: str

    @property
    def can_split(self) -> bool:
        """Whether there are two characters that may stand apart."""
        return len(self.text) > 1


@dataclass(frozen=True, slots=True)
class Segmentation:
    """The sentences of a text, and what stands behind the last of them."""

    segments: Sequence[TextSegment]
    tail: str


def splitter_language(code: str) -> str:
    """How `sentencex` and the lists here name the language of a code, however that is spelled.

    That is without script and region: "de-DE", "DE", "de_AT" and "deu_Latn" are "de". A code that
    is no language's is itself.
    """
    try:
        language = base_language(code)
    except InvalidLanguageTagError:
        return code
    return SPLIT_LIKE.get(language, language)


def has_word(text: str) -> bool:
    """Whether there is a letter in it, of whatever script."""
    return any(each.isalpha() and each not in _FILLERS for each in text)


def segment(text: str, language: str) -> Segmentation:
    """The sentences of `text`, in the language of a BCP-47 code; a text of white space has none."""
    language = splitter_language(language)
    segments: list[TextSegment] = []
    end = 0
    for start, piece in _pieces(text, language):
        core = piece.strip()
        if core:
            start += len(piece) - len(piece.lstrip())
            stop = start + len(core)
            segments.append(TextSegment(start, stop, text[end:start], core))
            end = stop
    return Segmentation(segments, text[end:])


def segment_words(text: str, language: str) -> Segmentation:
    """As `segment`, but what has no word in it is no sentence: a model would make up words."""
    segments: list[TextSegment] = []
    end = 0
    for each in segment(text, language).segments:
        if has_word(each.text):
            segments.append(replace(each, gap=text[end : each.start]))
            end = each.end
    return Segmentation(segments, text[end:])


def _pieces(text: str, language: str) -> Iterator[tuple[int, str]]:
    """Sentences within lines and columns, with their offsets; the breaks are in none of them."""
    for start, end in _lines(text):
        marker = _LIST_MARKER.match(text, start, end)
        position = marker.end() if marker else start
        while position < end:
            for sentence in _sentences(
                text[position : min(end, position + _WINDOW)], language, end - position
            ):
                yield position, sentence
                position += len(sentence)


def _sentences(window: str, language: str, remaining: int) -> list[str]:
    """The sentences at the start of what remains of a line; `window` is the first part of that.

    The last one of a window is left for the next look, which sees its end; a sentence that fills a
    window is cut at its last white space, or else between characters.
    """
    found: list[str] = sentencex.segment(language, window)
    assert "".join(found) == window, "the sentence splitter changed the text"
    sentences = _joined(found, language)
    if len(window) == remaining:
        return sentences
    return sentences[:-1] or [window[: _last_cut(window)]]


def _joined(pieces: list[str], language: str) -> list[str]:
    """The pieces, without the cuts that are none."""
    sentences: list[str] = []
    for piece in pieces:
        if sentences and not _is_cut(sentences[-1], piece, language):
            sentences[-1] += piece
        else:
            sentences.append(piece)
    return sentences


def _is_cut(before: str, after: str, language: str) -> bool:
    """Whether a sentence ends between the two, as `sentencex` says.

    `before` is the text up to there, with its white space; `language` is a `splitter_language`.
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


def _last_cut(window: str) -> int:
    """Behind the last white space of the second half of the window, else the last character."""
    half = len(window) // 2
    spaces = [found.end() for found in _SPACE.finditer(window, half)]
    if spaces:
        return spaces[-1]
    return next((at for at in range(len(window) - 1, half, -1) if is_boundary(window, at)), half)


def _lines(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for found in _BREAKS.finditer(text):
        if found.start() > start:
            yield start, found.start()
        start = found.end()
    if start < len(text):
        yield start, len(text)
