"""What the stack needs to know of a service."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError
from deploy.local.ports import Port


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was just probed: the server itself, or a model that it holds.

    `is_hopeless`: waiting changes nothing, and the rest of the service does without it.  `is_dead`:
    it has ended, and does not come back by itself.  `is_silent`: it gave no answer, as what hangs
    or has much to do; `work` then grows while it does something.
    """

    subject: str
    ok: bool
    detail: str = ""
    is_hopeless: bool = False
    is_dead: bool = False
    is_silent: bool = False
    work: float = 0.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is run; `environment` is the whole of it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path


def _needs_start(subject: str) -> None:
    raise StackError(f"{subject} needs a new start.")


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the stack.

    `launch` is called before each start: it lays out what the process needs and may raise
    `StackError`.  `check` probes the running service and says what is ready; it raises nothing.
    `refresh` has a service that runs already take up what is new, and brings back parts of it that
    are dead; it returns a sentence for each part that it can't have.  `mend` brings back the part
    that a check names, which is dead, or was silent for `silent_seconds`.  Both raise `StackError`
    when only a new start of the service helps.
    `clean` runs after each stop, for what a killed process can't remove itself.
    `subject` is what it serves, such as a model repository; one that runs keeps its own.
    The first port is the one that callers use; `metrics_ports` are for Prometheus alone.  Lines of
    the log that match `log_noise` are left out where its end is shown.
    """

    name: str
    ports: tuple[Port, ...]
    launch: Callable[[], Launch]
    check: Callable[[], list[Check]]
    subject: str = ""
    metrics_ports: tuple[Port, ...] = ()
    refresh: Callable[[], list[str]] = list
    mend: Callable[[str], None] = _needs_start
    clean: Callable[[], None] = lambda: None
    log_noise: re.Pattern[str] = re.compile(r"\s*$")
    ready_seconds: float = 60.0
    silent_seconds: float = 60.0
    stop_seconds: float = 15.0
