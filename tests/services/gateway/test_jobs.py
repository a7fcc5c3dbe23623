"""JobService over a real channel, a real Redis and a real store; a bench does the workers' part."""

import asyncio
import gzip
import io
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gateway_stack import PATIENCE, MakeStack, Stack, failure, wait_until
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from jobs_bench import Bench
from redis_server import RedisServer
from seqway.v1 import job_pb2 as pb
from seqway.v1.generation_pb2 import GenerationOptions, Sampling
from seqway.v1.translation_pb2 import TranslateRequest

Metadata = Sequence[tuple[str, str]]


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """One store is enough here."""
    return f"file://{tmp_path}/store"


@pytest.fixture
async def stack(
    make_stack: MakeStack, redis_server: RedisServer, store_url: str, tmp_path: Path
) -> Stack:
    (tmp_path / "inputs").mkdir()
    return await make_stack(
        job_store=store_url,
        redis_url=redis_server.url,
        job_input_uris=(f"file://{tmp_path}/inputs/",),
        job_max_items=1000,
        job_max_line_bytes=100_000,
        job_max_input_bytes=1_000_000,
        max_text_characters=50_000,
        chunk_items=4,
        # No worker hears the gateway, so that the bench takes over what was sent.
        chunk_lease=0.1,
    )


def spec(**fields: Any) -> pb.JobSpec:
    task = TranslateRequest(source_language_code="en", target_language_code="fr")
    return pb.JobSpec(**{"translate": task, **fields})


def lines(count: int) -> bytes:
    return b"".join(
        json.dumps({"text": f"text {n}", "custom_id": f"id-{n}"}).encode() + b"\n"
        for n in range(count)
    )


def create(
    stack: Stack,
    order: pb.JobSpec,
    data: bytes | Iterable[bytes] = b"",
    metadata: Metadata = (),
) -> Any:
    pieces = [data] if isinstance(data, bytes) else data

    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=order)
        for piece in pieces:
            if piece:
                yield pb.CreateJobRequest(data=piece)

    return stack.jobs.CreateJob(requests(), metadata=metadata)


async def created(stack: Stack, count: int = 10, **fields: Any) -> pb.Job:
    answer = await create(stack, spec(**fields), lines(count))
    return answer.job  # type: ignore[no-any-return]


def run_one(bench: Bench) -> None:
    """Runs one chunk, when what the gateway sent has been given up."""
    deadline = time.monotonic() + PATIENCE
    while not bench.queue.chunks:
        assert time.monotonic() < deadline
        bench.reconciler.reconcile()
        time.sleep(0.02)
    bench.pump(1)


async def results(stack: Stack, **fields: Any) -> list[pb.JobResult]:
    stream = stack.jobs.ReadResults(pb.ReadResultsRequest(**fields))
    return [result async for message in stream for result in message.results]


def objects(store: Path) -> list[str]:
    # Unlike `rglob`, it does not mind folders that vanish meanwhile.
    found = (Path(folder, name) for folder, _, names in os.walk(store) for name in names)
    return [str(path.relative_to(store)) for path in found]


async def test_a_job_from_creation_to_deletion(stack: Stack, bench: Bench) -> None:
    job = await created(stack, labels={"a": "b"}, priority=pb.JOB_PRIORITY_HIGH)
    assert (job.state, job.counts.total, job.counts.pending) == (pb.JOB_STATE_QUEUED, 10, 10)
    assert (job.task, job.source_language_code, job.labels["a"]) == ("translation", "en", "b")
    await asyncio.to_thread(bench.settle, job.id)
    ended = (await stack.jobs.GetJob(pb.GetJobRequest(id=job.id))).job
    assert ended.state == pb.JOB_STATE_SUCCEEDED
    assert (ended.counts.succeeded, ended.counts.pending) == (10, 0)
    assert ended.delete_time.seconds > ended.end_time.seconds
    found = await results(stack, id=job.id)
    assert [(one.index, one.custom_id, one.text) for one in found] == [
        (n, f"id-{n}", f"TEXT {n}") for n in range(10)
    ]
    await stack.jobs.DeleteJob(pb.DeleteJobRequest(id=job.id))
    assert await failure(stack.jobs.GetJob(pb.GetJobRequest(id=job.id))) == (
        "NOT_FOUND",
        "UNKNOWN_JOB",
        "id",
    )


