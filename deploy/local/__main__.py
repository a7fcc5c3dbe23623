"""`python -m deploy.local up | down | status | demo`; `up` starts `supervise`."""

from deploy.local.interrupts import end_quietly

before = end_quietly()  # while libraries are being loaded

import argparse
import signal
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from deploy.local.assembly import supervised_stack
from deploy.local.demo import demo
from deploy.local.errors import StackError
from deploy.local.interrupts import exit_on_sigterm
from deploy.local.records import StackRecord
from deploy.local.settings import StackSettings, settings_from_environment
from deploy.local.supervision.report import status_table
from deploy.local.supervision.supervisor import Supervisor
from deploy.local.triton.gpu import triton_environment

_COMMANDS = {
    "up": "start Redis, Triton, the gateway and the workers and leave them running",
    "down": "stop them",
    "status": "show what runs; exit code 1 unless everything is ready",
    "demo": "start a stack of its own, show what it does, stop it",
    "supervise": "restart what has ended; `up` runs it in the background",
}


def main() -> int:
    """Runs one command; a failure is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, summary in _COMMANDS.items():
        commands.add_parser(name, help=summary)
    command = parser.parse_args().command
    signal.signal(signal.SIGINT, before)
    exit_on_sigterm()
    try:
        return _run(command, settings_from_environment(), Console())
    except StackError as error:
        print(f"seqway: {error}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        print("seqway: interrupted", file=sys.stderr)  # noqa: T201
        return 130


def _run(command: str, settings: StackSettings, console: Console) -> int:
    stack = supervised_stack(settings)
    match command:
        case "up":
            console.print("Starting ...")
            console.print(triton_environment(settings)[1], highlight=False, soft_wrap=True)
            problems = stack.up()
            console.print(status_table(stack.status(), stack.supervision()))
            for problem in problems:
                print(f"seqway: WARNING: {problem}", file=sys.stderr)  # noqa: T201
            tls = settings.certificates.sdk_options() if settings.certificates else ()
            options = " ".join((f"--address {settings.gateway_address}", *tls))
            console.print(
                f"Try: .venv/bin/seqway models {options}", highlight=False, soft_wrap=True
            )
        case "down":
            stopped = stack.down()
            console.print(f"Stopped {', '.join(stopped)}." if stopped else "Nothing was running.")
        case "status":
            stack = supervised_stack(_as_started(settings))
            statuses, supervision = stack.status(), stack.supervision()
            console.print(status_table(statuses, supervision))
            is_watched = supervision.pid is not None or not supervision.is_wanted
            return 0 if is_watched and all(status.ready for status in statuses) else 1
        case "demo":
            demo(settings, console)
        case "supervise":
            Supervisor(stack, _log).run()
    return 0


def _log(sentence: str) -> None:
    now = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    print(now, sentence, flush=True)  # noqa: T201


def _as_started(settings: StackSettings) -> StackSettings:
    """The settings with the model repository that the running Triton was started with."""
    repository = StackRecord.load(settings.run_directory).subjects.get("triton")
    return replace(settings, model_repository=Path(repository)) if repository else settings


if __name__ == "__main__":
    sys.exit(main())
