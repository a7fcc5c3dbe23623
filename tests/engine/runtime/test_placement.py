import os
from pathlib import Path

import pytest

from engine.runtime.sessions.placement import usable_cores


@pytest.mark.parametrize(
    ("text", "most"),
    [("max 100000", 10_000), ("100000 100000", 1), ("150000 100000", 2), ("5000 100000", 1)],
)
def test_a_quota_bounds_the_cores(tmp_path: Path, text: str, most: int) -> None:
    (tmp_path / "cpu.max").write_text(f"{text}\n")
    assert usable_cores(tmp_path / "cpu.max") == min(most, len(os.sched_getaffinity(0)))


def test_without_a_quota_all_count(tmp_path: Path) -> None:
    assert usable_cores(tmp_path / "missing") == len(os.sched_getaffinity(0))
    (tmp_path / "odd").write_text("nothing")
    assert usable_cores(tmp_path / "odd") == len(os.sched_getaffinity(0))
