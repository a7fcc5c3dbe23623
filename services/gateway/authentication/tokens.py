"""Checks the tokens (JWT, RFC 7519) of an OpenID provider."""

from typing import Any

import jwt
import structlog

from services.gateway.authentication.errors import (
    ExpiredCredentialsError,
    InvalidCredentialsError,
)
from services.gateway.authentication.identity import Identity, is_tenant
from services.gateway.authentication.jwks import KeySet
from services.gateway.authentication.scopes import ALL_SCOPES
from services.gateway.authentication.settings import AuthenticationSettings

logger = structlog.get_logger(__name__)

# Never a symmetric algorithm or none: RFC 8725, 3.1.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
_LEEWAY_SECONDS = 30


class TokenChecker:
    """Takes tokens of one issuer for one audience.

    A token's claim names its tenant; the scopes that begin with the prefix are those for us.
    """

    def __init__(self, settings: AuthenticationSettings) -> None:
        self._keys = KeySet(settings.jwt_issuer, settings.jwt_jwks)
        self._settings = settings

    async def identify(self, token: str) -> Identity:
        """Whose token it is; a CredentialsError, or IssuerUnavailableError."""
        try:
            key_id = jwt.get_unverified_header(token).get("kid", "")
            claims = self._claims(token, await self._keys.key(str(key_id)))
        except jwt.ExpiredSignatureError:
            raise ExpiredCredentialsError("the token has expired: get a new one") from None
        except jwt.PyJWTError as error:
            logger.info("a token was refused", error=str(error))
            raise InvalidCredentialsError("the token is not valid") from None
        return Identity(self._tenant(claims), str(claims["sub"]), self._scopes(claims))

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        return jwt.decode(
            token,
            key,
            algorithms=_ALGORITHMS,
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            leeway=_LEEWAY_SECONDS,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )

    def _tenant(self, claims: dict[str, Any]) -> str:
        claim = self._settings.jwt_tenant_claim
        tenant = claims.get(claim)
        if not tenant or not is_tenant(tenant):
            raise InvalidCredentialsError(f'the token has no valid claim "{claim}"')
        return tenant

    def _scopes(self, claims: dict[str, Any]) -> frozenset[str]:
        """From `scope`, a list by spaces (RFC 8693, 4.2), or `scp`, a list."""
        found = claims.get("scope", claims.get("scp", ""))
        names = found.split() if isinstance(found, str) else _strings(found)
        prefix = self._settings.jwt_scope_prefix
        return ALL_SCOPES & {name[len(prefix) :] for name in names if name.startswith(prefix)}


def _strings(value: Any) -> list[str]:
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []
