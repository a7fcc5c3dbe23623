"""What an answer says at its end: its text, its tokens, its alternatives, its alignment."""

from engine.contract.events import Alternative, End, FinishReason, Link, Token
from engine.runtime.batching.row import Row
from engine.runtime.decoding.beam_search import BeamHypothesis
from engine.runtime.decoding.trail import Trail
from engine.runtime.text.detokenizer import Detokenizer

_LOWEST = -3.4e38
"""JSON has no infinity."""


def closing_event(
    row: Row, reason: FinishReason, hypotheses: list[BeamHypothesis], token_bytes: list[bytes]
) -> End:
    """The `End` of a row that ran, without times.

    `hypotheses` are best first, and the best begins with what the row has sent.
    """
    best, options = hypotheses[0], row.options
    ids = best.trail.tokens.tolist()
    texts = added_texts(best.trail, token_bytes)
    others = hypotheses[1 : row.answers]
    return End(
        index=row.index,
        finish_reason=reason,
        input_tokens=len(row.source),
        text=row.detokenizer.push(ids[row.flushed :], end=True),
        output_tokens=len(ids),
        score=_finite(best.score),
        log_prob=_finite(best.trail.log_prob),
        token_ids=tuple(ids) if options.token_ids else (),
        tokens=_tokens(best.trail, texts) if options.token_log_probs else (),
        alternatives=tuple(_alternative(row, other, token_bytes) for other in others),
        alignment=_links(row, best.trail, texts) if options.alignment else (),
    )


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


def _alternative(row: Row, hypothesis: BeamHypothesis, token_bytes: list[bytes]) -> Alternative:
    trail, options = hypothesis.trail, row.options
    texts = added_texts(trail, token_bytes)
    return Alternative(
        text="".join(texts),
        score=_finite(hypothesis.score),
        log_prob=_finite(trail.log_prob),
        token_ids=tuple(trail.tokens.tolist()) if options.token_ids else (),
        tokens=_tokens(trail, texts) if options.token_log_probs else (),
    )


def _finite(log_prob: float) -> float:
    """Rounded; the logarithm of 0, of a token that was forced against the model, becomes finite."""
    return max(round(float(log_prob), 4), _LOWEST)


def _tokens(trail: Trail, texts: list[str]) -> tuple[Token, ...]:
    values = zip(trail.tokens.tolist(), texts, trail.log_probs.tolist(), strict=True)
    return tuple(Token(token, text, _finite(log_prob)) for token, text, log_prob in values)


def _links(row: Row, trail: Trail, texts: list[str]) -> tuple[Link, ...]:
    """The alignment of the tokens that add text; of a source without any text there is none."""
    links: list[Link] = []
    start = 0
    for text, source, weight in zip(
        texts, trail.sources.tolist(), trail.weights.tolist(), strict=True
    ):
        end = start + len(text)
        source_start, source_end = row.spans[source]
        if text and source_end > source_start:
            links.append((start, end, source_start, source_end, round(weight, 4)))
        start = end
    return tuple(links)
