"""`seqway.v1.JobService`."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Any, TypeAlias

import grpc
import structlog
from seqway.v1 import job_pb2 as pb
from seqway.v1 import job_pb2_grpc

from services.gateway.authentication.identity import CALLER
from services.gateway.call_trace import note_job
from services.gateway.messages.jobs import (
    deadline_in,
    form_of,
    job_message,
    order_of,
    result_message,
)
from services.gateway.quotas import Quotas
from services.gateway.settings import GatewaySettings
from services.gateway.uploads import Upload
from services.inference.catalogue import Catalogue
from services.inference.errors import (
    InvalidOptionError,
    InvalidPageTokenError,
    MissingFieldError,
    UnavailableError,
)
from services.jobs.archive import Run
from services.jobs.creation import Order, job_id_of
from services.jobs.intake import InputForm, IntakeLimits, open_uri, read_items
from services.jobs.items import Item
from services.jobs.progress import Progress
from services.jobs.reading import Reader
from services.jobs.records import JobRecord, Status
from services.jobs.service import Jobs
from services.jobs.tasks import CATALOGUE_TASKS, Task, TranslationTask

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
logger = structlog.get_logger(__name__)

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_LOOK_SECONDS = 0.5
_RESULTS_IN_MESSAGE = 256
_CHARACTERS_IN_MESSAGE = 1_000_000


class JobServicer(job_pb2_grpc.JobServiceServicer):
    """Validates, converts and calls; all that touches store or Redis runs in threads."""

    def __init__(
        self, jobs: Jobs, catalogue: Catalogue, quotas: Quotas, settings: GatewaySettings
    ) -> None:
        self._jobs = jobs
        self._quotas = quotas
        self._catalogue = catalogue
        self._settings = settings

    async def CreateJob(  # noqa: N802
        self, requests: AsyncIterator[pb.CreateJobRequest], _context: Context
    ) -> pb.CreateJobResponse:
        """Answers when the job is durable."""
        upload = Upload(aiter(requests))
        spec = await upload.first()
        order = order_of(spec, CALLER.get().tenant, self._settings)
        form = form_of(spec)
        self._check_model(order.task)
        if form.uri:
            await upload.refuse_more()
        try:
            record = await asyncio.to_thread(self._create, order, form, upload)
        finally:
            upload.abandon()
        note_job(record.id)
        run = await asyncio.to_thread(self._jobs.start, record)
        return pb.CreateJobResponse(job=job_message(await self._progress(run)))

    async def GetJob(  # noqa: N802
        self, request: pb.GetJobRequest, _context: Context
    ) -> pb.GetJobResponse:
        """One job."""
        return pb.GetJobResponse(job=job_message(await self._get(request.id)))

    async def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, _context: Context
    ) -> pb.ListJobsResponse:
        """A page; its token names the last job of the page before."""
        if request.page_size < 0:
            raise InvalidOptionError("page_size must not be negative", field="page_size")
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        after = _untoken(request.page_token, "page_token")

        def keep(progress: Progress) -> bool:
            state = pb.JobState.Value(f"JOB_STATE_{progress.state}")
            record = progress.run.record
            return (
                (not request.states or state in request.states)
                and (not request.task or request.task == record.task.kind)
                and all(record.labels.get(k) == v for k, v in request.labels.items())
            )

        page, last = await asyncio.to_thread(
            self._jobs.operations.page, CALLER.get().tenant, after, size, keep
        )
        return pb.ListJobsResponse(
            jobs=[job_message(each) for each in page], next_page_token=_token(last) if last else ""
        )

    async def WatchJob(  # type: ignore[override]  # noqa: N802
        self, request: pb.WatchJobRequest, context: Context
    ) -> None:
        """Writes the job when it has changed; the token is a digest of what was written."""
        seen = request.resume_token
        while True:
            progress = await self._get(request.id)
            job = job_message(progress)
            data = job.SerializeToString(deterministic=True)
            token = blake2b(data, digest_size=12).hexdigest()
            if token != seen:
                seen = token
                await context.write(pb.WatchJobResponse(job=job, resume_token=token))
            if progress.ended:
                return
            await asyncio.sleep(_LOOK_SECONDS)

    async def ReadResults(  # type: ignore[override]  # noqa: N802
        self, request: pb.ReadResultsRequest, context: Context
    ) -> None:
        """Writes what is there in order, and waits for the rest."""
        if request.filter not in pb.JobResultFilter.values():
            raise InvalidOptionError(f"there is no filter {request.filter}", field="filter")
        run = (await self._get(request.id)).run
        start = _index_of(request.resume_token)
        reader = Reader(self._jobs.archive, run, start)
        while not reader.at_end:
            lines = await asyncio.to_thread(reader.read)
            if lines is not None:
                results = [result_message(line) for line in lines if _passes(line, request.filter)]
                for part in _parts(results):
                    token = _token(str(part[-1].index + 1))
                    await context.write(pb.ReadResultsResponse(results=part, resume_token=token))
                continue
            if request.no_wait:
                return
            await self._get(request.id)  # it may have been deleted
            await asyncio.sleep(_LOOK_SECONDS)

    async def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, _context: Context
    ) -> pb.CancelJobResponse:
        """The job, which may take a moment to end."""
        job = _required(request.id)
        progress = await asyncio.to_thread(self._jobs.cancel, CALLER.get().tenant, job)
        return pb.CancelJobResponse(job=job_message(progress))

    async def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, _context: Context
    ) -> pb.ResumeJobResponse:
        """The job in its new run."""
        deadline = deadline_in(request.deadline) if request.HasField("deadline") else None
        job = _required(request.id)
        await asyncio.to_thread(self._check_queue, await self._get(job))
        run = await asyncio.to_thread(self._jobs.resume, CALLER.get().tenant, job, deadline)
        return pb.ResumeJobResponse(job=job_message(await self._progress(run)))

    async def DeleteJob(  # noqa: N802
        self, request: pb.DeleteJobRequest, _context: Context
    ) -> pb.DeleteJobResponse:
        """Nothing of the job is left."""
        job = _required(request.id)
        await asyncio.to_thread(self._jobs.operations.delete, CALLER.get().tenant, job)
        return pb.DeleteJobResponse()

    def _check_queue(self, progress: Progress) -> None:
        """A job that is resumed waits again with all that has not succeeded."""
        tenant, counts = progress.run.record.tenant, progress.counts
        self._quotas.check_queue(
            tenant,
            progress.run.record.total - counts.succeeded,
            lambda: self._jobs.operations.queued_lines(tenant),
        )

    def _create(self, order: Order, form: InputForm, upload: Upload) -> JobRecord:
        settings = self._settings
        limits = IntakeLimits(
            max_items=settings.job_max_items,
            max_text_characters=settings.max_text_characters,
            max_line_bytes=settings.job_max_line_bytes,
            max_input_bytes=settings.job_max_input_bytes,
            max_parquet_memory=settings.job_parquet_memory,
        )
        if not form.uri:
            with closing(read_items(upload.chunks(), form, limits)) as items:
                return self._create_of(order, items)
        with (
            open_uri(form.uri, settings.job_input_uris) as chunks,
            closing(read_items(chunks, form, limits)) as items,
        ):
            return self._create_of(order, items)

    def _create_of(self, order: Order, items: Iterable[Item]) -> JobRecord:
        tenant = order.tenant
        within = self._quotas.within_queue(
            tenant,
            items,
            # A call that comes again, with the id of a request, makes no other job.
            lambda: self._jobs.operations.queued_lines(tenant, but=job_id_of(order)),
        )
        return self._jobs.creator.create(order, within)

    def _check_model(self, task: Task) -> None:
        """Refuses what no model here can ever do; a model that is away now may come back."""
        try:
            if isinstance(task, TranslationTask):
                self._catalogue.pick_translator(task.source, task.target, task.model)
            elif task.kind == "classification":
                self._catalogue.pick_only(CATALOGUE_TASKS[task.kind], task.model)
            else:
                self._catalogue.pick(CATALOGUE_TASKS[task.kind], task.model)
        except UnavailableError as error:
            logger.info("a job is taken whose model is away", error=str(error))

    async def _get(self, job: str) -> Progress:
        return await asyncio.to_thread(
            self._jobs.operations.get, CALLER.get().tenant, _required(job)
        )

    async def _progress(self, run: Run) -> Progress:
        return await asyncio.to_thread(self._jobs.counter.progress, run)


def _required(job: str) -> str:
    if not job:
        raise MissingFieldError("id is required", field="id")
    # An id is part of keys in the store.
    job = job if job.isalnum() and job.isascii() else "0"
    note_job(job)
    return job


def _passes(line: dict[str, Any], wanted: int) -> bool:
    if wanted == pb.JOB_RESULT_FILTER_UNSPECIFIED:
        return True
    succeeded = bool(line["status"] == Status.SUCCEEDED.value)
    return succeeded == (wanted == pb.JOB_RESULT_FILTER_SUCCEEDED)


def _parts(results: list[pb.JobResult]) -> Iterator[list[pb.JobResult]]:
    """Messages that are not too large."""
    part: list[pb.JobResult] = []
    size = 0
    for result in results:
        part.append(result)
        size += len(result.text)
        if len(part) == _RESULTS_IN_MESSAGE or size > _CHARACTERS_IN_MESSAGE:
            yield part
            part, size = [], 0
    if part:
        yield part


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


def _untoken(token: str, field: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise InvalidPageTokenError(f"{field} is not valid", field=field) from None


def _index_of(token: str) -> int:
    text = _untoken(token, "resume_token") or "0"
    if not text.isdecimal():
        raise InvalidPageTokenError("resume_token is not valid", field="resume_token")
    return int(text)
