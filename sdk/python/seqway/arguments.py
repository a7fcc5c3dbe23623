"""The keyword arguments of the calls as types, for programs that collect them in a mapping.

>>> arguments: TranslateArguments = {"source": "en", "target": "fr"}
>>> client.translate("A text editor.", **arguments)

The methods say what each means.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Required, TypedDict

from seqway.glossary import Glossary
from seqway.options import GenerationOptions, SummaryLength
from seqway.tasks.job_input import JobCompression, JobFormat


class CallArguments(TypedDict, total=False):
    """What every call takes."""

    timeout: float | None


class ModelArguments(CallArguments, total=False):
    """What every task takes."""

    model: str


class GenerationArguments(ModelArguments, total=False):
    """What every task takes that generates text."""

    options: GenerationOptions | None
    max_new_tokens: int | None


class TranslateArguments(GenerationArguments, total=False):
    """What `translate` takes besides the text."""

    source: Required[str]
    target: Required[str]
    mime_type: str
    do_not_translate: Sequence[str]
    glossary: Glossary
    forbid_pivot: bool


class SummarizeArguments(GenerationArguments, total=False):
    """What `summarize` takes besides the text."""

    language: str
    length: SummaryLength | None


class ClassifyArguments(ModelArguments, total=False):
    """What `classify` takes besides the text."""

    top_k: int
    threshold: float | None
    multi_label: bool | None


class AskArguments(GenerationArguments, total=False):
    """What `ask` takes besides the question."""

    context: Required[str]
    top_k: int
    max_answer_tokens: int


class JobArguments(TypedDict, total=False):
    """What every new job takes besides its lines and the arguments of its task."""

    request_id: str
    labels: Mapping[str, str] | None
    priority: Literal["low", "normal", "high"]
    deadline: datetime | timedelta | None
    retention: timedelta | None
    format: JobFormat | None
    compression: JobCompression | None
    text_field: str
    custom_id_field: str
    question_field: str
