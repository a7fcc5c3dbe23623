import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from seqway import Client, UnavailableError

from deploy.local import processes
from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.records import StackRecord
from deploy.local.services.triton import triton_service
from deploy.local.settings import StackSettings
from deploy.local.stack import Stack
from engine.contract.manifest import read_manifest
from services.inference.models.catalogue import Catalogue, Variant
from services.inference.models.choice import VariantChoice
from tests.integration import texts
from tests.integration.conftest import FP32, INT8

SERVICE = "seqway.v1.TranslationService"
NOTICED_SECONDS = 15.0  # the gateway looks every second and gives a model three to answer
ANSWERED_SECONDS = 10.0
# Of ten models that are killed at work, one takes Triton along: docs/operations.md tells why.
KILLS = 5
# Enough that a call still runs when what it needs is killed.
_LINES = 8 * texts.long_sentences(64)


class Breakable:
    """A stack of its own, with what breaks it."""

    def __init__(self, settings: StackSettings, client: Client, channel: grpc.Channel) -> None:
        self.client = client
        self._settings = settings
        self._health = health_pb2_grpc.HealthStub(channel)

    def kill_triton(self) -> None:
        triton = StackRecord.load(self._settings.run_directory).processes["triton"]
        if processes.is_alive(triton):
            os.kill(triton.pid, signal.SIGKILL)
        wait_until(lambda: not processes.is_alive(triton))

    def kill_model(self, variant: str) -> None:
        """Kills the process that Triton's Python backend runs the variant in."""
        [pid] = [
            int(entry.parent.name)
            for entry in Path("/proc").glob("[0-9]*/cmdline")
            if self._serves(entry, variant)
        ]
        os.kill(pid, signal.SIGKILL)

    def triton_died_with_its_model(self) -> bool:
        """Whether Triton ended by the lock that a killed model held in the memory they share."""
        directory = self._settings.run_directory
        triton = StackRecord.load(directory).processes["triton"]
        wait_until(lambda: not processes.is_alive(triton))
        return "boost::interprocess::lock_exception" in (directory / "triton.log").read_text()

    def repair(self) -> None:
        """Starts Triton anew on the same ports; the gateway is left alone."""
        self.kill_triton()
        Stack(self._settings.run_directory, [triton_service(self._settings)]).up()
        wait_until(self.serves)
        wait_until(lambda: all(model.ready for model in self.client.list_models()))

    def serves(self) -> bool:
        answer = self._health.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5)
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def translate(self, variant: str) -> str:
        answer = self.client.translate("A text editor.", source="en", target="fr", model=variant)
        return answer.translations[0].text

    def refuses(self, variant: str) -> str:
        """The reason of a refusal that comes in time."""
        began = time.monotonic()
        with pytest.raises(UnavailableError) as refused:
            self.translate(variant)
        assert time.monotonic() - began < ANSWERED_SECONDS
        return refused.value.reason

    def wait_for_refusals(self, variant: str) -> None:
        """Returns when a refusal says that the model is not ready.

        A slow machine's Triton may miss one look, which tells of it and not of its models.
        """
        wait_until(lambda: self.refuses(variant) == "MODEL_NOT_READY")

    def _serves(self, command: Path, variant: str) -> bool:
        try:
            words = command.read_text().split("\0")
        except OSError:
            return False
        mine = words[0].startswith(str(self._settings.run_directory))
        return mine and f"{variant}_0_0" in words


