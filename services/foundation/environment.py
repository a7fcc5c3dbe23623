"""Settings from `SEQWAY_*` variables, and secrets from files."""

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import pydantic
from pydantic import Field
from pydantic.fields import FieldInfo
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
    """The base of each group of settings.

    A variable takes precedence over a file of `SEQWAY_SECRETS_DIR`, which is named like the
    variable in lower case and holds its value, such as `seqway_redis_url`.
    """

    model_config = SettingsConfigDict(env_prefix="SEQWAY_", frozen=True, extra="ignore")

    def plaintext_hops(self) -> list[str]:
        """The hops that are not encrypted, each with the variable that decides it."""
        return []

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
            raise InvalidSettingsError(f"{SECRETS_VARIABLE} is {folder!r}, which is not a folder")
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, folder)


class EncryptionSettings(EnvironmentSettings):
    """Whether plaintext is refused."""

    require_tls: bool = Field(
        default=False, description="refuse to start while any hop of the process is plaintext"
    )

    def plaintext_hops(self) -> list[str]:
        """Traces, whose endpoint is set by the variables of OpenTelemetry."""
        traces = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get(
            "OTEL_EXPORTER_OTLP_ENDPOINT", ""
        )
        return (
            ["traces (OTEL_EXPORTER_OTLP_ENDPOINT)"] if traces.lower().startswith("http://") else []
        )


@dataclass(frozen=True)
class ProcessSettings:
    """All settings of a process: every field is the group of one component."""

    encryption: EncryptionSettings

    def __post_init__(self) -> None:
        if self.encryption.require_tls and (hops := self.plaintext_hops()):
            raise InvalidSettingsError(
                f"SEQWAY_REQUIRE_TLS is set, and in plaintext are: {', '.join(hops)}"
            )

    def plaintext_hops(self) -> list[str]:
        """Those of all groups."""
        groups = (getattr(self, field.name) for field in fields(self))
        return [hop for group in groups for hop in group.plaintext_hops()]


Group = TypeVar("Group", bound=EnvironmentSettings)
Settings = TypeVar("Settings", bound=ProcessSettings)


def read_settings(kind: type[Settings], **values: Any) -> Settings:
    """The settings of a process; InvalidSettingsError names the first that is wrong.

    `values`, by the names of settings, take precedence over the environment.
    """
    if unknown := values.keys() - fields_of(kind):
        raise TypeError(f"unknown settings: {', '.join(sorted(unknown))}")
    return kind(
        **{
            name: read_group(group, **{k: values[k] for k in values.keys() & group.model_fields})
            for name, group in get_type_hints(kind).items()
        }
    )


def read_group(kind: type[Group], **values: Any) -> Group:
    """One group of settings, as `read_settings` reads all of them."""
    try:
        return kind(**values)
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


def fields_of(kind: type[ProcessSettings]) -> dict[str, FieldInfo]:
    """Every setting of a process by its name, without the prefix of its variable."""
    groups = get_type_hints(kind).values()
    return {name: field for group in groups for name, field in group.model_fields.items()}


def describe(kind: type[ProcessSettings]) -> str:
    """The text of `--help`: variable, default and meaning of each setting."""
    return "\n".join(
        f"  SEQWAY_{name.upper()} = {field.get_default(call_default_factory=True)}\n"
        f"      {field.description}"
        for name, field in fields_of(kind).items()
    )


def _not_json(error: SettingsError) -> str:
    """What is wrong with a variable that should hold JSON; the library names its field only."""
    found = re.search(r'field "(\w+)"', str(error))
    name = f"SEQWAY_{found[1].upper()}" if found else "a setting"
    return f"{name} is not valid JSON, or cannot be read: {error.__cause__ or error}"
