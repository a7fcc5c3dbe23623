"""Which part of a model each rank has, and which models can be divided so; importable anywhere."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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

    Heads and the units of feed-forward blocks (which are stored padded to a multiple of 16) have to
    be divisible, vocabularies do not; sources can be divided in any number of parts.

    Raises:
        DivisionError: it can't be.

    """
    ranks = layout.tensor
    if "decoder_layers" not in model:
        if layout.group > 1:
            raise DivisionError(
                f"the layout {layout} divides a model that only reads, and such models run whole: "
                "set tp and sp to 1."
            )
        return
    if ranks == 1:
        return
    for what in ("recurrent", "shortlist"):
        if model[what]:
            raise DivisionError(
                f"tp is {ranks}, and a model with {_WHOLE[what]} has to be whole on each rank: "
                "set tp to 1."
            )
    for name, what in _DIVIDED.items():
        if model[name] % ranks:
            raise DivisionError(
                f"tp is {ranks}, which does not divide the {model[name]} {what}: set tp to a "
                "number that does."
            )
    for name in ("vocabulary", "source_vocabulary"):
        if 0 < model[name] < ranks:
            raise DivisionError(
                f"tp is {ranks}, and the {name.replace('_', ' ')} has only {model[name]} tokens: "
                "set tp to no more."
            )


_WHOLE = {"recurrent": "recurrent units", "shortlist": "a lexical shortlist"}
_DIVIDED = {
    "encoder_heads": "heads of the encoder",
    "decoder_heads": "heads of the decoder",
    "encoder_hidden": "units of the encoder's feed-forward blocks",
    "decoder_hidden": "units of the decoder's feed-forward blocks",
}
