"""`seqway.v1.JobService`."""

from collections.abc import AsyncIterator, Callable
from hashlib import blake2b
from typing import Concatenate, ParamSpec, TypeVar

import structlog
from seqway.v1 import job_pb2 as pb
from seqway.v1 import job_pb2_grpc

from services.foundation.pools import Pool
from services.gateway.admission.quotas import Quotas
from services.gateway.api.jobs.creation import JobCreation
from services.gateway.api.jobs.messages import (
    deadline_in,
    filter_of,
    form_of,
    job_message,
    order_of,
)
from services.gateway.api.jobs.results import result_responses
from services.gateway.api.jobs.stream_limits import JobStreams, Turn
from services.gateway.api.jobs.tokens import job_id, page_after, results_from, watched
from services.gateway.api.jobs.uploads import Upload
from services.gateway.api.jobs.wake_ups import WakeUps
from services.gateway.api.pages import page_size, token_of
from services.gateway.authentication.identity import CALLER
from services.gateway.calls.drain import Draining
from services.gateway.calls.handlers import Context
from services.gateway.calls.outcome import note_job
from services.gateway.settings import GatewaySettings
from services.inference.errors import InvalidOptionError, ServiceUnavailableError
from services.inference.models.catalogue import Catalogue
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.lifecycle.progress import Progress
from services.jobs.lifecycle.result_reader import Reader
from services.jobs.service import JobBackend
from services.jobs.store.archive import JobRun
from services.jobs.tasks import Task

logger = structlog.get_logger(__name__)

_Arguments = ParamSpec("_Arguments")
_Answer = TypeVar("_Answer")

_LOOK_SECONDS = 0.5
_READING_THREADS = 16
_CHANGING_THREADS = 4


class JobServicer(job_pb2_grpc.JobServiceServicer):
    """Validates, converts and calls; access to the store and Redis runs in threads of its own."""

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
        self._creation = JobCreation(jobs, quotas, settings.jobs, settings.texts)
        self._wake_ups = WakeUps(jobs)
        self._streams = JobStreams(settings.job_calls.max_job_streams)
        self._reading = Pool("read", _READING_THREADS)
        self._changing = Pool("change", _CHANGING_THREADS)

    async def CreateJob(  # noqa: N802
        self, requests: AsyncIterator[pb.CreateJobRequest], _context: Context
    ) -> pb.CreateJobResponse:
        """Answers when the job is durable."""
        tenant = CALLER.get().tenant
        with self._streams.place(tenant):
            upload = Upload(self._draining.watched(requests), self._settings.job_calls.upload_idle)
            spec = await upload.first()
            order = order_of(spec, tenant, self._settings)
            form = form_of(spec)
            self._check_model(order.task)
            if form.uri:
                await upload.refuse_more()
            record = await self._creation.create(order, form, upload)
        note_job(record.id)
        run, waits = await self._read(self._jobs.started, record)
        if waits:
            await self._wake_ups.queue(run)
        return pb.CreateJobResponse(job=await self._message(run))

    async def GetJob(  # noqa: N802
        self, request: pb.GetJobRequest, _context: Context
    ) -> pb.GetJobResponse:
        """One job."""
        return pb.GetJobResponse(job=job_message(await self._get(job_id(request.id))))

    async def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, _context: Context
    ) -> pb.ListJobsResponse:
        """A page; its token names the last job of the page before."""
        size, after = page_size(request.page_size), page_after(request.page_token)
        keep = filter_of(request)
        tenant = CALLER.get().tenant
        page, last = await self._read(self._jobs.operations.page, tenant, after, size, keep)
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
        turn = Turn(context, self._settings.calls, self._draining)
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
            raise InvalidOptionError(f"unknown filter {request.filter}", field="filter")
        job, start = job_id(request.id), results_from(request.resume_token)
        turn = Turn(context, self._settings.calls, self._draining)
        with self._streams.place(CALLER.get().tenant):
            reader = Reader(self._jobs.archive, (await self._get(job)).run, start)
            while not reader.at_end:
                lines = await self._read(reader.read)
                if lines is not None:
                    for response in result_responses(lines, request.filter):
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
        job = job_id(request.id)
        progress = await self._change(self._jobs.operations.cancel, job)
        if not progress.ended:
            await self._wake_ups.finish(CALLER.get().tenant, job)
        return pb.CancelJobResponse(job=job_message(progress))

    async def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, _context: Context
    ) -> pb.ResumeJobResponse:
        """The job in its new run."""
        deadline = deadline_in(request.deadline) if request.HasField("deadline") else None
        job = job_id(request.id)
        await self._read(self._check_queue, await self._get(job))
        run = await self._change(self._jobs.operations.resume, job, deadline)
        await self._wake_ups.queue(run)
        return pb.ResumeJobResponse(job=await self._message(run))

    async def DeleteJob(  # noqa: N802
        self, request: pb.DeleteJobRequest, _context: Context
    ) -> pb.DeleteJobResponse:
        """Nothing of the job is left."""
        await self._change(self._jobs.operations.delete, job_id(request.id))
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
        """Refuses what no model here can ever do; an unavailable model may come back."""
        try:
            if isinstance(task, TranslationRequest):
                self._catalogue.check_legs(
                    task.source, task.target, task.model, forbid_pivot=task.forbid_pivot
                )
            elif task.kind == "classification":
                self._catalogue.pick_only(task.kind, task.model)
            else:
                self._catalogue.pick(task.kind, task.model)
        except ServiceUnavailableError as error:
            logger.info("a job is accepted whose model is unavailable", error=str(error))

    async def _get(self, job: str) -> Progress:
        return await self._read(self._jobs.operations.get, CALLER.get().tenant, job)

    async def _message(self, run: JobRun) -> pb.Job:
        return job_message(await self._read(self._jobs.counter.progress, run))

    async def _read(
        self,
        function: Callable[_Arguments, _Answer],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Answer:
        return await self._reading.run(CALLER.get().tenant, function, *arguments, **named)

    async def _change(
        self,
        function: Callable[Concatenate[str, _Arguments], _Answer],
        *arguments: _Arguments.args,
        **named: _Arguments.kwargs,
    ) -> _Answer:
        """Calls an operation on a job of the caller, whose tenant comes first."""
        tenant = CALLER.get().tenant
        return await self._changing.run(tenant, function, tenant, *arguments, **named)
