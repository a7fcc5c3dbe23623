"""The arithmetic of the roofline."""

import pytest

from tests.benchmarks.roofline.roof import Peaks, step_roof

PEAKS = Peaks("avx512", 2, 200e9, 400e9, 50e9, 20e9, 30e9)


def test_few_rows_are_bound_by_the_weights_that_are_read() -> None:
    roof = step_roof(1, 2e-3, 50_000_000, PEAKS)
    assert roof.bound == "weights"
    assert roof.share == pytest.approx(0.5)


def test_many_rows_are_bound_by_products() -> None:
    roof = step_roof(64, 32e-3, 50_000_000, PEAKS)
    assert roof.bound == "products"
    assert roof.share == pytest.approx(0.5)
