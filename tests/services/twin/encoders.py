"""The pretended encoders: a text in, a result out."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engine.contract.manifest import Manifest
from tests.services.twin.models import count_tokens


def result(
    manifest: Manifest, text: str, question: str, options: Mapping[str, Any], limit: int
) -> dict[str, Any]:
    """What the model says about one element; `limit` is the most tokens of a window."""
    if options.get("probe"):
        return {"type": "ready"}
    tokens = count_tokens(text)
    read = {"windows": max(1, math.ceil(tokens / limit)), "input_tokens": tokens}
    if "~" in text:
        return {"type": "error", "reason": "FAILED", "message": "the text is broken"}
    if manifest.head == "spans":
        return {"type": "spans", **_spans(text, question, options), **read}
    return {"type": "logits", "logits": _logits(text, manifest.labels), **read}


def _logits(text: str, labels: Sequence[str]) -> list[float]:
    """How often each label's name stands in the text; one less, so that sigmoids tell."""
    return [2.0 * text.lower().count(label) - 1.0 for label in labels]


def _spans(text: str, question: str, options: Mapping[str, Any]) -> dict[str, Any]:
    subject = question.rstrip("?").split()[-1]
    found = [match.span(1) for match in re.finditer(rf"\b{re.escape(subject)} (\S+)", text)]
    scores = [0.5**n for n in range(1, len(found) + 1)]
    answers = [
        {"start": start, "end": end, "score": score}
        for (start, end), score in zip(found, scores, strict=True)
    ]
    return {"answers": answers[: options["top_k"]], "no_answer_score": 1 - sum(scores)}
