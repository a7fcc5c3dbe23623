"""Which tokens an answer may hold, by the tokens of its source: a lexical shortlist.

Then a head computes some hundred logits in place of a vocabulary's (Jean et al. 2015,
aclanthology.org/P15-1001).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

SHORTLIST_FILE = "shortlist.safetensors"

Ints = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Shortlist:
    """Lists of tokens, one behind the other in `ids [n]`, which end at `ends [1 + sources]`.

    List 0 is for every answer, list `t + 1` for those to sources with the token `t`.
    """

    ends: Ints
    ids: Ints

    def likely(self, source: Sequence[int]) -> Ints:
        """The tokens that the answer to a source may hold, ascending."""
        lists = [0, *(token + 1 for token in source)]
        return np.unique(np.concatenate([self._list(one) for one in lists]))

    def _list(self, number: int) -> Ints:
        first = self.ends[number - 1] if number else 0
        return self.ids[first : self.ends[number]]

    def save(self, folder: Path) -> None:
        """Writes it beside a checkpoint."""
        save_file({"ends": self.ends, "ids": self.ids}, folder / SHORTLIST_FILE)

    @classmethod
    def load(cls, folder: Path) -> "Shortlist | None":
        """That of a checkpoint; None where it has none."""
        path = folder / SHORTLIST_FILE
        return cls(**load_file(path)) if path.exists() else None
