"""The certificates of a stack in which every hop is TLS, with certificates on both sides."""

from dataclasses import dataclass
from itertools import product
from pathlib import Path

import grpc

from deploy.local.errors import StackError

_HOPS = ("SEQWAY_TLS", "SEQWAY_TRITON_TLS", "SEQWAY_REDIS_TLS")


@dataclass(frozen=True, slots=True)
class StackCertificates:
    """PEM files, named as in a Secret of cert-manager; all processes of the stack share them.

    Each of them shows the certificate, and asks for one of the same authority.
    """

    authority: Path
    certificate: Path
    key: Path

    @classmethod
    def find(cls, folder: Path) -> "StackCertificates":
        """The files of a folder; `StackError` names one that is missing."""
        files = [folder / name for name in ("ca.crt", "tls.crt", "tls.key")]
        for file in files:
            if not file.is_file():
                raise StackError(
                    f"{file} is missing: SEQWAY_LOCAL_TLS names a folder with ca.crt, tls.crt and "
                    "tls.key, whose certificate is for 127.0.0.1."
                )
        return cls(*files)

    def channel_credentials(self) -> grpc.ChannelCredentials:
        """For a client over gRPC."""
        return grpc.ssl_channel_credentials(
            self.authority.read_bytes(), self.key.read_bytes(), self.certificate.read_bytes()
        )

    def redis_options(self) -> dict[str, str]:
        """For a client of Redis, in the words of redis-py."""
        return {
            "ssl_ca_certs": str(self.authority),
            "ssl_certfile": str(self.certificate),
            "ssl_keyfile": str(self.key),
        }

    def sdk_options(self) -> tuple[str, ...]:
        """For the command line of the SDK."""
        return (
            f"--tls-ca {self.authority}",
            f"--tls-certificate {self.certificate}",
            f"--tls-key {self.key}",
        )

    def variables(self) -> dict[str, str]:
        """For the gateway, the workers and the SDK: none of them accepts plaintext."""
        files = {"CA": self.authority, "CERTIFICATE": self.certificate, "KEY": self.key}
        return {
            "SEQWAY_REQUIRE_TLS": "true",
            "SEQWAY_METRICS_TLS": "true",
            "SEQWAY_TLS_CLIENT_CA": str(self.authority),
            **{f"{hop}_{name}": str(files[name]) for hop, name in product(_HOPS, files)},
        }
