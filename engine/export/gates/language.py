"""Whether texts are in a language that the model reads.

Ranges that were observed on another language are those of odd tokens: INT8 would clip what matters.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from engine.export.text_files import TextFileError

PIECE = 400
"""Characters that a language is told from: single sentences are often taken for another's."""

PIECES = 50

SURE = 0.8
"""The probability from which a piece counts as one of a language: short ones may be of any."""

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
    """Refuses texts most of which are surely in none of `languages` (BCP-47); of none, any will do.

    Raises:
        TextFileError: they are in another language.

    """
    expected = {language.split("-")[0].lower() for language in languages}
    identifier = _identifier()
    known = {language for language, _ in identifier.rank("")}
    # A language that can't be told can't be missed.
    if not expected or not expected <= known:
        return
    for family in _ALIKE:
        expected |= family if expected & family else set()
    pieces = _pieces(texts)
    told = (identifier.classify(piece) for piece in pieces)
    found = Counter(language for language, probability in told if probability >= SURE)
    language, count = found.most_common(1)[0] if found else ("", 0)
    if language not in expected and 2 * count > len(pieces):
        raise TextFileError(
            f"the calibration texts seem to be in {language!r}, and the model reads "
            f"{', '.join(sorted(languages))}: give texts of that language with --calibration."
        )


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _pieces(texts: Sequence[str]) -> list[str]:
    joined = " ".join(texts)
    starts = range(0, len(joined), PIECE)
    return [joined[start : start + PIECE] for start in starts][:PIECES]
