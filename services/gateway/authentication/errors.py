"""What is wrong with a caller's credentials.

ServiceError
├── CredentialsError
│   ├── MissingCredentialsError
│   ├── InvalidCredentialsError
│   └── ExpiredCredentialsError
└── ScopeError
"""

from services.inference.errors import ServiceError


class CredentialsError(ServiceError):
    """The caller is not known."""

    reason = "UNAUTHENTICATED"


class MissingCredentialsError(CredentialsError):
    """The call carries no key and no token."""

    reason = "CREDENTIALS_MISSING"


class InvalidCredentialsError(CredentialsError):
    """The key or token is not one that this server accepts; only the log says why."""

    reason = "CREDENTIALS_INVALID"


class ExpiredCredentialsError(CredentialsError):
    """The key or token has expired."""

    reason = "CREDENTIALS_EXPIRED"


class ScopeError(ServiceError):
    """The key or token is valid, but not for this method."""

    reason = "SCOPE_MISSING"
