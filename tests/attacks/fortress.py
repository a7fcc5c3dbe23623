"""The stack that is attacked: with keys, limits, and a client that behaves."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil
from seqway import Client

from deploy.local.assembly import running_full_stack
from deploy.local.records import StackRecord
from deploy.local.settings import StackSettings
from deploy.local.stack import Stack
from tests.attacks.attacks import STREAMS, Target

_PEPPER = "the pepper of a fortress"


@dataclass
class Fortress:
    """The stack and what is known of it."""

    settings: StackSettings
    stack: Stack
    target: Target
    key: str

    def resident(self) -> int:
        """Bytes of the gateway in memory."""
        pid = StackRecord.load(self.settings.run_directory).processes["gateway"].pid
        return int(psutil.Process(pid).memory_info().rss)

    def client(self) -> Client:
        """One that behaves."""
        return Client(self.target.address, api_key=self.key)


@contextmanager
def fortress(settings: StackSettings) -> Iterator[Fortress]:
    """A stack on free ports, ready; inputs and keys lie beside its run directory."""
    with _variables() as folder:
        key, attacker, late = (issue_key(tenant) for tenant in ("acme", "attacker", "late"))
        _expire("late", Path(os.environ["SEQWAY_API_KEYS_FILE"]))
        with running_full_stack(settings) as (own, stack):
            port = own.ports.gateway.number
            with Client(f"127.0.0.1:{port}", api_key=key) as client:
                job = client.jobs.translate(["A text editor."], source="en", target="fr").id
            inputs, secret = folder / "inputs", folder / "secret.txt"
            yield Fortress(own, stack, Target(port, attacker, late, job, inputs, secret), key)


@contextmanager
def _variables() -> Iterator[Path]:
    """What the gateway is set up with, for as long as it is started."""
    with tempfile.TemporaryDirectory(prefix="seqway-fortress-") as name:
        folder = Path(name).resolve()
        (folder / "inputs").mkdir()
        (folder / "inputs" / "input.txt").write_text("A text editor.\n")
        (folder / "secret.txt").write_text("the secret\n")
        wanted = {
            "SEQWAY_API_KEYS_FILE": str(folder / "keys.json"),
            "SEQWAY_API_KEY_PEPPER": _PEPPER,
            "SEQWAY_JOB_INPUT_URIS": json.dumps(
                [f"file://{folder}/inputs/", "s3://our-bucket/in/"]
            ),
            "SEQWAY_JOB_MAX_INPUT_BYTES": str(64 << 20),
            "SEQWAY_TENANT_LIMITS": json.dumps(
                {"attacker": {"concurrent_calls": 8, "concurrent_streams": STREAMS}}
            ),
        }
        before = {name: os.environ.get(name) for name in wanted}
        os.environ.update(wanted)
        try:
            yield folder
        finally:
            _restore(before)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def issue_key(tenant: str) -> str:
    """Made with the command, in the file that the variables name."""
    program = Path(sys.executable).with_name("seqway-keys")
    made = subprocess.run(
        [program, "create", "--tenant", tenant], check=True, capture_output=True, text=True
    )
    return made.stdout.strip()


def _expire(tenant: str, file: Path) -> None:
    known = json.loads(file.read_text())
    for key in known["keys"]:
        if key["tenant"] == tenant:
            key["expires"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(known))


@dataclass
class WellBehaved:
    """A caller that goes on calling from a thread of its own, and notes how long it waits."""

    fortress: Fortress
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._left = threading.Event()
        self._thread = threading.Thread(target=self._call)
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._left.set()
        self._thread.join()

    def _call(self) -> None:
        with self.fortress.client() as client:
            while not self._left.is_set():
                began = time.perf_counter()
                try:
                    client.translate("A small text editor.", source="en", target="fr")
                except Exception as error:
                    self.failures.append(repr(error))
                self.seconds.append(time.perf_counter() - began)
                self._left.wait(0.02)

    def p99(self) -> float:
        """Seconds that 99 of 100 calls took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
