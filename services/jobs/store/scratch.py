"""Temporary tables on disk, for what would not fit into memory."""

import sqlite3
import tempfile
from pathlib import Path
from typing import Self


class ScratchTable:
    """A table in a database of its own, which goes when the block ends; without transactions."""

    def __init__(self, columns: str) -> None:
        """`columns` are those of the table, which is named `scratch`."""
        self._folder = tempfile.TemporaryDirectory(prefix="seqway-job-")
        self._table = sqlite3.connect(
            Path(self._folder.name) / "scratch", isolation_level=None, check_same_thread=False
        )
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute(f"CREATE TABLE scratch ({columns}) WITHOUT ROWID")
        self._table.execute("BEGIN")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._table.close()
        self._folder.cleanup()
