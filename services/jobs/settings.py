"""Settings of batch jobs, read from `SEQWAY_*` environment variables."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class JobSettings(BaseSettings):
    """Where jobs are kept and queued, and how they are cut and run."""

    model_config = SettingsConfigDict(env_prefix="SEQWAY_", frozen=True, extra="ignore")

    job_store: str = Field(
        default="",
        description="where jobs are kept: file:///folder, s3://bucket/prefix or gs://bucket/prefix;"
        " empty turns batch jobs off",
    )
    redis_url: str = Field(
        default="redis://127.0.0.1:6379/0", description="the Redis server that queues chunks"
    )
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
