"""What a request must be; every function raises an InvalidRequestError that names the field."""

from collections.abc import Sequence

from seqway.v1 import generation_pb2, translation_pb2

from services.inference.errors import (
    CallTooLongError,
    EmptyTextError,
    InvalidOptionError,
    MissingFieldError,
    TextTooLongError,
    TooManyContentsError,
)
from services.inference.settings import InferenceSettings

TranslationRequest = translation_pb2.TranslateRequest | translation_pb2.StreamTranslateRequest


def check_translation(request: TranslationRequest, settings: InferenceSettings) -> None:
    """Checks all that can be checked without knowing the models."""
    _check_required("source_language_code", request.source_language_code)
    _check_required("target_language_code", request.target_language_code)
    _check_contents(request.contents, settings)
    _check_options(request.options)


def _check_required(field: str, value: str) -> None:
    if not value.strip():
        raise MissingFieldError(f"{field} is required", field=field)


def _check_contents(contents: Sequence[str], settings: InferenceSettings) -> None:
    if not contents:
        raise MissingFieldError("contents needs one text or more", field="contents")
    if len(contents) > settings.max_contents:
        raise TooManyContentsError(
            f"the call has {len(contents)} texts; the most is {settings.max_contents}",
            field="contents",
        )
    for index, text in enumerate(contents):
        _check_text(index, text, settings.max_text_characters)
    characters = sum(map(len, contents))
    if characters > settings.max_call_characters:
        raise CallTooLongError(
            f"the call has {characters} characters; the most is {settings.max_call_characters}",
            field="contents",
        )


def _check_text(index: int, text: str, limit: int) -> None:
    field = f"contents[{index}]"
    if not text:
        raise EmptyTextError(f"{field} is empty", field=field)
    if len(text) > limit:
        raise TextTooLongError(
            f"{field} has {len(text)} characters; the most is {limit}", field=field
        )


def _check_options(options: generation_pb2.GenerationOptions) -> None:
    if options.max_new_tokens < 0:
        raise InvalidOptionError(
            "max_new_tokens must not be negative", field="options.max_new_tokens"
        )
    if options.priority not in generation_pb2.Priority.values():
        raise InvalidOptionError(
            f"there is no priority {options.priority}", field="options.priority"
        )
