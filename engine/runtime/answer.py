"""What an answer says: its text as it grows, and at its end tokens, alternatives, alignment."""

import math
from collections.abc import Sequence
from typing import Any

from engine.contract.events import Alternative, Delta, End, Event, FinishReason, Link, Token
from engine.contract.options import Options
from engine.contract.quality import QualityModel, signals_of
from engine.runtime.decoding.selection import Ints
from engine.runtime.decoding.trail import ScoredTrail, Trail
from engine.runtime.request import Request, Row
from engine.runtime.text.detokenizer import Detokenizer

_LOWEST = -3.4e38
"""JSON has no infinity."""

_ENDED = (FinishReason.EOS, FinishReason.LENGTH, FinishReason.REPETITION)
"""How an answer ends that nobody broke off."""


class Streams:
    """Sends at most `rate` messages a second; each stream's first text is sent at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def due(self, rows: Sequence[Row], now: float) -> list[Row]:
        """Those of the streaming `rows` whose request may be sent a message."""
        if not rows:
            return []
        interval = self._interval(rows)
        return [row for row in rows if now - row.request.last_flush >= interval]

    def patience(self, rows: Sequence[Row], now: float) -> float:
        """Seconds until a message of the streaming `rows` may be sent; infinite without any."""
        if not rows:
            return math.inf
        last = min(row.request.last_flush for row in rows)
        return max(0.0, last + self._interval(rows) - now)

    def send(self, rows: Sequence[Row], tokens: Sequence[Ints], now: float) -> None:
        """Sends the text of rows that are due that `tokens`, all that is certain, add to it."""
        events: dict[int, tuple[Request, list[Event]]] = {}
        for row, certain in zip(rows, tokens, strict=True):
            if text := row.progress.new_text(certain[row.progress.sent :].tolist()):
                events.setdefault(id(row.request), (row.request, []))[1].append(
                    Delta(row.index, text)
                )
        for request, batch in events.values():
            request.last_flush = now
            request.emit(batch)

    def _interval(self, rows: Sequence[Row]) -> float:
        return len({id(row.request) for row in rows}) / self._rate


def closing_event(
    row: Row,
    reason: FinishReason,
    message: str,
    times: dict[str, Any],
    answers: Sequence[ScoredTrail],
    token_bytes: list[bytes],
    quality_model: QualityModel | None = None,
) -> End:
    """The `End` of a row.

    `answers` are best first, and the best begins with what the row has sent; none: it never ran.
    """
    ended: dict[str, Any] = {
        "index": row.index,
        "finish_reason": reason,
        "message": message,
        "input_tokens": row.length,
        **times,
    }
    if not answers:
        return End(**ended)
    trail, others = answers[0].trail, answers[1 : row.plan.hypotheses]
    return End(
        **ended,
        **_details(answers[0], token_bytes, row.options),
        text=row.progress.new_text(trail.tokens[row.progress.sent :].tolist(), end=True),
        output_tokens=trail.tokens.size,
        alternatives=tuple(_alternative(other, token_bytes, row.options) for other in others),
        alignment=_links(row, trail, token_bytes) if row.options.alignment else (),
        quality=_quality(row, reason, trail, quality_model),
    )


def times_of(row: Row, now: float, steps: int) -> dict[str, Any]:
    """The times of a row that ends `now`, when its lane has made so many `steps`."""
    plan, progress = row.plan, row.progress
    ran = progress.admitted > 0

    def since_arrival(at: float) -> float:
        return round(1000 * max(0.0, at - plan.arrived), 3)

    return {
        "queue_ms": since_arrival(progress.admitted if ran else now),
        "encoded_ms": since_arrival(progress.encoded),
        "first_token_ms": since_arrival(progress.first_token),
        "total_ms": since_arrival(now),
        "steps": steps - progress.first_step if ran else 0,
        "slots": row.width if ran else 0,
    }


def added_texts(trail: Trail, token_bytes: list[bytes]) -> list[str]:
    """What each token adds to the text: "" for a special one or a part of a character.

    What is left unfinished at the end comes with the last token.
    """
    detokenizer = Detokenizer(token_bytes)
    texts = [detokenizer.push([token]) for token in trail.tokens.tolist()]
    rest = detokenizer.push([], end=True)
    if rest:
        texts[-1] += rest
    return texts


def _quality(
    row: Row, reason: FinishReason, trail: Trail, model: QualityModel | None
) -> float | None:
    """What the model expects of an answer; None where it was broken off, or all of it is forced."""
    if model is None or reason not in _ENDED:
        return None
    log_probs = trail.log_probs.tolist()
    forced = row.plan.forced
    if forced:
        log_probs = [each for place, each in enumerate(log_probs) if place not in forced]
    if not log_probs:
        return None
    signals = signals_of(
        log_probs,
        model.length,
        source_tokens=row.length,
        answer_tokens=trail.tokens.size,
        # A checkpoint may force the end of sequence where an answer reaches its limit.
        finished=reason is FinishReason.EOS and trail.tokens.size - 1 not in forced,
    )
    return round(model.estimate(signals), 4)


def _alternative(answer: ScoredTrail, token_bytes: list[bytes], options: Options) -> Alternative:
    text = Detokenizer(token_bytes).push(answer.trail.tokens.tolist(), end=True)
    return Alternative(text=text, **_details(answer, token_bytes, options))


def _details(answer: ScoredTrail, token_bytes: list[bytes], options: Options) -> dict[str, Any]:
    """What is said of an answer and of an alternative alike."""
    trail = answer.trail
    return {
        "score": _finite(answer.score),
        "log_prob": _finite(trail.log_prob),
        "token_ids": tuple(trail.tokens.tolist()) if options.token_ids else (),
        "tokens": _tokens(trail, token_bytes) if options.token_log_probs else (),
    }


def _tokens(trail: Trail, token_bytes: list[bytes]) -> tuple[Token, ...]:
    texts, log_probs = added_texts(trail, token_bytes), map(_finite, trail.log_probs.tolist())
    return tuple(map(Token, trail.tokens.tolist(), texts, log_probs))


def _finite(log_prob: float) -> float:
    """Rounded; the logarithm of 0, of a token that was forced against the model, becomes finite."""
    return max(round(float(log_prob), 4), _LOWEST)


def _links(row: Row, trail: Trail, token_bytes: list[bytes]) -> tuple[Link, ...]:
    """The alignment of the tokens that add text; of a source without any text there is none."""
    links: list[Link] = []
    start = 0
    for text, source, weight in zip(
        added_texts(trail, token_bytes), trail.sources.tolist(), trail.weights.tolist(), strict=True
    ):
        end = start + len(text)
        source_start, source_end = row.plan.spans[source]
        if text and source_end > source_start:
            links.append((start, end, source_start, source_end, round(weight, 4)))
        start = end
    return tuple(links)
