"""What the messages of all generating services share."""

from collections.abc import Iterable, Mapping

from google.protobuf.duration_pb2 import Duration
from seqway.v1 import generation_pb2

from services.inference.rows.account import Account
from services.inference.rows.events import FinishReason, Hypothesis, Token


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
    return _FINISH_REASONS[reason]


def tokens(made: Iterable[Token]) -> list[generation_pb2.TokenLogProb]:
    """Tokens and their log-probabilities."""
    return [
        generation_pb2.TokenLogProb(text=each.text, id=each.id, log_prob=each.log_prob)
        for each in made
    ]


def hypotheses(answers: Iterable[Hypothesis]) -> list[generation_pb2.Hypothesis]:
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


_FINISH_REASONS: Mapping[FinishReason, generation_pb2.FinishReason.ValueType] = {
    FinishReason.EOS: generation_pb2.FINISH_REASON_EOS,
    FinishReason.LENGTH: generation_pb2.FINISH_REASON_LENGTH,
    FinishReason.REPETITION: generation_pb2.FINISH_REASON_REPETITION,
    FinishReason.CANCELLED: generation_pb2.FINISH_REASON_CANCELLED,
    FinishReason.ERROR: generation_pb2.FINISH_REASON_ERROR,
}
