"""Batch jobs of the client for asyncio: `client.jobs`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from seqway.aio.calls import AsyncCalls
from seqway.aio.job_streams import AsyncJobStream
from seqway.results import Job, JobState, LineResult
from seqway.sync.jobs import PATIENCE
from seqway.tasks.job_input import JobLines
from seqway.tasks.jobs import (
    CANCEL_JOB,
    CREATE_JOB,
    DELETE_JOB,
    GET_JOB,
    LIST_JOBS,
    READ_RESULTS,
    RESUME_JOB,
    WATCH_JOB,
    AskJobArguments,
    ClassifyJobArguments,
    JobOrder,
    SummarizeJobArguments,
    TranslateJobArguments,
    Which,
    ask_order,
    classify_order,
    list_request,
    read_request,
    resume_request,
    summarize_order,
    translate_order,
)
from seqway.v1 import job_pb2 as pb


class AsyncJobs:
    """`Jobs` for asyncio, with the same arguments and results."""

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def translate(self, lines: JobLines, **arguments: Unpack[TranslateJobArguments]) -> Job:
        """See `Jobs.translate`."""
        return await self._create(translate_order(lines, arguments))

    async def summarize(self, lines: JobLines, **arguments: Unpack[SummarizeJobArguments]) -> Job:
        """See `Jobs.summarize`."""
        return await self._create(summarize_order(lines, arguments))

    async def classify(self, lines: JobLines, **arguments: Unpack[ClassifyJobArguments]) -> Job:
        """See `Jobs.classify`."""
        return await self._create(classify_order(lines, arguments))

    async def ask(self, lines: JobLines, **arguments: Unpack[AskJobArguments]) -> Job:
        """See `Jobs.ask`."""
        return await self._create(ask_order(lines, arguments))

    async def get(self, job_id: str) -> Job:
        """See `Jobs.get`."""
        return await self._calls.unary(GET_JOB, pb.GetJobRequest(id=job_id), {})

    async def list(
        self,
        *,
        states: Sequence[JobState] = (),
        task: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Job]:
        """See `Jobs.list`."""
        request = list_request(tuple(states), task, labels or {})
        while True:
            page = await self._calls.unary(LIST_JOBS, request, {})
            for job in page.jobs:
                yield job
            if not page.token:
                return
            request.page_token = page.token

    def watch(
        self,
        job_id: str,
        *,
        resume_token: str = "",
        timeout: float | None = None,
        patience: float = PATIENCE,
    ) -> AsyncJobStream[Job]:
        """See `Jobs.watch`."""
        request = pb.WatchJobRequest(id=job_id, resume_token=resume_token)
        return AsyncJobStream(self._calls, WATCH_JOB, request, timeout, patience)

    async def wait(
        self,
        job_id: str,
        *,
        timeout: float | None = None,  # noqa: ASYNC109 - it goes to the server, too
    ) -> Job:
        """See `Jobs.wait`."""
        job = await self.get(job_id)
        async for latest in self.watch(job_id, timeout=timeout):
            job = latest
        return job

    def results(
        self,
        job_id: str,
        *,
        which: Which = "all",
        wait: bool = True,
        resume_token: str = "",
        timeout: float | None = None,
        patience: float = PATIENCE,
    ) -> AsyncJobStream[LineResult]:
        """See `Jobs.results`."""
        request = read_request(job_id, which, wait=wait)
        request.resume_token = resume_token
        return AsyncJobStream(self._calls, READ_RESULTS, request, timeout, patience)

    async def cancel(self, job_id: str) -> Job:
        """See `Jobs.cancel`."""
        return await self._calls.unary(CANCEL_JOB, pb.CancelJobRequest(id=job_id), {})

    async def resume(self, job_id: str, *, deadline: datetime | timedelta | None = None) -> Job:
        """See `Jobs.resume`."""
        return await self._calls.unary(RESUME_JOB, resume_request(job_id, deadline), {})

    async def delete(self, job_id: str) -> None:
        """See `Jobs.delete`."""
        await self._calls.unary(DELETE_JOB, pb.DeleteJobRequest(id=job_id), {})

    async def _create(self, order: JobOrder) -> Job:
        return await self._calls.upload(CREATE_JOB, order.requests(), order.timeout)
