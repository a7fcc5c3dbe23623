"""Checks API keys against their file."""

import hmac
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import structlog

from services.gateway.authentication.errors import (
    ExpiredCredentialsError,
    InvalidCredentialsError,
)
from services.gateway.authentication.identity import Identity
from services.gateway.authentication.keys import (
    KeyFile,
    KeyFileError,
    KeyRecord,
    digest_of,
    split_key,
)

logger = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_NO_DIGEST = "0" * 64

Stamp = tuple[int, int, int] | None


class KeyRing:
    """The keys of a file, which is reloaded when it has changed.

    When a changed file cannot be used, the loaded keys stay valid and the log has an error.
    """

    def __init__(self, path: Path, pepper: str) -> None:
        """KeyFileError when the file cannot be used."""
        self._path = path
        self._pepper = pepper
        self._stamp = self._look()
        self._keys = self._read()
        self._next_look = 0.0

    def identify(self, key: str) -> Identity:
        """Whose key it is; InvalidCredentialsError or ExpiredCredentialsError."""
        parts = split_key(key)
        record = self._current().get(parts[0]) if parts else None
        secret = parts[1] if parts else ""
        # The same work for an unknown prefix, against timing attacks.
        expected = record.digest if record is not None else _NO_DIGEST
        matches = hmac.compare_digest(digest_of(secret, self._pepper), expected)
        if record is None or not matches:
            raise InvalidCredentialsError("the API key is not valid")
        if record.is_expired(datetime.now(UTC)):
            raise ExpiredCredentialsError(f"the API key {record.prefix} has expired: get a new one")
        return Identity(record.tenant, record.prefix, frozenset(record.scopes))

    def _current(self) -> Mapping[str, KeyRecord]:
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + _LOOK_SECONDS
            stamp = self._look()
            if stamp != self._stamp:
                self._renew(stamp)
        return self._keys

    def _renew(self, stamp: Stamp) -> None:
        try:
            self._keys = self._read()
            self._stamp = stamp
            logger.info("API keys reloaded", keys=len(self._keys))
        except KeyFileError as error:
            logger.error(
                "the changed API key file cannot be used: the loaded keys stay valid",
                error=str(error),
            )

    def _read(self) -> dict[str, KeyRecord]:
        return {record.prefix: record for record in KeyFile.read(self._path).keys}

    def _look(self) -> Stamp:
        """Changes with the file and its permissions; in Kubernetes a link is replaced."""
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino
