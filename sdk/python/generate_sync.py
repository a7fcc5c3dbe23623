"""Generates the client for threads, `seqway.sync`, from the client for asyncio, `seqway.aio`.

`--check` writes nothing, and fails when a generated file is out of date.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from unasync import Rule, unasync_files

AIO = Path(__file__).parent / "seqway" / "aio"
SYNC = AIO.with_name("sync")
WRITTEN_BY_HAND = {"__init__.py", "channel.py"}
REPLACEMENTS = {
    "aio": "sync",
    "aiter": "iter",
    "anext": "next",
    "asyncio": "time",  # asyncio.sleep
    **{
        f"Async{name}": name
        for name in (
            "Calls",
            "Cancellation",
            "Channel",
            "Client",
            "JobStream",
            "JobSubmission",
            "Jobs",
            "Responses",
            "Stream",
            "SummaryStream",
            "Tasks",
            "TranslationStream",
        )
    },
}


def generate(folder: Path) -> dict[str, str]:
    """The text of each file by its name; `folder` is for the work on them."""
    names = {file.name for file in AIO.glob("*.py")} - WRITTEN_BY_HAND
    rule = Rule(f"{AIO}/", f"{folder}/", REPLACEMENTS)
    unasync_files([str(AIO / name) for name in names], [rule])
    ours = "lint.isort.known-first-party = ['seqway']"
    for command in (["check", "--select", "I", "--fix", "--config", ours], ["format"]):
        ruff = [str(Path(sys.executable).with_name("ruff")), *command, "--quiet", "--no-cache"]
        subprocess.run([*ruff, "--line-length", "100", str(folder)], check=True)
    return {
        name: f"# Generated from ../aio/{name} by `make client`.\n\n{(folder / name).read_text()}"
        for name in sorted(names)
    }


def main() -> None:
    """Writes or checks the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as folder:
        generated = generate(Path(folder))
    stale = {
        name: text
        for name, text in generated.items()
        if not (SYNC / name).is_file() or (SYNC / name).read_text() != text
    }
    strangers = {file.name for file in SYNC.glob("*.py")} - generated.keys() - WRITTEN_BY_HAND
    if check and (stale or strangers):
        sys.exit(f"out of date in {SYNC.name}: {', '.join([*stale, *strangers])}: `make client`")
    for name, text in stale.items():
        (SYNC / name).write_text(text)
    for name in strangers:
        (SYNC / name).unlink()


if __name__ == "__main__":
    main()
