"""How far a job is: counted from its results, which alone are true."""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from services.jobs.store import layout
from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.records import FinalRecord, LineCounts, State
from services.jobs.store.results import HEADER_BYTES, counts_of

_REMEMBERED_JOBS = 256


@dataclass(frozen=True, slots=True)
class Progress:
    """A job as it is at a moment."""

    run: JobRun
    state: State
    counts: LineCounts
    cancel_requested: bool
    final: FinalRecord | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will change, unless it is resumed."""
        return self.final is not None


class Counter:
    """Counts the results of runs; remembers the counts of chunks, which never change."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: OrderedDict[tuple[str, int], dict[int, LineCounts]] = OrderedDict()
        self._lock = Lock()

    def progress(self, run: JobRun) -> Progress:
        """How far the run is."""
        cancelled = self._archive.is_cancelled(run)
        final = self._archive.final(run)
        if final is not None:
            return Progress(run, final.state, final.counts, cancelled, final)
        counts = self.count(run)
        return Progress(run, self._state(run, counts), counts, cancelled, None)

    def count(self, run: JobRun) -> LineCounts:
        """The counts of a run: what it leaves as it was, and the chunks that are done."""
        total = run.run.kept
        for each in self.chunks(run).values():
            total += each
        return total

    def chunks(self, run: JobRun) -> dict[int, LineCounts]:
        """The counts of the chunks of a run that are done."""
        key = run.record.id, run.run.number
        with self._lock:
            known = self._known.setdefault(key, {})
            self._known.move_to_end(key)
            while len(self._known) > _REMEMBERED_JOBS:
                self._known.popitem(last=False)
        store = self._archive.store
        for path in list(store.keys(run.layout.results)):
            chunk = layout.chunk_of(path)
            if chunk not in known and (head := store.head(path, HEADER_BYTES)) is not None:
                known[chunk] = counts_of(head)
        return dict(known)

    def _state(self, run: JobRun, counts: LineCounts) -> State:
        if counts.done == run.record.total:
            return State.FINALIZING
        if counts.done > run.run.kept.done:
            return State.RUNNING
        attempts = self._archive.store.keys(f"{run.layout.folder}attempts/")
        return State.RUNNING if next(attempts, None) is not None else State.QUEUED
