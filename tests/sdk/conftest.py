"""A real gRPC server in this process whose servicers do what a test tells them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from seqway.v1.model_pb2_grpc import add_ModelServiceServicer_to_server
from seqway.v1.translation_pb2_grpc import add_TranslationServiceServicer_to_server

from tests.sdk.server import FakeModels, FakeServer, FakeTranslation


@pytest.fixture
def server() -> Iterator[FakeServer]:
    running = grpc.server(ThreadPoolExecutor(max_workers=8))
    translation, models = FakeTranslation(), FakeModels()
    add_TranslationServiceServicer_to_server(translation, running)
    add_ModelServiceServicer_to_server(models, running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield FakeServer(f"127.0.0.1:{port}", translation, models)
    translation.released.set()
    running.stop(grace=None).wait()
