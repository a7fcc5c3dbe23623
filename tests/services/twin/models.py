"""The pretended generating models: text in, words out."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.contract.manifest import Manifest

_WORD_LOG_PROB = -0.5
_SHRINKS_BY = 8
_WORD = re.compile(r"\S+")


def count_tokens(text: str) -> int:
    """A token for every four characters that have begun."""
    return (len(text) + 3) // 4


def answer(manifest: Manifest, text: str, options: Mapping[str, Any]) -> list[str]:
    """The words of the answer, the forced prefix first; each but the first follows a space.

    An answer that begins with the prefix by itself is the same with it.
    """
    words = _words(manifest.task, text)
    prefix = options.get("target_prefix", "").split()
    if not prefix:
        return words
    return [" ".join(prefix), *(words[len(prefix) :] if words[: len(prefix)] == prefix else words)]


def details(text: str, words: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    """What the closing event says of an answer beside its text."""
    log_prob = _WORD_LOG_PROB * len(words)
    tokens = [[len(word), word, _WORD_LOG_PROB] for word in words]
    said: dict[str, Any] = {
        "score": log_prob,
        "log_prob": log_prob,
        "tokens": tokens if options.get("token_log_probs") else [],
        "alternatives": [
            {"text": f"{' '.join(words)} #{n}", "score": log_prob - n, "log_prob": log_prob - n}
            for n in range(1, options.get("num_hypotheses", 1))
        ],
    }
    if options.get("alignment"):
        said["alignment"] = alignment(text, " ".join(words))
    return said


def quality(words: Sequence[str]) -> float:
    """What a variant with a quality model says of an answer: less of longer ones."""
    return round(1 / (1 + len(words)), 4)


def alignment(source: str, target: str) -> list[tuple[int, int, int, int, float]]:
    """Each word of the target with the word of the source at the same place."""
    pairs = zip(_WORD.finditer(target), _WORD.finditer(source), strict=False)
    return [(*mine.span(), *yours.span(), 1.0) for mine, yours in pairs]


def _words(task: str, text: str) -> list[str]:
    if task == "summarization":
        return [word for word in text.upper().split() if "~" not in word][::_SHRINKS_BY]
    if task == "question-answering":
        context = text.partition(" c: ")[2]
        known = re.search(r"\bis (\w+)", context)
        return [known[1], "yes"] if known else ["?"] * 40
    return [word.upper() for word in text.split(" ")]
