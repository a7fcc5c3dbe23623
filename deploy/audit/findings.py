"""What was found, and what has been accepted."""

import datetime
import tomllib
from dataclasses import dataclass
from pathlib import Path

_ACCEPTED = Path(__file__).with_name("accepted.toml")


class NotCheckedError(Exception):
    """A service could not be asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A known vulnerability of a package; `names` are its identifiers, the first one is shown."""

    package: str
    names: tuple[str, ...]
    remedy: str

    def __str__(self) -> str:
        return f"{self.package}: {self.names[0]} ({self.remedy})"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A finding that is known and lived with, for a reason, until a day."""

    id: str
    reason: str
    until: datetime.date

    def covers(self, finding: Finding, today: datetime.date) -> bool:
        """Whether it is about this finding, and not yet over."""
        return self.id in finding.names and today <= self.until


def read_accepted(file: Path = _ACCEPTED) -> list[Accepted]:
    """The entries of the file; each must have an id, a reason and a day."""
    return [Accepted(**entry) for entry in tomllib.loads(file.read_text()).get("accepted", [])]
