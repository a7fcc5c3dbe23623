"""The messages of `seqway.v1.JobService`."""

from collections.abc import Callable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from seqway.v1 import classification_pb2, generation_pb2, question_answering_pb2
from seqway.v1 import job_pb2 as pb

from services.gateway.api import classification, question_answering, summarization, translation
from services.gateway.api.settings import TextSettings
from services.gateway.settings import GatewaySettings
from services.inference.errors import InvalidOptionError, MissingFieldError
from services.inference.rows.generation import Generation
from services.jobs.intake import Compression, Format, InputForm
from services.jobs.lifecycle.creation import JobSubmission
from services.jobs.lifecycle.progress import Progress
from services.jobs.settings import JobSettings
from services.jobs.store.records import QueuePriority, Status
from services.jobs.store.results import Line
from services.jobs.tasks import (
    AnsweringTask,
    ClassificationTask,
    SummarizationTask,
    Task,
    TranslationTask,
    options_of,
)

MAX_REQUEST_ID = 128
MAX_LABELS = 64
MAX_LABEL = 128
MAX_FIELD_NAME = 256
MAX_URI = 4096

_FORMATS: Mapping[int, Format | None] = {
    pb.JOB_INPUT_FORMAT_UNSPECIFIED: None,
    pb.JOB_INPUT_FORMAT_JSON_LINES: Format.JSON_LINES,
    pb.JOB_INPUT_FORMAT_CSV: Format.CSV,
    pb.JOB_INPUT_FORMAT_TSV: Format.TSV,
    pb.JOB_INPUT_FORMAT_TEXT: Format.TEXT,
    pb.JOB_INPUT_FORMAT_PARQUET: Format.PARQUET,
}
_COMPRESSIONS: Mapping[int, Compression | None] = {
    pb.JOB_INPUT_COMPRESSION_UNSPECIFIED: None,
    pb.JOB_INPUT_COMPRESSION_NONE: Compression.NONE,
    pb.JOB_INPUT_COMPRESSION_GZIP: Compression.GZIP,
    pb.JOB_INPUT_COMPRESSION_ZSTD: Compression.ZSTD,
}
_PRIORITIES: Mapping[int, QueuePriority] = {
    pb.JOB_PRIORITY_UNSPECIFIED: QueuePriority.NORMAL,
    pb.JOB_PRIORITY_LOW: QueuePriority.LOW,
    pb.JOB_PRIORITY_NORMAL: QueuePriority.NORMAL,
    pb.JOB_PRIORITY_HIGH: QueuePriority.HIGH,
}
_PRIORITY_NAMES = {
    QueuePriority.LOW: pb.JOB_PRIORITY_LOW,
    QueuePriority.NORMAL: pb.JOB_PRIORITY_NORMAL,
    QueuePriority.HIGH: pb.JOB_PRIORITY_HIGH,
}
_STATUSES = {
    Status.SUCCEEDED.value: pb.JOB_RESULT_STATUS_SUCCEEDED,
    Status.FAILED.value: pb.JOB_RESULT_STATUS_FAILED,
    Status.CANCELLED.value: pb.JOB_RESULT_STATUS_CANCELLED,
    Status.EXPIRED.value: pb.JOB_RESULT_STATUS_EXPIRED,
}


def order_of(spec: pb.JobSpec, tenant: str, settings: GatewaySettings) -> JobSubmission:
    """The order of a specification; raises an InvalidRequestError that names the field."""
    _check_length("request_id", spec.request_id, MAX_REQUEST_ID)
    if spec.priority not in _PRIORITIES:
        raise _wrong("priority", f"is {spec.priority}, and there is no such priority")
    return JobSubmission(
        tenant=tenant,
        task=_task(spec, settings.texts),
        retention=_retention(spec, settings.jobs),
        request_id=spec.request_id,
        labels=_labels(spec.labels),
        priority=_PRIORITIES[spec.priority],
        deadline=deadline_in(spec.deadline) if spec.HasField("deadline") else None,
    )


