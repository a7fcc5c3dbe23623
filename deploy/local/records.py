"""What is kept between two commands, as one JSON file of the run directory."""

import dataclasses
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from deploy.local.errors import StackError
from deploy.local.processes import ProcessRecord, members_of

_FILE = "stack.json"


@dataclass(slots=True)
class Repairs:
    """What the supervisor did for a service: how often, when last (ISO 8601) and why.

    `due` is when it starts the service next, in seconds since 1970; 0 when that is not planned.
    """

    count: int = 0
    last: str = ""
    reason: str = ""
    due: float = 0.0


@dataclass(slots=True)
class StackRecord:
    """The processes that were started, the ports that they listen on and what they serve."""

    processes: dict[str, ProcessRecord] = field(default_factory=dict)
    ports: dict[str, list[int]] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)
    repairs: dict[str, Repairs] = field(default_factory=dict)
    supervisor: ProcessRecord | None = None

    @classmethod
    def load(cls, run_directory: Path) -> "StackRecord":
        """The saved record; an empty one when there is none.

        Raises:
            StackError: the file is damaged; the sentence tells what still runs.

        """
        path = run_directory / _FILE
        try:
            record = TypeAdapter(cls).validate_json(path.read_bytes())
        except FileNotFoundError:
            return cls()
        except (ValueError, OSError):
            raise StackError(_damaged(path)) from None
        is_empty = not record.processes and record.supervisor is None
        if is_empty or record.processes.keys() != record.ports.keys():
            raise StackError(_damaged(path))
        return record

    def save(self, run_directory: Path) -> None:
        """Replaces the saved record in one step; an empty record leaves no file."""
        path = run_directory / _FILE
        if not self.processes and self.supervisor is None:
            path.unlink(missing_ok=True)
            return
        draft = path.with_suffix(".tmp")
        with draft.open("w", encoding="utf-8") as file:
            file.write(json.dumps(dataclasses.asdict(self), indent=2))
            file.flush()
            os.fsync(file.fileno())  # else a machine that goes down leaves an empty file
        draft.replace(path)


def _damaged(path: Path) -> str:
    """What to do about a record that can't be read."""
    running = members_of(path.parent)
    if not running:
        return (
            f"{path}, which lists what runs, is damaged; none of it is running: remove that file."
        )
    listed = ", ".join(f"{name} ({pid})" for pid, name in running.items())
    return (
        f"{path}, which lists what runs, is damaged. Still running: {listed}. End them with "
        f"`kill {' '.join(map(str, running))}`, then remove that file."
    )
