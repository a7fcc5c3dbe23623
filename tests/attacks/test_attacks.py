"""Each attack gets the right status, a caller who behaves is served meanwhile, and memory returns.

How long that caller waits is measured by `make bench-attacks`.
"""

import time
from collections.abc import Callable

import pytest

from tests.attacks.attacks import ATTACKS, Target
from tests.attacks.fortress import Fortress, WellBehaved
from tests.integration.conftest import FP32, INT8
from tests.integration.gauges import Gauges

_MORE_BYTES = 48 << 20
_PATIENCE = 60.0


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_attack_does_no_harm(attack: Callable[[Target], None], attacked: Fortress) -> None:
    before = attacked.resident()
    with WellBehaved(attacked) as caller:
        attack(attacked.target)
    assert caller.failures == []
    assert caller.seconds
    gauges = Gauges(attacked.settings.ports.triton_metrics.number)
    for variant in (FP32, INT8):
        gauges.wait_for_rows(variant, 0, _PATIENCE)
    deadline = time.monotonic() + _PATIENCE
    while (more := attacked.resident() - before) > _MORE_BYTES:
        assert time.monotonic() < deadline, f"{more >> 20} MiB more"
        time.sleep(0.1)
