"""Serves the metrics of a worker and of the processes that it forks, as those of one.

The processes count in files of one folder (the multiprocess mode of prometheus_client), and the
parent adds them up.  A file belongs to a place in the pool rather than to a process: a child that
takes another's place counts on, and there are as many files as places.
"""

import atexit
import os
import shutil
import sys
import tempfile
from socket import socket
from typing import Any

from billiard.process import current_process
from prometheus_client import CollectorRegistry, ProcessCollector, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from services.foundation.endpoints import PortInUseError, ServingSettings, serve_metrics
from services.foundation.environment import InvalidSettingsError

_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_counts() -> None:
    """Makes the folder; to be called before the first metric is made and the pool is forked."""
    try:
        folder = tempfile.mkdtemp(prefix="seqway-metrics-")
    except OSError as error:
        sys.exit(
            f"seqway worker: the folder for the metrics cannot be made ({error}): set"
            " TMPDIR to a writable folder, or SEQWAY_METRICS_PORT to 0"
        )
    os.environ[_FOLDER_VARIABLE] = folder
    values.ValueClass = values.MultiProcessValue(_place)  # type: ignore[no-untyped-call]
    atexit.register(_remove, folder, os.getpid())


class Exposition:
    """The HTTP server of a worker's parent process, where a port is set; it listens at once."""

    def __init__(self, settings: ServingSettings, *collectors: Collector) -> None:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        ProcessCollector(registry=registry)
        for collector in collectors:
            registry.register(collector)
        try:
            serving = serve_metrics(settings, registry)
        except PortInUseError as error:
            sys.exit(f"seqway worker: SEQWAY_METRICS_PORT: {error}")
        except InvalidSettingsError as error:
            sys.exit(f"seqway worker: {error}")
        self._socket: socket | None = serving[0].socket if serving else None
        self._parent = os.getpid()

    def leave(self) -> None:
        """In a child: else it would hold the port when the parent is gone."""
        if self._socket is not None and os.getpid() != self._parent:
            self._socket.close()


def _place() -> Any:
    """A process's place in the pool; processes outside of it are all the parent."""
    return getattr(current_process(), "index", "parent")


def _remove(folder: str, parent: int) -> None:
    if os.getpid() == parent:
        shutil.rmtree(folder, ignore_errors=True)
