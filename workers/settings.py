"""Settings of the workers, read from `SEQWAY_*` environment variables."""

from pydantic import Field

from services.foundation.endpoints import ServingSettings
from services.foundation.log_settings import LogSettings
from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings


class WorkerSettings(ServingSettings, LogSettings, JobSettings, InferenceSettings):
    """Those of jobs and of inference, and how a worker leaves."""

    worker_soft_shutdown: float = Field(
        default=20.0, ge=0, description="seconds that running chunks get to finish at shutdown"
    )
    worker_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="niceness of the workers, by which other processes of the machine go first",
    )
    worker_stall: float = Field(
        default=10.0,
        gt=0,
        description="seconds without a ready model after which an attempt at a chunk is aborted",
    )
    heartbeat_file: str = Field(
        default="",
        description="a file that is updated every few seconds while the process lives; empty: off",
    )
