"""Phrases to keep, and the glossary."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from seqway.glossary import GlossaryEntry, read_glossary


@dataclass(frozen=True)
class TermFlags:
    """Phrases to keep, and a glossary."""

    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", metavar="PHRASE", help="Phrase to keep untranslated; repeatable."),
    ] = None
    glossary: Annotated[
        Path | None,
        typer.Option(
            "--glossary",
            "-g",
            help="UTF-8 file of terms: a line each of SOURCE<tab>TARGET, or CSV in a .csv file.",
        ),
    ] = None
    match_case: Annotated[
        bool,
        typer.Option("--match-case", help="Match the case of the glossary's terms."),
    ] = False

    def entries(self) -> tuple[GlossaryEntry, ...]:
        """The glossary; `typer.BadParameter` when its file can't be read or holds no term."""
        if self.glossary is None:
            if self.match_case:
                raise typer.BadParameter("requires --glossary", param_hint="--match-case")
            return ()
        try:
            entries = read_glossary(self.glossary, case_sensitive=self.match_case)
        except OSError as error:
            raise _refusal(f"{self.glossary}: {error.strerror}") from None
        except ValueError as error:
            raise _refusal(str(error)) from None
        if not entries:
            raise _refusal(f"{self.glossary} holds no terms")
        return entries


def _refusal(problem: str) -> typer.BadParameter:
    return typer.BadParameter(problem, param_hint="--glossary")
