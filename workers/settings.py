"""Settings of the workers, read from `SEQWAY_*` environment variables."""

from pydantic import Field

from services.foundation.endpoints import ServingSettings
from services.foundation.log_settings import LogSettings
from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings


class WorkerSettings(ServingSettings, LogSettings, JobSettings, InferenceSettings):
    """Those of jobs and of inference, and how a worker leaves."""

    worker_soft_shutdown: float = Field(
        default=20.0, ge=0, description="seconds that chunks get to finish at shutdown"
    )
    worker_nice: int = Field(
        default=10,
        ge=0,
        le=19,
        description="how much the workers give way to other processes of their machine",
    )
    worker_stall: float = Field(
        default=10.0,
        gt=0,
        description="seconds without an answering model after which a chunk's attempt is given up",
    )
    heartbeat_file: str = Field(
        default="",
        description="a file that is touched every few seconds while the process lives; none: off",
    )
