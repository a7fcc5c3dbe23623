"""What a phase finds, written to a file as it goes."""

import json
from pathlib import Path
from typing import Any


class Part(dict[str, Any]):
    """A phase's share of the result; whoever reads its file never sees half of it."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self.save()

    def save(self) -> None:
        """Writes what is there; to be called after each figure, since a phase may be ended."""
        new = self._file.with_suffix(".new")
        new.write_text(json.dumps(self), encoding="utf-8")
        new.replace(self._file)

    def gate(self, name: str, passed: bool, **figures: float) -> None:
        """Says whether something that must be so is so."""
        self.setdefault("gates", {})[name] = {"passed": bool(passed), **figures}
        self.save()


def read_part(file: Path) -> dict[str, Any]:
    """What a phase has found so far; nothing if it has not begun."""
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return found
