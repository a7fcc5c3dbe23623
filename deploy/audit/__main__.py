"""`python -m deploy.audit [PIN ...]`: 0 nothing found, 1 something found, 2 not all was checked."""

import argparse
import datetime
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from deploy.audit.findings import Finding, NotCheckedError, read_accepted
from deploy.audit.services import node_findings, python_findings

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = (
    _ROOT / "constraints.txt",
    _ROOT / "deploy/local/triton-requirements.txt",
    _ROOT / "deploy/local/torch-requirements.txt",
)
_NODE = _ROOT / "sdk/typescript"


def main() -> int:
    """Prints a line for each thing found, and one for each set of packages."""
    parser = argparse.ArgumentParser(prog="python -m deploy.audit", description=__doc__)
    parser.add_argument("pins", nargs="*", help="more Python packages, such as torch==2.13.0")
    parser.add_argument(
        "--osv-url", default="https://api.osv.dev/v1/query", help="OSV, or a mirror"
    )
    parser.add_argument(
        "--allow-unchecked",
        action="store_true",
        help="exit with 0 in place of 2, for machines without a network",
    )
    given = parser.parse_args()
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as pins:
        pins.write("\n".join(given.pins))
        pins.flush()
        files = {file.name: file for file in _PYTHON} | {"other pins": Path(pins.name)}
        results = [
            _report(name, partial(python_findings, file, given.osv_url))
            for name, file in files.items()
        ]
    results.append(_report("sdk/typescript", partial(node_findings, _NODE)))
    if any(result for result in results):
        return 1
    return 2 if None in results and not given.allow_unchecked else 0


def _report(what: str, find: Callable[[], Sequence[Finding]]) -> Sequence[Finding] | None:
    """What was found and not accepted; None when it was not checked."""
    try:
        found = find()
    except NotCheckedError as error:
        _say(f"{what}: NOT CHECKED: {error}")
        return None
    accepted, today = read_accepted(), datetime.date.today()
    open_ones = [
        finding for finding in found if not any(one.covers(finding, today) for one in accepted)
    ]
    for finding in open_ones:
        _say(f"{what}: {finding}")
    _say(f"{what}: {len(open_ones)} known vulnerabilities, {len(found) - len(open_ones)} accepted")
    return open_ones


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
