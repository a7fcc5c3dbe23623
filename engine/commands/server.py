"""`seqway-models serve`: from a folder or a hub id to a server that answers."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import typer

from engine.commands.checkpoints import import_with_progress
from engine.commands.example import example_command
from engine.commands.request import with_request
from engine.commands.terminal import console, failure
from engine.export.importer import ImportRequest
from engine.runtime.manifest import read_manifest

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_PORT = "50051"


@with_request
def serve_command(request: ImportRequest) -> None:
    """Import what is not there yet, start the local stack with it, and show an answer."""
    request = replace(request, repository=request.repository.resolve(), keep=not request.force)
    import_with_progress(request)
    _start_stack(request.repository)
    _show_example(request)


def _start_stack(repository: Path) -> None:
    """Starts Triton and the gateway, or lets those that run load what is new."""
    if not (ROOT / "deploy" / "local").is_dir():
        raise failure("`serve` needs the source tree of Seqway, which starts the stack.")
    _run(
        [sys.executable, "-m", "deploy.local", "up"],
        {"SEQWAY_MODEL_REPOSITORY": str(repository)},
    )


def _show_example(request: ImportRequest) -> None:
    """Runs a line to try, after printing it."""
    manifest = read_manifest(request.repository / f"{request.model_name}_{request.variants[0]}/1")
    port = os.environ.get("SEQWAY_GATEWAY_PORT") or DEFAULT_PORT
    command = ["seqway", *example_command(manifest), "--address", f"127.0.0.1:{port}"]
    line = " ".join(f'"{part}"' if " " in part or not part else part for part in command)
    console.print(f"\n[bold]Try:[/bold] {line}", highlight=False, soft_wrap=True)
    _run([str(Path(sys.executable).with_name("seqway")), *command[1:]], {})
    console.print("\nThe stack goes on running; `make down` stops it.")


def _run(command: list[str], variables: dict[str, str]) -> None:
    """Runs a program on this terminal; its failure, which it has told, is ours."""
    try:
        finished = subprocess.run(command, cwd=ROOT, env={**os.environ, **variables}, check=False)
    except OSError as error:
        raise failure(f"{command[0]} can't be run ({error.strerror}): run `make setup`.") from error
    if finished.returncode:
        raise typer.Exit(finished.returncode)
