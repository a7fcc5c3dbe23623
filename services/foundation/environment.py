"""Settings from `SEQWAY_*` variables, and from files for what must not stand in the environment."""

import os
import re
from pathlib import Path
from typing import Self, TypeVar

import pydantic
from pydantic import Field, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

SECRETS_VARIABLE = "SEQWAY_SECRETS_DIR"


class InvalidSettingsError(Exception):
    """A setting cannot be used; the message is a sentence that names its variable."""


class EnvironmentSettings(BaseSettings):
    """The base of each process's settings.

    A variable counts before a file of `SEQWAY_SECRETS_DIR`, which is named like the variable in
    lower case and holds its value, such as `seqway_redis_url`.
    """

    model_config = SettingsConfigDict(env_prefix="SEQWAY_", frozen=True, extra="ignore")

    require_tls: bool = Field(
        default=False, description="refuse to start while any hop of the process is plaintext"
    )

    def plaintext_hops(self) -> list[str]:
        """The hops that are not encrypted, each with the variable that decides it."""
        traces = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get(
            "OTEL_EXPORTER_OTLP_ENDPOINT", ""
        )
        return (
            ["traces (OTEL_EXPORTER_OTLP_ENDPOINT)"] if traces.lower().startswith("http://") else []
        )

    @model_validator(mode="after")
    def _refuse_plaintext(self) -> Self:
        if self.require_tls and (hops := self.plaintext_hops()):
            raise ValueError(f"SEQWAY_REQUIRE_TLS is set, and in plaintext are: {', '.join(hops)}")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then variables, then the folder of secrets where one is named."""
        folder = os.environ.get(SECRETS_VARIABLE)
        if not folder:
            return init_settings, env_settings
        if not Path(folder).is_dir():
            raise InvalidSettingsError(f"{SECRETS_VARIABLE} is {folder!r}, which is no folder")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)


Settings = TypeVar("Settings", bound=EnvironmentSettings)


def read_settings(kind: type[Settings]) -> Settings:
    """The settings of a process; InvalidSettingsError names the first that is wrong."""
    try:
        return kind()
    except SettingsError as error:
        raise InvalidSettingsError(_not_json(error)) from None
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a rule over several settings names them itself
            raise InvalidSettingsError(message) from None
        name, *inner = map(str, first["loc"])
        where = f" ({'.'.join(inner)})" if inner else ""
        raise InvalidSettingsError(f"SEQWAY_{name.upper()}{where}: {message}") from None


def _not_json(error: SettingsError) -> str:
    """What is wrong with a variable that should hold JSON; the library names its field only."""
    found = re.search(r'field "(\w+)"', str(error))
    name = f"SEQWAY_{found[1].upper()}" if found else "a setting"
    return f"{name} is no JSON, or cannot be read: {error.__cause__ or error}"