def wait_until(probe: Callable[[], bool], seconds: float = NOTICED_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not probe():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def shared(settings: StackSettings) -> Iterator[Breakable]:
    """Its gateway soon gives up on what does not come back; tests/faults tells of what does."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("SEQWAY_TRITON_PATIENCE", "1")
        with running_stack(settings) as running:
            address = f"{HOST}:{running.ports.gateway.number}"
            with Client(address, timeout=120) as client, grpc.insecure_channel(address) as channel:
                yield Breakable(running, client, channel)


@pytest.fixture
def stack(shared: Breakable) -> Iterator[Breakable]:
    """Whole before the test, and after it again."""
    wait_until(shared.serves)
    assert shared.translate(FP32) and shared.translate(INT8)
    yield shared
    shared.repair()
    assert shared.translate(FP32) and shared.translate(INT8)


def test_the_other_model_serves_on_when_one_dies(stack: Breakable) -> None:
    before = stack.translate(INT8)
    stack.kill_model(FP32)
    stack.wait_for_refusals(FP32)
    assert stack.translate(INT8) == before
    wait_until(lambda: not stack.client.get_model(FP32).ready)
    wait_until(stack.serves)
    stack.wait_for_refusals(FP32)
    assert stack.translate("en-fr") == before


def test_health_tells_that_all_models_are_dead(stack: Breakable) -> None:
    stack.kill_model(FP32)
    stack.kill_model(INT8)
    wait_until(lambda: not stack.serves())
    stack.wait_for_refusals("en-fr")
    stack.wait_for_refusals("")


@pytest.mark.parametrize("victim", ["model", "triton"])
def test_a_call_under_way_fails_when_its_engine_dies(stack: Breakable, victim: str) -> None:
    document = "\n".join(_LINES)
    pieces = stack.client.stream_translate(document, source="en", target="fr", model=FP32).text()
    assert next(pieces)
    stack.kill_model(FP32) if victim == "model" else stack.kill_triton()
    began = time.monotonic()
    with pytest.raises(UnavailableError) as failed:
        list(pieces)
    assert time.monotonic() - began < ANSWERED_SECONDS
    assert failed.value.reason in ("MODEL_NOT_READY", "TRITON_UNAVAILABLE")


def test_a_call_under_way_goes_on_with_the_other_variant(stack: Breakable) -> None:
    """Its caller named the model alone; tests/stack compares what it says, line by line."""
    for _ in range(KILLS):
        try:
            _lose_a_variant_under_way(stack)
            return
        except UnavailableError as failed:
            assert failed.reason == "TRITON_UNAVAILABLE" and stack.triton_died_with_its_model()
            stack.repair()
    pytest.fail(f"Triton died with its model {KILLS} times")


def _lose_a_variant_under_way(stack: Breakable) -> None:
    document = "\n".join(_LINES)
    stream = stack.client.stream_translate(document, source="en", target="fr", model="en-fr")
    pieces = stream.text()
    said = [next(pieces)]
    stack.kill_model(INT8)
    said += pieces
    assert stream.summary and stream.summary.model == FP32
    lines = "".join(said).split("\n")
    assert len(lines) == len(_LINES) and all(lines)
    again = stack.client.translate("A text editor.", source="en", target="fr", model="en-fr")
    assert (again.model, again.translations[0].warnings) == (FP32, ())


def test_health_tells_that_triton_is_dead(stack: Breakable) -> None:
    stack.kill_triton()
    assert stack.refuses(INT8) == "TRITON_UNAVAILABLE"
    wait_until(lambda: not stack.serves())
    assert stack.refuses(INT8) == "TRITON_UNAVAILABLE"
    assert not any(model.ready for model in stack.client.list_models())


@pytest.mark.parametrize("model", ["en-fr", "deb-summary", "deb-section"])
def test_variants_of_a_checkpoint_stand_in_for_each_other(
    settings: StackSettings, model: str
) -> None:
    """Those that were imported: whatever an import finds out of one of them must not part them."""
    names = [f"{model}_{precision}" for precision in ("int8", "fp32")]
    folders = [settings.model_repository / name / "1" for name in names]
    made = Catalogue(VariantChoice((), 0.3))
    made.replace([Variant(read_manifest(folder), True) for folder in folders])
    for name, other in (names, names[::-1]):
        found = made.other(name, "")
        assert found is not None and found.name == other
        assert made.other(name, name) is None
