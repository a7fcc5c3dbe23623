import asyncio

import grpc
import pytest
from seqway import AsyncClient, InvalidRequestError, NotFoundError, StreamSummary, TextDelta

from tests.sdk.server import FakeServer
from tests.sdk.servicers.models import MODELS
from tests.sdk.servicers.translation import VARIANT
from tests.sdk.status import Failure, bad_request, error_info


async def test_texts_are_translated(server: FakeServer) -> None:
    async with AsyncClient(server.address) as client:
        result = await client.translate(["b", "a"], source="en", target="fr")
    assert result.texts == ("B", "A")


async def test_a_stream_brings_events_and_a_summary(server: FakeServer) -> None:
    async with AsyncClient(server.address) as client:
        stream = client.stream_translate("hey", source="en", target="fr")
        events = [event async for event in stream]
    assert events[0] == TextDelta(0, 0, "H")
    assert isinstance(events[-1], StreamSummary)
    assert stream.summary is events[-1]


async def test_a_stream_brings_text(server: FakeServer) -> None:
    async with AsyncClient(server.address) as client:
        stream = client.stream_translate("hey", source="en", target="fr")
        assert "".join([text async for text in stream.text()]) == "HEY"


async def test_leaving_a_stream_cancels_it_at_the_server(server: FakeServer) -> None:
    server.translation.held = True
    async with AsyncClient(server.address) as client:
        async with client.stream_translate("hey", source="en", target="fr") as stream:
            assert await anext(stream) == TextDelta(0, 0, "H")
        assert await asyncio.to_thread(server.translation.cancelled.wait, 10)


async def test_failures_carry_the_servers_details(server: FakeServer) -> None:
    server.translation.failure = Failure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        (error_info("EMPTY_TEXT"), bad_request("contents[0]", "the text is empty")),
    )
    async with AsyncClient(server.address) as client:
        with pytest.raises(InvalidRequestError) as unary:
            await client.translate("", source="en", target="fr")
        with pytest.raises(InvalidRequestError) as streamed:
            await anext(client.stream_translate("", source="en", target="fr"))
    for raised in (unary.value, streamed.value):
        assert (raised.reason, raised.field) == ("EMPTY_TEXT", "contents[0]")


async def test_models_are_listed_and_described(server: FakeServer) -> None:
    async with AsyncClient(server.address) as client:
        assert [one.name for one in await client.list_models()] == list(MODELS)
        assert (await client.get_model(VARIANT)).name == VARIANT
        with pytest.raises(NotFoundError):
            await client.get_model("nope")