async def test_a_job_tells_with_which_options_it_runs(stack: Stack) -> None:
    options = GenerationOptions(num_beams=4)
    task = TranslateRequest(
        source_language_code="en",
        target_language_code="fr",
        do_not_translate=["Debian"],
        options=options,
    )
    made = (await create(stack, pb.JobSpec(translate=task), lines(1))).job
    assert json_format.MessageToDict(made.options) == {
        "do_not_translate": ["Debian"],
        "generation": {"num_beams": 4},
    }
    seeded = GenerationOptions(sampling=Sampling(seed=2**64 - 1))
    task.options.CopyFrom(seeded)
    made = (await create(stack, pb.JobSpec(translate=task), lines(1))).job
    assert made.options["generation"]["seed"] == str(2**64 - 1)


async def test_a_job_takes_a_media_type_with_parameters(stack: Stack) -> None:
    task = TranslateRequest(
        source_language_code="en",
        target_language_code="fr",
        mime_type="Text/HTML; charset=UTF-8",
    )
    made = (await create(stack, pb.JobSpec(translate=task), lines(1))).job
    assert made.options["mime_type"] == "text/html"
    task.mime_type = "text/html; charset=latin1"
    assert await failure(create(stack, pb.JobSpec(translate=task), lines(1))) == (
        "INVALID_ARGUMENT",
        "UNSUPPORTED_MIME_TYPE",
        "mime_type",
    )


async def test_an_input_in_pieces_that_break_lines_and_characters(
    stack: Stack, bench: Bench
) -> None:
    data = json.dumps({"text": "déjà vu"}, ensure_ascii=False).encode() + b"\n"
    pieces = [data[n : n + 1] for n in range(len(data))]
    job = (await create(stack, spec(), pieces)).job
    await asyncio.to_thread(bench.settle, job.id)
    assert [one.text for one in await results(stack, id=job.id)] == ["DÉJÀ VU"]


async def test_watching_tells_every_change_and_ends(stack: Stack, bench: Bench) -> None:
    job = await created(stack)
    call = stack.jobs.WatchJob(pb.WatchJobRequest(id=job.id))
    first = await anext(aiter(call))
    assert first.job.counts.pending == 10
    await asyncio.to_thread(bench.settle, job.id)
    seen = [message async for message in call]
    assert seen[-1].job.state == pb.JOB_STATE_SUCCEEDED
    for message in (first, *seen):
        counts = message.job.counts
        assert counts.total == counts.pending + counts.succeeded
    again = pb.WatchJobRequest(id=job.id, resume_token=seen[-1].resume_token)
    assert [message async for message in stack.jobs.WatchJob(again)] == []


async def test_results_are_read_while_the_job_runs_and_from_any_token(
    stack: Stack, bench: Bench
) -> None:
    job = await created(stack)
    await asyncio.to_thread(run_one, bench)
    assert len(await results(stack, id=job.id, no_wait=True)) == 4
    call = stack.jobs.ReadResults(pb.ReadResultsRequest(id=job.id))
    first = await anext(aiter(call))
    assert [one.index for one in first.results] == [0, 1, 2, 3]
    await asyncio.to_thread(bench.settle, job.id)
    rest = [one.index async for message in call for one in message.results]
    assert rest == [4, 5, 6, 7, 8, 9]
    behind = await results(stack, id=job.id, resume_token=first.resume_token)
    assert [one.index for one in behind] == rest


async def test_errors_and_successes_are_read_apart(stack: Stack, bench: Bench) -> None:
    bench.inference.breaks = {"text 3"}
    job = await created(stack)
    await asyncio.to_thread(bench.settle, job.id)
    bad = await results(stack, id=job.id, filter=pb.JOB_RESULT_FILTER_ERRORS)
    assert [(one.index, one.status) for one in bad] == [(3, pb.JOB_RESULT_STATUS_FAILED)]
    assert bad[0].error.reason
    good = await results(stack, id=job.id, filter=pb.JOB_RESULT_FILTER_SUCCEEDED)
    assert [one.index for one in good] == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    job = (await stack.jobs.GetJob(pb.GetJobRequest(id=job.id))).job
    assert job.state == pb.JOB_STATE_PARTIALLY_SUCCEEDED
    bench.inference.breaks = set()
    resumed = (await stack.jobs.ResumeJob(pb.ResumeJobRequest(id=job.id))).job
    # A chunk counts as a whole, though only its failed line is inferred again.
    assert (resumed.run, resumed.counts.succeeded, resumed.counts.pending) == (2, 6, 4)
    await asyncio.to_thread(bench.settle, job.id)
    assert len(await results(stack, id=job.id, filter=pb.JOB_RESULT_FILTER_SUCCEEDED)) == 10


