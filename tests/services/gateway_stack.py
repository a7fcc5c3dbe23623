"""A twin of Triton, a gateway in front of it, and a real channel to that."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from seqway.v1 import model_pb2_grpc, translation_pb2_grpc

from services.gateway.server import Gateway
from services.inference.twin import Twin

PATIENCE = 15.0


@dataclass
class Stack:
    """All of it, and the stubs of the public services."""

    twin: Twin
    gateway: Gateway
    channel: grpc.aio.Channel

    def __post_init__(self) -> None:
        self.translation: Any = translation_pb2_grpc.TranslationServiceStub(self.channel)
        self.models: Any = model_pb2_grpc.ModelServiceStub(self.channel)
        self.health: Any = health_pb2_grpc.HealthStub(self.channel)

    async def serves(self, service: str = "") -> bool:
        answer = await self.health.Check(health_pb2.HealthCheckRequest(service=service))
        return answer.status == health_pb2.HealthCheckResponse.SERVING

    async def does_not_serve(self) -> bool:
        return not await self.serves()


MakeStack = Callable[..., Awaitable[Stack]]


async def wait_until(probe: Callable[[], bool | Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            answer = probe()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await asyncio.sleep(0.01)
