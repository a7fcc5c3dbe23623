"""A short option means the same in every command."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import typer
from seqway.cli import app


def _commands(command: Any) -> Iterator[Any]:
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from _commands(each)


def test_a_short_option_stands_for_one_long_option() -> None:
    meanings: dict[str, set[str]] = defaultdict(set)
    for command in _commands(typer.main.get_command(app)):
        for parameter in command.params:
            long = next((name for name in parameter.opts if name.startswith("--")), "")
            for name in parameter.opts:
                if name.startswith("-") and not name.startswith("--"):
                    meanings[name].add(long)
    assert meanings["-f"] == {"--file"}
    assert meanings["-i"] == {"--file"}
    assert {name: found for name, found in meanings.items() if len(found) > 1} == {}
