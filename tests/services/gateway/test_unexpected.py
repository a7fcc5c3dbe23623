"""Errors that no code expects: each way out of a call answers, and is counted as a failure."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from gateway_stack import MakeStack, Stack, failure, wait_until
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from prometheus_client import REGISTRY
from seqway.v1 import job_pb2, model_pb2
from seqway.v1 import translation_pb2 as pb

from services.gateway.authentication.authenticator import Authenticator
from services.inference.models.catalogue import Catalogue
from services.inference.tasks.translation.pivot_translator import PivotTranslator
from services.jobs.store import objects as job_store

REQUEST = pb.TranslateRequest(
    contents=["Hello there."], source_language_code="en", target_language_code="fr"
)
NO_REDIS = "redis://127.0.0.1:1/0"


class PanicException(BaseException):
    """As Rust extensions raise it: no Exception."""


def panic(*_: object, **__: object) -> Any:
    raise PanicException("called `Result::unwrap()` on an `Err` value: Too many open files")


async def panic_soon(*_: object, **__: object) -> Any:
    panic()


def counted(method: str, code: str) -> float:
    labels = {"method": f"/seqway.v1.{method}", "code": code}
    return REGISTRY.get_sample_value("seqway_gateway_calls_total", labels) or 0.0


async def request_id_of(call: Any) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    status, info = rpc_status.from_call(caught.value), error_details_pb2.RequestInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return info.request_id


@pytest.mark.parametrize("error", [PanicException, RuntimeError, BaseExceptionGroup])
async def test_a_call_is_answered_and_counted(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    async def fail(*_: object) -> None:
        if error is BaseExceptionGroup:
            raise BaseExceptionGroup("several", [PanicException("one")])
        raise error("no")

    monkeypatch.setattr(PivotTranslator, "translate", fail)
    method = "TranslationService/Translate"
    before, fine = counted(method, "INTERNAL"), counted(method, "OK")
    metadata = [("x-request-id", "mine")]
    assert await request_id_of(stack.translation.Translate(REQUEST, metadata=metadata)) == "mine"
    assert counted(method, "INTERNAL") == before + 1
    assert counted(method, "OK") == fine
    monkeypatch.undo()
    assert await stack.translation.Translate(REQUEST)


async def test_a_stream_is_answered(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PivotTranslator, "stream", panic)
    request = pb.StreamTranslateRequest(
        contents=["Hello."], source_language_code="en", target_language_code="fr"
    )

    async def drained() -> None:
        async for _ in stack.translation.StreamTranslate(request):
            pass

    assert (await failure(drained()))[:2] == ("INTERNAL", "INTERNAL")


async def test_a_caller_who_cannot_be_identified_is_answered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Authenticator, "identify", panic_soon)
    method = "ModelService/ListModels"
    before = counted(method, "INTERNAL")
    call = stack.models.ListModels(model_pb2.ListModelsRequest())
    assert await request_id_of(call)
    assert counted(method, "INTERNAL") == before + 1


async def test_what_fails_in_a_thread_is_answered(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.inference.tasks.translation.translator.segment_words", panic)
    for text in ("Hello.", "Hello there. " * 1000):
        request = pb.TranslateRequest(
            contents=[text], source_language_code="en", target_language_code="fr"
        )
        assert await request_id_of(stack.translation.Translate(request))


async def test_a_store_that_panics_is_away(
    make_stack: MakeStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it does when descriptors run out: another time it may go well."""
    stack = await make_stack(job_store=f"file://{tmp_path}/store", redis_url=NO_REDIS)
    for name in ("put", "get", "list", "head", "get_range", "delete"):
        monkeypatch.setattr(job_store.obstore, name, panic)

    async def upload() -> Any:
        spec = job_pb2.JobSpec(translate=REQUEST)
        spec.translate.ClearField("contents")
        yield job_pb2.CreateJobRequest(spec=spec)
        yield job_pb2.CreateJobRequest(data=b'{"text": "a"}\n')

    async def drained(call: Any) -> None:
        async for _ in call:
            pass

    calls: list[Callable[[], Any]] = [
        lambda: stack.jobs.CreateJob(upload()),
        lambda: stack.jobs.GetJob(job_pb2.GetJobRequest(id="a")),
        lambda: stack.jobs.ListJobs(job_pb2.ListJobsRequest()),
        lambda: stack.jobs.CancelJob(job_pb2.CancelJobRequest(id="a")),
        lambda: stack.jobs.ResumeJob(job_pb2.ResumeJobRequest(id="a")),
        lambda: stack.jobs.DeleteJob(job_pb2.DeleteJobRequest(id="a")),
        lambda: drained(stack.jobs.WatchJob(job_pb2.WatchJobRequest(id="a"))),
        lambda: drained(stack.jobs.ReadResults(job_pb2.ReadResultsRequest(id="a"))),
    ]
    for call in calls:
        assert (await failure(call()))[:2] == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    monkeypatch.undo()
    assert (await stack.jobs.CreateJob(upload())).job.id


async def test_a_look_that_fails_is_not_the_last(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = []

    def fail(*_: object) -> None:
        looks.append(threading.get_ident())
        panic()

    monkeypatch.setattr(Catalogue, "replace", fail)
    await wait_until(lambda: len(looks) > 2)
    monkeypatch.undo()
    await stack.twin.stop()
    await wait_until(stack.does_not_serve)


async def test_a_call_that_is_cancelled_is_no_failure(stack: Stack) -> None:
    method = "TranslationService/Translate"
    before = counted(method, "CANCELLED"), counted(method, "INTERNAL")
    stack.twin.gate.clear()
    call = asyncio.ensure_future(stack.translation.Translate(REQUEST))
    await wait_until(lambda: stack.twin.running > 0)
    call.cancel()
    await wait_until(lambda: counted(method, "CANCELLED") == before[0] + 1)
    assert counted(method, "INTERNAL") == before[1]
