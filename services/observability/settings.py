"""Settings of logs, read from `SEQWAY_*` environment variables."""

from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class LogSettings(BaseSettings):
    """What is logged, and how."""

    model_config = SettingsConfigDict(env_prefix="SEQWAY_", frozen=True, extra="ignore")

    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="the least level to log"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="how to write logs")
