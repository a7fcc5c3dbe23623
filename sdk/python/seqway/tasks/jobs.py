"""Batch jobs: the methods of `seqway.v1.JobService` and their requests."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from seqway import results
from seqway.tasks.arguments import invalid_field
from seqway.tasks.job_order import timestamp
from seqway.tasks.job_records import job_of, job_page, lines_of
from seqway.transport.method import Method
from seqway.v1 import job_pb2 as pb

Which = Literal["all", "succeeded", "errors"]


def list_request(
    states: Sequence[results.JobState], task: str, labels: Mapping[str, str]
) -> pb.ListJobsRequest:
    """The first page."""
    return pb.ListJobsRequest(
        states=[pb.JobState.Value(f"JOB_STATE_{state}") for state in states],
        task=task,
        labels=labels,
    )


def read_request(job_id: str, which: Which, *, wait: bool) -> pb.ReadResultsRequest:
    """The results of a job, from the first line."""
    filters = {
        "all": pb.JOB_RESULT_FILTER_UNSPECIFIED,
        "succeeded": pb.JOB_RESULT_FILTER_SUCCEEDED,
        "errors": pb.JOB_RESULT_FILTER_ERRORS,
    }
    if which not in filters:
        raise invalid_field("which", f'must be "all", "succeeded" or "errors", not {which!r}')
    return pb.ReadResultsRequest(id=job_id, filter=filters[which], no_wait=not wait)


def resume_request(job_id: str, deadline: datetime | timedelta | None) -> pb.ResumeJobRequest:
    """Runs again the lines that have not succeeded."""
    request = pb.ResumeJobRequest(id=job_id)
    if deadline is not None:
        request.deadline.CopyFrom(timestamp(deadline))
    return request


_SERVICE = "/seqway.v1.JobService/"

CREATE_JOB = Method(
    f"{_SERVICE}CreateJob",
    pb.CreateJobRequest,
    pb.CreateJobResponse,
    lambda response: job_of(response.job),
)
GET_JOB = Method(
    f"{_SERVICE}GetJob", pb.GetJobRequest, pb.GetJobResponse, lambda response: job_of(response.job)
)
LIST_JOBS = Method(f"{_SERVICE}ListJobs", pb.ListJobsRequest, pb.ListJobsResponse, job_page)
WATCH_JOB = Method(
    f"{_SERVICE}WatchJob",
    pb.WatchJobRequest,
    pb.WatchJobResponse,
    lambda response: [job_of(response.job)],
)
READ_RESULTS = Method(
    f"{_SERVICE}ReadResults", pb.ReadResultsRequest, pb.ReadResultsResponse, lines_of
)
CANCEL_JOB = Method(
    f"{_SERVICE}CancelJob",
    pb.CancelJobRequest,
    pb.CancelJobResponse,
    lambda response: job_of(response.job),
)
RESUME_JOB = Method(
    f"{_SERVICE}ResumeJob",
    pb.ResumeJobRequest,
    pb.ResumeJobResponse,
    lambda response: job_of(response.job),
)
DELETE_JOB = Method(
    f"{_SERVICE}DeleteJob", pb.DeleteJobRequest, pb.DeleteJobResponse, lambda _response: None
)
