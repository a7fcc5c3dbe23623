"""Calls in flight end when their credentials are no longer good."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from seqway.v1 import job_pb2
from seqway.v1 import translation_pb2 as pb
from test_authentication import (
    AUDIENCE,
    ISSUER,
    bearer,
    jwks,
    keys,
    private_key,
    settings,
    token,
)

__all__ = ["jwks", "keys", "private_key", "settings"]  # fixtures

TEXTS: dict[str, Any] = {
    "contents": ["Hello there."],
    "source_language_code": "en",
    "target_language_code": "fr",
}


async def drained(call: Any) -> None:
    async for _ in call:
        pass


async def upload() -> AsyncIterator[job_pb2.CreateJobRequest]:
    task = pb.TranslateRequest(source_language_code="en", target_language_code="fr")
    yield job_pb2.CreateJobRequest(spec=job_pb2.JobSpec(translate=task))
    await asyncio.sleep(600)


async def in_flight(stack: Stack, key: str, rows: int = 2) -> list[asyncio.Task[Any]]:
    """A call of each kind that waits: for a model, for its caller, for a job."""
    metadata = bearer(key)
    stack.twin.gate.clear()
    translation = stack.translation
    stream = translation.StreamTranslate(pb.StreamTranslateRequest(**TEXTS), metadata=metadata)
    calls = [
        drained(stream),
        translation.Translate(pb.TranslateRequest(**TEXTS), metadata=metadata),
        stack.jobs.CreateJob(upload(), metadata=metadata),
    ]

    async def make() -> AsyncIterator[job_pb2.CreateJobRequest]:
        task = pb.TranslateRequest(source_language_code="en", target_language_code="fr")
        yield job_pb2.CreateJobRequest(spec=job_pb2.JobSpec(translate=task))
        yield job_pb2.CreateJobRequest(data=b'{"text": "a"}\n')

    job = (await stack.jobs.CreateJob(make(), metadata=metadata)).job.id
    watch = stack.jobs.WatchJob(job_pb2.WatchJobRequest(id=job), metadata=metadata)
    read = stack.jobs.ReadResults(job_pb2.ReadResultsRequest(id=job), metadata=metadata)
    calls += [drained(watch), drained(read)]
    tasks = [asyncio.ensure_future(failure(call)) for call in calls]
    await wait_until(lambda: stack.twin.running == rows)
    return tasks


@pytest.fixture
def jobs(tmp_path: Path) -> dict[str, Any]:
    return {
        "job_store": f"file://{tmp_path}/store",
        "redis_url": "redis://127.0.0.1:1/0",
        "credentials_interval": 0.1,
    }


@pytest.mark.parametrize("how", ["revoked", "expired", "narrowed", "moved"])
async def test_a_key_that_ends_ends_its_calls(
    make_stack: MakeStack, settings: dict[str, Any], keys: Any, jobs: dict[str, Any], how: str
) -> None:
    stack = await make_stack(**settings, **jobs)
    stack.twin.gate.clear()
    key, other = keys("create", "--tenant", "acme"), keys("create", "--tenant", "other")
    request = pb.StreamTranslateRequest(**TEXTS)
    stays = stack.translation.StreamTranslate(request, metadata=bearer(other))
    calls = await in_flight(stack, key, rows=3)
    file = settings["api_keys_file"]
    known = json.loads(file.read_text())
    [record] = [each for each in known["keys"] if each["prefix"] == key.split("_")[1]]
    expected = ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    if how == "revoked":
        known["keys"].remove(record)
    elif how == "expired":
        record["expires"] = "2020-01-01T00:00:00Z"
        expected = ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")
    elif how == "narrowed":
        record["scopes"] = ["models"]
        expected = ("PERMISSION_DENIED", "SCOPE_MISSING")
    else:
        record["tenant"] = "another"
    file.write_text(json.dumps(known))
    async with asyncio.timeout(15):
        for ended in await asyncio.gather(*calls):
            assert ended[:2] == expected
    await wait_until(lambda: stack.twin.running == 1)  # what they had at the model has ended too
    stack.twin.gate.set()
    await drained(stays)
    assert await stays.code() is grpc.StatusCode.OK


async def test_a_token_that_expires_ends_its_calls(
    make_stack: MakeStack,
    jwks: Path,
    private_key: Any,
    jobs: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.gateway.authentication.tokens._LEEWAY_SECONDS", 0)
    stack = await make_stack(jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(jwks), **jobs)
    scope = "seqway:translate seqway:jobs.read seqway:jobs.write"
    good = token(private_key, exp=int(time.time()) + 8, scope=scope)
    calls = await in_flight(stack, good)
    async with asyncio.timeout(40):
        for ended in await asyncio.gather(*calls):
            assert ended[:2] == ("UNAUTHENTICATED", "CREDENTIALS_EXPIRED")


async def test_an_issuer_that_is_away_for_a_moment_ends_no_calls(
    make_stack: MakeStack, jwks: Path, private_key: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = await make_stack(
        jwt_issuer=ISSUER, jwt_audience=AUDIENCE, jwt_jwks=str(jwks), credentials_interval=0.05
    )
    good = token(private_key)
    stack.twin.gate.clear()
    request = pb.StreamTranslateRequest(**TEXTS)
    stream = stack.translation.StreamTranslate(request, metadata=bearer(good))
    await wait_until(lambda: stack.twin.running == 1)
    looks = []

    async def away(*_: object) -> None:
        looks.append(1)
        raise OSError("the issuer is away")

    monkeypatch.setattr(stack.gateway._authenticator, "identify", away)
    await wait_until(lambda: len(looks) > 2)
    monkeypatch.undo()
    stack.twin.gate.set()
    await drained(stream)
    assert await stream.code() is grpc.StatusCode.OK
