"""API keys, and the file that holds their hashes.

A key is "sqw_<prefix>_<secret>".  The prefix finds its record, and is no secret; of the secret's
256 random bits the file keeps an HMAC-SHA256 only, keyed by a pepper that is kept elsewhere.
"""

import base64
import fcntl
import hashlib
import hmac
import os
import secrets
import stat
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from services.gateway.authentication.scopes import ALL_SCOPES

MARK = "sqw"
LEAST_PEPPER = 16
_PREFIX_BYTES = 5
_SECRET_BYTES = 32


class KeyFileError(Exception):
    """The key file cannot be used; the message is a sentence."""


class KeyRecord(BaseModel):
    """What is known of a key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefix: str = Field(pattern="^[a-z2-7]{8}$")
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    tenant: str = Field(min_length=1, max_length=128, pattern="^[^\\x00-\\x1f\\x7f]*$")
    name: str = ""
    scopes: tuple[str, ...] = tuple(sorted(ALL_SCOPES))
    created: AwareDatetime
    expires: AwareDatetime | None = None

    @field_validator("scopes")
    @classmethod
    def _know(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(scopes) - ALL_SCOPES):
            known = ", ".join(sorted(ALL_SCOPES))
            raise ValueError(f"unknown scope {', '.join(unknown)}; the scopes are: {known}")
        return scopes

    def is_expired(self, now: datetime) -> bool:
        """Whether it has expired."""
        return self.expires is not None and now >= self.expires


class KeyFile(BaseModel):
    """All keys; prefixes are unique."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keys: tuple[KeyRecord, ...] = ()

    @field_validator("keys")
    @classmethod
    def _are_unique(cls, keys: tuple[KeyRecord, ...]) -> tuple[KeyRecord, ...]:
        if len({key.prefix for key in keys}) < len(keys):
            raise ValueError("two keys have the same prefix")
        return keys

    @classmethod
    def read(cls, path: Path) -> "KeyFile":
        """KeyFileError when it cannot be read, or is not such a file."""
        try:
            return cls.model_validate_json(path.read_bytes())
        except OSError as error:
            raise KeyFileError(f"{path} cannot be read ({error.strerror})") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "it"
            raise KeyFileError(f"{path} is not a key file: {where}: {first['msg']}") from None

    def write(self, path: Path) -> None:
        """Replaces the file atomically and keeps its permissions; a new one is private."""
        path = path.resolve()
        try:
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(self.model_dump_json(indent=2).encode() + b"\n")
                if path.exists():
                    known = path.stat()
                    os.fchown(file.fileno(), known.st_uid, known.st_gid)
                    os.fchmod(file.fileno(), stat.S_IMODE(known.st_mode))
            Path(file.name).replace(path)
        except OSError as error:
            raise KeyFileError(f"{path} cannot be written ({error.strerror})") from None


@contextmanager
def changing(path: Path) -> Iterator[KeyFile]:
    """The keys of a file, locked against other changes; empty where there is no file."""
    path = path.resolve()  # a link and its target have one lock
    try:
        lock = path.with_name(f"{path.name}.lock").open("w")
    except OSError as error:
        raise KeyFileError(f"{path} cannot be changed ({error.strerror})") from None
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield KeyFile.read(path) if path.exists() else KeyFile()


def new_key(
    pepper: str, tenant: str, name: str, scopes: Sequence[str], expires: datetime | None
) -> tuple[str, KeyRecord]:
    """A key, which cannot be recovered later, and its record."""
    prefix = base64.b32encode(secrets.token_bytes(_PREFIX_BYTES)).decode().lower()
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    record = KeyRecord(
        prefix=prefix,
        digest=digest_of(secret, pepper),
        tenant=tenant,
        name=name,
        scopes=tuple(sorted(scopes)),
        created=datetime.now(UTC).replace(microsecond=0),
        expires=expires,
    )
    return f"{MARK}_{prefix}_{secret}", record


def split_key(text: str) -> tuple[str, str] | None:
    """Prefix and secret of a key; None for other text."""
    mark, _, rest = text.partition("_")
    prefix, _, secret = rest.partition("_")
    return (prefix, secret) if mark == MARK and prefix and secret else None


def digest_of(secret: str, pepper: str) -> str:
    """What the file keeps of a secret."""
    return hmac.new(pepper.encode(), secret.encode(), hashlib.sha256).hexdigest()
