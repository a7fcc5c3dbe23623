"""A short overload of the real stack; `make bench-overload` measures a long one."""

import asyncio
from collections.abc import Iterator

import pytest

from deploy.local.assembly import running_stack
from deploy.local.ports import HOST
from deploy.local.settings import StackSettings
from tests.integration.conftest import INT8
from tests.integration.gauges import Gauges
from tests.overload.load import Callers, Outcome, several_clients
from tests.stack.conftest import models_exported, triton_installed

__all__ = ["models_exported", "triton_installed"]

_MOST_CALLS = 24


@pytest.fixture(scope="module")
def stack(models_exported: None) -> Iterator[StackSettings]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQWAY_MAX_CALLS", str(_MOST_CALLS))
        with running_stack(StackSettings()) as running:
            yield running


async def test_what_is_too_much_is_refused_with_a_hint_and_the_rest_is_answered(
    stack: StackSettings,
) -> None:
    async with several_clients(f"{HOST}:{stack.ports.gateway.number}") as clients:
        callers = Callers(clients, 20.0, INT8)
        outcome: Outcome = await callers.open(rate=300, seconds=8)
        assert set(outcome.ends) <= {"answered", "refused", "too late"}
        assert outcome.ends["answered"] > 0
        assert outcome.ends["refused"] > 0
        assert outcome.without_hint == 0
        Gauges(stack.ports.triton_metrics.number).wait_for_rows(INT8, 0)
        after = await asyncio.wait_for(callers.closed(4, 1.0), 30)
        assert set(after.ends) == {"answered"}, "an overload that is over leaves nothing behind"
