"""What the responses of all services share: parts of their messages, streams, the account."""

import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from seqway.v1 import generation_pb2

from engine.contract.events import Alternative, FinishReason, Token
from services.gateway import metrics
from services.gateway.admission.capacity import PLACE
from services.gateway.calls.handlers import Context
from services.inference.rows.account import Account

_Output = TypeVar("_Output")


async def stream_answer(
    context: Context, outputs: AsyncGenerator[_Output, None], response_of: Callable[[_Output], Any]
) -> None:
    """Writes what is ready as it is made, and times the first of it.

    Not a generator: when a client disconnects the work must end at once, and a generator that is
    cancelled between two messages is only closed when it is collected.
    """
    started, place, is_first = time.perf_counter(), PLACE.get(), True
    async with aclosing(outputs):
        async for output in outputs:
            await context.write(response_of(output))
            if is_first:
                is_first = False
                metrics.FIRST_DELTA.observe(time.perf_counter() - started)
                if place:
                    place.begin()
            if isinstance(output, Account):
                record_account(output)


def record_account(account: Account) -> None:
    """Counts the tokens of a call that was answered, and lets admission learn from it."""
    for each in account.parts or [account]:
        metrics.TOKENS.labels(each.variant, "input").inc(each.input_tokens)
        metrics.TOKENS.labels(each.variant, "output").inc(each.output_tokens)
        if each.output_tokens:
            metrics.FIRST_TOKEN.labels(each.variant).observe(each.first_token)
    if place := PLACE.get():
        place.note(account)


def token_counts(input_tokens: int, output_tokens: int) -> generation_pb2.TokenCounts:
    """Tokens read and made."""
    return generation_pb2.TokenCounts(input=input_tokens, output=output_tokens)


def timings(account: Account) -> generation_pb2.Timings:
    """Where the time of a call went."""
    return generation_pb2.Timings(
        queue=_duration(account.queue),
        first_token=_duration(account.first_token),
        total=_duration(account.total),
    )


def finish_reason(reason: FinishReason) -> generation_pb2.FinishReason.ValueType:
    """The public name of a finish reason."""
    return generation_pb2.FinishReason.Value(f"FINISH_REASON_{reason}")


def tokens(made: Iterable[Token]) -> list[generation_pb2.TokenLogProb]:
    """Tokens and their log-probabilities."""
    return [
        generation_pb2.TokenLogProb(text=each.text, id=each.id, log_prob=each.log_prob)
        for each in made
    ]


def hypotheses(answers: Iterable[Alternative]) -> list[generation_pb2.Hypothesis]:
    """The other answers, best first."""
    return [
        generation_pb2.Hypothesis(
            text=each.text, score=each.score, log_prob=each.log_prob, tokens=tokens(each.tokens)
        )
        for each in answers
    ]


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMicroseconds(int(seconds * 1_000_000))
    return duration
