"""Inputs that lie elsewhere: files and buckets, within what the operator allows."""

import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import from_url

from services.jobs.errors import UnreadableUriError

_CHUNK = 2**20


@contextmanager
def open_uri(uri: str, allowed: Sequence[str]) -> Iterator[Iterator[bytes]]:
    """The bytes at a URI, in chunks; UnreadableUriError when it is not allowed or not there.

    `allowed` are prefixes such as "file:///data/in/" or "s3://bucket/folder/".
    """
    if not allowed:
        raise _refusal(
            "cannot be read, because this server reads none: send the input in the call, or ask"
            " the operator to set SEQWAY_JOB_INPUT_URIS"
        )
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise _refusal("is not a URI") from None
    if parts.query or parts.fragment or "\0" in unquote(parts.path):
        raise _refusal("must not contain a query, a fragment or a NUL")
    if parts.scheme == "file":
        with _file(parts, allowed).open("rb") as file:
            yield iter(lambda: file.read(_CHUNK), b"")
    elif parts.scheme in ("s3", "gs"):
        yield _object(parts, allowed)
    else:
        raise _refusal("must begin with file://, s3:// or gs://")


def _file(parts: SplitResult, allowed: Sequence[str]) -> Path:
    """The real path, which links and dots cannot lead out of the roots."""
    if parts.netloc not in ("", "localhost"):
        raise _refusal("must not name a host: file:///path")
    roots = [Path(unquote(urlsplit(each).path)) for each in allowed if each.startswith("file:")]
    try:
        path = Path(unquote(parts.path)).resolve(strict=True)
        inside = any(path.is_relative_to(root.resolve()) for root in roots)
        # What is outside is not told from what is missing.
        if inside and stat.S_ISREG(path.stat().st_mode):
            with path.open("rb"):
                return path
    except (OSError, RuntimeError):
        inside = False
    raise _refusal("is not a readable file in a folder that this server may read")


def _object(parts: SplitResult, allowed: Sequence[str]) -> Iterator[bytes]:
    key = unquote(parts.path).lstrip("/")
    plain = f"{parts.scheme}://{parts.netloc}/{key}"
    inside = any(plain.startswith(each if each.endswith("/") else f"{each}/") for each in allowed)
    if not inside or not key or any(part in (".", "..") for part in key.split("/")):
        raise _refusal("is not within what this server may read")
    try:
        answer = obstore.get(from_url(f"{parts.scheme}://{parts.netloc}"), key)
    except (BaseError, OSError, ValueError) as error:
        raise _refusal(f"cannot be read ({type(error).__name__})") from None
    return _stream(answer)


def _stream(answer: Any) -> Iterator[bytes]:
    try:
        for chunk in answer.stream(min_chunk_size=_CHUNK):
            yield bytes(chunk)
    except (BaseError, OSError) as error:
        raise _refusal(f"could not be read to its end ({type(error).__name__})") from None


def _refusal(what: str) -> UnreadableUriError:
    return UnreadableUriError(f"the URI {what}", field="spec.input.uri")
