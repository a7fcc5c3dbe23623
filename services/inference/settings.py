"""Settings of inference, read from `SEQWAY_*` environment variables."""

from typing import Self

from pydantic import Field, FilePath, model_validator

from services.foundation.certificates import Certificates, check_pair
from services.foundation.environment import EnvironmentSettings


class InferenceSettings(EnvironmentSettings):
    """How Triton is reached, and which of its models is chosen."""

    triton_url: str = Field(
        default="localhost:8001",
        description="host:port of Triton's gRPC endpoint; dns:///name:port spreads streams and"
        " requests over all Tritons behind a name",
    )
    triton_tls_ca: FilePath | None = Field(
        default=None,
        description="PEM file of the authorities that Triton's certificate comes from; without it"
        " Triton is spoken to in plaintext",
    )
    triton_tls_certificate: FilePath | None = Field(
        default=None, description="PEM file of the certificate to show to Triton"
    )
    triton_tls_key: FilePath | None = Field(default=None, description="PEM file of its key")
    triton_streams: int = Field(
        default=4, ge=1, le=64, description="long-lived Triton streams that all calls share"
    )
    triton_stream_age: float = Field(
        default=60.0,
        gt=0,
        description="seconds after which a stream is replaced when it is idle next, so that a"
        " Triton that is new behind a name gets some",
    )
    preferred_precisions: tuple[str, ...] = Field(
        default=("auto",),
        description="precisions in order of preference when a call leaves the choice (JSON array); "
        '"auto" is the fastest that loses at most max_quality_loss',
    )
    max_quality_loss: float = Field(
        default=0.3,
        ge=0,
        description="points of BLEU, ROUGE-L or accuracy that a variant which is chosen "
        "automatically may lose against fp32, as measured at export",
    )
    max_segments_in_flight: int = Field(
        default=64, ge=1, description="the most segments that one call has at Triton at a time"
    )
    overload_retry_delay: float = Field(
        default=0.5, gt=0, description="seconds after which a refused caller is told to try again"
    )
    health_interval: float = Field(
        default=1.0, gt=0, description="seconds between two looks at Triton and its models"
    )
    probe_timeout: float = Field(
        default=3.0,
        gt=0,
        description="seconds after which a model that does not answer counts as dead",
    )
    triton_patience: float = Field(
        default=30.0,
        ge=0,
        description="seconds that a call under way waits for Triton, or the process of its model,"
        " to come back, and is then done again from where it was",
    )
    encoder_patience: float = Field(
        default=30.0,
        gt=0,
        description="the same for an encoder that has texts to read, behind which probes wait",
    )

    @property
    def triton_certificates(self) -> Certificates | None:
        """How to speak to Triton; None in plaintext."""
        if self.triton_tls_ca is None:
            return None
        return Certificates(self.triton_tls_ca, self.triton_tls_certificate, self.triton_tls_key)

    def plaintext_hops(self) -> list[str]:
        """Triton, unless its authorities are named."""
        return [] if self.triton_tls_ca else ["Triton (SEQWAY_TRITON_TLS_CA)"]

    @model_validator(mode="after")
    def _check_triton_tls(self) -> Self:
        check_pair("SEQWAY_TRITON_TLS", self.triton_tls_certificate, self.triton_tls_key)
        if self.triton_tls_certificate is not None and self.triton_tls_ca is None:
            raise ValueError("SEQWAY_TRITON_TLS_CA is not set: without it there is no TLS")
        return self
