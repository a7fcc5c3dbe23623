"""Finds custom ids that are used twice, in constant memory."""

from services.jobs.store.scratch import ScratchTable


class Identifiers(ScratchTable):
    """Each id, and the line where it came first."""

    def __init__(self) -> None:
        super().__init__("id TEXT PRIMARY KEY, line INTEGER")

    def add(self, custom_id: str, line: int) -> int | None:
        """Notes an id; returns the line that already has it, if any."""
        done = self._table.execute("INSERT OR IGNORE INTO scratch VALUES (?, ?)", (custom_id, line))
        if done.rowcount:
            return None
        row = self._table.execute("SELECT line FROM scratch WHERE id = ?", (custom_id,)).fetchone()
        return int(row[0])
