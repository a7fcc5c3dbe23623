"""What all fake servicers do, and the parts that their answers have in common."""

import threading
from dataclasses import dataclass, field

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from seqway.v1 import generation_pb2 as pb

from tests.sdk.status import FakeFailure


@dataclass
class Fake:
    """Keeps the requests and fails on demand.

    `held` makes a stream wait for `released` after its first delta.
    """

    failure: FakeFailure | None = None
    held: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)
    requests: list[Message] = field(default_factory=list)
    metadata: dict[str, str | bytes] = field(default_factory=dict)

    def receive(self, request: Message, context: grpc.ServicerContext) -> None:
        self.requests.append(request)
        self.metadata = dict(context.invocation_metadata())
        context.add_callback(self.cancelled.set)
        if self.failure:
            self.failure.raise_in(context)

    def hold(self) -> None:
        if self.held:
            self.released.wait(30)


def timings() -> pb.Timings:
    return pb.Timings(
        queue=Duration(nanos=1_000_000),
        first_token=Duration(nanos=5_000_000),
        total=Duration(seconds=1, nanos=500_000_000),
    )


def token_counts() -> pb.TokenCounts:
    return pb.TokenCounts(input=3, output=4)


def finish_reason(text: str) -> pb.FinishReason.ValueType:
    if "endless" in text:
        return pb.FINISH_REASON_REPETITION
    return pb.FINISH_REASON_LENGTH if "short" in text else pb.FINISH_REASON_EOS


def warnings(text: str) -> list[str]:
    return ["it was split"] if "warn" in text else []


def tokens(options: pb.GenerationOptions) -> list[pb.TokenLogProb]:
    if not options.token_log_probs:
        return []
    return [
        pb.TokenLogProb(text="A", id=7, log_prob=-0.5),
        pb.TokenLogProb(id=0, log_prob=-0.25),
    ]


def alternatives(options: pb.GenerationOptions) -> list[pb.Hypothesis]:
    return [
        pb.Hypothesis(
            text=f"OTHER {rank}", score=-rank, log_prob=-2.0 * rank, tokens=tokens(options)
        )
        for rank in range(2, options.num_hypotheses + 1)
    ]