async def test_cancelling_ends_a_job_once(stack: Stack, bench: Bench) -> None:
    job = await created(stack)
    await asyncio.to_thread(run_one, bench)
    for _ in range(2):
        answer = await stack.jobs.CancelJob(pb.CancelJobRequest(id=job.id))
        assert answer.job.cancel_requested
    await asyncio.to_thread(bench.settle, job.id)
    ended = (await stack.jobs.GetJob(pb.GetJobRequest(id=job.id))).job
    assert (ended.state, ended.counts.succeeded) == (pb.JOB_STATE_CANCELLED, 4)
    assert ended.counts.cancelled == 6


async def test_many_calls_with_one_request_id_make_one_job(stack: Stack) -> None:
    answers = await asyncio.gather(
        *(create(stack, spec(request_id="once"), lines(10)) for _ in range(50))
    )
    assert len({answer.job.id for answer in answers}) == 1
    listed = await stack.jobs.ListJobs(pb.ListJobsRequest())
    assert len(listed.jobs) == 1
    conflict = await failure(create(stack, spec(request_id="once"), lines(9)))
    assert conflict == ("ALREADY_EXISTS", "REQUEST_ID_CONFLICT", "spec.request_id")
    other = create(stack, spec(request_id="once"), lines(9), [("x-seqway-tenant", "other")])
    assert (await other).job.id != answers[0].job.id


async def test_jobs_are_listed_in_pages_and_by_filter(stack: Stack, bench: Bench) -> None:
    ids = [(await created(stack, 4, labels={"n": str(n % 2)})).id for n in range(5)]
    await asyncio.to_thread(bench.settle, ids[0])
    page = await stack.jobs.ListJobs(pb.ListJobsRequest(page_size=2))
    found = [job.id for job in page.jobs]
    while page.next_page_token:
        request = pb.ListJobsRequest(page_size=2, page_token=page.next_page_token)
        page = await stack.jobs.ListJobs(request)
        found += [job.id for job in page.jobs]
    assert found == ids[::-1]
    odd = await stack.jobs.ListJobs(pb.ListJobsRequest(labels={"n": "1"}))
    assert [job.id for job in odd.jobs] == [ids[3], ids[1]]
    none = await stack.jobs.ListJobs(pb.ListJobsRequest(task="classification"))
    assert not none.jobs
    done = await stack.jobs.ListJobs(pb.ListJobsRequest(states=[pb.JOB_STATE_SUCCEEDED]))
    assert ids[0] in [job.id for job in done.jobs]
    bad = await failure(stack.jobs.ListJobs(pb.ListJobsRequest(page_token="%%")))
    assert bad == ("INVALID_ARGUMENT", "INVALID_PAGE_TOKEN", "page_token")


async def test_tenants_do_not_see_each_other(stack: Stack) -> None:
    job = await created(stack)
    other = [("x-seqway-tenant", "other")]
    for call in (
        stack.jobs.GetJob(pb.GetJobRequest(id=job.id), metadata=other),
        stack.jobs.CancelJob(pb.CancelJobRequest(id=job.id), metadata=other),
        stack.jobs.ResumeJob(pb.ResumeJobRequest(id=job.id), metadata=other),
        stack.jobs.DeleteJob(pb.DeleteJobRequest(id=job.id), metadata=other),
    ):
        assert (await failure(call))[:2] == ("NOT_FOUND", "UNKNOWN_JOB")
    listed = await stack.jobs.ListJobs(pb.ListJobsRequest(), metadata=other)
    assert not listed.jobs


async def test_an_upload_that_breaks_off_leaves_nothing(stack: Stack, tmp_path: Path) -> None:
    async def requests() -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=spec())
        for _ in range(10):
            yield pb.CreateJobRequest(data=lines(5).replace(b"id-", b"x"))
        await asyncio.sleep(60)

    call = stack.jobs.CreateJob(requests())
    store = tmp_path / "store"
    await wait_until(lambda: bool(objects(store)))
    call.cancel()
    await wait_until(lambda: not objects(store))


