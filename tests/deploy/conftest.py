"""What the tests of the images share."""

from collections.abc import Callable

import pytest

from tests.deploy.scratch import Image, base, build


@pytest.fixture(scope="session")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Image]:
    """Builds images over one base."""
    python = base(tmp_path_factory.mktemp("base"))
    return lambda name: build(name, tmp_path_factory.mktemp(name), python)
