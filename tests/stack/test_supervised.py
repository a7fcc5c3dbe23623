"""The whole stack as `make up` leaves it, with a fault of each kind that it has to get over."""

import os
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from seqway import Client

from deploy.local import processes
from deploy.local.assembly import supervised_stack
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.services.service import Check
from deploy.local.settings import StackSettings, settings_from_environment
from deploy.local.stack import ServiceStatus
from tests.stack.test_command import environment_of, run

INT8, FP32, BROKEN = "en-fr_int8", "en-fr_fp32", "en-fr_fp16"
MENDED_SECONDS = 90.0
ANSWERED_SECONDS = 60.0
# Enough that a call is under way for a while, on any machine.
LINES = 1500
TEXT = "\n".join(f"Package {n} has a small text editor for the console." for n in range(LINES))
# Near ties fall one way or the other with the batch, and one line may be begun by one variant and
# ended by the other.
ALIKE = 0.95


@dataclass
class Supervised:
    """The stack, its environment and what `up` said of it."""

    environment: dict[str, str]
    warnings: str
    settings: StackSettings = field(init=False)
    undisturbed: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        """What each variant makes of the text when nothing breaks."""
        self.settings = settings_from_environment(self.environment)
        with Client(self.address, timeout=ANSWERED_SECONDS) as client:
            answers = [
                client.translate(TEXT, source="en", target="fr", model=variant)
                for variant in (INT8, FP32)
            ]
        self.undisturbed = [one.translations[0].text.split("\n") for one in answers]

    @property
    def address(self) -> str:
        return f"{HOST}:{self.settings.ports.gateway.number}"

    def pid(self, service: str) -> int:
        return StackRecord.load(self.settings.run_directory).processes[service].pid

    def stub(self, variant: str) -> int:
        """The process of a model; the first life of it when there were several."""
        for pid in processes.members_of(self.settings.run_directory):
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if f"{variant}_0_0" in words:
                return pid
        raise AssertionError(f"{variant} has no process")

    def status(self) -> dict[str, ServiceStatus]:
        return {one.service.name: one for one in supervised_stack(self.settings).status()}

    def is_well(self) -> bool:
        """Whether all is ready but the variant that can't be."""
        return all(
            one.pid and all(_is_fine(check) for check in one.checks)
            for one in self.status().values()
        )

    def triton_died_with_its_model(self) -> bool:
        """Whether Triton ended by the lock that a killed model held in the memory they share."""
        log = self.settings.run_directory / "triton.previous.log"
        return log.exists() and "boost::interprocess::lock_exception" in log.read_text()

    def repairs(self, service: str) -> int:
        return self.status()[service].repairs.count


def _is_fine(check: Check) -> bool:
    return check.ok or check.subject == f"model {BROKEN}"


