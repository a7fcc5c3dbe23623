"""Settings of batch jobs, read from `SEQWAY_*` environment variables."""

import os
from typing import Self
from urllib.parse import urlencode

from pydantic import Field, FilePath, model_validator

from services.foundation.certificates import check_pair
from services.foundation.environment import EnvironmentSettings


class JobSettings(EnvironmentSettings):
    """Where jobs are kept and queued, and how they are cut and run."""

    job_store: str = Field(
        default="",
        description="where jobs are kept: file:///folder, s3://bucket/prefix or gs://bucket/prefix;"
        " empty turns batch jobs off",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0",
        description="the Redis server that queues chunks; rediss:// speaks TLS",
    )
    redis_tls_ca: FilePath | None = Field(
        default=None,
        description="PEM file of the authorities that Redis' certificate comes from; without it"
        " those of the machine",
    )
    redis_tls_certificate: FilePath | None = Field(
        default=None, description="PEM file of the certificate to show to Redis"
    )
    redis_tls_key: FilePath | None = Field(default=None, description="PEM file of its key")
    job_input_uris: tuple[str, ...] = Field(
        default=(),
        description="prefixes of the URIs that jobs may read their input from (JSON array)",
    )
    job_max_items: int = Field(default=5_000_000, ge=1, description="the most lines of one job")
    job_max_input_bytes: int = Field(
        default=16 * 2**30, ge=1, description="the most bytes of one job's input, decompressed"
    )
    job_max_line_bytes: int = Field(
        default=8 * 2**20, ge=1, description="the most bytes of one line of an input"
    )
    job_parquet_memory: int = Field(
        default=256 * 2**20,
        ge=32 * 2**20,
        description="bytes of memory that reading one Parquet input may take, beside 100 MiB for"
        " its process; two are read at a time",
    )
    job_retention: float = Field(
        default=7 * 86400.0, gt=0, description="seconds that a job is kept after its end"
    )
    job_max_retention: float = Field(
        default=90 * 86400.0, gt=0, description="the most seconds that a caller may ask for"
    )
    job_upload_grace: float = Field(
        default=86400.0, gt=0, description="seconds after which an upload without a job is removed"
    )
    chunk_items: int = Field(default=256, ge=1, description="the most lines in one chunk")
    chunk_characters: int = Field(
        default=262_144, ge=1, description="characters after which a chunk is closed"
    )
    chunk_window: int = Field(
        default=4, ge=1, description="chunks that are queued or run at a time, of all jobs"
    )
    chunk_lease: float = Field(
        default=30.0, gt=0, description="seconds without a heartbeat after which a chunk is lost"
    )
    chunk_attempts: int = Field(
        default=3, ge=1, description="attempts that may crash before a chunk is halved"
    )
    chunk_timeout: float = Field(
        default=600.0, gt=0, description="seconds that one attempt at a chunk may take"
    )
    chunk_patience: float = Field(
        default=300.0,
        gt=0,
        description="seconds that a worker waits for the store before it gives back a chunk",
    )
    model_patience: float = Field(
        default=5.0,
        gt=0,
        description="seconds that a worker waits for a model before it gives back a chunk",
    )
    job_pause: float = Field(
        default=15.0,
        gt=0,
        description="seconds that other jobs go first when a chunk was given back",
    )
    bulk_rows: int = Field(
        default=64, ge=1, description="rows that one chunk has at Triton at a time"
    )
    memo_bytes: int = Field(
        default=64 * 2**20,
        ge=0,
        description="bytes of answers that Redis keeps of one job, for texts that come again",
    )
    tenant_weights: dict[str, float] = Field(
        default_factory=dict,
        description="shares of tenants that are not 1 (JSON object)",
    )
    reconcile_interval: float = Field(
        default=5.0, gt=0, description="seconds between two looks for lost chunks"
    )
    redis_timeout: float = Field(
        default=5.0, gt=0, description="seconds after which Redis counts as away"
    )

    @property
    def redis_address(self) -> str:
        """The URL with what TLS needs, in the form that redis-py and kombu both read."""
        if not self.redis_url.startswith("rediss://"):
            return self.redis_url
        files = {
            "ssl_ca_certs": self.redis_tls_ca,
            "ssl_certfile": self.redis_tls_certificate,
            "ssl_keyfile": self.redis_tls_key,
        }
        named = {name: str(file) for name, file in files.items() if file is not None}
        # Without it kombu takes any certificate where no file is named.
        query = urlencode({"ssl_cert_reqs": "required", **named})
        return f"{self.redis_url}{'&' if '?' in self.redis_url else '?'}{query}"

    @property
    def plaintext_redis(self) -> list[str]:
        """The hop to Redis, if that is not encrypted."""
        return [] if self.redis_url.startswith("rediss://") else ["Redis (SEQWAY_REDIS_URL)"]

    def plaintext_hops(self) -> list[str]:
        """Redis and the store, where they are used."""
        hops = self.plaintext_redis if self.job_store else []
        endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL", "")
        if self.job_store.startswith("s3:") and endpoint.lower().startswith("http://"):
            hops.append("the object store (AWS_ENDPOINT_URL)")
        return hops

    @model_validator(mode="after")
    def _check_redis_tls(self) -> Self:
        check_pair("SEQWAY_REDIS_TLS", self.redis_tls_certificate, self.redis_tls_key)
        if self.redis_tls_ca is not None and not self.redis_url.startswith("rediss://"):
            raise ValueError("SEQWAY_REDIS_TLS_CA is set, but SEQWAY_REDIS_URL is not rediss://")
        return self
