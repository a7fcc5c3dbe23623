"""Whether texts are in a language that the model reads.

Ranges that were observed on another language are those of odd tokens: INT8 would clip what matters.
"""

from collections import Counter
from collections.abc import Collection, Sequence

import py3langid

from engine.export.texts import TextFileError

PIECE = 400
"""Characters that a language is told from: single sentences are often taken for another's."""

PIECES = 50

_ALIKE = (
    {"no", "nb", "nn", "da", "sv"},
    {"hr", "bs", "sr", "sh", "sl"},
    {"id", "ms", "jv"},
    {"cs", "sk"},
    {"hi", "mr", "ne"},
    {"xh", "zu"},
    {"es", "gl", "ca", "pt"},
)
"""Languages that are mistaken for each other."""


def require_language(texts: Sequence[str], languages: Collection[str]) -> None:
    """Refuses texts most of which are in none of `languages` (BCP-47); of none, any will do.

    Raises:
        TextFileError: they are in another language.

    """
    expected = {language.split("-")[0].lower() for language in languages}
    known = {language for language, _ in py3langid.rank("")}
    # A language that can't be told can't be missed.
    if not expected or not expected <= known:
        return
    for family in _ALIKE:
        expected |= family if expected & family else set()
    found = Counter(py3langid.classify(piece)[0] for piece in _pieces(texts))
    language, count = found.most_common(1)[0]
    if language not in expected and 2 * count > found.total():
        raise TextFileError(
            f"the calibration texts seem to be in {language!r}, and the model reads "
            f"{', '.join(sorted(languages))}: give texts of that language with --calibration."
        )


def _pieces(texts: Sequence[str]) -> list[str]:
    joined = " ".join(texts)
    starts = range(0, len(joined), PIECE)
    return [joined[start : start + PIECE] for start in starts][:PIECES]
