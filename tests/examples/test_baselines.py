from engine.training.corpus import Pair
from examples.debian.baselines import lead_sentences, tfidf_classifier


def test_the_lead_is_the_first_sentence() -> None:
    assert lead_sentences(["It edits text. It is small.", ""]) == ["It edits text.", ""]


def test_tfidf_learns_words() -> None:
    pairs = [Pair(f"a {word} here {n}", word) for n in range(4) for word in ("game", "library")]
    classify = tfidf_classifier(pairs, pairs, strengths=(1.0, 10.0))
    assert classify(["some library", "game or so"]) == ["library", "game"]
