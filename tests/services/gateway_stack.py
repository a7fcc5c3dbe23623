"""A twin of Triton, a gateway in front of it, and a real channel to that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status
from seqway.v1 import (
    classification_pb2_grpc,
    job_pb2_grpc,
    model_pb2_grpc,
    question_answering_pb2_grpc,
    summarization_pb2_grpc,
    translation_pb2_grpc,
)

from services.gateway.server import Gateway
from tests.services.twin import Twin

PATIENCE = 15.0


@dataclass
class Stack:
    """All of it, and the stubs of the public services."""

    twin: Twin
    gateway: Gateway
    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.translation: Any = translation_pb2_grpc.TranslationServiceStub(self.channel)
        self.summarization: Any = summarization_pb2_grpc.SummarizationServiceStub(self.channel)
        self.classification: Any = classification_pb2_grpc.ClassificationServiceStub(self.channel)
        self.questions: Any = question_answering_pb2_grpc.QuestionAnsweringServiceStub(self.channel)
        self.jobs: Any = job_pb2_grpc.JobServiceStub(self.channel)
        self.models: Any = model_pb2_grpc.ModelServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def serves(self, service: str = "") -> bool:
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    async def does_not_serve(self) -> bool:
        return not await self.serves()


def open_channel(
    address: str, credentials: grpc.ChannelCredentials | None = None
) -> grpc.aio.Channel:
    """A channel that shares its connection with no other."""
    options = (("grpc.use_local_subchannel_pool", 1),)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


MakeStack = Callable[..., Awaitable[Stack]]


async def wait_until(probe: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = probe()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await asyncio.sleep(0.01)


async def failure(call: Awaitable[Any]) -> tuple[str, str, str]:
    """Status code, reason, field and retry hint of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    info, bad, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for detail in status.details if status else ():
        for message in (info, bad, retry):
            detail.Unpack(message)
    assert info.domain == "seqway"
    field = bad.field_violations[0].field if bad.field_violations else ""
    pushback = dict(caught.value.trailing_metadata()).get("grpc-retry-pushback-ms")
    assert (retry.retry_delay.ToMilliseconds() > 0) == (pushback is not None)
    return caught.value.code().name, info.reason, field
