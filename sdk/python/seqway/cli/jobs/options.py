"""Options that several commands of `seqway jobs` share."""

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

JobId = Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)]
Watched = Annotated[
    bool, typer.Option("--watch", "-w", help="Show progress until the job has ended.")
]
Deadline = Annotated[
    str | None,
    typer.Option(
        "--deadline",
        metavar="DURATION",
        help="Time after which unfinished lines expire: 90s, 15m, 2h, 7d.",
    ),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--label", "-l", metavar="NAME=VALUE", help="Label of the job; repeatable."),
]

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def duration(text: str | None, option: str) -> timedelta | None:
    """A number with a unit; `typer.BadParameter` names the option of anything else."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", text.strip())
    if match is None or float(match[1]) == 0:
        raise typer.BadParameter(
            f"{text!r} is not a duration: pass a number above 0 with s, m, h or d, such as 2h",
            param_hint=option,
        )
    try:
        return timedelta(seconds=float(match[1]) * _UNITS[match[2]])
    except OverflowError:
        raise typer.BadParameter(f"{text!r} is too long", param_hint=option) from None


def labels_of(given: Sequence[str] | None) -> dict[str, str]:
    """Names and values; `typer.BadParameter` for what has no name."""
    labels: dict[str, str] = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not name or not equals:
            raise typer.BadParameter(f"{one!r} is not NAME=VALUE", param_hint="--label")
        labels[name] = value
    return labels
