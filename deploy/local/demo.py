"""The demonstration: real texts through SDK, gateway, Triton and engine, then nothing left."""

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from deploy.local.assembly import running_full_stack
from deploy.local.errors import StackError
from deploy.local.services.manifests import read_models
from deploy.local.settings import ROOT, StackSettings

_SAMPLE = ROOT / "examples" / "texts" / "packages.txt"
_SENTENCE = "A small and fast text editor for the console."
_DESCRIPTION = (
    "This package contains a small web server for static files. It is configured by one file, "
    "speaks HTTP/2 and TLS, and needs few resources, so it can be used on small systems."
)
_DATA = ROOT / "examples" / "data"
_FIREFOX = ROOT / ".firefox" / "models"
_SHOWN_RESULTS = 3
_TASKS = ("translation", "summarization", "classification")

_PORTUGUESE = {
    "Its translation by a model of Firefox's, printed while it is made": (
        *("translate", "--from", "en", "--to", "pt", "--stream"),
        *("--file", str(_SAMPLE)),
    ),
    "And one into English": (
        *("translate", "--from", "pt", "--to", "en"),
        "Um editor de texto pequeno e rápido para o terminal.",
    ),
    "And one into French, of a language that is detected, through English by two models": (
        *("translate", "--from", "auto", "--to", "fr"),
        "Esta biblioteca lê arquivos de áudio.",
    ),
}

_COMMANDS = {
    "Its translation by the example model, printed while it is made": (
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
    console.print(
        "[bold]Starting Redis, Triton, the gateway and the workers on free ports ...[/bold]"
    )
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory() as place,
        running_full_stack(_with_firefox(settings, Path(place))) as (stack, _),
    ):
        seconds = time.monotonic() - began
        console.print(
            f"Ready after {seconds:.1f} s; the gateway listens on {stack.gateway_address}."
        )
        _show(console, stack, "What is served", "models")
        console.print(f"\n[bold]The text ({_SAMPLE.relative_to(ROOT)})[/bold]")
        console.print(_SAMPLE.read_text(), markup=False, highlight=False, soft_wrap=True)
        if _has_firefox():
            for title, arguments in _PORTUGUESE.items():
                _show(console, stack, title, *arguments)
        else:
            console.print(
                "\nFirefox's models of English and Portuguese are not there, so what follows is by "
                "the small example models alone: `make firefox-models` downloads them."
            )
        for title, arguments in _COMMANDS.items():
            _show(console, stack, title, *arguments)
        _show_batch(console, stack)
    console.print(
        "\nEverything that was started is stopped again. `make up` keeps a stack running."
    )


def _has_firefox() -> bool:
    return {"en-pt", "pt-en"} <= {model.base_model for model in read_models(_FIREFOX)}


def _with_firefox(settings: StackSettings, place: Path) -> StackSettings:
    """The stack with Firefox's models beside its own, in a repository of links."""
    if not _has_firefox():
        return settings
    for repository in (settings.model_repository, _FIREFOX):
        for path in repository.glob("*/config.pbtxt"):
            link = place / path.parent.name
            if not link.exists():
                link.symlink_to(path.parent.resolve())
    return dataclasses.replace(settings, model_repository=place)


def _check_models(model_repository: Path) -> None:
    """Says before anything is started which task has no model."""
    served = {model.task for model in read_models(model_repository)}
    missing = [task for task in _TASKS if task not in served]
    if missing:
        raise StackError(
            f"{model_repository} has no model for {' and '.join(missing)}: run `make models`."
        )


def _show_batch(console: Console, stack: StackSettings) -> None:
    """A batch over all descriptions of the examples' test data."""
    lines = stack.run_directory / "descriptions.jsonl"
    count = _write_descriptions(lines)
    job = _show(
        console,
        stack,
        f"A batch job: a summary of each of {count:,} descriptions",
        *("jobs", "summarize", str(lines), "--watch"),
        is_captured=True,
    ).strip()
    results = stack.run_directory / "results.jsonl"
    _show(console, stack, "Its results", "jobs", "results", job, "--output", str(results))
    with lines.open(encoding="utf-8") as asked, results.open(encoding="utf-8") as answered:
        for question, answer, _ in zip(asked, answered, range(_SHOWN_RESULTS), strict=False):
            text = " ".join(json.loads(question)["text"].split())
            console.print(
                Text(text, style="dim", overflow="ellipsis", no_wrap=True),
                Text(f"→ {json.loads(answer)['text']}\n"),
                sep="\n",
            )
    _show(console, stack, "Its counts", "jobs", "show", job)


def _write_descriptions(path: Path) -> int:
    """A line for each different description; tells how many there are."""
    texts = dict.fromkeys(
        json.loads(line)["source"]
        for file in sorted(_DATA.glob("*.test.jsonl"))
        for line in file.read_text(encoding="utf-8").splitlines()
    )
    path.write_text(
        "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts),
        encoding="utf-8",
    )
    return len(texts)


def _show(
    console: Console, stack: StackSettings, title: str, *arguments: str, is_captured: bool = False
) -> str:
    """Runs the command line of the SDK as its users do; returns its output if `is_captured`."""
    shown = [_shortened(one) for one in arguments]
    line = " ".join(f'"{one}"' if " " in one else one for one in shown)
    console.print(
        f"\n[bold]{title}[/bold]\n[dim]$ seqway {line}[/dim]", highlight=False, soft_wrap=True
    )
    program = Path(sys.executable).with_name("seqway")
    finished = subprocess.run(
        [program, *arguments],
        env={**os.environ, "SEQWAY_ADDRESS": stack.gateway_address, **stack.tls_variables},
        stdout=subprocess.PIPE if is_captured else None,
        text=True,
        check=False,
    )
    if finished.returncode:
        raise StackError(f"`seqway {line}` failed with exit code {finished.returncode}.")
    return finished.stdout or ""


def _shortened(argument: str) -> str:
    """Paths within the repository from there; files of the demonstration by their names."""
    if argument.startswith(str(ROOT)):
        return os.path.relpath(argument, ROOT)
    return Path(argument).name if argument.startswith("/") else argument
