"""What a trained model has to beat: the lead sentence, and TF-IDF with logistic regression."""

from collections.abc import Callable, Sequence

import sentencex
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from engine.training.corpus import Pair

# The inverse strengths of the penalty that are tried on the dev split.
STRENGTHS = (10.0, 30.0, 100.0)


def lead_sentences(texts: Sequence[str]) -> list[str]:
    """The first sentence of each text."""
    return [next(iter(sentencex.segment("en", text)), "").strip() for text in texts]


def tfidf_classifier(
    train: Sequence[Pair], dev: Sequence[Pair], strengths: Sequence[float] = STRENGTHS
) -> Callable[[Sequence[str]], list[str]]:
    """Logistic regression over words and pairs of words, the penalty chosen on `dev`.

    Words of one text only are left out; counts are logarithmic (`sublinear_tf`).
    """
    fitted = [_fit(train, strength) for strength in strengths]
    sources, targets = [p.source for p in dev], [p.target for p in dev]
    best = max(fitted, key=lambda pipeline: float(pipeline.score(sources, targets)))
    return lambda texts: [str(label) for label in best.predict(list(texts))]


def _fit(train: Sequence[Pair], strength: float) -> Pipeline:
    vectorizer = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=2)
    pipeline = make_pipeline(vectorizer, LogisticRegression(C=strength, max_iter=200, tol=1e-3))
    return pipeline.fit([p.source for p in train], [p.target for p in train])
