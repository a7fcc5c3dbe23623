"""What a call must pass before its request is read, and before it runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from seqway.v1.translation_pb2 import DetectLanguageRequest

from services.gateway.admission.capacity import Capacity
from services.gateway.admission.quotas import Quotas
from services.gateway.authentication.authenticator import Authenticator, CredentialsCheck, Metadata
from services.gateway.authentication.errors import InvalidCredentialsError
from services.gateway.authentication.identity import CALLER, Identity
from services.inference.rows.engine import TENANT


class Gate:
    """Authentication and the rate of requests first; then the size of the request."""

    def __init__(self, authenticator: Authenticator, quotas: Quotas, capacity: Capacity) -> None:
        self._authenticator = authenticator
        self._quotas = quotas
        self._capacity = capacity

    async def identify(self, method: str, metadata: Metadata) -> Identity:
        """Who calls, counted as a request; any ServiceError of authentication and quotas."""
        identity = await self._authenticator.identify(method, metadata)
        await self._quotas.count_request(identity.tenant)
        return identity

    def check_of(
        self, method: str, metadata: Metadata, identity: Identity
    ) -> CredentialsCheck | None:
        """Checks whether the caller may still make this call; None when anybody may."""
        if not self._authenticator.required:
            return None

        async def check() -> None:
            now = await self._authenticator.identify(method, metadata)
            if now.tenant != identity.tenant:
                raise InvalidCredentialsError("the credentials belong to another tenant now")

        return check

    @contextmanager
    def passed(
        self, identity: Identity, request: Any, remaining: float | None, *, streams: bool
    ) -> Iterator[int]:
        """Holds the places of a call while it runs; yields the characters to count first.

        `remaining` are the seconds to its deadline.  OverloadError or QuotaError.
        """
        characters = _characters_of(request)
        # No model of Triton's reads what is only detected.
        load = 0 if isinstance(request, DetectLanguageRequest) else characters
        with (
            self._quotas.place(identity.tenant, streams=streams),
            self._capacity.enter(load, remaining, identity.tenant),
        ):
            caller, tenant = CALLER.set(identity), TENANT.set(identity.tenant)
            try:
                yield characters
            finally:
                CALLER.reset(caller)
                TENANT.reset(tenant)

    async def count(self, identity: Identity, characters: int) -> None:
        """Counts the text of a call that has passed; QuotaError."""
        await self._quotas.count_characters(identity.tenant, characters)


def _characters_of(request: Any) -> int:
    """The code points of all texts to be read; 0 for requests without any."""
    texts = getattr(request, "contents", ())
    single = (getattr(request, name, "") for name in ("question", "context"))
    return sum(map(len, texts)) + sum(map(len, single))
