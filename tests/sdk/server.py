"""A real gRPC server in this process with a fake of every service."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_health.v1.health import HealthServicer  # type: ignore[import-untyped]
from seqway.v1.classification_pb2_grpc import add_ClassificationServiceServicer_to_server
from seqway.v1.job_pb2_grpc import add_JobServiceServicer_to_server
from seqway.v1.model_pb2_grpc import add_ModelServiceServicer_to_server
from seqway.v1.question_answering_pb2_grpc import add_QuestionAnsweringServiceServicer_to_server
from seqway.v1.summarization_pb2_grpc import add_SummarizationServiceServicer_to_server
from seqway.v1.translation_pb2_grpc import add_TranslationServiceServicer_to_server

from tests.sdk.servicers.classification import FakeClassification
from tests.sdk.servicers.jobs import FakeJobs
from tests.sdk.servicers.models import FakeModels
from tests.sdk.servicers.question_answering import FakeQuestionAnswering
from tests.sdk.servicers.summarization import FakeSummarization
from tests.sdk.servicers.translation import FakeTranslation


@dataclass
class FakeServer:
    address: str = ""
    translation: FakeTranslation = field(default_factory=FakeTranslation)
    summarization: FakeSummarization = field(default_factory=FakeSummarization)
    classification: FakeClassification = field(default_factory=FakeClassification)
    question_answering: FakeQuestionAnswering = field(default_factory=FakeQuestionAnswering)
    jobs: FakeJobs = field(default_factory=FakeJobs)
    models: FakeModels = field(default_factory=FakeModels)
    health: HealthServicer = field(default_factory=HealthServicer)
    metadata: list[dict[str, str]] = field(default_factory=list)

    def serve(self, *services: str, serving: bool = True) -> None:
        """Tells how services stand; the empty name, known from the start, is the whole."""
        states = health_pb2.HealthCheckResponse
        for service in services:
            self.health.set(service, states.SERVING if serving else states.NOT_SERVING)


class _Listener(grpc.ServerInterceptor):
    """Notes the metadata of each call."""

    def __init__(self, heard: list[dict[str, str]]) -> None:
        self._heard = heard

    def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self._heard.append(dict(handler_call_details.invocation_metadata))
        return continuation(handler_call_details)


@contextmanager
def running_server(credentials: grpc.ServerCredentials | None = None) -> Iterator[FakeServer]:
    fakes = FakeServer()
    running = grpc.server(
        ThreadPoolExecutor(max_workers=8), interceptors=[_Listener(fakes.metadata)]
    )
    add_TranslationServiceServicer_to_server(fakes.translation, running)
    add_SummarizationServiceServicer_to_server(fakes.summarization, running)
    add_ClassificationServiceServicer_to_server(fakes.classification, running)
    add_QuestionAnsweringServiceServicer_to_server(fakes.question_answering, running)
    add_JobServiceServicer_to_server(fakes.jobs, running)
    add_ModelServiceServicer_to_server(fakes.models, running)
    health_pb2_grpc.add_HealthServicer_to_server(fakes.health, running)
    fakes.serve("", "seqway.v1.TranslationService", "seqway.v1.ModelService")
    port = (
        running.add_insecure_port("127.0.0.1:0")
        if credentials is None
        else running.add_secure_port("127.0.0.1:0", credentials)
    )
    fakes.address = f"127.0.0.1:{port}"
    running.start()
    yield fakes
    fakes.translation.released.set()
    fakes.summarization.released.set()
    running.stop(grace=None).wait()