async def test_cancelled_uploads_never_become_jobs(stack: Stack, tmp_path: Path) -> None:
    """grpc.aio shows the end of a stream before it shows that the call was cancelled."""

    async def requests(number: int) -> AsyncIterator[pb.CreateJobRequest]:
        yield pb.CreateJobRequest(spec=spec())
        for piece in range(5):
            yield pb.CreateJobRequest(data=b'{"text": "%d %d"}\n' % (number, piece))
            await asyncio.sleep(0)
        await asyncio.sleep(60)

    for number in range(300):
        call = stack.jobs.CreateJob(requests(number))
        await asyncio.sleep(number % 20 / 1000)
        call.cancel()
    store = tmp_path / "store"
    await wait_until(lambda: not objects(store))


LINES = [
    (b'{"text": "a"}\n{"text": \n', "line 2", "JSON"),
    (b'{"text": "a"}\n[1]\n', "line 2", "object"),
    (b'{"txt": "a"}\n', "line 1", "text"),
    (b'{"text": "a"}\n{"text": "caf\xe9"}\n', "line 2", "UTF-8"),
    (b'{"text": "a", "custom_id": "1"}\n{"text": "b", "custom_id": "1"}\n', "line 2", "line 1"),
    (b'{"text": "a"}\n{"text": "' + b"x" * 60_000 + b'"}\n', "line 2", "50000"),
    (b'{"text": "a"}\n' + b"x" * 200_000, "input", "100000"),
    (b"", "input", "empty"),
    (b'{"text": "a"}\n' * 1001, "input", "1000"),
    (gzip.compress(b'{"text": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}\n' * 100_000), "input", "1000"),
    (gzip.compress(b"\0" * 50_000_000), "input", "100000"),
    (b'[{"text": "a"},\n{"text": "b"}]\n', "line 1", "a JSON array"),
    (b'[{"text": "a"},\n{"text": "b"}]\n', "line 1", "accepted are JSON Lines (.jsonl) CSV"),
    (b"PK\x03\x04" + bytes(100), "input", "accepted are JSON Lines (.jsonl) CSV"),
    (b'{"text": "a", "text": "b"}\n', "line 1", "'text' twice"),
]


@pytest.mark.parametrize(("data", "field", "said"), LINES)
async def test_a_bad_input_is_refused_with_its_lines_and_leaves_nothing(
    stack: Stack, tmp_path: Path, data: bytes, field: str, said: str
) -> None:
    pieces = [data[n : n + 65536] for n in range(0, len(data), 65536)]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(stack, spec(request_id="bad"), pieces)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = error_details_pb2.BadRequest()
    for detail in rpc_status.from_call(caught.value).details:
        detail.Unpack(bad)
    assert bad.field_violations[0].field == field
    assert said in bad.field_violations[0].description.replace(",", "")
    assert objects(tmp_path / "store") == []
    assert not (await stack.jobs.ListJobs(pb.ListJobsRequest())).jobs


def parquet(rows: int, text: str) -> bytes:
    """One text that is in a dictionary once, and as many rows of it."""
    column = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), [text])
    out = io.BytesIO()
    pq.write_table(pa.table({"text": column}), out, compression="zstd")
    return out.getvalue()


async def test_parquet_is_bounded_by_what_comes_out_of_it(
    stack: Stack, bench: Bench, tmp_path: Path
) -> None:
    form = {"format": pb.JOB_INPUT_FORMAT_PARQUET}
    refused = create(stack, spec(input=form), parquet(1024, "x" * 40_000))
    with pytest.raises(grpc.aio.AioRpcError, match="more than 1000000 bytes") as caught:
        await refused
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert objects(tmp_path / "store") == []
    job = (await create(stack, spec(input=form), parquet(20, "text"))).job
    await asyncio.to_thread(bench.settle, job.id)
    assert [one.text for one in await results(stack, id=job.id)] == ["TEXT"] * 20


