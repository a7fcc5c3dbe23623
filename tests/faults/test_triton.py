"""Triton that dies, hangs, is slow, and loses its model."""

import time
import urllib.request

import pytest
from seqway import SeqwayError

from deploy.local.ports import HOST
from tests.faults.stack import BrokenStack


def test_it_is_killed_and_restarted(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.kill_service("triton")
    began = time.monotonic()
    with pytest.raises(SeqwayError):
        broken.client.translate("A text editor.", source="en", target="fr", timeout=15)
    assert time.monotonic() - began < 20
    broken.restore()
    broken.check(job)


@pytest.mark.slow_fault
def test_it_hangs(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    broken.freeze("triton")
    time.sleep(25)
    broken.thaw("triton")
    broken.check(job)


@pytest.mark.slow_fault
def test_it_is_slow(broken: BrokenStack) -> None:
    """It runs for a tenth of the time."""
    job = broken.submit_and_start()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        broken.freeze("triton")
        time.sleep(0.9)
        broken.thaw("triton")
        time.sleep(0.1)
    broken.check(job)


@pytest.mark.slow_fault
def test_its_model_is_unloaded_and_loaded_again(broken: BrokenStack) -> None:
    job = broken.submit_and_start()
    _control(broken, "unload")
    time.sleep(10)
    _control(broken, "load")
    broken.check(job)


def _control(broken: BrokenStack, verb: str) -> None:
    port = broken.settings.ports.triton_http.number
    url = f"http://{HOST}:{port}/v2/repository/models/en-fr_int8/{verb}"
    with urllib.request.urlopen(urllib.request.Request(url, method="POST"), timeout=60):
        pass
