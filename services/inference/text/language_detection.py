"""Which of some languages a text is in, by `py3langid`: naive Bayes over n-grams."""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from threading import Lock

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from engine.contract.languages import InvalidLanguageTagError, base_language
from services.inference.text.placeholders import placeholders
from services.inference.text.segmentation import has_word

LOOKED_AT = 1000
"""Characters of a text, from its first words, that its language is told from; more tell nothing
new."""

# What a text in markup has beside its words; where it is not closed, all that follows.
_MARKUP = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style)\b.*?(?:</\1\s*>|\Z)|<[^<>]*(?:>|\Z)|&\#?\w+;",
    re.DOTALL | re.IGNORECASE,
)

# `docs/languages.md` has what these two cost and gain.
_SHARE = 0.6
_LEAST = 0.02
_SHOWN = 0.01
_LOADING = Lock()


@dataclass(frozen=True, slots=True)
class Detection:
    """The language of a text, "" when it is undecided, and the candidates, best first.

    Scores are probabilities from 0 to 1. A text `without_words` is in no language, and in any.
    """

    language: str = ""
    candidates: tuple[tuple[str, float], ...] = ()
    without_words: bool = False


def detect_language(text: str, among: Collection[str], *, markup: bool = False) -> Detection:
    """The language of a text, as one of the tags `among`.

    It is undecided when the best has less than 0.6 of what these languages have, or less than 0.02
    of what all have that the model knows. Scripts and regions are not told apart: of several tags
    of a language, the shortest stands for all.
    """
    plain = _words(_without_markup(text) if markup else [text])
    if not plain:
        return Detection(without_words=True)
    scores = _scores(plain)
    tags: dict[str, str] = {}
    for tag in sorted(among, key=lambda each: (len(each), each)):
        tags.setdefault(_base(tag), tag)
    ranked = sorted(((scores[base], tag) for base, tag in tags.items()), reverse=True)
    candidates = tuple((tag, score) for score, tag in ranked if score >= _SHOWN)
    if not ranked:
        return Detection()
    best, language = ranked[0]
    decided = best >= _LEAST and best >= _SHARE * sum(score for score, _ in ranked)
    return Detection(language if decided else "", candidates)


def _words(pieces: Iterable[str]) -> str:
    """The start of a text, from the first part on that has words, without placeholders."""
    kept: list[str] = []
    size = 0
    for piece in pieces:
        for start in range(0, len(piece), LOOKED_AT):
            part = _without_placeholders(piece[start : start + LOOKED_AT])
            if kept or has_word(part):
                kept.append(part)
                size += len(part)
            if size >= LOOKED_AT:
                return "".join(kept)[:LOOKED_AT]
    return "".join(kept)


def _without_markup(text: str) -> Iterator[str]:
    done = 0
    for found in _MARKUP.finditer(text):
        yield f"{text[done : found.start()]} "
        done = found.end()
    yield text[done:]


def _without_placeholders(text: str) -> str:
    """They are in no language, nor are addresses."""
    kept, done = [], 0
    for start, end in placeholders(text):
        kept.append(text[done:start])
        done = end
    return " ".join([*kept, text[done:]])


def _scores(text: str) -> Mapping[str, float]:
    """The probability of each language that the model knows, 0 for any other."""
    scores: defaultdict[str, float] = defaultdict(float)
    for code, score in _identifier().rank(text):
        scores[_base(code)] += float(score)
    return scores


def _identifier() -> LanguageIdentifier:
    with _LOADING:  # once, whoever asks first
        return _loaded()


@cache
def _loaded() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _base(tag: str) -> str:
    try:
        return base_language(tag)
    except InvalidLanguageTagError:
        return tag
