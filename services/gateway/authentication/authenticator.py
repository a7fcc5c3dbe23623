"""Finds out who calls."""

from collections.abc import Awaitable, Callable, Iterable

from services.gateway.authentication.errors import (
    InvalidCredentialsError,
    MissingCredentialsError,
    ScopeError,
)
from services.gateway.authentication.identity import DEFAULT_TENANT, Identity, is_tenant
from services.gateway.authentication.key_ring import KeyRing
from services.gateway.authentication.keys import split_key
from services.gateway.authentication.scopes import scope_of
from services.gateway.authentication.settings import AuthenticationSettings
from services.gateway.authentication.tokens import TokenChecker
from services.inference.errors import InvalidOptionError

Metadata = Iterable[tuple[str, str | bytes]]
CredentialsCheck = Callable[[], Awaitable[None]]

CREDENTIALS_KEY = "authorization"
TENANT_KEY = "x-seqway-tenant"
_MOST_CREDENTIALS = 8192


class Authenticator:
    """By API key or token, where the settings require one; else callers name their tenant."""

    def __init__(self, settings: AuthenticationSettings) -> None:
        """KeyFileError when the file of keys cannot be used."""
        file, pepper = settings.api_keys_file, settings.api_key_pepper.get_secret_value()
        self._keys = KeyRing(file, pepper) if file is not None else None
        self._tokens = TokenChecker(settings) if settings.jwt_issuer else None

    @property
    def required(self) -> bool:
        """Whether callers must authenticate."""
        return self._keys is not None or self._tokens is not None

    async def identify(self, method: str, metadata: Metadata) -> Identity:
        """Who calls a method; a CredentialsError, ScopeError or IssuerUnavailableError."""
        if not self.required:
            return Identity(_named_tenant(metadata))
        identity = await self._check(_credentials(metadata))
        scope = scope_of(method)
        if scope not in identity.scopes:
            raise ScopeError(f'the credentials have no scope "{scope}", which this method needs')
        return identity

    async def _check(self, credentials: str) -> Identity:
        if self._keys is not None and (self._tokens is None or split_key(credentials)):
            return self._keys.identify(credentials)
        assert self._tokens is not None
        return await self._tokens.identify(credentials)


def _credentials(metadata: Metadata) -> str:
    for key, value in metadata:
        if key == CREDENTIALS_KEY and isinstance(value, str):
            kind, _, credentials = value.partition(" ")
            if kind.lower() != "bearer" or not credentials or len(value) > _MOST_CREDENTIALS:
                raise InvalidCredentialsError('authorization must be "Bearer <key or token>"')
            return credentials.strip()
    raise MissingCredentialsError('send an API key or token in the metadata "authorization"')


def _named_tenant(metadata: Metadata) -> str:
    """Trusted without authentication: a proxy must set it, or the network must be closed."""
    for key, value in metadata:
        if key == TENANT_KEY:
            if not is_tenant(value):
                raise InvalidOptionError(
                    f"{TENANT_KEY} is not a valid tenant name", field=TENANT_KEY
                )
            return value or DEFAULT_TENANT
    return DEFAULT_TENANT
