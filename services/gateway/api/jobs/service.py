"""`seqway.v1.JobService`."""

from collections.abc import AsyncIterator, Iterator
from hashlib import blake2b
from typing import Any, TypeAlias

import grpc
import structlog
from seqway.v1 import job_pb2 as pb
from seqway.v1 import job_pb2_grpc

from services.foundation.pools import Pool
from services.gateway.admission.quotas import Quotas
from services.gateway.api.jobs.creation import JobCreation
from services.gateway.api.jobs.streams import JobStreams, Turn
from services.gateway.api.jobs.tokens import job_id, page_after, results_from, token_of, watched
from services.gateway.api.jobs.uploads import Upload
from services.gateway.api.jobs.wake_ups import WakeUps
from services.gateway.api.messages.jobs import (
    deadline_in,
    filter_of,
    form_of,
    job_message,
    order_of,
    result_message,
)
from services.gateway.authentication.identity import CALLER
from services.gateway.calls.drain import Draining
from services.gateway.calls.trace import note_job
from services.gateway.settings import GatewaySettings
from services.inference.errors import InvalidOptionError, ServiceUnavailableError
from services.inference.models.catalogue import Catalogue
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.lifecycle.progress import Progress
from services.jobs.lifecycle.reader import Reader
from services.jobs.service import JobBackend
from services.jobs.store.archive import JobRun
from services.jobs.store.records import Status
from services.jobs.tasks import Task

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
logger = structlog.get_logger(__name__)

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
_LOOK_SECONDS = 0.5
_RESULTS_IN_MESSAGE = 256
_CHARACTERS_IN_MESSAGE = 1_000_000
_READING_THREADS = 16
_CHANGING_THREADS = 4


