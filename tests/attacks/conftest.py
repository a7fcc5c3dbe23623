"""A gateway with keys, in front of the real Triton, and what strangers would like to have."""

from collections.abc import Iterator

import pytest

from deploy.local.settings import StackSettings
from tests.attacks.fortress import Fortress, fortress
from tests.stack.conftest import models_exported, triton_installed

__all__ = ["attacked", "models_exported", "triton_installed"]


@pytest.fixture(scope="package")
def attacked(models_exported: None) -> Iterator[Fortress]:
    with fortress(StackSettings()) as built:
        yield built
