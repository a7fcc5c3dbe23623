"""Which texts of a job come again in a later chunk, found in constant memory."""

from collections.abc import Iterable, Iterator
from itertools import groupby

from services.jobs.store.items import Item
from services.jobs.store.scratch import ScratchTable


class Recurrence(ScratchTable):
    """Each text, the chunk where it came first, and whether it came again."""

    def __init__(self) -> None:
        super().__init__("id TEXT PRIMARY KEY, chunk INTEGER, again INTEGER")

    def add(self, chunk: int, items: Iterable[Item]) -> None:
        """Notes the texts of the next chunk."""
        self._table.executemany(
            "INSERT INTO scratch VALUES (?, ?, 0) ON CONFLICT DO UPDATE SET again = 1"
            " WHERE chunk != excluded.chunk",
            [(item.text_id, chunk) for item in items],
        )

    def recurring(self) -> Iterator[tuple[int, list[str]]]:
        """For each chunk the texts that came there first and again later, if there are any."""
        rows = self._table.execute("SELECT chunk, id FROM scratch WHERE again ORDER BY chunk")
        for chunk, group in groupby(rows, key=lambda row: row[0]):
            yield chunk, [row[1] for row in group]
