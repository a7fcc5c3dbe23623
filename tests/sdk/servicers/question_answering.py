"""A servicer whose answers are the first words of the context."""

import grpc
from seqway.v1 import question_answering_pb2 as pb
from seqway.v1.question_answering_pb2_grpc import QuestionAnsweringServiceServicer

from tests.sdk.servicers.fake import Fake, finish_reason, timings, token_counts, warnings

ANSWERER = "squad_int8"


class FakeQuestionAnswering(Fake, QuestionAnsweringServiceServicer):
    def AnswerQuestion(  # noqa: N802 - the name in the protos
        self, request: pb.AnswerQuestionRequest, context: grpc.ServicerContext
    ) -> pb.AnswerQuestionResponse:
        self.receive(request, context)
        words = [] if "nothing" in request.context else request.context.split()
        return pb.AnswerQuestionResponse(
            answers=[
                pb.Answer(
                    text=word,
                    extracted=True,
                    start=request.context.index(word),
                    end=request.context.index(word) + len(word),
                    score=0.5 / rank,
                    finish_reason=finish_reason(request.context),
                )
                for rank, word in enumerate(words[: request.top_k or 1], 1)
            ],
            no_answer_score=0.25 if words else 0.95,
            windows=2,
            token_counts=token_counts(),
            warnings=warnings(request.context),
            model=ANSWERER,
            timings=timings(),
        )
