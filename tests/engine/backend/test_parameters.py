"""What config.pbtxt sets for an instance, and what it must not."""

from collections.abc import Mapping
from typing import Any

import pytest

from engine.backend.parameters import ParameterError, Parameters
from engine.parallel.layout import Layout
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
        ("parallel", "2", "such as"),
        ("parallel", "dp=65", "at most 64"),
    ],
)
def test_a_wrong_value_is_told_in_a_sentence(name: str, value: str, wanted: str) -> None:
    with pytest.raises(ParameterError, match=f"{name} in config.pbtxt.*{value}.*{wanted}"):
        read({name: value}).settings(None)


def test_groups_share_the_cores() -> None:
    grouped = {"parallel": f"dp={usable_cores()}"}
    assert read(grouped).layout() == Layout(data=usable_cores())
    assert read(grouped).settings(None).lanes == 1
    assert read().layout() == Layout()


def test_groups_have_one_front() -> None:
    with pytest.raises(ParameterError, match=r"instance_group makes 2: .*KIND_MODEL, count: 1"):
        read({"parallel": "dp=2"}, instances=2).layout()
    on_gpus = {
        "parameters": {"parallel": {"string_value": "dp=2"}},
        "instance_group": [{"kind": "KIND_GPU", "count": 1, "gpus": [0, 1, 2]}],
    }
    with pytest.raises(ParameterError, match="instance_group makes 3"):
        Parameters(on_gpus).layout()
