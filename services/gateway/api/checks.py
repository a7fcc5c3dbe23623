"""What a request must be; every function raises an InvalidRequestError that names the field.

Generation options are checked where they are converted: `services.gateway.api.messages.options`.
"""

import math
from collections.abc import Sequence

from seqway.v1 import (
    classification_pb2,
    question_answering_pb2,
    summarization_pb2,
    translation_pb2,
)

from services.inference.errors import (
    CallTooLongError,
    InvalidOptionError,
    MissingFieldError,
    TextTooLongError,
    TooManyContentsError,
)
from services.inference.settings import InferenceSettings
from services.inference.text.media_types import mime_type_of

# The engine refuses more.
MAX_ANSWERS = 100
MAX_ANSWER_TOKENS = 512


def check_translation(
    request: translation_pb2.TranslateRequest | translation_pb2.StreamTranslateRequest,
    settings: InferenceSettings,
    *,
    in_job: bool = False,
) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    _check_required("source_language_code", request.source_language_code)
    _check_required("target_language_code", request.target_language_code)
    _check_contents(request.contents, settings, in_job=in_job)
    mime_type_of(request.mime_type)
    _check_terms(request, settings)


def check_summarization(
    request: summarization_pb2.SummarizeRequest | summarization_pb2.StreamSummarizeRequest,
    settings: InferenceSettings,
    *,
    in_job: bool = False,
) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    _check_contents(request.contents, settings, in_job=in_job)
    if request.length not in summarization_pb2.SummaryLength.values():
        raise InvalidOptionError(f"there is no length {request.length}", field="length")


def check_classification(
    request: classification_pb2.ClassifyRequest,
    settings: InferenceSettings,
    *,
    in_job: bool = False,
) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    _check_contents(request.contents, settings, in_job=in_job)
    if request.top_k < 0:
        raise InvalidOptionError("top_k must not be negative; 0 means all labels", field="top_k")
    if math.isnan(request.threshold) or not 0 <= request.threshold <= 1:
        raise InvalidOptionError("threshold must be from 0 to 1", field="threshold")


def check_question(
    request: question_answering_pb2.AnswerQuestionRequest,
    settings: InferenceSettings,
    *,
    in_job: bool = False,
) -> None:
    """Checks all that can be checked without knowing the models; in a job there are no texts."""
    for name, text in (("question", request.question), ("context", request.context)):
        if in_job:
            _check_absent(name, text)
            continue
        _check_required(name, text)
        _check_text(name, text, settings.max_text_characters)
    _check_range("top_k", request.top_k, MAX_ANSWERS)
    _check_range("max_answer_tokens", request.max_answer_tokens, MAX_ANSWER_TOKENS)
    for name in ("num_hypotheses", "token_log_probs"):
        if getattr(request.options, name) > 1 or getattr(request.options, name) is True:
            raise InvalidOptionError(
                f"options.{name} has no use here: answers to questions do not carry it",
                field=f"options.{name}",
            )


def _check_terms(
    request: translation_pb2.TranslateRequest | translation_pb2.StreamTranslateRequest,
    settings: InferenceSettings,
) -> None:
    for name, count in (
        ("do_not_translate", len(request.do_not_translate)),
        ("glossary", len(request.glossary)),
    ):
        if count > settings.max_terms:
            raise InvalidOptionError(
                f"{name} has {count} entries; the most is {settings.max_terms}", field=name
            )
    for index, phrase in enumerate(request.do_not_translate):
        _check_term(f"do_not_translate[{index}]", phrase, settings)
    for index, entry in enumerate(request.glossary):
        _check_term(f"glossary[{index}].source_term", entry.source_term, settings)
        _check_term(f"glossary[{index}].target_term", entry.target_term, settings)


def _check_term(field: str, value: str, settings: InferenceSettings) -> None:
    _check_required(field, value)
    _check_text(field, value, settings.max_term_characters)


def _check_required(field: str, value: str) -> None:
    if not value.strip():
        raise MissingFieldError(f"{field} is required", field=field)


def _check_range(field: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise InvalidOptionError(f"{field} must be from 0 to {most}; it is {value}", field=field)


def _check_absent(field: str, value: str | Sequence[str]) -> None:
    if value:
        raise InvalidOptionError(
            f"{field} must be empty in a job: the texts are the lines of its input", field=field
        )


def _check_contents(contents: Sequence[str], settings: InferenceSettings, *, in_job: bool) -> None:
    if in_job:
        return _check_absent("contents", contents)
    if not contents:
        raise MissingFieldError("contents needs one text or more", field="contents")
    if len(contents) > settings.max_contents:
        raise TooManyContentsError(
            f"the call has {len(contents)} texts; the most is {settings.max_contents}",
            field="contents",
        )
    for index, text in enumerate(contents):
        _check_text(f"contents[{index}]", text, settings.max_text_characters)
    characters = sum(map(len, contents))
    if characters > settings.max_call_characters:
        raise CallTooLongError(
            f"the call has {characters} characters; the most is {settings.max_call_characters}",
            field="contents",
        )
    return None


def _check_text(field: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise TextTooLongError(
            f"{field} has {len(text)} characters; the most is {limit}", field=field
        )
