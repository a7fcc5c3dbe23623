"""A table that can be shown in a terminal and written to a document."""

import textwrap
from dataclasses import dataclass

from rich.table import Table

WIDTH = 120
"""Of a line of a document."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Rows of cells under a header."""

    title: str
    header: list[str]
    rows: list[list[str]]

    def as_table(self) -> Table:
        """For a terminal."""
        table = Table(*self.header, title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def as_markdown(self) -> str:
        """For a document, below its title."""
        lines = [self.header, ["---"] * len(self.header), *self.rows]
        table = ["| " + " | ".join(row) + " |" for row in lines]
        return "\n".join([*textwrap.wrap(f"{self.title}:", WIDTH), "", *table])
