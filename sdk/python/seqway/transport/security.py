"""TLS and credentials: who calls, and how the server is authenticated."""

import os
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from seqway.transport.loopback import is_loopback

TENANT_VARIABLE = "SEQWAY_TENANT"
API_KEY_VARIABLE = "SEQWAY_API_KEY"
CA_VARIABLE = "SEQWAY_TLS_CA"
CERTIFICATE_VARIABLE = "SEQWAY_TLS_CERTIFICATE"
KEY_VARIABLE = "SEQWAY_TLS_KEY"


@dataclass(frozen=True)
class TlsFiles:
    """PEM files of a TLS connection.

    `ca` holds the authorities that may have signed the server's certificate; by default those of
    the machine.  `certificate` and `key` identify the client to a server that asks for them.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None

    def credentials(self) -> grpc.ChannelCredentials:
        """ValueError when only one of certificate and key is given; OSError for a missing file."""
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a TLS certificate and its key go together: give both or none")
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.ca),
            private_key=_read(self.key),
            certificate_chain=_read(self.certificate),
        )


Tls = bool | TlsFiles | grpc.ChannelCredentials


def resolve_tls(tls: Tls | None) -> grpc.ChannelCredentials | None:
    """None for a plain connection; True is TLS with the files that variables name.

    Without the argument there is TLS when one of the variables is set.
    """
    if isinstance(tls, grpc.ChannelCredentials):
        return tls
    if isinstance(tls, TlsFiles):
        return tls.credentials()
    names = (CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE)
    files = TlsFiles(*(os.environ.get(name) or None for name in names))
    wanted = files != TlsFiles() if tls is None else tls
    return files.credentials() if wanted else None


@dataclass(frozen=True)
class Access:
    """Credentials of the caller; None takes them from the variables."""

    tls: Tls | None = None
    tenant: str | None = None
    api_key: str | None = field(default=None, repr=False)
    allow_plaintext_key: bool = False

    def metadata(self, address: str, *, encrypted: bool) -> tuple[tuple[str, str], ...]:
        """What every call carries; ValueError when a key would cross a network in plaintext."""
        api_key = (self.api_key or os.environ.get(API_KEY_VARIABLE, "")).strip()
        if not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("the API key holds characters that no key can have: copy it again")
        tenant = self.tenant or os.environ.get(TENANT_VARIABLE)
        if api_key and not (encrypted or self.allow_plaintext_key or is_loopback(address)):
            raise ValueError(
                f"the API key would go to {address} in plaintext, where others can read it: use"
                " TLS (tls=True, or SEQWAY_TLS_CA), or allow it with allow_plaintext_key=True"
            )
        known = (("x-seqway-tenant", tenant), ("authorization", api_key and f"Bearer {api_key}"))
        return tuple((name, value) for name, value in known if value)


def _read(path: str | os.PathLike[str] | None) -> bytes | None:
    return Path(path).read_bytes() if path is not None else None
