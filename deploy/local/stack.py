"""Starts, probes and stops services, and remembers them in a run directory."""

import fcntl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import processes
from deploy.local.errors import StackError
from deploy.local.interrupts import deferred_interrupts
from deploy.local.ports import check_free
from deploy.local.records import Repairs, StackRecord
from deploy.local.services.service import Check, Launch, Service

_POLL_SECONDS = 0.1
_RELEASE_SECONDS = 5.0
_LOG_LINES = 15
_SUPERVISOR = "supervisor"
# It may be stopping a service that hangs.
_SUPERVISOR_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service as it was found: `pid` is None when it doesn't run.

    `died` tells that it was started and has ended without being stopped.
    """

    service: Service
    pid: int | None
    died: bool
    checks: tuple[Check, ...]
    repairs: Repairs = field(default_factory=Repairs)

    @property
    def ready(self) -> bool:
        """Whether it runs and every check of it holds."""
        return self.pid is not None and all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True)
class Supervision:
    """The supervisor: `pid` is None when it doesn't run, which is a fault if it `is_wanted`."""

    pid: int | None
    is_wanted: bool


class Stack:
    """Some services, in the order in which they start.

    `supervisor` is the program that watches them from `up` to `down`; without it nobody does.  It
    alone changes the record while it runs, and every command stops it before it changes anything.
    """

    def __init__(
        self, run_directory: Path, services: Sequence[Service], supervisor: Launch | None = None
    ) -> None:
        self.run_directory = run_directory
        self.services = tuple(services)
        self._supervisor = supervisor

    def up(self) -> list[str]:
        """Starts what doesn't run, refreshes what does, and returns when all is ready.

        Returns a sentence for each part that a service does without, such as a model that can't be
        loaded.  When a service doesn't come up, or on an interrupt, what this call started is
        stopped again.
        """
        with self._locked():
            record = StackRecord.load(self.run_directory)
            self._check_same(record)
            with self._unsupervised(record):
                return self._up(record)

    def _up(self, record: StackRecord) -> list[str]:
        record.repairs.clear()
        started: list[Service] = []
        problems: list[str] = []
        try:
            for service in self.services:
                refreshed = self._refresh(service, record)
                if refreshed is None:
                    started.append(service)
                    self._start(service, record)
                missing = self._wait_ready(service, record, started)
                problems += missing if refreshed is None else refreshed
        except BaseException:
            for service in reversed(started):
                self._stop(service, record)
            raise
        return problems

    def down(self) -> list[str]:
        """Stops what runs, the last one first; returns the names of what it stopped."""
        with self._locked():
            record = StackRecord.load(self.run_directory)
            with deferred_interrupts():
                self._stop_supervisor(record)
            running = [one for one in reversed(self.services) if _runs(record, one)]
            for service in reversed(self.services):
                self._stop(service, record)
            return [service.name for service in running]

    def status(self) -> list[ServiceStatus]:
        """Probes every service."""
        record = StackRecord.load(self.run_directory)
        return [self._status(service, record) for service in self.services]

    def supervision(self) -> Supervision:
        """Whether somebody watches."""
        supervisor = StackRecord.load(self.run_directory).supervisor
        if supervisor is None:
            return Supervision(None, is_wanted=False)
        is_alive = processes.is_alive(supervisor)
        return Supervision(supervisor.pid if is_alive else None, is_wanted=True)

    def restart(self, service: Service, record: StackRecord) -> None:
        """Starts a service anew, whatever became of it; for the supervisor, which doesn't wait."""
        self._start(service, record)

    def log(self, service: Service) -> Path:
        """Where the output of a service goes."""
        return self.run_directory / f"{service.name}.log"

    def _status(self, service: Service, record: StackRecord) -> ServiceStatus:
        process = record.processes.get(service.name)
        repairs = record.repairs.get(service.name, Repairs())
        if process is None or not processes.is_alive(process):
            return ServiceStatus(service, None, process is not None, (), repairs)
        return ServiceStatus(service, process.pid, False, tuple(service.check()), repairs)

    def _refresh(self, service: Service, record: StackRecord) -> list[str] | None:
        """What a service that runs can't have; None when it has to be started."""
        if not _runs(record, service):
            return None
        try:
            return service.refresh()
        except StackError:
            return None

    @contextmanager
    def _unsupervised(self, record: StackRecord) -> Iterator[None]:
        """Without the supervisor; it is back at the end, if there is something to watch."""
        self._stop_supervisor(record)
        try:
            yield
        finally:
            with deferred_interrupts():
                if record.processes and self._supervisor is not None:
                    self._start_supervisor(record, self._supervisor)

    def _start_supervisor(self, record: StackRecord, launch: Launch) -> None:
        log = self.run_directory / f"{_SUPERVISOR}.log"
        record.supervisor = processes.spawn(
            _SUPERVISOR, launch.command, launch.environment, log, launch.directory
        )
        record.save(self.run_directory)

    def _stop_supervisor(self, record: StackRecord) -> None:
        """Stops it, and takes over what it has changed meanwhile."""
        if record.supervisor is None:
            return
        processes.stop(record.supervisor, _SUPERVISOR_SECONDS)
        latest = StackRecord.load(self.run_directory)
        record.processes, record.ports = latest.processes, latest.ports
        record.subjects, record.repairs = latest.subjects, latest.repairs
        record.supervisor = None
        record.save(self.run_directory)

    def _start(self, service: Service, record: StackRecord) -> None:
        patience = _RELEASE_SECONDS if service.name in record.processes else 0.0
        self._stop(service, record)  # a dead one may have left children
        for port in (*service.ports, *service.metrics_ports):
            check_free(port, patience)
        launch = service.launch()
        self._put_by(self.log(service))
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

    def _wait_ready(
        self, service: Service, record: StackRecord, started: Sequence[Service]
    ) -> list[str]:
        """Returns when it is ready, with what it does without."""
        process = record.processes[service.name]
        deadline = time.monotonic() + service.ready_seconds
        while True:
            checks = service.check()
            late = [check.subject for check in checks if not (check.ok or check.is_hopeless)]
            # Asked after the probe: what answered may be somebody else's.
            if not processes.is_alive(process):
                raise StackError(f"{service.name} ended while it started{self._tail(service)}")
            for other in started:
                if not processes.is_alive(record.processes[other.name]):
                    raise StackError(
                        f"{other.name} ended while {service.name} started{self._tail(other)}"
                    )
            if not late:
                return _missing(service, checks)
            for check in checks:
                # It died just now: nobody else looks after the service while it is waited for.
                if check.is_dead:
                    service.mend(check.subject)
            if time.monotonic() > deadline:
                raise StackError(
                    f"{service.name} was not ready after {service.ready_seconds:g} s "
                    f"({', '.join(late)}){self._tail(service)}"
                )
            time.sleep(_POLL_SECONDS)

    def _put_by(self, log: Path) -> None:
        """Keeps the log of the life before: it may tell why that ended."""
        if log.exists():
            log.replace(log.with_suffix(".previous.log"))

    def last_words(self, service: Service) -> str:
        """The last telling line of its log."""
        return "".join(self._telling(service)[-1:]).strip()

    def _tail(self, service: Service) -> str:
        telling = self._telling(service)[-_LOG_LINES:]
        return "; the end of its log:\n  " + "\n  ".join(telling) if telling else " silently."

    def _telling(self, service: Service) -> list[str]:
        try:
            lines = self.log(service).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []
        return [line for line in lines if not service.log_noise.match(line)]

    def _check_same(self, record: StackRecord) -> None:
        for service in self.services:
            if not _runs(record, service):
                continue
            wanted = [port.number for port in service.ports]
            if record.ports[service.name] != wanted:
                raise StackError(
                    f"{service.name} already runs on port {record.ports[service.name][0]}, not on "
                    f"{wanted[0]}: run `make down` first, or unset {service.ports[0].variable}."
                )
            subject = record.subjects.get(service.name, service.subject)
            if subject != service.subject:
                raise StackError(
                    f"{service.name} already runs with {subject}, not with {service.subject}: "
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


def _missing(service: Service, checks: Sequence[Check]) -> list[str]:
    """What a service does without; StackError when nothing but the server itself is left."""
    missing = [f"{check.subject} {check.detail}" for check in checks if check.is_hopeless]
    parts = [check for check in checks if check.subject != "server"]
    if missing and not any(check.ok for check in parts):
        raise StackError(f"{service.name} has nothing to serve: {'; '.join(missing)}.")
    return missing


def _runs(record: StackRecord, service: Service) -> bool:
    process = record.processes.get(service.name)
    return process is not None and processes.is_alive(process)
