"""From the messages of `seqway.v1.JobService` to jobs and the records of their lines."""

from dataclasses import dataclass
from datetime import UTC
from typing import Any, Literal

from google.protobuf.json_format import MessageToDict

from seqway import results
from seqway.tasks.generation import finish_reason, token_counts
from seqway.tasks.question_answering import answer_of
from seqway.tasks.translation import pivot_of
from seqway.v1 import job_pb2 as pb


@dataclass(frozen=True)
class JobPage:
    """Some of the jobs; `token` asks for more and is empty on the last page."""

    jobs: tuple[results.Job, ...]
    token: str


def job_page(response: pb.ListJobsResponse) -> JobPage:
    """A page of jobs."""
    return JobPage(tuple(job_of(one) for one in response.jobs), response.next_page_token)


def job_of(message: pb.Job) -> results.Job:
    """A job, as the server describes it."""
    counts = message.counts
    return results.Job(
        id=message.id,
        state=_member(results.JobState, pb.JobState, message.state),
        counts=results.JobCounts(
            total=counts.total,
            pending=counts.pending,
            succeeded=counts.succeeded,
            failed=counts.failed,
            cancelled=counts.cancelled,
            expired=counts.expired,
        ),
        task=message.task,
        model=message.model,
        source_language=message.source_language_code,
        target_language=message.target_language_code,
        request_id=message.request_id,
        labels=dict(message.labels),
        priority=_member(results.JobPriority, pb.JobPriority, message.priority),
        create_time=message.create_time.ToDatetime(UTC),
        deadline=_time(message, "deadline"),
        end_time=_time(message, "end_time"),
        delete_time=_time(message, "delete_time"),
        cancel_requested=message.cancel_requested,
        run=message.run,
        output_object=message.output_object,
        error_object=message.error_object,
        options=MessageToDict(message.options),
    )


def lines_of(response: pb.ReadResultsResponse) -> list[results.LineResult]:
    """Some of a job's final records."""
    return [_line(one) for one in response.results]


def _line(message: pb.JobResult) -> results.LineResult:
    error = message.error
    return results.LineResult(
        index=message.index,
        custom_id=message.custom_id,
        status=_member(results.LineStatus, pb.JobResultStatus, message.status),
        error=results.LineError(error.reason, error.message) if message.HasField("error") else None,
        text=message.text,
        labels=tuple(results.LabelScore(one.label, one.score, one.logit) for one in message.labels),
        answers=tuple(answer_of(one) for one in message.answers),
        no_answer_score=message.no_answer_score,
        finish_reason=finish_reason(message.finish_reason),
        token_counts=token_counts(message.token_counts),
        warnings=tuple(message.warnings),
        model=message.model,
        detected_language=message.detected_language_code,
        quality=message.quality if message.HasField("quality") else None,
        pivot=pivot_of(message.pivot) if message.HasField("pivot") else None,
    )


_PREFIXES: dict[type[Any], str] = {
    results.JobState: "JOB_STATE_",
    results.JobPriority: "JOB_PRIORITY_",
    results.LineStatus: "JOB_RESULT_STATUS_",
}


def _member(kind: Any, names: Any, value: int) -> Any:
    """UNSPECIFIED also for a value that this version doesn't know."""
    if value not in names.values():
        return kind.UNSPECIFIED
    return kind[names.Name(value).removeprefix(_PREFIXES[kind])]


def _time(message: pb.Job, field: Literal["deadline", "end_time", "delete_time"]) -> Any:
    return getattr(message, field).ToDatetime(UTC) if message.HasField(field) else None
