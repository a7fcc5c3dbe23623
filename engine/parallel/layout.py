"""How many devices a variant runs on, and what each of them does."""

import re
from dataclasses import dataclass

MOST_RANKS = 64
"""Of all groups of a variant together."""

_PART = re.compile(r"(tp|sp|dp)=(\d+)")


@dataclass(frozen=True)
class Layout:
    """`data` groups serve side by side; in each, `tensor` times `sequence` ranks share the work.

    Of these, `tensor` ranks hold parts of the weights, and `sequence` ranks parts of each source.
    """

    tensor: int = 1
    sequence: int = 1
    data: int = 1

    def __post_init__(self) -> None:
        least = min(self.tensor, self.sequence, self.data)
        if least < 1 or self.ranks > MOST_RANKS:
            raise ValueError(
                f"the layout {self} has {self.ranks} ranks: each number has to be 1 or more, and "
                f"their product at most {MOST_RANKS}."
            )

    @classmethod
    def parse(cls, text: str) -> "Layout":
        """The layout that `text` tells, such as "tp=2,sp=2,dp=2"; what is left out is 1.

        Raises:
            ValueError: it is no layout.

        """
        numbers: dict[str, int] = {}
        for part in text.split(","):
            match = _PART.fullmatch(part.strip())
            if match is None or match[1] in numbers:
                raise ValueError(
                    f'the layout "{text}" is not one: it has to be such as "tp=2,sp=1,dp=2", with '
                    "how many devices share the weights (tp), each source (sp), and how many such "
                    "groups serve side by side (dp), each at most once."
                )
            numbers[match[1]] = int(match[2])
        return cls(numbers.get("tp", 1), numbers.get("sp", 1), numbers.get("dp", 1))

    def __str__(self) -> str:
        return f"tp={self.tensor},sp={self.sequence},dp={self.data}"

    @property
    def group(self) -> int:
        """The ranks of a group."""
        return self.tensor * self.sequence

    @property
    def ranks(self) -> int:
        """Those of all groups."""
        return self.group * self.data
