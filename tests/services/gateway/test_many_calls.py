"""As many calls at once as a caller likes: no limit of a connection or of gRPC shows."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, wait_until
from seqway import AsyncClient, Client
from seqway.v1 import model_pb2, model_pb2_grpc, translation_pb2_grpc
from seqway.v1 import translation_pb2 as pb

_CALLS, _STREAMS = 1000, 200
_TEXT = "a small editor"
_PATIENCE = 50.0
# A connection of its own, as another process has it.
_OWN = [("grpc.use_local_subchannel_pool", 1)]


def request() -> pb.TranslateRequest:
    return pb.TranslateRequest(
        contents=[_TEXT], source_language_code="en", target_language_code="fr"
    )


def stream_request() -> pb.StreamTranslateRequest:
    return pb.StreamTranslateRequest.FromString(request().SerializeToString())


async def by_async_client(address: str) -> Iterable[str]:
    async def unary(client: AsyncClient) -> str:
        return (await client.translate(_TEXT, source="en", target="fr")).text

    async def streamed(client: AsyncClient) -> str:
        stream = client.stream_translate(_TEXT, source="en", target="fr")
        return "".join([piece async for piece in stream.text()])

    async with AsyncClient(address) as client:
        calls = [unary(client) for _ in range(_CALLS)]
        return await asyncio.gather(*calls, *(streamed(client) for _ in range(_STREAMS)))


async def by_client(address: str) -> Iterable[str]:
    with Client(address) as client, ThreadPoolExecutor(_CALLS + _STREAMS) as pool:

        def unary(_number: int) -> str:
            return client.translate(_TEXT, source="en", target="fr").text

        def streamed(_number: int) -> str:
            return "".join(client.stream_translate(_TEXT, source="en", target="fr").text())

        def together() -> list[str]:
            calls, streams = pool.map(unary, range(_CALLS)), pool.map(streamed, range(_STREAMS))
            return [*calls, *streams]

        return await asyncio.to_thread(together)


async def by_plain_grpc_aio(address: str) -> Iterable[str]:
    async with grpc.aio.insecure_channel(address, options=_OWN) as channel:
        stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)

        async def streamed() -> str:
            call = stub.StreamTranslate(stream_request(), timeout=_PATIENCE)
            return "".join([answer.delta.text async for answer in call])

        calls = [stub.Translate(request(), timeout=_PATIENCE) for _ in range(_CALLS)]
        streams = [asyncio.create_task(streamed()) for _ in range(_STREAMS)]
        answers = [(await call).translations[0].text for call in calls]
        return [*answers, *await asyncio.gather(*streams)]


async def by_plain_grpc(address: str) -> Iterable[str]:
    def together() -> list[str]:
        with grpc.insecure_channel(address, options=_OWN) as channel:
            stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)
            calls = [stub.Translate.future(request(), timeout=_PATIENCE) for _ in range(_CALLS)]
            streams = [
                stub.StreamTranslate(stream_request(), timeout=_PATIENCE) for _ in range(_STREAMS)
            ]
            answers = [call.result().translations[0].text for call in calls]
            return answers + ["".join(one.delta.text for one in stream) for stream in streams]

    return await asyncio.to_thread(together)


@pytest.mark.parametrize(
    "caller",
    [by_async_client, by_client, by_plain_grpc_aio, by_plain_grpc],
    ids=lambda f: f.__name__,
)
async def test_a_thousand_calls_and_two_hundred_streams_at_once(
    caller: Callable[[str], Awaitable[Iterable[str]]], stack: Stack
) -> None:
    answers = list(await caller(f"127.0.0.1:{stack.gateway.port}"))
    assert answers == [_TEXT.upper()] * (_CALLS + _STREAMS)


@pytest.mark.parametrize("streams", [1, 8, 256])
async def test_whatever_the_limit_of_a_connection_is_nobody_is_refused(
    make_stack: MakeStack, streams: int
) -> None:
    """A client makes the next call when an answer has come; gRPC counts that a while longer."""
    stack = await make_stack(max_connection_streams=streams)
    asked = model_pb2.ListModelsRequest()
    async with grpc.aio.insecure_channel(
        f"127.0.0.1:{stack.gateway.port}", options=[*_OWN, ("grpc.enable_retries", 0)]
    ) as channel:
        stub: Any = model_pb2_grpc.ModelServiceStub(channel)
        await asyncio.gather(*(stub.ListModels(asked, timeout=_PATIENCE) for _ in range(2000)))


async def test_callers_who_give_up_leave_no_call_of_the_next_refused(make_stack: MakeStack) -> None:
    stack = await make_stack()
    stack.twin.gate.clear()
    for _ in range(3):
        calls = [stack.translation.Translate(request()) for _ in range(300)]
        await wait_until(lambda: stack.twin.running > 0)
        for call in calls:
            call.cancel()
    stack.twin.gate.set()
    answers = await asyncio.gather(*(stack.translation.Translate(request()) for _ in range(600)))
    assert len(answers) == 600


async def test_many_streams_are_open_at_once_on_one_connection(stack: Stack) -> None:
    stack.twin.gate.clear()
    calls = [stack.translation.StreamTranslate(stream_request()) for _ in range(_STREAMS)]
    assert all([await call.read() for call in calls]), "all have begun, none has ended"
    stack.twin.gate.set()
    for call in calls:
        message = await call.read()
        while not message.HasField("summary"):
            message = await call.read()


async def test_several_clients_at_once_have_room(stack: Stack) -> None:
    """More calls than gRPC would keep for Python, and than were once let in."""
    address = f"127.0.0.1:{stack.gateway.port}"

    async def ask() -> None:
        async with grpc.aio.insecure_channel(address, options=_OWN) as channel:
            stub: Any = translation_pb2_grpc.TranslationServiceStub(channel)
            calls = [stub.Translate(request(), timeout=_PATIENCE) for _ in range(250)]
            await asyncio.gather(*calls)

    await asyncio.gather(*(ask() for _ in range(12)))
