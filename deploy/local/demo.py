"""The demonstration: real texts through SDK, gateway, Triton and engine, then nothing left."""

import os
import subprocess
import sys
import time
from pathlib import Path

from rich.console import Console

from deploy.local.errors import StackError
from deploy.local.manifests import read_models
from deploy.local.ports import HOST
from deploy.local.running import running_stack
from deploy.local.settings import ROOT, StackSettings

_SAMPLE = ROOT / "examples" / "texts" / "packages.txt"
_SENTENCE = "A small and fast text editor for the console."
_DESCRIPTION = (
    "This package contains a small web server for static files. It is configured by one file, "
    "speaks HTTP/2 and TLS, and needs few resources, so it can be used on small systems."
)
_TASKS = ("translation", "summarization", "classification")

_COMMANDS = {
    "Its translation, printed while it is made": (
        *("translate", "--from", "en", "--to", "fr", "--stream"),
        *("--file", str(_SAMPLE)),
    ),
    "One sentence as JSON, with its timings in seconds": (
        *("translate", "--from", "en", "--to", "fr", "--json"),
        _SENTENCE,
    ),
    "A description in one line": ("summarize", _DESCRIPTION),
    "The section of the archive that it belongs to": ("classify", "--top-k", "3", _DESCRIPTION),
}


def demo(settings: StackSettings, console: Console) -> None:
    """Runs on ports of its own, so that it doesn't disturb a stack that is up."""
    _check_models(settings.model_repository)
    console.print("[bold]Starting Triton and the gateway on free ports ...[/bold]")
    began = time.monotonic()
    with running_stack(settings) as stack:
        seconds = time.monotonic() - began
        address = f"{HOST}:{stack.ports.gateway.number}"
        console.print(f"Ready after {seconds:.1f} s; the gateway listens on {address}.")
        _show(console, address, "What is served", "models")
        console.print(f"\n[bold]The text ({_SAMPLE.relative_to(ROOT)})[/bold]")
        console.print(_SAMPLE.read_text(), markup=False, highlight=False, soft_wrap=True)
        for title, arguments in _COMMANDS.items():
            _show(console, address, title, *arguments)
    console.print(
        "\nEverything that was started is stopped again. `make up` keeps a stack running."
    )


def _check_models(model_repository: Path) -> None:
    """Says before anything is started which task has no model."""
    served = {model.task for model in read_models(model_repository)}
    missing = [task for task in _TASKS if task not in served]
    if missing:
        raise StackError(
            f"{model_repository} has no model for {' and '.join(missing)}: run `make models`."
        )


def _show(console: Console, address: str, title: str, *arguments: str) -> None:
    """Runs the command line of the SDK as its users do."""
    shown = [os.path.relpath(one, ROOT) if one.startswith(str(ROOT)) else one for one in arguments]
    line = " ".join(f'"{one}"' if " " in one else one for one in shown)
    console.print(
        f"\n[bold]{title}[/bold]\n[dim]$ seqway {line}[/dim]", highlight=False, soft_wrap=True
    )
    program = Path(sys.executable).with_name("seqway")
    finished = subprocess.run(
        [program, *arguments], env={**os.environ, "SEQWAY_ADDRESS": address}, check=False
    )
    if finished.returncode:
        raise StackError(f"`seqway {line}` failed with exit code {finished.returncode}.")
