"""Where to cut a sentence that is too long for its model."""

import re

from services.inference.text.characters import is_boundary
from services.inference.text.segmentation import TextSegment

_AFTER_CLAUSE = re.compile(r"(?<=[,;:.!?…–—،؛。、，；：])\s+")
_AT_SPACE = re.compile(r"\s+")
_AFTER_PUNCTUATION = re.compile(r"(?<=[^\w\s])(?=\w)")


def split(segment: TextSegment) -> tuple[TextSegment, TextSegment]:
    """Two parts that with the white space between them are `segment`, of two characters or more.

    The cut is the one nearest to the middle, within its half around the middle, of the best kind
    there is: behind a clause, at white space, behind punctuation, else between two characters as
    readers see them.
    """
    text = segment.text
    cut_start, cut_end = _cut(text)
    start = segment.start
    return (
        TextSegment(start, start + cut_start, segment.gap, text[:cut_start]),
        TextSegment(start + cut_end, segment.end, text[cut_start:cut_end], text[cut_end:]),
    )


def _cut(text: str) -> tuple[int, int]:
    assert len(text) >= 2
    low, high = len(text) // 4, len(text) - len(text) // 4
    for kind in (_AFTER_CLAUSE, _AT_SPACE, _AFTER_PUNCTUATION):
        spans = [
            found.span() for found in kind.finditer(text, max(low, 1), min(high, len(text) - 1))
        ]
        if spans:
            return _widen(text, min(spans, key=lambda span: abs(sum(span) - len(text))))
    at = _boundary_near(text, len(text) // 2, low, high)
    return at, at


def _widen(text: str, span: tuple[int, int]) -> tuple[int, int]:
    """The whole run of white space that `span` is a part of."""
    start, end = span
    if start == end:
        return span
    return len(text[:start].rstrip()), len(text) - len(text[end:].lstrip())


def _boundary_near(text: str, middle: int, low: int, high: int) -> int:
    """The boundary between two characters that is nearest to the middle, else the middle."""
    for distance in range(high - low):
        for at in (middle - distance, middle + distance):
            if low <= at <= high and is_boundary(text, at):
                return at
    return max(1, middle)
