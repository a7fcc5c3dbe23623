"""Asks those who know: OSV about Python packages, npm's registry about those of Node."""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from deploy.audit.findings import Finding, NotCheckedError


def python_findings(pins: Path, osv_url: str) -> list[Finding]:
    """Of every package that a file pins, by pip-audit; NotCheckedError."""
    command = [str(Path(sys.executable).with_name("pip-audit"))]
    command += ["--no-deps", "--disable-pip", "--progress-spinner=off", "--format=json"]
    command += ["--vulnerability-service=osv", f"--osv-url={osv_url}", f"--requirement={pins}"]
    packages = _ask(command, Path.cwd()).get("dependencies")
    if packages is None:
        raise NotCheckedError("pip-audit lists no packages")
    if skipped := [one["name"] for one in packages if "skip_reason" in one]:
        raise NotCheckedError(f"pip-audit skipped {', '.join(skipped)}")
    return [
        Finding(
            f"{package['name']} {package['version']}",
            (found["id"], *found["aliases"]),
            f"fixed in {', '.join(found['fix_versions']) or 'no version yet'}",
        )
        for package in packages
        for found in package["vulns"]
    ]


def node_findings(folder: Path) -> list[Finding]:
    """Of every package in the lock file of a folder, by npm; NotCheckedError."""
    report = _ask(["npm", "audit", "--json", "--package-lock-only"], folder)
    if "vulnerabilities" not in report:
        raise NotCheckedError(str(report.get("message") or "npm gives no report").strip())
    return list(_advisories(report["vulnerabilities"]))


def _advisories(packages: dict[str, Any]) -> Iterator[Finding]:
    for name, package in packages.items():
        for advisory in package["via"]:
            if isinstance(advisory, dict):  # else the name of the package that it comes from
                name_of = str(advisory["url"]).rpartition("/")[2]
                yield Finding(f"{name} {advisory['range']}", (name_of,), str(advisory["title"]))


def _ask(command: Sequence[str], folder: Path) -> dict[str, Any]:
    """What a program prints as JSON; its exit code tells findings and failures alike."""
    try:
        ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise NotCheckedError(f"{command[0]} is not installed") from None
    try:
        return dict(json.loads(ended.stdout))
    except ValueError:
        words = ended.stderr.strip().splitlines() or ["no output"]
        raise NotCheckedError(words[-1]) from None
