"""The beams of the rows that have equally many, which take their steps together."""

from dataclasses import dataclass

import numpy as np

from engine.runtime.decoding.beam_search import BeamSearch
from engine.runtime.decoding.selection import Ints
from engine.runtime.request import Row


@dataclass
class BeamBatch:
    """Rows, their searches, and the slots `[n,k]` of their beams, best first.

    All of them are constrained, or none is.
    """

    rows: list[Row]
    searches: list[BeamSearch]
    slots: Ints

    @property
    def constrained(self) -> bool:
        """Whether scores are changed on the host."""
        return self.searches[0].constrained

    @property
    def renormalizes(self) -> bool:
        """See `Session.join_beams`."""
        return self.searches[0].renormalizes

    def without(self, rows: list[Row]) -> "BeamBatch":
        """Those of other rows."""
        kept = [place for place, row in enumerate(self.rows) if row not in rows]
        searches = [self.searches[place] for place in kept]
        return BeamBatch([self.rows[place] for place in kept], searches, self.slots[kept])


def beam_batches(rows: list[Row]) -> list[BeamBatch]:
    """Batches of the rows that search."""
    groups: dict[tuple[int, bool], list[tuple[Row, BeamSearch]]] = {}
    for row in rows:
        if search := row.strategy.search:
            groups.setdefault((search.width, search.constrained), []).append((row, search))
    return [
        BeamBatch(
            [row for row, _ in group],
            [search for _, search in group],
            np.array([row.slots for row, _ in group]),
        )
        for group in groups.values()
    ]
