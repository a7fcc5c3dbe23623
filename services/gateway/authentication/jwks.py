"""The public keys of an OpenID provider."""

import asyncio
import json
import time
from http.client import HTTPException
from pathlib import Path
from urllib.request import urlopen

import jwt
import structlog

from services.foundation.endings import ENDINGS
from services.foundation.pools import Pool
from services.gateway.authentication.errors import InvalidCredentialsError
from services.inference.errors import ServiceUnavailableError

logger = structlog.get_logger(__name__)

_FRESH_SECONDS = 300.0
# Made-up key ids must not cause a request to the provider each.
_LEAST_INTERVAL = 10.0
_TIMEOUT = 5.0
_MOST_BYTES = 1 << 20
_READING = Pool("jwks", 2)
_DISCOVERY = "/.well-known/openid-configuration"


class IssuerUnavailableError(ServiceUnavailableError):
    """The keys of the tokens' issuer could not be read."""

    reason = "ISSUER_UNAVAILABLE"


class KeySet:
    """Keys by id, from a file, a URL, or wherever the issuer's discovery document says."""

    def __init__(self, issuer: str, source: str) -> None:
        self._issuer = issuer
        self._source = source
        self._keys: dict[str, jwt.PyJWK] = {}
        self._read_at = -_FRESH_SECONDS
        self._tried_at = -_FRESH_SECONDS
        self._reading = asyncio.Lock()
        self._renewing: asyncio.Task[None] | None = None

    async def key(self, key_id: str) -> jwt.PyJWK:
        """The key of that id.

        InvalidCredentialsError when there is none, IssuerUnavailableError when none was ever read.
        """
        if key_id not in self._keys:
            await self._renew()
        elif time.monotonic() - self._read_at > _FRESH_SECONDS and not self._reading.locked():
            self._renewing = asyncio.create_task(self._renew())  # no caller waits for it
        if not self._keys:
            raise IssuerUnavailableError("the keys of the tokens' issuer are not available")
        if key_id not in self._keys:
            raise InvalidCredentialsError("the token is not valid")
        return self._keys[key_id]

    async def _renew(self) -> None:
        """Reads the keys, unless that was tried a moment ago; keys that are known stay known."""
        async with self._reading:
            if time.monotonic() - self._tried_at < _LEAST_INTERVAL:
                return
            self._tried_at = time.monotonic()
            try:
                async with asyncio.timeout(2 * _TIMEOUT):
                    found = jwt.PyJWKSet.from_dict(await _READING.run(self._issuer, self._read))
            except (OSError, ValueError, KeyError, HTTPException, jwt.PyJWTError) as error:
                logger.warning("the keys of the tokens' issuer could not be read", error=str(error))
                return
            except ENDINGS:
                raise
            except BaseException:
                logger.exception("the keys of the tokens' issuer could not be read")
                return
            self._keys = {key.key_id: key for key in found.keys if key.key_id}
            self._read_at = time.monotonic()

    def _read(self) -> dict[str, object]:
        source = self._source
        if not source:
            source = str(_fetch(self._issuer.rstrip("/") + _DISCOVERY)["jwks_uri"])
        if "://" in source:
            return _fetch(source)
        return _parsed(Path(source).read_bytes())


def _fetch(url: str) -> dict[str, object]:
    if not url.startswith("https://"):
        raise ValueError(f"{url} is not https://")
    data, end = b"", time.monotonic() + _TIMEOUT
    with urlopen(url, timeout=_TIMEOUT) as answer:
        # A provider that sends byte by byte must not block the thread for ever.
        while (piece := answer.read1()) and len(data) < _MOST_BYTES:
            data += piece
            if time.monotonic() > end:
                raise TimeoutError(f"{url} was not read within {_TIMEOUT:g} s")
    return _parsed(data[:_MOST_BYTES])


def _parsed(data: bytes) -> dict[str, object]:
    value = json.loads(data)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
