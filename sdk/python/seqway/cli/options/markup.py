"""Whether the text is markup."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

Format = Literal["text", "html", "xml"]

_MIME_TYPES: dict[Format, str] = {
    "text": "text/plain",
    "html": "text/html",
    "xml": "application/xml",
}


@dataclass(frozen=True)
class MarkupFlags:
    """The format, in a long and two short ways."""

    format: Annotated[
        Format | None,
        typer.Option(
            "--format", help="Format of the text; the tags of markup are kept. [default: text]"
        ),
    ] = None
    html: Annotated[bool, typer.Option("--html", help="Short for --format html.")] = False
    xml: Annotated[bool, typer.Option("--xml", help="Short for --format xml.")] = False

    def mime_type(self) -> str:
        """As the client takes it; `typer.BadParameter` when two formats are given."""
        flags: dict[Format, bool] = {"html": self.html, "xml": self.xml}
        given = {name for name, is_given in flags.items() if is_given}
        if self.format is not None:
            given.add(self.format)
        if len(given) > 1:
            names = " and ".join(sorted(given))
            raise typer.BadParameter(f"the text can't be {names} at once", param_hint="--format")
        return _MIME_TYPES[given.pop()] if given else ""
