"""Which texts of a job come again in a later chunk, found with memory that does not grow."""

import sqlite3
import tempfile
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from services.jobs.store.items import Item


def text_id(item: Item) -> str:
    """Equal for items that have the same answer, and for no others."""
    key = repr((item.text, item.question)).encode(errors="surrogatepass")
    return blake2b(key, digest_size=16).hexdigest()


class Recurrence:
    """A temporary table on disk: each text, the chunk where it came first, whether again."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="seqway-job-")
        self._table = sqlite3.connect(Path(self._folder.name) / "texts", isolation_level=None)
        self._table.execute("PRAGMA journal_mode = OFF")
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute(
            "CREATE TABLE texts (id TEXT PRIMARY KEY, chunk INTEGER, again INTEGER) WITHOUT ROWID"
        )
        self._table.execute("BEGIN")

    def add(self, chunk: int, items: Iterable[Item]) -> None:
        """Notes the texts of the next chunk."""
        self._table.executemany(
            "INSERT INTO texts VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET again = 1"
            " WHERE chunk != excluded.chunk",
            [(text_id(item), chunk) for item in items],
        )

    def recurring(self) -> Iterator[tuple[int, list[str]]]:
        """For each chunk the texts that came there first and again later, if there are any."""
        rows = self._table.execute("SELECT chunk, id FROM texts WHERE again ORDER BY chunk")
        for chunk, group in groupby(rows, key=lambda row: row[0]):
            yield chunk, [row[1] for row in group]

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
