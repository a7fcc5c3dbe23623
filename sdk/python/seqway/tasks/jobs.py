"""Batch jobs: the messages of `seqway.v1.JobService`."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, TypedDict, cast

from google.protobuf.json_format import MessageToDict
from google.protobuf.timestamp_pb2 import Timestamp

from seqway import results
from seqway.errors import FieldViolation, InvalidRequestError
from seqway.tasks.arguments import GenerationArguments
from seqway.tasks.classification import ClassifyArguments, classify_request
from seqway.tasks.generation import finish_reason, token_counts
from seqway.tasks.job_input import (
    JobCompression,
    JobFormat,
    JobLines,
    input_message,
    pieces,
)
from seqway.tasks.question_answering import AskArguments, ask_request
from seqway.tasks.summarization import SummarizeArguments, summarize_request
from seqway.tasks.translation import TranslateArguments, translate_request
from seqway.transport.method import Method, check_names
from seqway.v1 import job_pb2 as pb
from seqway.v1.summarization_pb2 import SummarizeRequest
from seqway.v1.translation_pb2 import TranslateRequest

Which = Literal["all", "succeeded", "errors"]

# The most that servers allow; they end calls without a deadline after ten minutes.
LONGEST_UPLOAD = 86_400.0


class JobArguments(TypedDict, total=False):
    """What every new job may take.

    Attributes:
        request_id: Calls with the same one make one job; by default one of its own.
        labels: Names and values that help to find the job.
        priority: Which of the caller's jobs goes first; "normal" by default.
        deadline: When the lines that are not done expire: a time, or how long from now.
        retention: How long the job is kept after its end; by default as the server says.
        format: Of the lines; by default by the file's name; JSON Lines where it has no suffix.
        compression: Of the lines; by default by their first bytes.
        text_field: The member or column of the text; "text" by default.
        custom_id_field: That of the line's id; "custom_id" by default, and it may be missing.
        question_field: That of the question; "question" by default.

    """

    request_id: str
    labels: Mapping[str, str]
    priority: Literal["low", "normal", "high"]
    deadline: datetime | timedelta | None
    retention: timedelta | None
    format: JobFormat | None
    compression: JobCompression | None
    text_field: str
    custom_id_field: str
    question_field: str


class TranslateJobArguments(TranslateArguments, JobArguments, total=False):
    """What a job that translates takes; `timeout` bounds the upload, and is a day by default."""


class SummarizeJobArguments(SummarizeArguments, JobArguments, total=False):
    """What a job that summarizes takes; `timeout` bounds the upload, and is a day by default."""


class ClassifyJobArguments(ClassifyArguments, JobArguments, total=False):
    """What a job that classifies takes; `timeout` bounds the upload, and is a day by default."""


class AskJobArguments(GenerationArguments, JobArguments, total=False):
    """What a job that answers takes: the lines hold question and text.

    Attributes:
        top_k: The most answers; 1 by default.
        max_answer_tokens: The most tokens of an extracted answer; 30 by default.

    """

    top_k: int
    max_answer_tokens: int


@dataclass(frozen=True)
class JobOrder:
    """A job to create: its specification, and the lines unless the server reads them."""

    spec: pb.JobSpec
    lines: JobLines
    timeout: float | None

    def requests(self) -> Iterator[bytes]:
        """The messages of the call, serialized."""
        yield pb.CreateJobRequest(spec=self.spec).SerializeToString()
        for piece in pieces(self.lines, self.spec.input.text_field):
            yield pb.CreateJobRequest(data=piece).SerializeToString()


def translate_order(lines: JobLines, arguments: TranslateJobArguments) -> JobOrder:
    """To translate each line."""
    check_names(arguments, TranslateJobArguments)
    task, rest = _split(arguments)
    request = translate_request(TranslateRequest, [], cast(TranslateArguments, task))
    return _order(lines, rest, pb.JobSpec(translate=request))


def summarize_order(lines: JobLines, arguments: SummarizeJobArguments) -> JobOrder:
    """To summarize each line."""
    check_names(arguments, SummarizeJobArguments)
    task, rest = _split(arguments)
    request = summarize_request(SummarizeRequest, [], cast(SummarizeArguments, task))
    return _order(lines, rest, pb.JobSpec(summarize=request))


def classify_order(lines: JobLines, arguments: ClassifyJobArguments) -> JobOrder:
    """To classify each line."""
    check_names(arguments, ClassifyJobArguments)
    task, rest = _split(arguments)
    request = classify_request([], cast(ClassifyArguments, task))
    return _order(lines, rest, pb.JobSpec(classify=request))


def ask_order(lines: JobLines, arguments: AskJobArguments) -> JobOrder:
    """To answer the question of each line."""
    check_names(arguments, AskJobArguments)
    task, rest = _split(arguments)
    request = ask_request("", cast(AskArguments, {**task, "context": ""}))
    return _order(lines, rest, pb.JobSpec(answer_question=request))


def _split(arguments: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the task takes, and what the job takes."""
    of_job = {*JobArguments.__annotations__, "timeout"}
    task = {name: value for name, value in arguments.items() if name not in of_job}
    return task, {name: value for name, value in arguments.items() if name in of_job}


