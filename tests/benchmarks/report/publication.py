"""Writes tables and plots to the documents.

A document says where each goes: between `<!-- bench: NAME -->` and `<!-- end -->`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks.report.grid import Grid


class NoPlaceError(LookupError):
    """A document has no place for a block of that name."""


def with_blocks(text: str, blocks: Mapping[str, str]) -> str:
    """The text of a document with new content in the places of that name.

    Raises:
        NoPlaceError: there is none.

    """
    for name, content in blocks.items():
        begin, end = f"<!-- bench: {name} -->\n", "<!-- end -->"
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not found or not ended:
            raise NoPlaceError(name)
        text = f"{before}{begin}\n{content}\n\n{end}{after}"
    return text


def block_of(machine: str, grids: Sequence[Grid], plot: str | None) -> str:
    """What is published of one part: where it was measured, tables, and a plot in that file."""
    parts = [f"({machine})", *(grid.as_markdown() for grid in grids)]
    return "\n\n".join([*parts, *([f"![{Path(plot).stem}]({plot})"] if plot else [])])


def save_plot(figure: Figure, path: Path) -> None:
    """As SVG with its text as text, the same bytes for the same figures."""
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": path.stem}):
        figure.savefig(path, metadata={"Date": None})
