"""Which services a stack has; and stacks for a `with` block, for tests and the demonstration."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.interrupts import deferred_interrupts
from deploy.local.services.gateway import gateway_service
from deploy.local.services.redis import redis_service
from deploy.local.services.service import Launch, Service
from deploy.local.services.triton import triton_service
from deploy.local.services.workers import controller_service, worker_service
from deploy.local.settings import ROOT, StackSettings, on_free_ports
from deploy.local.stack import Stack


def full_stack(settings: StackSettings) -> Stack:
    """All there is: Redis, Triton, the gateway and the workers; nobody watches over them."""
    return Stack(settings.run_directory, _all_services(settings))


def supervised_stack(settings: StackSettings) -> Stack:
    """The same with a supervisor, for settings that come from this process's environment."""
    supervisor = Launch((sys.executable, "-m", "deploy.local", "supervise"), dict(os.environ), ROOT)
    return Stack(settings.run_directory, _all_services(settings), supervisor)


def _all_services(settings: StackSettings) -> list[Service]:
    return [
        redis_service(settings),
        triton_service(settings),
        gateway_service(settings, batch=True),
        worker_service(settings),
        controller_service(settings),
    ]


@contextmanager
def running_stack(settings: StackSettings) -> Iterator[StackSettings]:
    """Triton and the gateway on free ports, ready; yields the settings that tell the ports.

    No batch jobs; see `running_full_stack`.

    >>> with running_stack(StackSettings()) as stack:
    ...     Client(f"127.0.0.1:{stack.ports.gateway.number}")
    """
    with _running(settings, lambda own: [triton_service(own), gateway_service(own)]) as own:
        yield own


@contextmanager
def running_full_stack(settings: StackSettings) -> Iterator[tuple[StackSettings, Stack]]:
    """All there is on free ports, ready; yields the settings and the stack, to stop parts of."""
    directory = _run_directory()
    own = on_free_ports(settings, directory)
    stack = full_stack(own)
    with _running_until_the_end(stack):
        yield own, stack


@contextmanager
def running_triton(
    model_repository: Path, backends: Mapping[str, Path] | None = None
) -> Iterator[StackSettings]:
    """Triton alone with the given models, on free ports, ready.

    `backends` are more Python-based backends (name: folder with its `model.py`) beside `seqway`.
    """
    defaults = StackSettings()
    settings = StackSettings(
        model_repository=model_repository, backends={**defaults.backends, **(backends or {})}
    )
    with _running(settings, lambda own: [triton_service(own)]) as own:
        yield own


@contextmanager
def _running(
    settings: StackSettings, services: Callable[[StackSettings], Sequence[Service]]
) -> Iterator[StackSettings]:
    directory = _run_directory()
    own = on_free_ports(settings, directory)
    with _running_until_the_end(Stack(directory, services(own))):
        yield own


def _run_directory() -> Path:
    return Path(tempfile.mkdtemp(prefix="seqway-stack-"))


@contextmanager
def _running_until_the_end(stack: Stack) -> Iterator[None]:
    """Stops everything at the end, also on failure, and removes the run directory."""
    try:
        stack.up()
        yield
    finally:
        with deferred_interrupts():
            stack.down()
            shutil.rmtree(stack.run_directory, ignore_errors=True)
