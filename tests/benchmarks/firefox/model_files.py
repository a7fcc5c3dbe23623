"""The files of a model of Firefox, for engines that want each by its name."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

SHORTLIST = ", its shortlist"
"""How the name of a system ends that uses it."""


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Weights, the one vocabulary, and the lexical shortlist."""

    model: Path
    vocabulary: Path
    shortlist: Path

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Those of a folder that has one of each."""
        patterns = ("model.*.bin", "vocab.*.spm", "lex.*.bin")
        model, vocabulary, shortlist = (next(folder.glob(each)).resolve() for each in patterns)
        return cls(model, vocabulary, shortlist)
