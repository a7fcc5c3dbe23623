"""Settings of the workers, read from `SEQWAY_*` environment variables."""

from dataclasses import dataclass

from pydantic import Field

from services.foundation.endpoints import ServingSettings
from services.foundation.environment import EnvironmentSettings, ProcessSettings
from services.foundation.logs import LogSettings
from services.inference.settings import InferenceSettings
from services.jobs.settings import JobSettings


class WorkerProcessSettings(EnvironmentSettings):
    """How a worker behaves beside its neighbours, and how it ends."""

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


@dataclass(frozen=True)
class WorkerSettings(ProcessSettings):
    """A group for each component."""

    inference: InferenceSettings
    jobs: JobSettings
    logs: LogSettings
    serving: ServingSettings
    process: WorkerProcessSettings
