"""Stacks of a twin, a gateway and a channel, taken down after each test."""

from collections.abc import AsyncIterator, Sequence

import grpc
import pytest
from gateway_stack import MakeStack, Stack, wait_until

from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings
from services.inference.manifest import Manifest
from services.inference.twin import Twin, manifest_of


@pytest.fixture
async def make_stack() -> AsyncIterator[MakeStack]:
    stacks: list[Stack] = []

    async def make(
        *, triton: bool = True, manifests: Sequence[Manifest] = (), **settings: object
    ) -> Stack:
        twin = Twin(list(manifests) or [manifest_of("int8"), manifest_of("fp32")])
        await twin.start()
        if not triton:
            await twin.stop()
        defaults = {
            "triton_url": twin.url,
            "triton_streams": 2,
            "gateway_port": 0,
            "health_interval": 0.05,
            "probe_timeout": 1.0,
            "drain_wait": 0.0,
            "drain_grace": 1.0,
        }
        gateway = Gateway(GatewaySettings(**(defaults | settings)))
        await gateway.start()
        channel = grpc.aio.insecure_channel(
            f"127.0.0.1:{gateway.port}", options=(("grpc.use_local_subchannel_pool", 1),)
        )
        stack = Stack(twin, gateway, channel)
        stacks.append(stack)
        if triton:
            await wait_until(stack.serves)
        return stack

    yield make
    for stack in stacks:
        await stack.channel.close()
        await stack.gateway.drain()
        await stack.twin.stop()


@pytest.fixture
async def stack(make_stack: MakeStack) -> Stack:
    return await make_stack()
