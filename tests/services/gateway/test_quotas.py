"""Limits of tenants, over real channels, in one gateway and in Redis for several."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from redis_server import RedisServer
from seqway.v1 import job_pb2, model_pb2
from seqway.v1 import translation_pb2 as pb

from services.foundation.environment import InvalidSettingsError, read_settings
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings

OVER = ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED", "")


def tenant(name: str) -> list[tuple[str, str]]:
    return [("x-seqway-tenant", name)]


def translate(stack: Stack, name: str, text: str = "Hello there.") -> Any:
    request = pb.TranslateRequest(
        contents=[text], source_language_code="en", target_language_code="fr"
    )
    return stack.translation.Translate(request, metadata=tenant(name))


def limits(**fields: int) -> dict[str, Any]:
    return {"tenant_limits": {"*": fields}}


async def test_requests_over_the_rate_are_refused_with_a_hint(make_stack: MakeStack) -> None:
    stack = await make_stack(**limits(requests_per_minute=3))
    for _ in range(3):
        await translate(stack, "one")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await translate(stack, "one")
    status = rpc_status.from_call(caught.value)
    assert status is not None
    found: dict[str, Any] = {}
    for message in (error_details_pb2.QuotaFailure(), error_details_pb2.RetryInfo()):
        for detail in status.details:
            if detail.Unpack(message):
                found[message.DESCRIPTOR.name] = message
    assert found["QuotaFailure"].violations[0].subject == "requests_per_minute"
    assert 0 < found["RetryInfo"].retry_delay.ToTimedelta().total_seconds() <= 60
    await translate(stack, "another")
    models = stack.models.ListModels(model_pb2.ListModelsRequest(), metadata=tenant("one"))
    assert await failure(models) == OVER, "every method counts"


async def test_characters_over_the_rate_are_refused(make_stack: MakeStack) -> None:
    stack = await make_stack(**limits(characters_per_minute=100))
    await translate(stack, "one", "x" * 60)
    assert await failure(translate(stack, "one", "x" * 60)) == OVER
    with pytest.raises(grpc.aio.AioRpcError, match="send less text in one call"):
        await translate(stack, "two", "x" * 101)


async def test_the_hint_for_many_characters_is_long_enough(make_stack: MakeStack) -> None:
    stack = await make_stack(**limits(characters_per_minute=100))
    await translate(stack, "one", "x" * 98)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await translate(stack, "one", "x" * 50)
    pushback = dict(caught.value.trailing_metadata())["grpc-retry-pushback-ms"]
    assert int(pushback) >= 30_000


async def test_calls_that_are_refused_use_up_no_characters(make_stack: MakeStack) -> None:
    stack = await make_stack(**limits(characters_per_minute=100, concurrent_calls=1))
    stack.twin.gate.clear()
    held = translate(stack, "one")
    await wait_until(lambda: stack.twin.running > 0)
    for _ in range(5):
        assert await failure(translate(stack, "one", "x" * 50)) == OVER
    stack.twin.gate.set()
    assert await held
    assert await translate(stack, "one", "x" * 50)


async def test_calls_at_a_time_are_bounded_and_places_come_back(
    make_stack: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.gateway.admission.quotas._LEFT_SECONDS", 3.0)
    stack = await make_stack(
        tenant_limits={
            "*": {"concurrent_calls": 2, "concurrent_streams": 1},
            "large": {"concurrent_calls": 100, "concurrent_streams": 100},
        }
    )
    request = pb.StreamTranslateRequest(
        contents=["Hello there."], source_language_code="en", target_language_code="fr"
    )
    stack.twin.gate.clear()

    async def started(name: str) -> Any:
        running = stack.twin.running
        call = stack.translation.StreamTranslate(request, metadata=tenant(name))
        await wait_until(lambda: stack.twin.running > running)
        return call

    first = await started("one")
    assert await failure(stack.translation.StreamTranslate(request, metadata=tenant("one")).read())
    second = translate(stack, "one")
    await wait_until(lambda: stack.twin.running == 2)
    assert await failure(translate(stack, "one")) == OVER
    for _ in range(5):
        await started("large")
    first.cancel()
    await wait_until(lambda: stack.twin.cancelled == 1)
    again = stack.translation.StreamTranslate(request, metadata=tenant("one"))
    assert await failure(again.read()) == OVER, "who leaves keeps the place for a moment"
    running, tries = stack.twin.running, []

    async def is_free() -> bool:
        tries.append(stack.translation.StreamTranslate(request, metadata=tenant("one")))
        await asyncio.sleep(0.02)
        return stack.twin.running > running

    await wait_until(is_free)
    stack.twin.gate.set()
    assert await second


@pytest.fixture
def shared(redis_server: RedisServer) -> dict[str, Any]:
    with redis_server.client() as client:
        client.flushall()
    return {"redis_url": redis_server.url, "limits_store": "redis", "redis_timeout": 1.0}


async def test_gateways_share_a_rate_through_redis(
    make_stack: MakeStack, shared: dict[str, Any]
) -> None:
    stacks = [await make_stack(**limits(requests_per_minute=4), **shared) for _ in range(2)]
    for stack in stacks * 2:
        await translate(stack, "one")
    for stack in stacks:
        assert await failure(translate(stack, "one")) == OVER


async def test_a_gateway_counts_for_itself_while_redis_is_away(make_stack: MakeStack) -> None:
    stack = await make_stack(
        **limits(requests_per_minute=2),
        redis_url="redis://127.0.0.1:1/0",
        limits_store="redis",
        redis_timeout=1.0,
    )
    await translate(stack, "one")
    await translate(stack, "one")
    assert await failure(translate(stack, "one")) == OVER


async def test_a_url_of_redis_that_is_none_is_told_without_its_password() -> None:
    settings = read_settings(
        GatewaySettings, limits_store="redis", redis_url="redis://user:topsecret@host:notaport/0"
    )
    with pytest.raises(InvalidSettingsError, match="SEQWAY_REDIS_URL names no host") as caught:
        Gateway(settings)
    assert "topsecret" not in str(caught.value)


async def test_queued_lines_are_bounded_over_all_jobs_of_a_tenant(
    make_stack: MakeStack, tmp_path: Any, redis_server: RedisServer
) -> None:
    stack = await make_stack(
        **limits(queued_lines=10),
        job_store=f"file://{tmp_path}/store",
        redis_url=redis_server.url,
        chunk_items=2,
    )

    def create(name: str, count: int, request_id: str = "") -> Any:
        async def upload() -> AsyncIterator[job_pb2.CreateJobRequest]:
            task = pb.TranslateRequest(source_language_code="en", target_language_code="fr")
            form = job_pb2.JobInput(format="JOB_INPUT_FORMAT_TEXT")
            spec = job_pb2.JobSpec(translate=task, input=form, request_id=request_id)
            yield job_pb2.CreateJobRequest(spec=spec)
            yield job_pb2.CreateJobRequest(data=b"Hello.\n" * count)

        return stack.jobs.CreateJob(upload(), metadata=tenant(name))

    await create("one", 7)
    assert await failure(create("one", 4)) == OVER
    await create("one", 3)
    assert await failure(create("one", 1)) == OVER
    await create("two", 10)
    again = [await create("four", 10, "once") for _ in range(2)]
    assert again[0].job.id == again[1].job.id, "a call that comes again makes no other job"
    with pytest.raises(grpc.aio.AioRpcError, match="send fewer lines"):
        await create("three", 11)
    listed = await stack.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=tenant("three"))
    assert not listed.jobs, "nothing is left of a refused job"
