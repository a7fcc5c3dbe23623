"""The records of jobs in the store."""

from collections.abc import Iterator
from dataclasses import dataclass

from services.inference.errors import InvalidOptionError
from services.jobs.errors import UnknownJobError
from services.jobs.store import layout
from services.jobs.store.clock import Clock
from services.jobs.store.items import Item
from services.jobs.store.layout import RunLayout
from services.jobs.store.objects import Store
from services.jobs.store.records import (
    ACTIVES,
    FINALS,
    JOBS,
    RUNS,
    ActiveRecord,
    FinalRecord,
    JobRecord,
    LineCounts,
    RunRecord,
)
from services.jobs.store.results import Line, decode, decode_items


@dataclass(frozen=True, slots=True)
class JobRun:
    """A job and one run of it."""

    record: JobRecord
    run: RunRecord

    @property
    def layout(self) -> RunLayout:
        """Where its objects lie."""
        return RunLayout(self.record.id, self.run.number)

    @property
    def order(self) -> float:
        """Which of a tenant's jobs goes first: by priority, then by age; the least one."""
        return self.record.priority * 1e10 + self.record.created


class Archive:
    """Reads and writes records, and knows what time it is; raises StoreUnavailableError."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self.clock = clock

    def check_deadline(self, deadline: float | None, field: str) -> None:
        """InvalidOptionError when a deadline that is asked for has passed already."""
        if deadline is not None and deadline <= self.clock.now():
            why = "has passed already: give a time that is yet to come"
            raise InvalidOptionError(f"{field} {why}", field=field)

    def is_late(self, run: JobRun) -> bool:
        """Whether the deadline of a run has passed."""
        return run.run.deadline is not None and self.clock.now() >= run.run.deadline

    def record(self, job: str) -> JobRecord | None:
        """A job; None when there is none, or not yet."""
        data = self.store.get(layout.record(job))
        return JOBS.decode(data) if data is not None else None

    def of_tenant(self, job: str, tenant: str) -> JobRun:
        """A tenant's job; UnknownJobError also when it is another tenant's."""
        found = self.current(job)
        if found is None or found.record.tenant != tenant:
            raise UnknownJobError("there is no such job", field="id")
        return found

    def current(self, job: str) -> JobRun | None:
        """A job in its last run."""
        record = self.record(job)
        if record is None:
            return None
        number = 1
        while self.store.exists(RunLayout(job, number + 1).start):
            number += 1
        return JobRun(record, self._run(record, number))

    def run(self, job: str, number: int) -> JobRun | None:
        """A job in a certain run."""
        record = self.record(job)
        return JobRun(record, self._run(record, number)) if record is not None else None

    def _run(self, record: JobRecord, number: int) -> RunRecord:
        if number > 1:
            data = self.store.get(RunLayout(record.id, number).start)
            if data is not None:
                return RUNS.decode(data)
        return RunRecord(1, range(len(record.sizes)), LineCounts(), record.deadline)

    def final(self, run: JobRun) -> FinalRecord | None:
        """How a run ended; None while it has not."""
        data = self.store.get(run.layout.final)
        return FINALS.decode(data) if data is not None else None

    def is_cancelled(self, run: JobRun) -> bool:
        """Whether somebody has cancelled it; it may have ended otherwise."""
        return self.store.exists(run.layout.cancel)

    def done(self, run: JobRun) -> set[int]:
        """The chunks of a run that have results."""
        return {layout.chunk_of(key) for key in self.store.keys(run.layout.results)}

    def items(self, run: JobRun, chunk: int) -> list[Item]:
        """The lines of a chunk."""
        key = layout.input_chunk(run.record.id, run.record.upload, chunk)
        data = self.store.get(key)
        if data is None:
            raise UnknownJobError(f"chunk {chunk} of {run.record.id} has no input")
        return decode_items(data)

    def lines(self, run: JobRun, chunk: int) -> list[Line] | None:
        """The results of a chunk as they are after a run; None while it has none."""
        data = self.lines_object(run, chunk)
        return decode(data) if data is not None else None

    def lines_object(self, run: JobRun, chunk: int) -> bytes | None:
        """The object with the results of a chunk after a run: that of the last run that did it."""
        if chunk in run.run.chunks:
            return self.store.get(run.layout.result(chunk))
        before = self.before(run)
        return self.lines_object(before, chunk) if before is not None else None

    def before(self, run: JobRun) -> JobRun | None:
        """The run before."""
        if run.run.number == 1:
            return None
        return JobRun(run.record, self._run(run.record, run.run.number - 1))

    def activate(self, job: str, tenant: str) -> None:
        """Marks a job for the reconciler; the time of a mark that is there stays."""
        mark = ActiveRecord(tenant, self.clock.now())
        self.store.create(layout.active(job), ACTIVES.encode(mark))

    def activate_again(self, job: str, tenant: str) -> None:
        """The same, with the time of now, from which on an upload may take its time."""
        mark = ActiveRecord(tenant, self.clock.now())
        self.store.replace(layout.active(job), ACTIVES.encode(mark))

    def active(self) -> Iterator[str]:
        """The jobs that may have work to do."""
        for key in self.store.keys(layout.ACTIVE):
            yield layout.job_of(key)

    def active_of(self, tenant: str) -> Iterator[str]:
        """Those of a tenant."""
        for job in self.active():
            data = self.store.get(layout.active(job))
            if data is not None and ACTIVES.decode(data).tenant == tenant:
                yield job

    def active_since(self, job: str) -> float | None:
        """When a job was marked; None when it is not."""
        data = self.store.get(layout.active(job))
        return ACTIVES.decode(data).since if data is not None else None
