"""What the client for asyncio and the client for threads do alike."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from inspect import Parameter, signature

import grpc
import pytest
from seqway import (
    AskArguments,
    AsyncClient,
    CancelledError,
    ClassifyArguments,
    InvalidRequestError,
    JobArguments,
    JobState,
    NotFoundError,
    StreamSummary,
    SummarizeArguments,
    TextDelta,
    TranslateArguments,
)

from tests.sdk.clients import MAKERS
from tests.sdk.server import FakeServer
from tests.sdk.servicers.models import MODELS
from tests.sdk.servicers.translation import VARIANT
from tests.sdk.status import FakeFailure, bad_request, error_info, retry_info

LINES = [{"text": "one", "custom_id": "a"}, {"text": "bad"}, {"text": "three"}]


@pytest.fixture(params=MAKERS)
async def client(server: FakeServer, request: pytest.FixtureRequest) -> AsyncIterator[AsyncClient]:
    async with MAKERS[request.param](server.address) as client:
        yield client


def overloaded(times: int, hint: float = 0.05) -> FakeFailure:
    details = (error_info("OVERLOADED"), retry_info(hint))
    return FakeFailure(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", details, times=times)


async def test_texts_are_translated(client: AsyncClient) -> None:
    result = await client.translate(["b", "a"], source="en", target="fr")
    assert result.texts == ("B", "A")


async def test_a_stream_brings_events_and_a_summary(client: AsyncClient) -> None:
    stream = client.stream_translate("hey", source="en", target="fr")
    events = [event async for event in stream]
    assert events[0] == TextDelta(0, 0, "H")
    assert isinstance(events[-1], StreamSummary)
    assert stream.summary is events[-1]


async def test_a_stream_brings_text(client: AsyncClient) -> None:
    stream = client.stream_translate("hey", source="en", target="fr")
    assert "".join([text async for text in stream.text()]) == "HEY"


async def test_leaving_a_stream_cancels_it_at_the_server(
    client: AsyncClient, server: FakeServer
) -> None:
    server.translation.held = True
    async with client.stream_translate("hey", source="en", target="fr") as stream:
        assert await anext(stream) == TextDelta(0, 0, "H")
    assert await asyncio.to_thread(server.translation.cancelled.wait, 10)


async def test_failures_carry_the_servers_details(client: AsyncClient, server: FakeServer) -> None:
    server.translation.failure = FakeFailure(
        grpc.StatusCode.INVALID_ARGUMENT,
        "bad",
        (error_info("EMPTY_TEXT"), bad_request("contents[0]", "the text is empty")),
    )
    with pytest.raises(InvalidRequestError) as unary:
        await client.translate("", source="en", target="fr")
    with pytest.raises(InvalidRequestError) as streamed:
        await anext(client.stream_translate("", source="en", target="fr"))
    for raised in (unary.value, streamed.value):
        assert (raised.reason, raised.field) == ("EMPTY_TEXT", "contents[0]")


async def test_models_are_listed_and_described(client: AsyncClient) -> None:
    assert [one.name for one in await client.list_models()] == list(MODELS)
    assert (await client.get_model(VARIANT)).name == VARIANT
    with pytest.raises(NotFoundError):
        await client.get_model("nope")


async def test_a_refused_call_is_sent_again(client: AsyncClient, server: FakeServer) -> None:
    server.translation.failure = overloaded(times=7)
    assert (await client.translate("x", source="en", target="fr")).text == "X"
    server.translation.failure = overloaded(times=7)
    stream = client.stream_translate("hey", source="en", target="fr")
    assert "".join([piece async for piece in stream.text()]) == "HEY"
    assert len(server.translation.requests) == 16


async def test_a_stream_that_waits_can_be_cancelled(
    client: AsyncClient, server: FakeServer
) -> None:
    server.translation.failure = overloaded(times=99, hint=20.0)
    stream = client.stream_translate("x", source="en", target="fr")
    asyncio.get_running_loop().call_later(0.2, stream.cancel)
    with pytest.raises(CancelledError):
        await anext(stream)
    assert len(server.translation.requests) == 1


async def test_a_stream_that_reads_can_be_cancelled(
    client: AsyncClient, server: FakeServer
) -> None:
    server.translation.held = True
    stream = client.stream_translate("hey", source="en", target="fr")
    await anext(stream)
    asyncio.get_running_loop().call_later(0.2, stream.cancel)
    with pytest.raises(CancelledError):
        await anext(stream)


async def test_a_job_from_creation_to_deletion(client: AsyncClient) -> None:
    jobs = client.jobs
    job = await jobs.translate(LINES, source="en", target="fr")
    assert (await jobs.wait(job.id)).counts.done == 3
    assert [one.text async for one in jobs.results(job.id)] == ["ONE", "", "THREE"]
    assert [one.id async for one in jobs.list()] == [job.id]
    assert (await jobs.resume(job.id)).run == 2
    assert (await jobs.cancel(job.id)).cancel_requested
    await jobs.delete(job.id)
    with pytest.raises(NotFoundError):
        await jobs.get(job.id)


async def test_streams_of_a_job_survive_a_server(client: AsyncClient, server: FakeServer) -> None:
    job = await client.jobs.translate(["x"] * 7, source="en", target="fr")
    server.jobs.breaks = 2
    assert [one.index async for one in client.jobs.results(job.id)] == list(range(7))
    server.jobs.breaks = 1
    assert (await client.jobs.wait(job.id)).state is JobState.SUCCEEDED


async def test_a_job_stream_can_be_cancelled_while_it_reads(
    client: AsyncClient, server: FakeServer
) -> None:
    server.jobs.pause = 0.2
    job = await client.jobs.translate(["x"] * 1000, source="en", target="fr")
    stream = client.jobs.watch(job.id)
    await anext(stream)
    asyncio.get_running_loop().call_later(0.3, stream.cancel)
    assert len([one async for one in stream]) < 100


async def test_a_job_stream_can_be_cancelled_while_it_waits(
    client: AsyncClient, server: FakeServer
) -> None:
    server.jobs.failure = overloaded(times=99, hint=20.0)
    stream = client.jobs.watch("job0")
    asyncio.get_running_loop().call_later(0.2, stream.cancel)
    async with asyncio.timeout(10):
        assert [one async for one in stream] == []


async def test_what_the_lines_raise_is_raised(client: AsyncClient) -> None:
    def lines() -> Iterator[str]:
        yield "one"
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        await client.jobs.summarize(lines())


async def test_a_cancelled_task_ends_the_call_at_the_server(server: FakeServer) -> None:
    server.translation.held = True
    async with AsyncClient(server.address) as client:
        stream = client.stream_translate("hey", source="en", target="fr")
        await anext(stream)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.translation.cancelled.wait, 10)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("translate", TranslateArguments),
        ("stream_translate", TranslateArguments),
        ("summarize", SummarizeArguments),
        ("stream_summarize", SummarizeArguments),
        ("classify", ClassifyArguments),
        ("ask", AskArguments),
    ],
)
def test_the_types_of_arguments_are_those_of_the_methods(name: str, arguments: type) -> None:
    def named(method: object) -> dict[str, Parameter]:
        found = signature(method).parameters.values()  # type: ignore[arg-type]
        return {one.name: one for one in found if one.kind is Parameter.KEYWORD_ONLY}

    of_task = named(getattr(AsyncClient, name))
    assert of_task.keys() == arguments.__annotations__.keys()
    if name.startswith("stream_"):
        assert of_task == named(getattr(AsyncClient, name.removeprefix("stream_")))
    else:
        of_job = named(getattr(AsyncClient("x").jobs, name))
        shared = JobArguments.__annotations__.keys()
        assert of_job.keys() == (of_task.keys() | shared) - {"context"}
