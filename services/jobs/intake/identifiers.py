"""Finds custom ids that come twice, with memory that does not grow."""

import sqlite3
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self


class Identifiers:
    """A temporary table on disk."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="seqway-job-")
        self._table = sqlite3.connect(
            Path(self._folder.name) / "ids", isolation_level=None, check_same_thread=False
        )
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE ids (id TEXT PRIMARY KEY, line INTEGER) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def add(self, custom_id: str, line: int) -> int | None:
        """Notes an id; the line where it was before, if it was."""
        done = self._table.execute("INSERT OR IGNORE INTO ids VALUES (?, ?)", (custom_id, line))
        if done.rowcount:
            return None
        row = self._table.execute("SELECT line FROM ids WHERE id = ?", (custom_id,)).fetchone()
        return int(row[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._table.close()
        self._folder.cleanup()
