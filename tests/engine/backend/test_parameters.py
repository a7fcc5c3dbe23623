"""What config.pbtxt sets for an instance, and what it must not."""

from collections.abc import Mapping
from typing import Any

import pytest

from engine.backend.parameters import ParameterError, Parameters
from engine.runtime.batching.scheduler import Limits
from engine.runtime.sessions.placement import usable_cores


def read(values: Mapping[str, str] | None = None, instances: int = 1) -> Parameters:
    config: dict[str, Any] = {
        "parameters": {name: {"string_value": value} for name, value in (values or {}).items()},
        "instance_group": [{"count": instances}],
    }
    return Parameters(config)


def test_what_is_not_set_is_as_ever() -> None:
    settings = read().settings(None)
    assert settings.limits == Limits()
    assert (settings.lanes, settings.threads, settings.device) == (usable_cores(), 1, None)
    assert read(instances=1000).settings(None).lanes == 1
    assert read().settings(0).lanes == 0


def test_limits_are_those_that_are_set() -> None:
    limits = {"max_rows": 1024, "token_budget": 300_000, "max_waiting": 9000, "bulk_rows": 32}
    texts = {name: str(value) for name, value in limits.items()}
    assert read(texts).settings(None).limits == Limits(**limits)
    assert read(texts).settings(0).limits == Limits(**limits, tenant_rows=256)
    assert read({**texts, "tenant_rows": "7"}).settings(0).limits == Limits(**limits, tenant_rows=7)
    assert read({"lanes": "3", "threads": "2"}).settings(None).lanes == 3


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("max_rows", "1025", "from 1 to 1024"),
        ("max_rows", "0", "from 1 to 1024"),
        ("max_rows", "many", "from 1 to 1024"),
        ("token_budget", "-1", "from 0 to 1073741824"),
        ("token_budget", "1e6", "from 0 to"),
        ("tenant_rows", "0", "from 1 to 1024"),
        ("lanes", "", "from 0 to 1024"),
        ("threads", "0", "from 1 to 1024"),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(name: str, value: str, wanted: str) -> None:
    with pytest.raises(ParameterError, match=f'{name} in config.pbtxt is "{value}".*{wanted}'):
        read({name: value}).settings(None)
