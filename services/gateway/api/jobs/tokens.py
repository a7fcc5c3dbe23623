"""Ids and tokens of jobs as callers send them: checked before anything is looked up."""

import re

from services.gateway.api.pages import text_of, wrong_token
from services.gateway.calls.outcome import note_job
from services.inference.errors import InvalidOptionError, MissingFieldError

# Ours have 16 characters; longer ones were not issued here, but cut or joined by mistake.
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
            f"id has {len(text):,} characters; the limit is {MAX_ID}: send the id that CreateJob"
            " or ListJobs returned",
            field="id",
        )
    job = text if text.isalnum() and text.isascii() else _NOBODYS
    note_job(job)
    return job


def page_after(token: str) -> str:
    """The index key behind which a page begins; InvalidPageTokenError."""
    return text_of(token, "page_token", _INDEX_KEY)


def results_from(token: str) -> int:
    """The index of the line at which results begin; InvalidPageTokenError."""
    return int(text_of(token, "resume_token", _INDEX) or "0")


def watched(token: str) -> str:
    """What a caller has seen of a job; InvalidPageTokenError."""
    if len(token) > _MAX_TOKEN:
        raise wrong_token("resume_token")
    return token