async def test_a_parquet_file_that_is_not_read_to_its_end_leaves_no_process(
    stack: Stack, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir(exist_ok=True)
    (tmp_path / "store" / "jobs").write_text("a file where a folder has to be")
    out = io.BytesIO()
    pq.write_table(pa.table({"text": [f"text {n}" for n in range(1000)]}), out)
    call = create(stack, spec(input={"format": pb.JOB_INPUT_FORMAT_PARQUET}), out.getvalue())
    assert (await failure(call))[:2] == ("UNAVAILABLE", "STORE_UNAVAILABLE")
    assert not [program for program in programs() if b"parquet_process" in program]


def programs() -> list[bytes]:
    """What the processes run that this one has started."""
    tasks = Path("/proc/self/task").glob("*/children")
    processes = {process for task in tasks for process in task.read_text().split()}
    return [Path(f"/proc/{process}/cmdline").read_bytes() for process in processes]


async def test_a_name_that_tells_no_format_is_refused(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "inputs" / "notes.md").write_text("# Title\n")
    uri = f"file://{tmp_path}/inputs/notes.md"
    said = await failure(create(stack, spec(input={"uri": uri})))
    assert said == ("INVALID_ARGUMENT", "INVALID_INPUT", "spec.input.format")
    form = {"uri": uri, "format": pb.JOB_INPUT_FORMAT_TEXT}
    assert (await create(stack, spec(input=form))).job.counts.total == 1


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"translate": None}, "spec.task"),
        ({"retention": {"seconds": -1}}, "spec.retention"),
        ({"retention": {"seconds": 10**9}}, "spec.retention"),
        ({"deadline": {"seconds": 1}}, "spec.deadline"),
        ({"labels": {"x" * 129: ""}}, "spec.labels"),
        ({"labels": {str(n): "" for n in range(65)}}, "spec.labels"),
        ({"request_id": "x" * 129}, "spec.request_id"),
        ({"input": {"format": 99}}, "spec.input.format"),
        ({"priority": 99}, "spec.priority"),
    ],
)
async def test_a_bad_specification_names_the_field(
    stack: Stack, fields: dict[str, Any], field: str
) -> None:
    order = pb.JobSpec() if "translate" in fields else spec(**fields)
    code, _, named = await failure(create(stack, order, lines(1)))
    assert (code, named) == ("INVALID_ARGUMENT", field)


async def test_what_the_task_refuses_is_refused_at_once(stack: Stack) -> None:
    task = TranslateRequest(
        source_language_code="en",
        target_language_code="fr",
        options=GenerationOptions(num_beams=99),
    )
    code, _, field = await failure(create(stack, pb.JobSpec(translate=task), lines(1)))
    assert (code, field) == ("INVALID_ARGUMENT", "options.num_beams")
    task = TranslateRequest(source_language_code="en", target_language_code="de")
    code, reason, _ = await failure(create(stack, pb.JobSpec(translate=task), lines(1)))
    assert reason == "UNKNOWN_LANGUAGE_PAIR"


async def test_a_file_of_the_server_is_read_within_its_roots(
    stack: Stack, bench: Bench, tmp_path: Path
) -> None:
    (tmp_path / "inputs" / "lines.txt").write_text("one\ntwo\n")
    (tmp_path / "secret.txt").write_text("secret\n")
    uri = f"file://{tmp_path}/inputs/lines.txt"
    job = (await create(stack, spec(input={"uri": uri}))).job
    await asyncio.to_thread(bench.settle, job.id)
    assert [one.text for one in await results(stack, id=job.id)] == ["ONE", "TWO"]
    for bad in (
        f"file://{tmp_path}/secret.txt",
        f"file://{tmp_path}/inputs/../secret.txt",
        f"file://{tmp_path}/inputs/missing.txt",
        "file:///etc/passwd",
        "s3://bucket/key",
        "http://127.0.0.1/",
    ):
        code, reason, field = await failure(create(stack, spec(input={"uri": bad})))
        assert (code, reason, field) == ("INVALID_ARGUMENT", "UNREADABLE_URI", "spec.input.uri")


async def test_a_job_is_taken_while_redis_is_away(
    make_stack: MakeStack, store_url: str, bench: Bench
) -> None:
    stack = await make_stack(
        job_store=store_url, redis_url="redis://127.0.0.1:9/0", redis_timeout=0.5
    )
    job = await created(stack)
    await asyncio.to_thread(bench.settle, job.id)  # over a Redis that knew nothing of it
    assert len(await results(stack, id=job.id)) == 10


async def test_a_store_that_is_read_only_is_told(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = tmp_path / "store"
    (store / "active").rmdir() if (store / "active").exists() else None
    (store / "active").write_text("a file where a folder has to be")
    code, reason, _ = await failure(create(stack, spec(), lines(1)))
    assert (code, reason) == ("UNAVAILABLE", "STORE_UNAVAILABLE")


async def test_without_a_store_there_is_no_such_service(make_stack: MakeStack) -> None:
    stack = await make_stack()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stack.jobs.GetJob(pb.GetJobRequest(id="x"))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize("job", ["nope", "../../etc", "", "a/b"])
async def test_an_id_of_nothing(stack: Stack, job: str) -> None:
    code, _, field = await failure(stack.jobs.GetJob(pb.GetJobRequest(id=job)))
    assert (code, field) == (("NOT_FOUND" if job else "INVALID_ARGUMENT"), "id")
