# Generated from ../aio/job_submission.py by `make client`.

"""New batch jobs, by task."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from seqway.glossary import Glossary
from seqway.options import GenerationOptions, SummaryLength
from seqway.results import Job
from seqway.sync.calls import Calls
from seqway.tasks.classification import classify_request
from seqway.tasks.job_input import JobCompression, JobFormat, JobLines, LineFormat
from seqway.tasks.job_order import JobHandling, PriorityName, job_order
from seqway.tasks.jobs import CREATE_JOB
from seqway.tasks.question_answering import ask_request
from seqway.tasks.summarization import summarize_request
from seqway.tasks.translation import translate_request
from seqway.v1 import job_pb2 as pb
from seqway.v1.summarization_pb2 import SummarizeRequest
from seqway.v1.translation_pb2 import TranslateRequest


class JobSubmission:
    """Creates batch jobs.

    The lines of a new job are a `Path`, a URI that the server reads (a `str`), an open binary file,
    or an iterable of texts or of mappings with the members of a line of JSON.  Each method takes
    the arguments of the client's method of the same name, and returns when the job and its lines
    are durable.  All of them take:

        request_id: Calls with the same id create one job; by default each call has its own.
        labels: Names and values to find the job by.
        priority: Which of the caller's jobs goes first.
        deadline: When the lines that are not done expire: a time, or how long from now.
        retention: How long the job is kept after its end; by default the server decides.
        format: Of the lines; by default by the file's name; JSON Lines where it has no suffix.
        compression: Of the lines; by default by their first bytes.
        text_field: The member or column of the text; "text" by default.
        custom_id_field: That of the line's id; "custom_id" by default, and it may be missing.
        question_field: That of the question; "question" by default.
        timeout: Seconds for the upload; a day by default.

    Raises `InvalidRequestError` for lines or arguments that can't be accepted, `OSError` when a
    file can't be read, and what iterating over the lines raises.
    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def translate(
        self,
        lines: JobLines,
        *,
        source: str,
        target: str,
        mime_type: str = "",
        do_not_translate: Sequence[str] = (),
        glossary: Glossary = (),
        forbid_pivot: bool = False,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        request_id: str = "",
        labels: Mapping[str, str] | None = None,
        priority: PriorityName = "normal",
        deadline: datetime | timedelta | None = None,
        retention: timedelta | None = None,
        format: JobFormat | None = None,
        compression: JobCompression | None = None,
        text_field: str = "",
        custom_id_field: str = "",
        question_field: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Creates a job of lines to translate."""
        request = translate_request(
            TranslateRequest,
            [],
            source=source,
            target=target,
            mime_type=mime_type,
            do_not_translate=do_not_translate,
            glossary=glossary,
            forbid_pivot=forbid_pivot,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._create(
            pb.JobSpec(translate=request),
            lines,
            JobHandling(request_id, labels, priority, deadline, retention),
            LineFormat(format, compression, text_field, custom_id_field, question_field),
            timeout,
        )

    def summarize(
        self,
        lines: JobLines,
        *,
        language: str = "",
        length: SummaryLength | None = None,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        request_id: str = "",
        labels: Mapping[str, str] | None = None,
        priority: PriorityName = "normal",
        deadline: datetime | timedelta | None = None,
        retention: timedelta | None = None,
        format: JobFormat | None = None,
        compression: JobCompression | None = None,
        text_field: str = "",
        custom_id_field: str = "",
        question_field: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Creates a job of lines to summarize."""
        request = summarize_request(
            SummarizeRequest,
            [],
            language=language,
            length=length,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._create(
            pb.JobSpec(summarize=request),
            lines,
            JobHandling(request_id, labels, priority, deadline, retention),
            LineFormat(format, compression, text_field, custom_id_field, question_field),
            timeout,
        )

    def classify(
        self,
        lines: JobLines,
        *,
        top_k: int = 0,
        threshold: float | None = None,
        multi_label: bool | None = None,
        model: str = "",
        request_id: str = "",
        labels: Mapping[str, str] | None = None,
        priority: PriorityName = "normal",
        deadline: datetime | timedelta | None = None,
        retention: timedelta | None = None,
        format: JobFormat | None = None,
        compression: JobCompression | None = None,
        text_field: str = "",
        custom_id_field: str = "",
        question_field: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Creates a job of lines to classify."""
        request = classify_request(
            [], top_k=top_k, threshold=threshold, multi_label=multi_label, model=model
        )
        return self._create(
            pb.JobSpec(classify=request),
            lines,
            JobHandling(request_id, labels, priority, deadline, retention),
            LineFormat(format, compression, text_field, custom_id_field, question_field),
            timeout,
        )

    def ask(
        self,
        lines: JobLines,
        *,
        top_k: int = 0,
        max_answer_tokens: int = 0,
        options: GenerationOptions | None = None,
        max_new_tokens: int | None = None,
        model: str = "",
        request_id: str = "",
        labels: Mapping[str, str] | None = None,
        priority: PriorityName = "normal",
        deadline: datetime | timedelta | None = None,
        retention: timedelta | None = None,
        format: JobFormat | None = None,
        compression: JobCompression | None = None,
        text_field: str = "",
        custom_id_field: str = "",
        question_field: str = "",
        timeout: float | None = None,
    ) -> Job:
        """Creates a job of lines with a question and a text each."""
        request = ask_request(
            "",
            context="",
            top_k=top_k,
            max_answer_tokens=max_answer_tokens,
            options=options,
            max_new_tokens=max_new_tokens,
            model=model,
        )
        return self._create(
            pb.JobSpec(answer_question=request),
            lines,
            JobHandling(request_id, labels, priority, deadline, retention),
            LineFormat(format, compression, text_field, custom_id_field, question_field),
            timeout,
        )

    def _create(
        self,
        task: pb.JobSpec,
        lines: JobLines,
        handling: JobHandling,
        line_format: LineFormat,
        timeout: float | None,
    ) -> Job:
        order = job_order(task, lines, handling, line_format, timeout)
        return self._calls.upload(CREATE_JOB, order.requests(), order.timeout)
