"""Dataclasses as groups of options, so that commands share them.

A field `name: Annotated[type, typer.Option(...)] = default` of such a dataclass is an option of
every command that takes the dataclass.
"""

import functools
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from inspect import Parameter, Signature, signature
from typing import Any, get_type_hints


def with_flag_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Turns the parameters of `command` that are dataclasses into options, for typer to read."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        parameters += _options_of(groups[name]) if name in groups else [_by_name(parameter)]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        command(**values)

    run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    return run


def _by_name(parameter: Parameter) -> Parameter:
    """Parameters by name may stand in any order, whether they have defaults or not."""
    return parameter.replace(kind=Parameter.KEYWORD_ONLY)


def _options_of(group: Any) -> list[Parameter]:
    hints = get_type_hints(group, include_extras=True)
    return [
        Parameter(
            field.name,
            Parameter.KEYWORD_ONLY,
            default=field.default,
            annotation=hints[field.name],
        )
        for field in fields(group)
    ]
