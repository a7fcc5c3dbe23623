"""What the stack needs to know of a service."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.local.ports import Port


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was just probed: the server itself, or a model that it holds."""

    subject: str
    ok: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Launch:
    """How a process is run; `environment` is the whole of it."""

    command: tuple[str, ...]
    environment: dict[str, str]
    directory: Path


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the stack.

    `launch` is called before each start: it lays out what the process needs and may raise
    `StackError`.  `check` probes the running service and says what is ready; it raises nothing.
    `refresh` has a service that runs already take up what is new; it may raise `StackError`.
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
    refresh: Callable[[], None] = lambda: None
    clean: Callable[[], None] = lambda: None
    log_noise: re.Pattern[str] = re.compile(r"\s*$")
    ready_seconds: float = 60.0
    stop_seconds: float = 15.0
