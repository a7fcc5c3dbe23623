"""What the texts and fields of a request must be, whatever its service.

Every function raises a BadRequestError that names the field.
"""

from collections.abc import Sequence

from services.gateway.api.settings import TextSettings
from services.inference.errors import (
    CallTooLongError,
    InvalidOptionError,
    MissingFieldError,
    TextTooLongError,
    TooManyContentsError,
)


def check_contents(contents: Sequence[str], settings: TextSettings, *, in_job: bool) -> None:
    """One text or more, not too many and not too long; none in a job."""
    if in_job:
        return check_absent("contents", contents)
    if not contents:
        raise MissingFieldError("contents needs at least one text", field="contents")
    if len(contents) > settings.max_contents:
        raise TooManyContentsError(
            f"the call has {len(contents)} texts; the limit is {settings.max_contents}",
            field="contents",
        )
    for index, text in enumerate(contents):
        check_text(f"contents[{index}]", text, settings.max_text_characters)
    characters = sum(map(len, contents))
    if characters > settings.max_call_characters:
        raise CallTooLongError(
            f"the call has {characters} characters; the limit is {settings.max_call_characters}",
            field="contents",
        )
    return None


def check_text(field: str, text: str, limit: int) -> None:
    """At most so many characters."""
    if len(text) > limit:
        raise TextTooLongError(
            f"{field} has {len(text)} characters; the limit is {limit}", field=field
        )


def check_required(field: str, value: str) -> None:
    """More than white space."""
    if not value.strip():
        raise MissingFieldError(f"{field} is required", field=field)


def check_absent(field: str, value: str | Sequence[str]) -> None:
    """Empty, as the texts of a job are the lines of its input."""
    if value:
        raise InvalidOptionError(
            f"{field} must be empty in a job: the texts are the lines of its input", field=field
        )


def check_range(field: str, value: int, most: int) -> None:
    """From 0 to `most`."""
    if not 0 <= value <= most:
        raise InvalidOptionError(f"{field} must be from 0 to {most}; it is {value}", field=field)
