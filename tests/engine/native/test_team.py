"""Idle cores help a lane: with the same bits, without races, and not where they have it wait."""

import gc
import subprocess
import time
from pathlib import Path

import pytest

from engine.export.precision.recipes import PRECISIONS, Precision
from engine.native import library
from engine.native.model import ISA_VARIABLE
from engine.runtime.sessions.native_session import NativeSession
from tests.engine.native.answers import check_same, decode, random_sources
from tests.engine.native.models import WIDE, write_variant

SOURCES = library.LIBRARY.parent / "src"
CHECK = Path(__file__).with_name("team_check.cpp")
SECONDS = 30


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
def test_lanes_and_helpers_do_not_race(gxx: str, sanitizers: str, tmp_path: Path) -> None:
    program = tmp_path / "team_check"
    flags = ("-std=c++17", "-O1", "-g1", "-pthread", f"-fsanitize={sanitizers}")
    sources = (str(CHECK), str(SOURCES / "team.cpp"))
    subprocess.run([gxx, *flags, *sources, "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-5000:]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_help_changes_no_bit(
    precision: Precision, backends: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = write_variant(tmp_path / precision, WIDE, precision)
    lengths, limits = (5, 1, 40, 16, 17, 33, 9, 40), (20, 9, 40, 3, 30, 40, 40, 35)
    texts = random_sources(variant.manifest, lengths, seed=1)
    for backend in backends:
        monkeypatch.setenv(ISA_VARIABLE, backend)
        alone = NativeSession(variant.folder, variant.manifest)
        before = _threads()
        expected = decode(alone, texts, limits)
        assert _threads() == before, "there is no other lane whose core could help"
        sibling = alone.sibling()
        for _ in range(5):
            check_same(decode(alone, texts, limits), expected)
        assert _threads() == before + 1
        # The model goes with its last lane, and the helper with the model.
        del alone, sibling
        gc.collect()
        end = time.monotonic() + SECONDS
        while _threads() != before and time.monotonic() < end:
            time.sleep(0.01)
        assert _threads() == before


def _threads() -> int:
    return sum(1 for _ in Path("/proc/self/task").iterdir())
