"""A servicer that keeps jobs in memory and does each line at once; a line "bad" fails."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from seqway.v1 import job_pb2 as pb
from seqway.v1.generation_pb2 import FINISH_REASON_EOS, TokenCounts
from seqway.v1.job_pb2_grpc import JobServiceServicer

from tests.sdk.servicers.fake import Fake
from tests.sdk.status import FakeFailure, error_info

VARIANT = "en-fr_int8"
_IN_MESSAGE = 2


@dataclass
class FakeJobs(Fake, JobServiceServicer):
    """`breaks` ends streams so many times in their middle; `steps` says how a job goes on."""

    jobs: dict[str, pb.Job] = field(default_factory=dict)
    lines: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    specs: list[pb.JobSpec] = field(default_factory=list)
    data: bytes = b""
    tenants: list[str] = field(default_factory=list)
    breaks: int = 0
    pause: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def CreateJob(  # noqa: N802
        self, request_iterator: Iterator[pb.CreateJobRequest], context: grpc.ServicerContext
    ) -> pb.CreateJobResponse:
        spec = next(request_iterator).spec
        self.receive(spec, context)
        self.data = b"".join(request.data for request in request_iterator)
        self.specs.append(spec)
        self.tenants += [str(v) for k, v in context.invocation_metadata() if k == "x-seqway-tenant"]
        job = pb.Job(
            id=f"job{len(self.jobs)}",
            state=pb.JOB_STATE_QUEUED,
            task="translation",
            source_language_code="en",
            target_language_code="fr",
            request_id=spec.request_id,
            labels=spec.labels,
            priority=spec.priority,
            create_time=Timestamp(seconds=1_700_000_000),
            run=1,
        )
        job.options.update({"generation": {"num_beams": spec.translate.options.num_beams}})
        rows = [json.loads(line) for line in self.data.splitlines()] if self.data else []
        job.counts.total = job.counts.pending = len(rows)
        with self._lock:
            self.jobs[job.id], self.lines[job.id] = job, rows
        return pb.CreateJobResponse(job=job)

    def GetJob(  # noqa: N802
        self, request: pb.GetJobRequest, context: grpc.ServicerContext
    ) -> pb.GetJobResponse:
        self.receive(request, context)
        return pb.GetJobResponse(job=self._find(request.id, context))

    def ListJobs(  # noqa: N802
        self, request: pb.ListJobsRequest, context: grpc.ServicerContext
    ) -> pb.ListJobsResponse:
        self.receive(request, context)
        ids = list(self.jobs)[::-1]
        start = int(request.page_token or 0)
        page = ids[start : start + 2]
        token = str(start + 2) if start + 2 < len(ids) else ""
        return pb.ListJobsResponse(jobs=[self.jobs[one] for one in page], next_page_token=token)

    def WatchJob(  # noqa: N802
        self, request: pb.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.WatchJobResponse]:
        self.receive(request, context)
        job = self._find(request.id, context)
        while True:
            token = str(job.counts.pending)
            if token != request.resume_token:
                yield pb.WatchJobResponse(job=job, resume_token=token)
            self._break(context)
            if not job.counts.pending:
                return
            time.sleep(self.pause)
            self._step(job)

    def ReadResults(  # noqa: N802
        self, request: pb.ReadResultsRequest, context: grpc.ServicerContext
    ) -> Iterator[pb.ReadResultsResponse]:
        self.receive(request, context)
        job = self._find(request.id, context)
        while not request.no_wait and job.counts.pending:
            self._step(job)
        done = job.counts.total - job.counts.pending
        index = int(request.resume_token or 0)
        while index < done:
            part = [self._result(job.id, n) for n in range(index, min(index + _IN_MESSAGE, done))]
            index += len(part)
            wanted = [one for one in part if self._passes(one, request.filter)]
            if wanted:
                yield pb.ReadResultsResponse(results=wanted, resume_token=str(index))
            self._break(context)

    def CancelJob(  # noqa: N802
        self, request: pb.CancelJobRequest, context: grpc.ServicerContext
    ) -> pb.CancelJobResponse:
        self.receive(request, context)
        job = self._find(request.id, context)
        if job.counts.pending:
            job.cancel_requested = True
            job.counts.cancelled, job.counts.pending = job.counts.pending, 0
            job.state = pb.JOB_STATE_CANCELLED
        return pb.CancelJobResponse(job=job)

    def ResumeJob(  # noqa: N802
        self, request: pb.ResumeJobRequest, context: grpc.ServicerContext
    ) -> pb.ResumeJobResponse:
        self.receive(request, context)
        job = self._find(request.id, context)
        job.run += 1
        job.state = pb.JOB_STATE_RUNNING
        job.counts.pending = job.counts.cancelled + job.counts.failed
        job.counts.cancelled = job.counts.failed = 0
        return pb.ResumeJobResponse(job=job)

    def DeleteJob(  # noqa: N802
        self, request: pb.DeleteJobRequest, context: grpc.ServicerContext
    ) -> pb.DeleteJobResponse:
        self.receive(request, context)
        del self.jobs[self._find(request.id, context).id]
        return pb.DeleteJobResponse()

    def _find(self, job: str, context: grpc.ServicerContext) -> pb.Job:
        if job not in self.jobs:
            FakeFailure(
                grpc.StatusCode.NOT_FOUND, "there is no such job", (error_info("UNKNOWN_JOB"),)
            ).raise_in(context)
        return self.jobs[job]

    def _break(self, context: grpc.ServicerContext) -> None:
        if self.breaks:
            self.breaks -= 1
            context.abort(grpc.StatusCode.UNAVAILABLE, "a server was replaced")

    def _step(self, job: pb.Job) -> None:
        index = job.counts.total - job.counts.pending
        if self.lines[job.id][index]["text"] == "bad":
            job.counts.failed += 1
        else:
            job.counts.succeeded += 1
        job.counts.pending -= 1
        job.state = pb.JOB_STATE_RUNNING
        if not job.counts.pending:
            job.state = (
                pb.JOB_STATE_PARTIALLY_SUCCEEDED if job.counts.failed else pb.JOB_STATE_SUCCEEDED
            )

    def _result(self, job: str, index: int) -> pb.JobResult:
        row = self.lines[job][index]
        if row["text"] == "bad":
            return pb.JobResult(
                index=index,
                custom_id=row.get("custom_id", ""),
                status=pb.JOB_RESULT_STATUS_FAILED,
                error=pb.JobError(reason="TEXT_TOO_LONG", message="the text is too long"),
            )
        return pb.JobResult(
            index=index,
            custom_id=row.get("custom_id", ""),
            status=pb.JOB_RESULT_STATUS_SUCCEEDED,
            text=row["text"].upper(),
            finish_reason=FINISH_REASON_EOS,
            token_counts=TokenCounts(input=3, output=4),
            model=VARIANT,
        )

    @staticmethod
    def _passes(result: pb.JobResult, wanted: int) -> bool:
        succeeded = result.status == pb.JOB_RESULT_STATUS_SUCCEEDED
        return wanted == pb.JOB_RESULT_FILTER_UNSPECIFIED or succeeded == (
            wanted == pb.JOB_RESULT_FILTER_SUCCEEDED
        )
