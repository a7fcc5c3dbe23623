"""What the model sees in the place of an atom.

Words are shown as they are, since the model needs them for its grammar.  Placeholders, addresses
and code are shown as X1, X2, ...: the example model copies these more often than anything else that
was tried (tests/benchmarks/markup_placement.py).
"""

import re

from services.inference.markup.passage import AtomKind

# As the model may write it.
MASK = re.compile(r"(?<![^\W\d_])[Xx] ?\d+(?!\d)")
_WORDS = re.compile(r"[^\W_]+(?:[ '’.-][^\W_]+)*")
_LONGEST = 64


class Masks:
    """The masks of one sentence; none of them stands in its text already."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._number = 0

    def surface(self, text: str, kind: AtomKind) -> str:
        """What to show for an atom with that text."""
        is_readable = kind is not AtomKind.PLACEHOLDER and _WORDS.fullmatch(text)
        if is_readable and len(text) <= _LONGEST:
            return text
        while True:
            self._number += 1
            mask = f"X{self._number}"
            if mask not in self._text:
                return mask
