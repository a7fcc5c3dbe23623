"""What a call has to pass before its request is read, and before it runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway.admission.limits import Admission
from services.gateway.admission.quotas import Quotas
from services.gateway.authentication.authenticator import Authenticator, Metadata
from services.gateway.authentication.errors import InvalidCredentialsError
from services.gateway.authentication.identity import CALLER, Identity
from services.gateway.calls.lifetime import Check
from services.inference.rows.engine import TENANT


class Gate:
    """Authentication and the rate of requests first; then the size of what came."""

    def __init__(self, authenticator: Authenticator, quotas: Quotas, admission: Admission) -> None:
        self._authenticator = authenticator
        self._quotas = quotas
        self._admission = admission

    async def identify(self, method: str, metadata: Metadata) -> Identity:
        """Who calls, counted; any SeqwayError of the three."""
        identity = await self._authenticator.identify(method, metadata)
        await self._quotas.count_request(identity.tenant)
        return identity

    def check_of(self, method: str, metadata: Metadata, identity: Identity) -> Check | None:
        """What tells whether a caller may still make a call of theirs; None when anybody may."""
        if not self._authenticator.required:
            return None

        async def check() -> None:
            now = await self._authenticator.identify(method, metadata)
            if now.tenant != identity.tenant:
                raise InvalidCredentialsError("the credentials are another tenant's now")

        return check

    async def weigh(self, identity: Identity, characters: int) -> None:
        """Counts the text that came; QuotaError."""
        await self._quotas.count_characters(identity.tenant, characters)

    @contextmanager
    def passed(
        self, identity: Identity, characters: int, remaining: float | None, *, streams: bool
    ) -> Iterator[None]:
        """Holds the places of a call while it runs; OverloadedError or QuotaError."""
        with (
            self._quotas.place(identity.tenant, streams=streams),
            self._admission.enter(characters, remaining, identity.tenant),
        ):
            caller, tenant = CALLER.set(identity), TENANT.set(identity.tenant)
            try:
                yield
            finally:
                CALLER.reset(caller)
                TENANT.reset(tenant)
