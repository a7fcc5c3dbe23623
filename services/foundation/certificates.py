"""The certificate files of one network hop."""

import ssl
from dataclasses import dataclass
from pathlib import Path

import grpc

from services.foundation.environment import InvalidSettingsError


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files; `authorities` are the CAs that must have issued the other side's certificate.

    Each may be None: a side without `certificate` and `key` presents none.
    """

    authorities: Path | None
    certificate: Path | None
    key: Path | None

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a client; the CAs of the machine where none are named.

        InvalidSettingsError when a file does not hold what it should.
        """
        self.check()
        return grpc.ssl_channel_credentials(
            root_certificates=_read(self.authorities),
            private_key=_read(self.key),
            certificate_chain=_read(self.certificate),
        )

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server; with authorities, clients must present a certificate that they issued.

        Changed files are reloaded for new connections, so that certificates are renewed without a
        restart.  InvalidSettingsError when a file does not hold what it should; after such a
        renewal the old certificate stays in use.
        """
        self.check()
        seen = self._stamp()

        def renewed() -> grpc.ServerCertificateConfiguration | None:
            nonlocal seen
            stamp = self._stamp()
            if stamp == seen:
                return None
            configuration = self._configuration()
            seen = stamp
            return configuration

        return grpc.dynamic_ssl_server_credentials(
            self._configuration(),
            renewed,  # type: ignore[arg-type]  # None means unchanged, which the stubs forget
            require_client_authentication=bool(self.authorities),
        )

    def check(self) -> None:
        """InvalidSettingsError when a file does not hold what it should."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            if self.authorities is not None:
                context.load_verify_locations(self.authorities)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSettingsError(
                f"{self.authorities} does not contain CA certificates ({error})"
            ) from None
        try:
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise InvalidSettingsError(
                f"{self.certificate} and {self.key} are not a certificate and its key ({error})"
            ) from None

    def _configuration(self) -> grpc.ServerCertificateConfiguration:
        assert self.certificate is not None
        assert self.key is not None
        pair = self.key.read_bytes(), self.certificate.read_bytes()
        return grpc.ssl_server_certificate_configuration(
            [pair], root_certificates=_read(self.authorities)
        )

    def _stamp(self) -> tuple[tuple[int, int], ...]:
        """Changes with the files; those of a Kubernetes Secret are links that turn."""
        files = (self.authorities, self.certificate, self.key)
        stats = [file.stat() for file in files if file is not None]
        return tuple((each.st_mtime_ns, each.st_ino) for each in stats)


def check_pair(what: str, certificate: Path | None, key: Path | None) -> None:
    """ValueError when only one of the two is set; `what` begins their variables' names."""
    if (certificate is None) != (key is None):
        missing = "KEY" if key is None else "CERTIFICATE"
        raise ValueError(f"{what}_{missing} is not set: a certificate and its key go together")


def _read(file: Path | None) -> bytes | None:
    return file.read_bytes() if file is not None else None
