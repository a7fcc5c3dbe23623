"""Batch jobs of the client: `client.jobs`."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta

from seqway.aio.job_streams import AsyncJobStream
from seqway.aio.job_submission import AsyncJobSubmission
from seqway.results import Job, JobState, LineResult
from seqway.tasks.jobs import (
    CANCEL_JOB,
    DELETE_JOB,
    GET_JOB,
    LIST_JOBS,
    READ_RESULTS,
    RESUME_JOB,
    WATCH_JOB,
    Which,
    list_request,
    read_request,
    resume_request,
)
from seqway.v1 import job_pb2 as pb

PATIENCE = 60.0


class AsyncJobs(AsyncJobSubmission):
    """Creates, watches and reads batch jobs.

    `NotFoundError` is raised for the id of a job that does not exist.
    """

    async def get(self, job_id: str) -> Job:
        """The job as it is now."""
        return await self._calls.unary(GET_JOB, pb.GetJobRequest(id=job_id))

    async def list(
        self,
        *,
        states: Sequence[JobState] = (),
        task: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> AsyncIterator[Job]:
        """The caller's jobs, newest first: in one of the states, and with all the labels."""
        request = list_request(states, task, labels or {})
        while True:
            page = await self._calls.unary(LIST_JOBS, request)
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
        """The job each time that it has changed, until it has ended.

        Raises `UnavailableError` when no server has answered for `patience` seconds, and
        `DeadlineError` after `timeout` seconds; None is no limit.
        """
        request = pb.WatchJobRequest(id=job_id, resume_token=resume_token)
        return AsyncJobStream(self._calls, WATCH_JOB, request, timeout, patience)

    async def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """The job when it has ended; `DeadlineError` after `timeout` seconds."""
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
        """The final records in the order of the lines, also while the job runs.

        Waits for records that do not exist yet; with `wait=False` it ends at the first of these.
        `timeout` and `patience` are as in `watch`.
        """
        request = read_request(job_id, which, wait=wait)
        request.resume_token = resume_token
        return AsyncJobStream(self._calls, READ_RESULTS, request, timeout, patience)

    async def cancel(self, job_id: str) -> Job:
        """Ends the job early: finished lines keep their results; no effect on an ended job."""
        return await self._calls.unary(CANCEL_JOB, pb.CancelJobRequest(id=job_id))

    async def resume(self, job_id: str, *, deadline: datetime | timedelta | None = None) -> Job:
        """Runs again the lines of an ended job that have not succeeded."""
        return await self._calls.unary(RESUME_JOB, resume_request(job_id, deadline))

    async def delete(self, job_id: str) -> None:
        """Deletes a job that has ended, with its lines and results."""
        await self._calls.unary(DELETE_JOB, pb.DeleteJobRequest(id=job_id))