class JobServicer(job_pb2_grpc.JobServiceServicer):
    """Validates, converts and calls; what touches the store or Redis runs in threads for that."""

    def __init__(
        self,
        jobs: JobBackend,
        catalogue: Catalogue,
        quotas: Quotas,
        settings: GatewaySettings,
        draining: Draining,
    ) -> None:
        self._jobs = jobs
        self._draining = draining
        self._quotas = quotas
        self._catalogue = catalogue
        self._settings = settings
        self._creation = JobCreation(jobs, quotas, settings)
        self._wake_ups = WakeUps(jobs)
        self._streams = JobStreams(settings.max_job_streams)
        self._reading = Pool("read", _READING_THREADS)
        self._changing = Pool("change", _CHANGING_THREADS)

    async def CreateJob(  # noqa: N802
        self, requests: AsyncIterator[pb.CreateJobRequest], _context: Context
    ) -> pb.CreateJobResponse:
        """Answers when the job is durable."""
        tenant = CALLER.get().tenant
        with self._streams.place(tenant):
            upload = Upload(self._draining.watched(requests), self._settings.upload_idle)
            spec = await upload.first()
            order = order_of(spec, tenant, self._settings)
            form = form_of(spec)
            self._check_model(order.task)
            if form.uri:
                await upload.refuse_more()
            record = await self._creation.create(order, form, upload)
        note_job(record.id)
        run, waits = await self._reading.run(tenant, self._jobs.started, record)
        if waits:
            await self._wake_ups.queue(run)
        return pb.CreateJobResponse(job=job_message(await self._progress(run)))

    async def GetJob(  # noqa: N802
        self, request: pb.GetJobRequest, _context: Context
    ) -> pb.GetJobResponse:
        """One job."""
        return pb.GetJobResponse(job=job_message(await self._get(job_id(request.id))))

    async def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, _context: Context
    ) -> pb.ListJobsResponse:
        """A page; its token names the last job of the page before."""
        if request.page_size < 0:
            raise InvalidOptionError("page_size must not be negative", field="page_size")
        size = min(request.page_size or DEFAULT_PAGE, LARGEST_PAGE)
        after, keep = page_after(request.page_token), filter_of(request)
        tenant = CALLER.get().tenant
        page, last = await self._reading.run(
            tenant, self._jobs.operations.page, tenant, after, size, keep
        )
        return pb.ListJobsResponse(
            jobs=[job_message(each) for each in page],
            next_page_token=token_of(last) if last else "",
        )

    async def WatchJob(  # type: ignore[override]  # noqa: N802
        self, request: pb.WatchJobRequest, context: Context
    ) -> None:
        """Writes the job when it has changed; the token is a digest of what was written.

        A stream whose time is over has written the job once at least, which shows the caller that
        the server lives.
        """
        job_id(request.id)
        seen, has_written = watched(request.resume_token), False
        turn = Turn(context, self._settings, self._draining)
        with self._streams.place(CALLER.get().tenant):
            while True:
                progress = await self._get(job_id(request.id))
                job = job_message(progress)
                data = job.SerializeToString(deterministic=True)
                token = blake2b(data, digest_size=12).hexdigest()
                if token != seen or (turn.is_over and not has_written):
                    seen, has_written = token, True
                    await context.write(pb.WatchJobResponse(job=job, resume_token=token))
                if progress.ended:
                    return
                if turn.is_over:
                    raise turn.ended()
                await turn.pause(_LOOK_SECONDS)

    async def ReadResults(  # type: ignore[override]  # noqa: N802
        self, request: pb.ReadResultsRequest, context: Context
    ) -> None:
        """Writes what is there in order, and waits for the rest."""
        if request.filter not in pb.JobResultFilter.values():
            raise InvalidOptionError(f"there is no filter {request.filter}", field="filter")
        job, start = job_id(request.id), results_from(request.resume_token)
        turn = Turn(context, self._settings, self._draining)
        with self._streams.place(CALLER.get().tenant):
            reader = Reader(self._jobs.archive, (await self._get(job)).run, start)
            while not reader.at_end:
                lines = await self._reading.run(CALLER.get().tenant, reader.read)
                if lines is not None:
                    for response in _responses(lines, request.filter):
                        await context.write(response)
                elif request.no_wait:
                    return
                if reader.at_end:
                    return
                if turn.is_over:
                    token = token_of(str(reader.next))
                    await context.write(pb.ReadResultsResponse(resume_token=token))
                    raise turn.ended()
                if lines is None:
                    await self._get(job)  # it may have been deleted
                    await turn.pause(_LOOK_SECONDS)

    async def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, _context: Context
    ) -> pb.CancelJobResponse:
        """The job, which may take a moment to end; what was asked for is durable."""
        job, tenant = job_id(request.id), CALLER.get().tenant
        progress = await self._changing.run(tenant, self._jobs.operations.cancel, tenant, job)
        if not progress.ended:
            await self._wake_ups.finish(tenant, job)
        return pb.CancelJobResponse(job=job_message(progress))

    async def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, _context: Context
    ) -> pb.ResumeJobResponse:
        """The job in its new run."""
        deadline = deadline_in(request.deadline) if request.HasField("deadline") else None
        job, tenant = job_id(request.id), CALLER.get().tenant
        await self._reading.run(tenant, self._check_queue, await self._get(job))
        run = await self._changing.run(tenant, self._jobs.operations.resume, tenant, job, deadline)
        await self._wake_ups.queue(run)
        return pb.ResumeJobResponse(job=job_message(await self._progress(run)))

    async def DeleteJob(  # noqa: N802
        self, request: pb.DeleteJobRequest, _context: Context
    ) -> pb.DeleteJobResponse:
        """Nothing of the job is left."""
        job, tenant = job_id(request.id), CALLER.get().tenant
        await self._changing.run(tenant, self._jobs.operations.delete, tenant, job)
        return pb.DeleteJobResponse()

    async def close(self) -> None:
        """Lets the threads end, after a moment for what is being removed."""
        await self._creation.close()
        self._wake_ups.close()
        self._reading.close()
        self._changing.close()

    def _check_queue(self, progress: Progress) -> None:
        """A job that is resumed waits again with all that has not succeeded."""
        tenant, counts = progress.run.record.tenant, progress.counts
        self._quotas.check_queue(
            tenant,
            progress.run.record.total - counts.succeeded,
            lambda: self._jobs.operations.queued_lines(tenant),
        )

    def _check_model(self, task: Task) -> None:
        """Refuses what no model here can ever do; a model that is away now may come back."""
        try:
            if isinstance(task, TranslationRequest):
                self._catalogue.pick_translator(task.source, task.target, task.model)
            elif task.kind == "classification":
                self._catalogue.pick_only(task.kind, task.model)
            else:
                self._catalogue.pick(task.kind, task.model)
        except ServiceUnavailableError as error:
            logger.info("a job is taken whose model is away", error=str(error))

    async def _get(self, job: str) -> Progress:
        tenant = CALLER.get().tenant
        return await self._reading.run(tenant, self._jobs.operations.get, tenant, job)

    async def _progress(self, run: JobRun) -> Progress:
        return await self._reading.run(run.record.tenant, self._jobs.counter.progress, run)


def _responses(lines: list[dict[str, Any]], wanted: int) -> Iterator[pb.ReadResultsResponse]:
    results = [result_message(line) for line in lines if _passes(line, wanted)]
    for part in _parts(results):
        token = token_of(str(part[-1].index + 1))
        yield pb.ReadResultsResponse(results=part, resume_token=token)


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