def _order(lines: JobLines, arguments: Mapping[str, Any], spec: pb.JobSpec) -> JobOrder:
    spec.request_id = arguments.get("request_id") or uuid.uuid4().hex
    spec.input.CopyFrom(
        input_message(
            lines,
            format=arguments.get("format"),
            compression=arguments.get("compression"),
            text_field=arguments.get("text_field", ""),
            custom_id_field=arguments.get("custom_id_field", ""),
            question_field=arguments.get("question_field", ""),
        )
    )
    spec.labels.update(arguments.get("labels") or {})
    spec.priority = _priority(arguments.get("priority", "normal"))
    if (deadline := arguments.get("deadline")) is not None:
        spec.deadline.CopyFrom(timestamp(deadline))
    if (retention := arguments.get("retention")) is not None:
        spec.retention.FromTimedelta(retention)
    timeout = arguments.get("timeout")
    return JobOrder(spec, lines, LONGEST_UPLOAD if timeout is None else timeout)


def _priority(name: str) -> "pb.JobPriority.ValueType":
    try:
        return pb.JobPriority.Value(f"JOB_PRIORITY_{name.upper()}")
    except ValueError:
        raise _wrong("priority", f'not "low", "normal" or "high" but {name!r}') from None


def timestamp(when: datetime | timedelta) -> Timestamp:
    """A time, or one that is so far from now; one without a zone is of this machine's."""
    if isinstance(when, timedelta):
        when = datetime.now(UTC) + when
    stamp = Timestamp()
    stamp.FromDatetime(when.astimezone(UTC))
    return stamp


def list_request(
    states: "tuple[results.JobState, ...]", task: str, labels: Mapping[str, str]
) -> pb.ListJobsRequest:
    """The first page."""
    return pb.ListJobsRequest(
        states=[pb.JobState.Value(f"JOB_STATE_{state}") for state in states],
        task=task,
        labels=labels,
    )


def read_request(job_id: str, which: Which, *, wait: bool) -> pb.ReadResultsRequest:
    """The results of a job from the start."""
    filters = {
        "all": pb.JOB_RESULT_FILTER_UNSPECIFIED,
        "succeeded": pb.JOB_RESULT_FILTER_SUCCEEDED,
        "errors": pb.JOB_RESULT_FILTER_ERRORS,
    }
    if which not in filters:
        raise _wrong("which", f'not "all", "succeeded" or "errors" but {which!r}')
    return pb.ReadResultsRequest(id=job_id, filter=filters[which], no_wait=not wait)


def resume_request(job_id: str, deadline: datetime | timedelta | None) -> pb.ResumeJobRequest:
    """To run again what did not succeed."""
    request = pb.ResumeJobRequest(id=job_id)
    if deadline is not None:
        request.deadline.CopyFrom(timestamp(deadline))
    return request


@dataclass(frozen=True)
class JobPage:
    """Some of the jobs; `token` asks for more and is empty on the last page."""

    jobs: tuple[results.Job, ...]
    token: str


def _job(message: pb.Job) -> results.Job:
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


def _lines(response: pb.ReadResultsResponse) -> list[results.LineResult]:
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
        answers=tuple(
            results.Answer(
                text=one.text,
                extracted=one.extracted,
                start=one.start,
                end=one.end,
                score=one.score,
                finish_reason=finish_reason(one.finish_reason),
            )
            for one in message.answers
        ),
        no_answer_score=message.no_answer_score,
        finish_reason=finish_reason(message.finish_reason),
        token_counts=token_counts(message.token_counts),
        warnings=tuple(message.warnings),
        model=message.model,
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


def _page(response: pb.ListJobsResponse) -> JobPage:
    return JobPage(tuple(_job(one) for one in response.jobs), response.next_page_token)


def _wrong(field: str, problem: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{field}: {problem}",
        reason="INVALID_OPTION",
        violations=(FieldViolation(field, problem),),
    )


_SERVICE = "/seqway.v1.JobService/"

CREATE_JOB = Method(
    f"{_SERVICE}CreateJob",
    pb.CreateJobRequest,
    pb.CreateJobResponse,
    lambda response: _job(response.job),
)
GET_JOB = Method(
    f"{_SERVICE}GetJob", pb.GetJobRequest, pb.GetJobResponse, lambda response: _job(response.job)
)
LIST_JOBS = Method(f"{_SERVICE}ListJobs", pb.ListJobsRequest, pb.ListJobsResponse, _page)
WATCH_JOB = Method(
    f"{_SERVICE}WatchJob",
    pb.WatchJobRequest,
    pb.WatchJobResponse,
    lambda response: [_job(response.job)],
)
READ_RESULTS = Method(
    f"{_SERVICE}ReadResults", pb.ReadResultsRequest, pb.ReadResultsResponse, _lines
)
CANCEL_JOB = Method(
    f"{_SERVICE}CancelJob",
    pb.CancelJobRequest,
    pb.CancelJobResponse,
    lambda response: _job(response.job),
)
RESUME_JOB = Method(
    f"{_SERVICE}ResumeJob",
    pb.ResumeJobRequest,
    pb.ResumeJobResponse,
    lambda response: _job(response.job),
)
DELETE_JOB = Method(
    f"{_SERVICE}DeleteJob", pb.DeleteJobRequest, pb.DeleteJobResponse, lambda _response: None
)
