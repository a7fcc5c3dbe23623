"""The messages of `seqway.v1.JobService`."""

from collections.abc import Callable, Mapping
from math import inf
from typing import Any, TypeVar

from google.protobuf.timestamp_pb2 import Timestamp
from seqway.v1 import (
    classification_pb2,
    generation_pb2,
    question_answering_pb2,
    translation_pb2,
)
from seqway.v1 import job_pb2 as pb

from services.gateway.api import classification, question_answering, summarization, translation
from services.gateway.api.settings import TextSettings
from services.gateway.settings import GatewaySettings
from services.inference.errors import InvalidOptionError, MissingFieldError
from services.inference.tasks.question_answering.question import Question
from services.inference.tasks.summarization.summarizer import SummaryRequest
from services.inference.tasks.translation.translator import TranslationRequest
from services.jobs.intake import Compression, Format, InputForm
from services.jobs.lifecycle.creation import NewJob
from services.jobs.lifecycle.progress import Progress
from services.jobs.settings import JobSettings
from services.jobs.store.records import QueuePriority, Status
from services.jobs.store.results import Line
from services.jobs.tasks import Task, options_of

_Generating = TypeVar("_Generating", TranslationRequest, SummaryRequest, Question)

MAX_REQUEST_ID = 128
MAX_LABELS = 64
MAX_LABEL = 128
MAX_FIELD_NAME = 256
MAX_URI = 4096

# What the API calls as the store does, behind a prefix.
_FORMATS = {pb.JobInputFormat.Value(f"JOB_INPUT_FORMAT_{each.name}"): each for each in Format}
_COMPRESSIONS = {
    pb.JobInputCompression.Value(f"JOB_INPUT_COMPRESSION_{each.name}"): each for each in Compression
}
_PRIORITIES = {pb.JobPriority.Value(f"JOB_PRIORITY_{each.name}"): each for each in QueuePriority}
_PRIORITY_VALUES = {priority: value for value, priority in _PRIORITIES.items()}
_STATUSES = {
    each.value: pb.JobResultStatus.Value(f"JOB_RESULT_STATUS_{each.name}") for each in Status
}
_Choice = TypeVar("_Choice")


def order_of(spec: pb.JobSpec, tenant: str, settings: GatewaySettings) -> NewJob:
    """The order of a specification; raises a BadRequestError that names the field."""
    _check_length("request_id", spec.request_id, MAX_REQUEST_ID)
    priority = _chosen(spec.priority, _PRIORITIES, "priority")
    return NewJob(
        tenant=tenant,
        task=_task(spec, settings.texts),
        retention=_retention(spec, settings.jobs),
        request_id=spec.request_id,
        labels=_labels(spec.labels),
        priority=priority or QueuePriority.NORMAL,
        deadline=deadline_in(spec.deadline) if spec.HasField("deadline") else None,
    )


def form_of(spec: pb.JobSpec) -> InputForm:
    """How to read the input."""
    given = spec.input
    for name in ("text_field", "custom_id_field", "question_field"):
        _check_length(f"input.{name}", getattr(given, name), MAX_FIELD_NAME)
    _check_length("input.uri", given.uri, MAX_URI)
    asks = spec.WhichOneof("task") == "answer_question"
    return InputForm(
        format=_chosen(given.format, _FORMATS, "input.format"),
        compression=_chosen(given.compression, _COMPRESSIONS, "input.compression"),
        text_field=given.text_field or "text",
        custom_id_field=given.custom_id_field or "custom_id",
        question_field=(given.question_field or "question") if asks else None,
        uri=given.uri,
    )


def filter_of(request: pb.ListJobsRequest) -> Callable[[Progress], bool]:
    """Which jobs a list is to have; InvalidOptionError names the field that is wrong."""
    known = set(pb.JobState.values())
    if unknown := [each for each in request.states[:MAX_LABELS] if each not in known]:
        raise InvalidOptionError(f"unknown state {unknown[0]}", field="states")
    if len(request.states) > MAX_LABELS:
        raise InvalidOptionError(
            f"states has {len(request.states):,} entries; the limit is {MAX_LABELS}", field="states"
        )
    states = {pb.JobState.Name(state).removeprefix("JOB_STATE_") for state in request.states}
    if len(request.labels) > MAX_LABELS:
        raise InvalidOptionError(
            f"labels has {len(request.labels):,} entries; the limit is {MAX_LABELS}", field="labels"
        )
    task, labels = request.task, dict(request.labels)

    def keep(progress: Progress) -> bool:
        record = progress.run.record
        return (
            (not states or str(progress.state) in states)
            and (not task or task == record.task.kind)
            and all(record.labels.get(name) == value for name, value in labels.items())
        )

    return keep


def deadline_in(deadline: Timestamp) -> float:
    """Seconds since the epoch; whether that has passed is told by the clock of all processes."""
    return deadline.seconds + deadline.nanos / 1e9


