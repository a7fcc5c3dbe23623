"""Starts, probes and stops services, and remembers them in a run directory."""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.interrupts import deferred_interrupts
from deploy.local.ports import check_free
from deploy.local.records import StackRecord
from deploy.local.services import Check, Service

_POLL_SECONDS = 0.1
_LOG_LINES = 15


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as it was found: `pid` is None when it doesn't run.

    `died` tells that it was started and has ended without being stopped.
    """

    service: Service
    pid: int | None
    died: bool
    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether it runs and every check of it holds."""
        return self.pid is not None and all(check.ok for check in self.checks)


class Stack:
    """Some services, in the order in which they start."""

    def __init__(self, run_directory: Path, services: Sequence[Service]) -> None:
        self.run_directory = run_directory
        self.services = tuple(services)

    def up(self) -> None:
        """Starts what doesn't run, refreshes what does, and returns when all is ready.

        When one doesn't come up, or on an interrupt, what this call started is stopped again.
        """
        with self._locked():
            record = StackRecord.load(self.run_directory)
            self._check_same(record)
            started: list[Service] = []
            try:
                for service in self.services:
                    if _runs(record, service):
                        service.refresh()
                    else:
                        started.append(service)
                        self._start(service, record)
                    self._wait_ready(service, record)
            except BaseException:
                for service in reversed(started):
                    self._stop(service, record)
                raise

    def down(self) -> list[str]:
        """Stops what runs, the last one first; returns the names of what it stopped."""
        with self._locked():
            record = StackRecord.load(self.run_directory)
            running = [one for one in reversed(self.services) if _runs(record, one)]
            for service in reversed(self.services):
                self._stop(service, record)
            return [service.name for service in running]

    def status(self) -> list[ServiceStatus]:
        """Probes every service."""
        record = StackRecord.load(self.run_directory)
        return [self._status(service, record) for service in self.services]

    def log(self, service: Service) -> Path:
        """Where the output of a service goes."""
        return self.run_directory / f"{service.name}.log"

    def _status(self, service: Service, record: StackRecord) -> ServiceStatus:
        process = record.processes.get(service.name)
        if process is None or not processes.is_alive(process):
            return ServiceStatus(service, None, died=process is not None, checks=())
        return ServiceStatus(service, process.pid, died=False, checks=tuple(service.check()))

    def _start(self, service: Service, record: StackRecord) -> None:
        self._stop(service, record)  # a dead one may have left children
        for port in (*service.ports, *service.metrics_ports):
            check_free(port)
        launch = service.launch()
        self.log(service).unlink(missing_ok=True)
        with deferred_interrupts():
            try:
                process = processes.spawn(
                    service.name,
                    launch.command,
                    launch.environment,
                    self.log(service),
                    launch.directory,
                )
            except OSError as error:
                raise StackError(
                    f"{service.name} can't be started ({error.strerror}: {error.filename}): "
                    "run `make setup`."
                ) from None
            record.processes[service.name] = process
            record.ports[service.name] = [port.number for port in service.ports]
            record.subjects[service.name] = service.subject
            record.save(self.run_directory)

    def _stop(self, service: Service, record: StackRecord) -> None:
        process = record.processes.get(service.name)
        if process is None:
            return
        processes.stop(process, service.stop_seconds)
        service.clean()
        del record.processes[service.name]
        record.ports.pop(service.name, None)
        record.subjects.pop(service.name, None)
        record.save(self.run_directory)

    def _wait_ready(self, service: Service, record: StackRecord) -> None:
        process = record.processes[service.name]
        deadline = time.monotonic() + service.ready_seconds
        while True:
            late = [check.subject for check in service.check() if not check.ok]
            # Asked after the probe: what answered may be somebody else's.
            if not processes.is_alive(process):
                raise StackError(f"{service.name} ended while it started{self._tail(service)}")
            if not late:
                return
            if time.monotonic() > deadline:
                raise StackError(
                    f"{service.name} was not ready after {service.ready_seconds:g} s "
                    f"({', '.join(late)}){self._tail(service)}"
                )
            time.sleep(_POLL_SECONDS)

    def _tail(self, service: Service) -> str:
        lines = self.log(service).read_text(errors="replace").splitlines()
        telling = [line for line in lines if not service.log_noise.match(line)][-_LOG_LINES:]
        return "; its last words were:\n  " + "\n  ".join(telling) if telling else " silently."

    def _check_same(self, record: StackRecord) -> None:
        for service in self.services:
            if not _runs(record, service):
                continue
            wanted = [port.number for port in service.ports]
            if record.ports[service.name] != wanted:
                raise StackError(
                    f"{service.name} runs already on port {record.ports[service.name][0]}, not on "
                    f"{wanted[0]}: run `make down` first, or unset {service.ports[0].variable}."
                )
            subject = record.subjects.get(service.name, service.subject)
            if subject != service.subject:
                raise StackError(
                    f"{service.name} runs already with {subject}, not with {service.subject}: "
                    "run `make down` first."
                )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One command at a time per run directory."""
        self.run_directory.mkdir(parents=True, exist_ok=True)
        with (self.run_directory / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(
                    f"Another command is starting or stopping the stack of {self.run_directory}: "
                    "wait for it."
                ) from None
            yield


def _runs(record: StackRecord, service: Service) -> bool:
    process = record.processes.get(service.name)
    return process is not None and processes.is_alive(process)