def form_of(spec: pb.JobSpec) -> InputForm:
    """How to read the input."""
    given = spec.input
    for name in ("text_field", "custom_id_field", "question_field"):
        _check_length(f"input.{name}", getattr(given, name), MAX_FIELD_NAME)
    _check_length("input.uri", given.uri, MAX_URI)
    if given.format not in _FORMATS:
        raise _wrong("input.format", f"is {given.format}, and there is no such format")
    if given.compression not in _COMPRESSIONS:
        raise _wrong("input.compression", f"is {given.compression}, which there is not")
    asks = spec.WhichOneof("task") == "answer_question"
    return InputForm(
        format=_FORMATS[given.format],
        compression=_COMPRESSIONS[given.compression],
        text_field=given.text_field or "text",
        custom_id_field=given.custom_id_field or "custom_id",
        question_field=(given.question_field or "question") if asks else None,
        uri=given.uri,
    )


def filter_of(request: pb.ListJobsRequest) -> Callable[[Progress], bool]:
    """Which jobs a list is to have; InvalidOptionError names the field that is wrong."""
    known = set(pb.JobState.values())
    if unknown := [each for each in request.states[:MAX_LABELS] if each not in known]:
        raise InvalidOptionError(f"there is no state {unknown[0]}", field="states")
    if len(request.states) > MAX_LABELS:
        raise InvalidOptionError(
            f"states has {len(request.states):,} entries; the most is {MAX_LABELS}", field="states"
        )
    states = {pb.JobState.Name(state).removeprefix("JOB_STATE_") for state in request.states}
    if len(request.labels) > MAX_LABELS:
        raise InvalidOptionError(
            f"labels has {len(request.labels):,} entries; the most is {MAX_LABELS}", field="labels"
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
        priority=_PRIORITY_NAMES[record.priority],
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
    if isinstance(task, TranslationTask):
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
    )


def _task(spec: pb.JobSpec, settings: TextSettings) -> Task:
    match spec.WhichOneof("task"):
        case "translate":
            translation.check(spec.translate, settings, in_job=True)
            job = translation.request_of(spec.translate, 0.0)
            return TranslationTask(
                source=job.source,
                target=job.target,
                model=job.model,
                generation=_plain(job.generation),
                mime_type=job.mime_type,
                do_not_translate=list(job.do_not_translate),
                glossary=list(job.glossary),
            )
        case "summarize":
            summarization.check(spec.summarize, settings, in_job=True)
            summary = summarization.request_of(spec.summarize, 0.0)
            return SummarizationTask(
                language=summary.language,
                model=summary.model,
                generation=_plain(summary.generation),
                length=summary.length.name,
            )
        case "classify":
            classification.check(spec.classify, settings, in_job=True)
            labels = classification.request_of(spec.classify, 0.0)
            return ClassificationTask(
                labels.model, labels.top_k, labels.threshold, labels.multi_label
            )
        case "answer_question":
            question_answering.check(spec.answer_question, settings, in_job=True)
            question = question_answering.request_of(spec.answer_question, 0.0)
            return AnsweringTask(
                model=question.model,
                top_k=question.top_k,
                max_answer_tokens=question.max_answer_tokens,
                generation=_plain(question.generation),
            )
    raise MissingFieldError("spec.task is required: what is to be done?", field="spec.task")


def _plain(generation: Generation) -> Generation:
    """Refuses what the results of jobs have no room for."""
    if generation.num_hypotheses > 1 or generation.token_log_probs:
        raise _wrong(
            "options", "asks for num_hypotheses or token_log_probs, which results do not carry"
        )
    return generation


def _check_length(name: str, value: str, most: int) -> None:
    if len(value) > most:
        raise _wrong(name, f"has {len(value):,} characters, and the most is {most:,}")


def _retention(spec: pb.JobSpec, settings: JobSettings) -> float:
    if not spec.HasField("retention"):
        return settings.job_retention
    asked = spec.retention.ToNanoseconds() / 1e9
    if not 0 < asked <= settings.job_max_retention:
        raise _wrong("retention", f"must be above 0 and at most {settings.job_max_retention:g} s")
    return asked


def _labels(labels: Mapping[str, str]) -> dict[str, str]:
    if len(labels) > MAX_LABELS:
        raise _wrong("labels", f"has {len(labels)} entries; the most is {MAX_LABELS}")
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
