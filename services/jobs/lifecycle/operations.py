"""What callers do with their jobs: list, cancel, resume, delete."""

from collections.abc import Callable, Iterator

from services.jobs.errors import JobStateError
from services.jobs.lifecycle.progress import Counter, Progress
from services.jobs.store import layout
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.objects import Store
from services.jobs.store.records import RUNS, LineCounts, RunRecord


class Operations:
    """All by tenant: another tenant's job does not exist."""

    def __init__(self, archive: Archive, counter: Counter) -> None:
        self._archive = archive
        self._store = archive.store
        self._counter = counter

    def get(self, tenant: str, job: str) -> Progress:
        """A job; raises UnknownJobError."""
        return self._counter.progress(self._archive.of_tenant(job, tenant))

    def page(
        self, tenant: str, after: str, size: int, keep: Callable[[Progress], bool]
    ) -> tuple[list[Progress], str]:
        """At most `size` jobs behind the index key `after`, the newest first.

        The key to go on behind comes with them; it is empty at the end.
        """
        found: list[Progress] = []
        folder = layout.index_folder(tenant)
        keys = sorted(self._store.keys(folder, after=folder + after if after else None))
        for key in keys:
            run = self._archive.current(layout.job_of(key))
            if run is None:
                continue  # deleted, or not accepted yet
            progress = self._counter.progress(run)
            if not keep(progress):
                continue
            found.append(progress)
            if len(found) == size:
                return found, key.rpartition("/")[2] if key != keys[-1] else ""
        return found, ""

    def queued_lines(self, tenant: str, *, but: str = "") -> int:
        """The lines of a tenant's jobs that are not done, but for one job.

        Looks at all its jobs that have not ended.
        """
        jobs = self._archive.active_of(tenant)
        return sum(self._pending(job) for job in jobs if job != but)

    def _pending(self, job: str) -> int:
        run = self._archive.current(job)
        if run is None or self._archive.final(run) is not None:
            return 0
        return run.record.total - self._counter.count(run).done

    def cancel(self, tenant: str, job: str) -> Progress:
        """Asks for the end of a job; one that has ended stays as it is."""
        run = self._archive.of_tenant(job, tenant)
        if self._archive.final(run) is None:
            self._store.create(run.layout.cancel, b"")
        return self._counter.progress(run)

    def resume(self, tenant: str, job: str, deadline: float | None) -> JobRun:
        """A new run of the chunks with lines that have not succeeded.

        JobStateError when the job has not ended, or nothing is left to do.
        """
        run = self._archive.of_tenant(job, tenant)
        self._archive.check_deadline(deadline, "deadline")
        if self._archive.final(run) is None:
            raise JobStateError("the job has not ended: cancel it, or wait for it", field="id")
        chunks, kept = [], LineCounts()
        for chunk, counts in self._latest(run):
            if counts.succeeded == counts.done:
                kept += counts
            else:
                chunks.append(chunk)
        if not chunks:
            raise JobStateError("every line has succeeded: there is nothing to resume", field="id")
        record = RunRecord(run.run.number + 1, chunks, kept, deadline)
        again = JobRun(run.record, record)
        self._archive.activate(job, tenant)
        if not self._store.create(again.layout.start, RUNS.encode(record)):
            raise JobStateError("the job was resumed by another call just now", field="id")
        return again

    def delete(self, tenant: str, job: str) -> None:
        """Removes a job that has ended; JobStateError when it has not."""
        run = self._archive.of_tenant(job, tenant)
        if self._archive.final(run) is None:
            raise JobStateError("the job has not ended: cancel it first", field="id")
        remove(self._store, run)

    def _latest(self, run: JobRun) -> Iterator[tuple[int, LineCounts]]:
        """The counts of every chunk after a run."""
        counted = self._counter.chunks(run)
        before = self._archive.before(run)
        earlier = dict(self._latest(before)) if before is not None else {}
        for chunk in range(len(run.record.sizes)):
            yield chunk, counted.get(chunk) or earlier[chunk]


def remove(store: Store, run: JobRun) -> None:
    """Removes a job; it is gone from the first step on, and the rest may be done again."""
    record = run.record
    store.delete(layout.index(record.tenant, record.created, record.id))
    store.delete(layout.record(record.id))
    store.delete_folder(layout.job_folder(record.id))
    store.delete(layout.active(record.id))
