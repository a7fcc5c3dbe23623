"""What is kept between two commands, as one JSON file of the run directory."""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.processes import ProcessRecord

_FILE = "stack.json"


@dataclass(slots=True)
class StackRecord:
    """The processes that were started, the ports that they listen on and what they serve."""

    processes: dict[str, ProcessRecord] = field(default_factory=dict)
    ports: dict[str, list[int]] = field(default_factory=dict)
    subjects: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, run_directory: Path) -> "StackRecord":
        """The saved record; an empty one when there is none."""
        try:
            saved = json.loads((run_directory / _FILE).read_text())
        except FileNotFoundError:
            return cls()
        processes = {name: ProcessRecord(**one) for name, one in saved["processes"].items()}
        return cls(processes, saved["ports"], saved.get("subjects", {}))

    def save(self, run_directory: Path) -> None:
        """Replaces the saved record in one step; an empty record leaves no file."""
        path = run_directory / _FILE
        if not self.processes:
            path.unlink(missing_ok=True)
            return
        draft = path.with_suffix(".tmp")
        draft.write_text(json.dumps(dataclasses.asdict(self), indent=2))
        draft.replace(path)
