"""Ids, tokens and names that are too long or odd are wrong arguments, not a store that fails."""

import asyncio
import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_stack import MakeStack, Stack, failure
from seqway.v1 import job_pb2 as pb
from seqway.v1.translation_pb2 import TranslateRequest

from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.lifecycle.creation import NewJob
from services.jobs.store import layout
from services.jobs.store.items import Item

TASK = TranslateRequest(source_language_code="en", target_language_code="fr")
LONG = "a" * 100_000


@pytest.fixture
async def stack(make_stack: MakeStack, tmp_path: Path) -> Stack:
    return await make_stack(job_store=f"file://{tmp_path}/store", redis_url="redis://127.0.0.1:1/0")


def token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


async def create(stack: Stack, metadata: Any = (), **fields: Any) -> pb.Job:
    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=pb.JobSpec(translate=TASK, **fields))
        yield pb.CreateJobRequest(data=b'{"text": "a line"}\n')

    answer = await stack.jobs.CreateJob(requests(), metadata=metadata)
    return answer.job  # type: ignore[no-any-return]


async def drained(call: Any) -> None:
    async for _ in call:
        pass


def calls_with(stack: Stack, job: str) -> list[Any]:
    return [
        stack.jobs.GetJob(pb.GetJobRequest(id=job)),
        stack.jobs.CancelJob(pb.CancelJobRequest(id=job)),
        stack.jobs.ResumeJob(pb.ResumeJobRequest(id=job)),
        stack.jobs.DeleteJob(pb.DeleteJobRequest(id=job)),
        drained(stack.jobs.WatchJob(pb.WatchJobRequest(id=job))),
        drained(stack.jobs.ReadResults(pb.ReadResultsRequest(id=job))),
    ]


@pytest.mark.parametrize("job", [LONG, "a" * 65, "../" * 30_000, "\0" * 100])
async def test_an_id_that_is_too_long_is_a_wrong_argument(stack: Stack, job: str) -> None:
    for call in calls_with(stack, job):
        assert await failure(call) == ("INVALID_ARGUMENT", "INVALID_OPTION", "id")


@pytest.mark.parametrize("job", ["a" * 64, "\0", "a/b", "..", "é", "٣", "a b", "a\n", "%2e"])
async def test_an_id_of_odd_characters_names_no_job(stack: Stack, job: str) -> None:
    for call in calls_with(stack, job):
        assert await failure(call) == ("NOT_FOUND", "UNKNOWN_JOB", "id")


TOKENS = [
    LONG,
    token(LONG),
    token("../../etc"),
    token("0000000000000-" + "a" * 100),
    token("9" * 5000),
    token("٣"),
    token("-1"),
    token("\0"),
    "%%",
    "a",
]


@pytest.mark.parametrize("wrong", TOKENS, ids=lambda each: each[:12])
async def test_a_token_that_is_none_is_a_wrong_argument(stack: Stack, wrong: str) -> None:
    job = (await create(stack)).id
    listed = stack.jobs.ListJobs(pb.ListJobsRequest(page_token=wrong))
    assert await failure(listed) == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token")
    read = stack.jobs.ReadResults(pb.ReadResultsRequest(id=job, resume_token=wrong))
    assert await failure(drained(read)) == (
        "INVALID_ARGUMENT",
        "INVALID_PAGE_TOKEN",
        "resume_token",
    )


async def test_a_token_of_a_watch_is_short(stack: Stack) -> None:
    job = (await create(stack)).id
    watch = stack.jobs.WatchJob(pb.WatchJobRequest(id=job, resume_token=LONG))
    code, _, field = await failure(drained(watch))
    assert (code, field) == ("INVALID_ARGUMENT", "resume_token")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"request_id": LONG}, "spec.request_id"),
        ({"labels": {LONG: ""}}, "spec.labels"),
        ({"labels": {"a": LONG}}, "spec.labels"),
        ({"input": {"text_field": LONG}}, "spec.input.text_field"),
        ({"input": {"custom_id_field": LONG}}, "spec.input.custom_id_field"),
        ({"input": {"question_field": LONG}}, "spec.input.question_field"),
        ({"input": {"uri": "file:///" + LONG}}, "spec.input.uri"),
    ],
)
async def test_what_is_too_long_in_a_specification_is_named(
    stack: Stack, fields: dict[str, Any], field: str
) -> None:
    code, _, named = await failure(create(stack, **fields))
    assert (code, named) == ("INVALID_ARGUMENT", field)


@pytest.mark.parametrize("odd", ["\0", "../..", "a/b\n", "é" * 128, "٣", " "])
async def test_odd_characters_in_what_callers_name_are_kept(stack: Stack, odd: str) -> None:
    made = await create(stack, request_id=odd, labels={odd: odd})
    again = await create(stack, request_id=odd, labels={odd: odd})
    assert made.id == again.id and made.labels[odd] == odd
    listed = await stack.jobs.ListJobs(pb.ListJobsRequest(labels={odd: odd}))
    assert [job.id for job in listed.jobs] == [made.id]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"states": [99]}, "states"),
        ({"states": [1] * 100_000}, "states"),
        ({"labels": {str(n): "" for n in range(100)}}, "labels"),
        ({"page_size": -1}, "page_size"),
    ],
)
async def test_a_list_asks_for_what_there_may_be(
    stack: Stack, fields: dict[str, Any], field: str
) -> None:
    code, _, named = await failure(stack.jobs.ListJobs(pb.ListJobsRequest(**fields)))
    assert (code, named) == ("INVALID_ARGUMENT", field)


async def test_a_tenant_may_have_a_long_name(make_stack: MakeStack, tmp_path: Path) -> None:
    """Of 128 characters of four bytes each, which are more than a file's name may have."""
    stack = await make_stack(
        job_store=f"file://{tmp_path}/store", redis_url="redis://127.0.0.1:1/0"
    )
    for tenant in ("a", "a" * 128, "\U0001f600" * 128):
        assert len(layout.index_folder(tenant).split("/")[1]) <= 255
    names = ["\U0001f600" * 128, "\U0001f601" * 128]
    jobs = stack.gateway._jobs._jobs  # type: ignore[union-attr]
    task = TranslationRequest(source="en", target="fr")
    for name in names:
        order = NewJob(name, task, 60.0)
        record = await asyncio.to_thread(jobs.creator.create, order, [Item(0, "a")])
        page, _ = await asyncio.to_thread(
            jobs.operations.page, name, "", 10, lambda _progress: True
        )
        assert [each.run.record.id for each in page] == [record.id]