def job_message(progress: Progress) -> pb.Job:
    """A job as it is."""
    run, counts = progress.run, progress.counts
    record, task = run.record, run.record.task
    job = pb.Job(
        id=record.id,
        state=pb.JobState.Value(f"JOB_STATE_{progress.state}"),
        counts=pb.JobCounts(
            total=record.total,
            pending=record.total - counts.done,
            succeeded=counts.succeeded,
            failed=counts.failed,
            cancelled=counts.cancelled,
            expired=counts.expired,
        ),
        task=task.kind,
        model=task.model,
        request_id=record.request_id,
        labels=record.labels,
        priority=_PRIORITY_VALUES[record.priority],
        create_time=_time(record.created),
        cancel_requested=progress.cancel_requested,
        run=run.run.number,
    )
    if run.run.deadline is not None:
        job.deadline.CopyFrom(_time(run.run.deadline))
    if progress.final is not None:
        job.end_time.CopyFrom(_time(progress.final.ended))
        job.delete_time.CopyFrom(_time(progress.final.delete))
        job.output_object, job.error_object = progress.final.output, progress.final.errors
    if isinstance(task, TranslationRequest):
        job.source_language_code, job.target_language_code = task.source, task.target
    job.options.update(options_of(task))
    return job


def result_message(line: Line) -> pb.JobResult:
    """The final record of a line."""
    error = line.get("error")
    return pb.JobResult(
        index=line["index"],
        custom_id=line.get("custom_id", ""),
        status=_STATUSES[line["status"]],
        error=pb.JobError(**error) if error else None,
        text=line.get("text", ""),
        labels=[classification_pb2.LabelScore(**each) for each in line.get("labels", ())],
        answers=[_answer(each) for each in line.get("answers", ())],
        no_answer_score=line.get("no_answer_score", 0.0),
        finish_reason=_finish_reason(line.get("finish_reason")),
        token_counts=generation_pb2.TokenCounts(
            input=line.get("input_tokens", 0), output=line.get("output_tokens", 0)
        ),
        warnings=line.get("warnings", ()),
        model=line.get("model", ""),
        detected_language_code=line.get("detected_language_code", ""),
        quality=line.get("quality"),
        pivot=translation_pb2.Pivot(**line["pivot"]) if "pivot" in line else None,
    )


def _task(spec: pb.JobSpec, settings: TextSettings) -> Task:
    match spec.WhichOneof("task"):
        case "translate":
            translation.check(spec.translate, settings, in_job=True)
            return _plain(translation.request_of(spec.translate, inf))
        case "summarize":
            summarization.check(spec.summarize, settings, in_job=True)
            return _plain(summarization.request_of(spec.summarize, inf))
        case "classify":
            classification.check(spec.classify, settings, in_job=True)
            return classification.request_of(spec.classify, inf)
        case "answer_question":
            question_answering.check(spec.answer_question, settings, in_job=True)
            return _plain(question_answering.request_of(spec.answer_question, inf))
    raise MissingFieldError("spec.task is required: set one of the tasks", field="spec.task")


def _plain(task: _Generating) -> _Generating:
    """Refuses what the results of jobs have no room for."""
    generation = task.generation
    if (generation.num_hypotheses or 1) > 1 or generation.token_log_probs:
        raise _wrong(
            "options",
            "asks for num_hypotheses or token_log_probs, which results of jobs do not have",
        )
    return task


def _chosen(value: int, known: Mapping[Any, _Choice], field: str) -> _Choice | None:
    """What a value of an enumeration stands for; None for the one that is unspecified."""
    if value and value not in known:
        raise _wrong(field, f"is {value}, which is not a known value")
    return known.get(value)


def _check_length(name: str, value: str, most: int) -> None:
    if len(value) > most:
        raise _wrong(name, f"has {len(value):,} characters; the limit is {most:,}")


def _retention(spec: pb.JobSpec, settings: JobSettings) -> float:
    if not spec.HasField("retention"):
        return settings.job_retention
    asked = spec.retention.ToNanoseconds() / 1e9
    if not 0 < asked <= settings.job_max_retention:
        raise _wrong("retention", f"must be above 0 and at most {settings.job_max_retention:g} s")
    return asked


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise _wrong("labels", f"has {len(labels)} entries; the limit is {MAX_LABELS}")
    if any(len(x) > MAX_LABEL for pair in labels.items() for x in pair):
        raise _wrong("labels", f"has a name or value of more than {MAX_LABEL} characters")
    return dict(labels)


def _answer(answer: Mapping[str, Any]) -> question_answering_pb2.Answer:
    finish_reason = _finish_reason(answer.get("finish_reason"))
    return question_answering_pb2.Answer(**{**answer, "finish_reason": finish_reason})


def _finish_reason(name: str | None) -> Any:
    return generation_pb2.FinishReason.Value(f"FINISH_REASON_{name or 'UNSPECIFIED'}")


def _time(seconds: float) -> Timestamp:
    stamp = Timestamp()
    stamp.FromMilliseconds(int(seconds * 1000))
    return stamp


def _wrong(field: str, what: str) -> InvalidOptionError:
    return InvalidOptionError(f"spec.{field} {what}", field=f"spec.{field}")
