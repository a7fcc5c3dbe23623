"""Settings of logs, read from `SEQWAY_*` environment variables."""

from typing import Literal

from pydantic import Field

from services.foundation.environment import EnvironmentSettings


class LogSettings(EnvironmentSettings):
    """What is logged, and how."""

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least level to log"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="how to write logs")
