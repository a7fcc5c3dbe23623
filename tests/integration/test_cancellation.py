import asyncio
import json
import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from seqway import AsyncClient
from tritonclient.grpc import service_pb2_grpc  # type: ignore[import-untyped]

from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from services.inference.triton import wire
from tests.integration import texts
from tests.integration.conftest import FP32, INT8, Alone
from tests.integration.gauges import Gauges

CLIENTS = 16
SENTENCES = 16  # of one client: all together fill the engine, and more than that waits
# The 512 rows that are cancelled would make more than twice as many.
_FEW_TOKENS = 10_000


async def test_dropping_half_of_the_clients_frees_their_rows(
    variant: str, alone: Alone, async_client: AsyncClient, gauges: Gauges
) -> None:
    documents = ["\n".join(4 * [each]) for each in texts.documents(CLIENTS, SENTENCES // 4)]
    expected = [alone(variant, document) for document in documents]
    leaving, staying = range(0, CLIENTS, 2), range(1, CLIENTS, 2)
    idle = gauges.wait_for_rows(variant, 0)
    streams = [
        async_client.stream_translate(document, source="en", target="fr", model=variant)
        for document in documents
    ]
    rows = [len(translation.segments) for translation in expected]
    most = sum(rows[client] for client in staying)
    await asyncio.to_thread(
        gauges.wait_for, variant, lambda reading: reading.running > 0 and reading.rows > most
    )
    for client in leaving:
        streams[client].cancel()
    freed = await asyncio.to_thread(gauges.wait_for_rows, variant, most)

    async def whole(client: int) -> str:
        return "".join([piece async for piece in streams[client].text()])

    answers = await asyncio.gather(*map(whole, staying))
    different = [
        (answer, expected[client].text)
        for client, answer in zip(staying, answers, strict=True)
        if answer != expected[client].text
    ]
    assert len(different) <= 1, different  # a numerical tie may flip one
    needed = sum(expected[client].token_counts.output for client in staying)
    unwanted = sum(expected[client].token_counts.output for client in leaving)
    wasted = gauges.wait_for_rows(variant, 0).tokens - idle.tokens - needed
    assert wasted < 0.75 * unwanted, "the rows of those who left were run to their end"
    assert wasted <= sum(rows[client] for client in leaving) * (freed.steps - idle.steps)


async def test_leaving_empties_the_waiting_line_too(
    async_client: AsyncClient, gauges: Gauges
) -> None:
    document = "\n".join(texts.long_sentences(64))
    streams = [
        async_client.stream_translate(document, source="en", target="fr", model=INT8)
        for _ in range(8)
    ]
    await asyncio.to_thread(gauges.wait_for, INT8, lambda reading: reading.waiting >= 200)
    for stream in streams:
        stream.cancel()
    before = await asyncio.to_thread(gauges.read, INT8)
    after = await asyncio.to_thread(gauges.wait_for_rows, INT8, 0)
    assert after.tokens - before.tokens < _FEW_TOKENS, "the rows were run to their end"
    await asyncio.sleep(0.1)
    assert gauges.read(INT8).steps <= after.steps + 1, "the engine runs on"


def test_a_killed_client_frees_its_rows(address: str, gauges: Gauges) -> None:
    program = Path(sys.executable).with_name("seqway")
    with subprocess.Popen(
        [program, "translate", "--stream", "--model", FP32, "--address", address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as running:
        assert running.stdin is not None and running.stdout is not None
        running.stdin.write("\n".join(8 * texts.long_sentences(64)).encode())
        running.stdin.close()
        assert running.stdout.read(1)
        gauges.wait_for(FP32, lambda reading: reading.rows > 0)
        running.kill()
    before = gauges.read(FP32)
    after = gauges.wait_for_rows(FP32, 0)
    assert after.tokens - before.tokens < _FEW_TOKENS, "the rows were run to their end"


class TestDirectly:
    """Clients that talk to Triton themselves, as docs/triton-protocol.md says."""

    @pytest.fixture
    def triton(self, stack: StackSettings) -> Iterator[Any]:
        with grpc.insecure_channel(f"{HOST}:{stack.ports.triton_grpc.number}") as channel:
            yield service_pb2_grpc.GRPCInferenceServiceStub(channel)

    def test_a_broken_stream_frees_its_rows(self, triton: Any, gauges: Gauges) -> None:
        call, _ = _stream(triton, wire.infer_request(FP32, "a" * 32, _LINES, {"stream": True}))
        assert _events(next(call))
        gauges.wait_for(FP32, lambda reading: reading.rows > 0)
        call.cancel()
        before = gauges.read(FP32)
        after = gauges.wait_for_rows(FP32, 0)
        assert after.tokens - before.tokens < _FEW_TOKENS, "the rows were run to their end"

    def test_a_control_request_cancels_the_rows_of_another_stream(
        self, triton: Any, gauges: Gauges
    ) -> None:
        call, _ = _stream(triton, wire.infer_request(FP32, "b" * 32, _LINES, {"stream": True}))
        assert _events(next(call))
        other, requests = _stream(triton, wire.cancel_request(FP32, "c" * 32, ["b" * 32]))
        assert wire.is_final(next(other).infer_response)
        requests.put(None)
        events = []
        while not wire.is_final((message := next(call)).infer_response):
            events += _events(message)
        events += _events(message)
        ends = [event for event in events if event["type"] == "end"]
        assert sorted(end["i"] for end in ends) == list(range(len(_LINES)))
        assert "CANCELLED" in {end["finish_reason"] for end in ends}
        gauges.wait_for_rows(FP32, 0)
        call.cancel()


_LINES = 16 * texts.long_sentences(32)


def _stream(triton: Any, request: Any) -> tuple[Any, "queue.SimpleQueue[Any]"]:
    """A stream with one request, and where more are taken from; None ends it."""
    requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
    requests.put(request)
    return triton.ModelStreamInfer(iter(requests.get, None)), requests


def _events(message: Any) -> list[dict[str, Any]]:
    assert not message.error_message
    payload = wire.events_payload(message.infer_response)
    return json.loads(payload) if payload else []
