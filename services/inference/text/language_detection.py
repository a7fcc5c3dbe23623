"""Which of some languages a text is in, by `py3langid`: naive Bayes over n-grams."""

import re
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache

from py3langid.langid import MODEL_FILE, LanguageIdentifier

from engine.contract.languages import InvalidLanguageTagError, base_language
from services.inference.text.segmentation import has_word

LOOKED_AT = 1000
"""Characters of a text, from its start, that its language is told from; more tell nothing new."""

_TAGS = re.compile(r"<[^<>]*>|&#?\w+;")
# Of a text in markup, of which tags may be most.
_MOST_MARKUP = 16 * LOOKED_AT

# `docs/languages.md` has what these two cost and gain.
_SHARE = 0.6
_LEAST = 0.02
_SHOWN = 0.01


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
    plain = (_TAGS.sub(" ", text[:_MOST_MARKUP]) if markup else text)[:LOOKED_AT]
    if not has_word(plain):
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


def _scores(text: str) -> Mapping[str, float]:
    """The probability of each language that the model knows, 0 for any other."""
    scores: defaultdict[str, float] = defaultdict(float)
    for code, score in _identifier().rank(text):
        scores[_base(code)] += float(score)
    return scores


@cache
def _identifier() -> LanguageIdentifier:
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _base(tag: str) -> str:
    try:
        return base_language(tag)
    except InvalidLanguageTagError:
        return tag