def wait_until(probe: Callable[[], bool], seconds: float = MENDED_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def supervised(
    examples_exported: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Supervised]:
    folder = tmp_path_factory.mktemp("supervised")
    repository = folder / "repository"
    repository.mkdir()
    exported = StackSettings().model_repository
    for name in (INT8, FP32, "deb-section_int8"):
        (repository / name).symlink_to(exported / name)
    shutil.copytree(exported / FP32, repository / BROKEN)
    config = repository / BROKEN / "config.pbtxt"
    config.write_text(config.read_text().replace(FP32, BROKEN))
    (repository / BROKEN / "1" / "weights.safetensors").write_bytes(b"no weights")
    environment = environment_of(folder) | {"SEQWAY_MODEL_REPOSITORY": str(repository)}
    try:
        started = run(environment, "deploy.local", "up")
        assert started.returncode == 0, started.stderr
        yield Supervised(environment, started.stderr)
    finally:
        stopped = run(environment, "deploy.local", "down")
        assert stopped.returncode == 0, stopped.stderr
        assert processes.members_of(Path(environment["SEQWAY_RUN_DIRECTORY"])) == {}


@pytest.fixture
def stack(supervised: Supervised) -> Supervised:
    """Well before each test."""
    wait_until(supervised.is_well)
    return supervised


class Caller(threading.Thread):
    """A call that is under way while something breaks."""

    def __init__(self, stack: Supervised, model: str) -> None:
        super().__init__(daemon=True)
        self._stack = stack
        self._model = model
        self.pieces: list[str] = []
        self.error: Exception | None = None
        self.variant = ""
        self.done = 0.0
        self.start()

    def run(self) -> None:
        try:
            with Client(self._stack.address, timeout=ANSWERED_SECONDS) as client:
                stream = client.stream_translate(TEXT, source="en", target="fr", model=self._model)
                self.pieces.extend(stream.text())
                assert stream.summary
                self.variant = stream.summary.model
        except Exception as error:
            self.error = error
        self.done = time.monotonic()

    def wait_begun(self) -> None:
        wait_until(lambda: bool(self.pieces) or self.done > 0)
        assert not self.done, "it was over before the fault"

    def check_whole(self) -> None:
        """One line for each of the source, as a variant makes it: nothing lost, doubled or cut."""
        self.join(ANSWERED_SECONDS)
        assert self.error is None
        lines = "".join(self.pieces).split("\n")
        assert len(lines) == LINES
        pairs = zip(lines, *self._stack.undisturbed, strict=True)
        assert sum(line in known for line, *known in pairs) >= ALIKE * LINES


def test_up_names_the_variant_that_cannot_be_loaded(stack: Supervised) -> None:
    assert f"WARNING: model {BROKEN} is not loaded: " in stack.warnings
    assert "holds no whole model" in stack.warnings
    told = run(stack.environment, "deploy.local", "status")
    assert told.returncode == 1
    assert "supervisor" in told.stdout and "watching" in told.stdout


def test_a_killed_model_is_loaded_again_and_callers_go_on(stack: Supervised) -> None:
    """With the other variant, or, where Triton ends too (docs/operations.md), when it is back."""
    triton = stack.pid("triton")
    before = stack.repairs("triton")
    caller = Caller(stack, "en-fr")
    caller.wait_begun()
    os.kill(stack.stub(INT8), signal.SIGKILL)
    caller.check_whole()
    wait_until(lambda: stack.repairs("triton") > before)
    wait_until(stack.is_well)
    if stack.pid("triton") == triton:
        assert caller.variant == FP32
    else:
        assert stack.triton_died_with_its_model()


def test_up_mends_a_killed_model_at_once(stack: Supervised) -> None:
    os.kill(stack.stub(FP32), signal.SIGKILL)
    again = run(stack.environment, "deploy.local", "up")
    assert again.returncode == 0, again.stderr
    assert stack.is_well()


def test_a_model_that_pauses_is_got_over(stack: Supervised) -> None:
    """Triton gives it up after a second, and may itself end when it goes on."""
    stub = stack.stub(INT8)
    caller = Caller(stack, "")
    caller.wait_begun()
    os.kill(stub, signal.SIGSTOP)
    time.sleep(1.5)  # the length of the fault
    os.kill(stub, signal.SIGCONT)
    caller.check_whole()
    wait_until(stack.is_well)


def test_whatever_is_killed_is_started_again(stack: Supervised) -> None:
    names = ("redis", "triton", "gateway", "worker", "controller")
    before = {name: stack.pid(name) for name in names}
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: all(stack.repairs(name) for name in names))
    wait_until(stack.is_well)
    assert all(stack.pid(name) != before[name] for name in names)
    told = run(stack.environment, "deploy.local", "status").stdout
    assert told.count("mended") >= len(names)
    with Client(stack.address, timeout=30) as client:
        job = client.jobs.translate([{"text": "A text editor."}], source="en", target="fr")
        wait_until(lambda: client.jobs.get(job.id).state.ended)
        (result,) = client.jobs.results(job.id)
        assert result.succeeded


def test_down_stops_the_other_half(stack: Supervised) -> None:
    supervisor = supervised_stack(stack.settings).supervision().pid
    assert supervisor
    for pid in (supervisor, stack.pid("gateway"), stack.stub(INT8)):
        os.kill(pid, signal.SIGKILL)
    told = run(stack.environment, "deploy.local", "status")
    assert "services that end are not restarted" in told.stdout
    stopped = run(stack.environment, "deploy.local", "down")
    assert stopped.returncode == 0, stopped.stderr
    assert processes.members_of(stack.settings.run_directory) == {}
