"""Which part of a model each rank has, and which models can be divided so; importable anywhere."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from engine.parallel.division import DividedSizes
from engine.parallel.layout import Layout


class DivisionError(ValueError):
    """A model can't be divided as a layout says; the message is one sentence with the reason."""


class Portion(NamedTuple):
    """A rank's part of what is numbered from 0 on: from `first` on, before `last`."""

    first: int
    last: int

    @classmethod
    def of(cls, size: int, rank: int, ranks: int) -> "Portion":
        """That of `rank`; shares differ by 1 at most where `ranks` do not divide `size`."""
        return cls(size * rank // ranks, size * (rank + 1) // ranks)

    @property
    def size(self) -> int:
        """How many there are."""
        return self.last - self.first


def check_layout(model: Mapping[str, Any], layout: Layout) -> None:
    """Checks that a model can be divided, by what its `model.json` says.

    Raises:
        DivisionError: it can't be.

    """
    if "decoder_layers" not in model:
        if layout.group > 1:
            raise DivisionError(
                f"the layout {layout} divides a model that only reads, and such models run whole: "
                "set tp and sp to 1."
            )
        return
    if problem := DividedSizes.stored(model).problem(layout.tensor):
        raise DivisionError(f"{problem}.")
