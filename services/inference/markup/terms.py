"""Finds do-not-translate phrases and the terms of a glossary in a text.

They match as whole words, and any white space matches any other.  Of overlapping ones the leftmost,
of those the longest, wins; a phrase wins over a term of the same length.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from services.inference.markup.passage import GlossaryEntry

# Scripts that put no space between words: any place is the edge of a word.
_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = rf"(?:(?![{_UNSPACED}])\w)"


@dataclass(frozen=True, slots=True)
class Found:
    """`text[start:end]` is a phrase (`entry` -1), or the term of that entry of the glossary."""

    start: int
    end: int
    entry: int


class Terms:
    """The phrases and the glossary of a request, ready to look for."""

    def __init__(self, phrases: Sequence[str], glossary: Sequence[GlossaryEntry]) -> None:
        wanted = [(phrase, True, -1) for phrase in phrases]
        wanted += [
            (entry.source_term, entry.case_sensitive, index) for index, entry in enumerate(glossary)
        ]
        wanted = [each for each in wanted if each[0].strip()]
        wanted.sort(key=lambda each: -len(each[0].strip()))
        self._entries = [entry for _, _, entry in wanted]
        patterns = [f"({_pattern(text, is_exact)})" for text, is_exact, _ in wanted]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def find(self, text: str) -> Iterator[Found]:
        """All that stand in `text`, in order; they do not overlap."""
        if self._pattern is None:
            return
        for found in self._pattern.finditer(text):
            assert found.lastindex is not None
            yield Found(found.start(), found.end(), self._entries[found.lastindex - 1])


def _pattern(term: str, is_exact: bool) -> str:
    words = r"\s+".join(re.escape(word) for word in term.split())
    body = words if is_exact else f"(?i:{words})"
    return rf"(?:(?<!{_WORD})|(?!{_WORD}))(?:{body})(?:(?!{_WORD})|(?<!{_WORD}))"
