"""Ids and tokens of jobs as callers send them: checked before anything is looked up."""

import base64
import binascii
import re

from services.gateway.calls.trace import note_job
from services.inference.errors import InvalidOptionError, InvalidPageTokenError, MissingFieldError

# Ours have 16 characters; longer ones are none that were cut, or glued together.
MAX_ID = 64
_NOBODYS = "0"
_MAX_TOKEN = 128
_INDEX_KEY = re.compile(r"\d{1,20}-[a-z0-9]{1,64}", re.ASCII)
_INDEX = re.compile(r"\d{1,15}", re.ASCII)


def job_id(text: str) -> str:
    """An id that is safe in a key of the store; one with other characters names no job.

    MissingFieldError, or InvalidOptionError when it is too long.
    """
    if not text:
        raise MissingFieldError("id is required", field="id")
    if len(text) > MAX_ID:
        raise InvalidOptionError(
            f"id has {len(text):,} characters, and the most is {MAX_ID}: send the id that CreateJob"
            " or ListJobs has given",
            field="id",
        )
    job = text if text.isalnum() and text.isascii() else _NOBODYS
    note_job(job)
    return job


def page_after(token: str) -> str:
    """The index key behind which a page begins; InvalidPageTokenError."""
    return _text(token, "page_token", _INDEX_KEY)


def results_from(token: str) -> int:
    """The index of the line at which results begin; InvalidPageTokenError."""
    return int(_text(token, "resume_token", _INDEX) or "0")


def watched(token: str) -> str:
    """What a caller has seen of a job; InvalidPageTokenError."""
    if len(token) > _MAX_TOKEN:
        raise _wrong("resume_token")
    return token


def token_of(text: str) -> str:
    """What callers send back."""
    return base64.urlsafe_b64encode(text.encode()).decode()


def _text(token: str, field: str, form: re.Pattern[str]) -> str:
    if len(token) > _MAX_TOKEN:
        raise _wrong(field)
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise _wrong(field) from None
    if text and not form.fullmatch(text):
        raise _wrong(field)
    return text


def _wrong(field: str) -> InvalidPageTokenError:
    return InvalidPageTokenError(
        f"{field} is not one that this server gave: send it as it came, or none", field=field
    )
