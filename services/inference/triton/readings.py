"""The `RESULT` of an encoder variant, as docs/triton-protocol.md lays it out."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from services.inference.errors import ModelFailedError
from services.inference.rows.encoder import Failure, Logits, Reading, Span, Spans


def parse_result(payload: bytes) -> Reading:
    """What the model said about one element; ModelFailedError when it breaks the contract."""
    try:
        result = json.loads(payload)
        return _PARSERS[result["type"]](result)
    except (KeyError, TypeError, ValueError) as error:
        detail = f"the model sent a result that breaks the protocol ({type(error).__name__})"
        raise ModelFailedError(detail) from None


def _logits(result: Mapping[str, Any]) -> Logits:
    return Logits(
        [float(each) for each in result["logits"]], result["windows"], result["input_tokens"]
    )


def _spans(result: Mapping[str, Any]) -> Spans:
    return Spans(
        [Span(each["start"], each["end"], each["score"]) for each in result["answers"]],
        result["no_answer_score"],
        result["windows"],
        result["input_tokens"],
    )


def _failure(result: Mapping[str, Any]) -> Failure:
    return Failure(result["reason"], result.get("message", ""))


_PARSERS: Mapping[str, Callable[[Mapping[str, Any]], Reading]] = {
    "logits": _logits,
    "spans": _spans,
    "error": _failure,
}
