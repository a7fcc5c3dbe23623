"""Batch jobs of the synchronous client: `client.jobs`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Unpack

from seqway.aio.calls import Calls
from seqway.aio.job_streams import JobStream
from seqway.results import Job, JobState, LineResult
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

PATIENCE = 60.0


class Jobs:
    """Creates, watches and reads batch jobs.

    The lines of a new job are a `Path`, a URI that the server reads (a `str`), an open binary file,
    or an iterable of texts or of mappings with the members of a line of JSON.  A job takes the
    arguments of the call of its name, and those of `JobArguments`.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def translate(self, lines: JobLines, **arguments: Unpack[TranslateJobArguments]) -> Job:
        """Hands over lines to translate; returns when job and lines are durable."""
        return self._create(translate_order(lines, arguments))

    def summarize(self, lines: JobLines, **arguments: Unpack[SummarizeJobArguments]) -> Job:
        """Hands over lines to summarize; returns when job and lines are durable."""
        return self._create(summarize_order(lines, arguments))

    def classify(self, lines: JobLines, **arguments: Unpack[ClassifyJobArguments]) -> Job:
        """Hands over lines to classify; returns when job and lines are durable."""
        return self._create(classify_order(lines, arguments))

    def ask(self, lines: JobLines, **arguments: Unpack[AskJobArguments]) -> Job:
        """Hands over lines with a question and a text each; returns when all is durable."""
        return self._create(ask_order(lines, arguments))

    def get(self, job_id: str) -> Job:
        """The job as it is; `NotFoundError` when there is none of that id."""
        return self._calls.unary(GET_JOB, pb.GetJobRequest(id=job_id), {})

    def list(
        self,
        *,
        states: Sequence[JobState] = (),
        task: str = "",
        labels: Mapping[str, str] | None = None,
    ) -> Iterator[Job]:
        """The caller's jobs, the newest first: in one of the states, and with all the labels."""
        request = list_request(tuple(states), task, labels or {})
        while True:
            page = self._calls.unary(LIST_JOBS, request, {})
            yield from page.jobs
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
    ) -> JobStream[Job]:
        """The job each time that it has changed, until it has ended.

        `patience` is for how many seconds no server may answer; `timeout` is none by default.
        """
        request = pb.WatchJobRequest(id=job_id, resume_token=resume_token)
        return JobStream(self._calls, WATCH_JOB, request, timeout, patience)

    def wait(self, job_id: str, *, timeout: float | None = None) -> Job:
        """The job when it has ended; `DeadlineError` after `timeout` seconds."""
        job = self.get(job_id)
        for latest in self.watch(job_id, timeout=timeout):
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
    ) -> JobStream[LineResult]:
        """The final records in the order of the lines, also while the job runs.

        Waits for those that are not there yet; with `wait=False` it ends at the first of these.
        """
        request = read_request(job_id, which, wait=wait)
        request.resume_token = resume_token
        return JobStream(self._calls, READ_RESULTS, request, timeout, patience)

    def cancel(self, job_id: str) -> Job:
        """Ends the job early: what is done stays; one that has ended stays as it is."""
        return self._calls.unary(CANCEL_JOB, pb.CancelJobRequest(id=job_id), {})

    def resume(self, job_id: str, *, deadline: datetime | timedelta | None = None) -> Job:
        """Runs the lines again that have not succeeded, of a job that has ended."""
        return self._calls.unary(RESUME_JOB, resume_request(job_id, deadline), {})

    def delete(self, job_id: str) -> None:
        """Deletes a job that has ended, with its lines and results."""
        self._calls.unary(DELETE_JOB, pb.DeleteJobRequest(id=job_id), {})

    def _create(self, order: JobOrder) -> Job:
        return self._calls.upload(CREATE_JOB, order.requests(), order.timeout)
