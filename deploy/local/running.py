"""A stack for the length of a `with` block: what tests and the demonstration use."""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from deploy.local.gateway import gateway_service
from deploy.local.interrupts import deferred_interrupts
from deploy.local.services import Service
from deploy.local.settings import StackSettings, on_free_ports
from deploy.local.stack import Stack
from deploy.local.triton import triton_service


def full_stack(settings: StackSettings) -> Stack:
    """Triton and the gateway."""
    return Stack(settings.run_directory, [triton_service(settings), gateway_service(settings)])


@contextmanager
def running_stack(settings: StackSettings) -> Iterator[StackSettings]:
    """Triton and the gateway on free ports, ready; yields the settings that tell the ports.

    >>> with running_stack(StackSettings()) as stack:
    ...     Client(f"127.0.0.1:{stack.ports.gateway.number}")
    """
    with _running(settings, lambda own: [triton_service(own), gateway_service(own)]) as own:
        yield own


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
    """Stops everything at the end, also on failure, and removes the logs."""
    directory = Path(tempfile.mkdtemp(prefix="seqway-stack-"))
    own = on_free_ports(settings, directory)
    stack = Stack(directory, services(own))
    try:
        stack.up()
        yield own
    finally:
        with deferred_interrupts():
            stack.down()
            shutil.rmtree(directory, ignore_errors=True)
