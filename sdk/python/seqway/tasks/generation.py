"""From the messages of generation.proto to the parts of every task's results."""

from collections.abc import Iterable

from seqway.events import StreamSummary
from seqway.results import FinishReason, Hypothesis, Timings, TokenCounts, TokenLogProb
from seqway.v1 import generation_pb2 as pb
from seqway.v1 import summarization_pb2, translation_pb2

_FINISH_REASONS = {
    value: FinishReason[name.removeprefix("FINISH_REASON_")]
    for name, value in pb.FinishReason.items()
}


def finish_reason(value: "pb.FinishReason.ValueType") -> FinishReason:
    """UNSPECIFIED also for a reason that this version doesn't know."""
    return _FINISH_REASONS.get(value, FinishReason.UNSPECIFIED)


def token_counts(message: pb.TokenCounts) -> TokenCounts:
    """Tokens of input and output."""
    return TokenCounts(input=message.input, output=message.output)


def timings(message: pb.Timings) -> Timings:
    """Durations in seconds."""
    return Timings(
        queue=message.queue.ToTimedelta().total_seconds(),
        first_token=message.first_token.ToTimedelta().total_seconds(),
        total=message.total.ToTimedelta().total_seconds(),
    )


def token_log_probs(messages: Iterable[pb.TokenLogProb]) -> tuple[TokenLogProb, ...]:
    """The tokens of an answer."""
    return tuple(TokenLogProb(one.text, one.id, one.log_prob) for one in messages)


def hypotheses(messages: Iterable[pb.Hypothesis]) -> tuple[Hypothesis, ...]:
    """The answers beside the best one."""
    return tuple(
        Hypothesis(one.text, one.score, one.log_prob, token_log_probs(one.tokens))
        for one in messages
    )


def stream_summary(
    message: translation_pb2.StreamSummary | summarization_pb2.StreamSummarizeSummary,
) -> StreamSummary:
    """The closing message of a stream."""
    return StreamSummary(
        finish_reason=finish_reason(message.finish_reason),
        token_counts=token_counts(message.token_counts),
        timings=timings(message.timings),
        model=message.model,
    )
