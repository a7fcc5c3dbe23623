"""Results in the order of the input, while they come."""

from itertools import accumulate

from services.jobs.store.archive import Archive, JobRun
from services.jobs.store.results import Line, decode


class Reader:
    """Reads the results of one run, chunk by chunk, from the line with the index `start` on."""

    def __init__(self, archive: Archive, run: JobRun, start: int) -> None:
        self._archive = archive
        self._run = run
        self.next = start
        ends = list(accumulate(run.record.sizes))
        self._ends = ends
        self._chunk = next((n for n, end in enumerate(ends) if end > start), len(ends))

    @property
    def at_end(self) -> bool:
        """Whether every line was read."""
        return self._chunk == len(self._ends)

    def read(self) -> list[Line] | None:
        """The lines of the next chunk; None when it is not done yet."""
        data = self._archive.lines_object(self._run, self._chunk)
        if data is None:
            return None
        lines = [line for line in decode(data) if line["index"] >= self.next]
        self.next = self._ends[self._chunk]
        self._chunk += 1
        return lines
