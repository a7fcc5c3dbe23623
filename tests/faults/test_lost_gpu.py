"""A model's process that loses its GPU at work, in the real Triton: another is started."""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from seqway import Client, UnavailableError

from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.services.gateway import gateway_service
from deploy.local.services.triton import triton_service
from deploy.local.settings import StackSettings
from deploy.local.stack import Stack
from deploy.local.supervision.supervisor import Supervisor
from tests.stack.conftest import examples_exported, models_exported, triton_installed  # noqa: F401

INT8, FP32, ENCODER = "en-fr_int8", "en-fr_fp32", "deb-section_int8"
LOSSY = Path(__file__).parent / "lossy"
MENDED_SECONDS = 60.0
LINES = 300
TEXT = "\n".join(f"Package {n} has a small text editor for the console." for n in range(LINES))


@dataclass
class LossyStack:
    """Triton and the gateway under a supervisor, and what that has noted."""

    settings: StackSettings
    client: Client
    order: Path
    notes: list[str]

    def lose_at_work(self, asked: str, variant: str) -> tuple[list[str], str]:
        """The lines of a call whose variant loses its GPU, and the variant that has ended it."""
        self.order.write_text(variant)
        answer = self.client.translate(TEXT, source="en", target="fr", model=asked)
        assert not self.order.exists(), "it was over before the loss"
        return answer.translations[0].text.split("\n"), answer.model

    def is_mended(self, variant: str) -> bool:
        return any(f"mended (model {variant} " in note for note in self.notes)

    def answers(self, variant: str) -> bool:
        try:
            answer = self.client.translate("An editor.", source="en", target="fr", model=variant)
        except UnavailableError:
            return False
        return answer.model == variant and bool(answer.translations[0].text)

    def classifies(self) -> object:
        try:
            return self.client.classify("A text editor.", model=ENCODER).classifications
        except UnavailableError:
            return None


@contextmanager
def watched(settings: StackSettings) -> Iterator[list[str]]:
    """Has a supervisor look after the stack; what it notes."""
    services = [triton_service(settings), gateway_service(settings)]
    notes: list[str] = []
    ended = threading.Event()

    def look() -> None:
        supervisor = Supervisor(Stack(settings.run_directory, services), notes.append)
        while not ended.wait(0.1):
            supervisor.look()

    watching = threading.Thread(target=look, daemon=True)
    watching.start()
    try:
        yield notes
    finally:
        ended.set()
        watching.join()


@pytest.fixture(scope="module")
def lossy(
    examples_exported: None,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[LossyStack]:
    folder = tmp_path_factory.mktemp("lossy")
    exported, repository = StackSettings().model_repository, folder / "repository"
    repository.mkdir()
    for name in (INT8, FP32, ENCODER):
        (repository / name).symlink_to(exported / name)
    shutil.copytree(LOSSY, folder / "backend")
    settings = StackSettings(model_repository=repository, backends={"seqway": folder / "backend"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQWAY_TEST_LOSS", str(folder / "order"))
        with (
            running_stack(settings) as own,
            watched(own) as notes,
            Client(f"{HOST}:{own.ports.gateway.number}", timeout=60) as client,
        ):
            yield LossyStack(own, client, folder / "order", notes)


def wait_until(probe: Callable[[], bool]) -> None:
    deadline = time.monotonic() + MENDED_SECONDS
    while not probe():
        assert time.monotonic() < deadline, "still not so"
        time.sleep(0.05)


def test_another_variant_completes_the_call(lossy: LossyStack) -> None:
    lines, model = lossy.lose_at_work("en-fr", INT8)
    assert (len(lines), model) == (LINES, FP32)
    assert all(lines)
    wait_until(lambda: lossy.is_mended(INT8))
    wait_until(lambda: lossy.answers(INT8))


def test_callers_who_named_the_variant_get_it_or_a_reason(lossy: LossyStack) -> None:
    """It depends on who finds first that the process is gone."""
    try:
        lines, model = lossy.lose_at_work(FP32, FP32)
        assert (len(lines), model) == (LINES, FP32)
    except UnavailableError as error:
        assert error.reason == "MODEL_NOT_READY"
    wait_until(lambda: lossy.is_mended(FP32))
    wait_until(lambda: lossy.answers(FP32))
    log = lossy.settings.run_directory / "triton.log"
    said = [line for line in log.read_text().splitlines() if "has lost GPU 0" in line]
    assert all('"level": "critical"' in line and "to be started anew" in line for line in said)
    assert sum(FP32 in line for line in said) >= 1


def test_texts_of_an_encoder_get_their_answer_or_a_reason(lossy: LossyStack) -> None:
    before = lossy.client.classify("A text editor.", model=ENCODER)
    lossy.order.write_text(ENCODER)
    try:
        after = lossy.client.classify("A text editor.", model=ENCODER)
        assert after.classifications == before.classifications
    except UnavailableError as error:
        assert error.reason == "MODEL_NOT_READY"
    assert not lossy.order.exists()
    wait_until(lambda: lossy.is_mended(ENCODER))
    wait_until(lambda: lossy.classifies() == before.classifications)
