"""A source of 16,384 tokens, whose tokens attend to windows and to sums of blocks."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from engine.native import library
from engine.native.model import ISA_VARIABLE
from engine.runtime.sessions.native_session import NativeSession
from tests.engine.native.answers import check_same, decode, random_sources
from tests.engine.native.models import LONG_KINDS, Kind, RandomVariant, oracle, write_variant

LONGEST = 16_384
MEMORY = 128 << 20
"""Scores of all pairs of tokens would be 1 GiB for each head."""

_LONG = Kind(
    replace(
        LONG_KINDS["long_global"].config, max_positions=LONGEST, local_radius=127, global_block=16
    )
)

_PEAK = """
import re, sys
from pathlib import Path
from engine.contract.manifest import read_manifest
from engine.runtime.sessions.native_session import NativeSession
from tests.engine.native.answers import random_sources

def kilobytes(name):
    return int(re.search(name + r":\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

folder = Path(sys.argv[1])
session = NativeSession(folder, read_manifest(folder))
session.encode(random_sources(session.manifest, [16], seed=1))
Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
before = kilobytes("VmRSS")
session.encode(random_sources(session.manifest, [int(sys.argv[2])], seed=1))
print((kilobytes("VmHWM") - before) * 1024)
"""


@pytest.fixture(scope="module")
def long(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("long") / "fp32", _LONG, "fp32")


def test_memory_grows_with_the_length_alone(long: RandomVariant) -> None:
    program = [sys.executable, "-c", _PEAK, str(long.folder), str(LONGEST)]
    done = subprocess.run(program, check=True, capture_output=True, text=True, timeout=120)
    assert 8 << 20 < int(done.stdout) < MEMORY


def test_an_answer_is_that_of_the_checkpoint_and_the_same_everywhere(
    long: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = random_sources(long.manifest, (1500, 15, 300, 16), seed=3)
    trails = decode(NativeSession(long.folder, long.manifest), texts, (4, 4, 4, 4))
    for source, trail in zip(texts, trails, strict=True):
        expected = oracle(long, source, trail)
        chosen = expected[np.arange(trail.tokens.size), trail.tokens]
        np.testing.assert_allclose(trail.log_probs, chosen, rtol=0, atol=1e-4)
    for backend in library.backends():
        monkeypatch.setenv(ISA_VARIABLE, backend)
        session = NativeSession(long.folder, long.manifest)
        check_same(decode(session, texts[:1], (4,)), trails[:1])
