"""Node and the packages of sdk/typescript, and a full stack for its tests."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from deploy.local.assembly import running_full_stack
from deploy.local.ports import HOST
from deploy.local.settings import ROOT, StackSettings

PACKAGE = ROOT / "sdk" / "typescript"
_MODELS = ("en-fr_int8", "deb-summary_int8", "deb-section_int8")


def npm(*arguments: str, environment: Mapping[str, str] | None = None) -> None:
    """Runs a script of the package; its output is the failure's message."""
    ran = subprocess.run(
        ["npm", *arguments],
        cwd=PACKAGE,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ran.returncode == 0, ran.stdout


@pytest.fixture(scope="package")
def node_packages() -> Path:
    """Skips where Node or its packages are missing; under CI=true that is a failure."""
    _require(shutil.which("npm") is not None, "npm is missing: install Node 20.3 or newer")
    _require(
        (PACKAGE / "node_modules" / ".installed").exists(),
        "the packages of sdk/typescript are missing: run `make test-typescript`",
    )
    return PACKAGE


@pytest.fixture(scope="package")
def gateway(node_packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a gateway with all that is behind it."""
    settings = StackSettings()
    _require(
        (settings.triton_environment / ".installed").exists()
        and all((settings.model_repository / name / "config.pbtxt").exists() for name in _MODELS),
        "Triton or an example model is missing: run `make setup models`",
    )
    repository = tmp_path_factory.mktemp("repository")
    for name in _MODELS:
        (repository / name).symlink_to(settings.model_repository / name)
    with running_full_stack(StackSettings(model_repository=repository)) as (started, _):
        yield f"{HOST}:{started.ports.gateway.number}"


def _require(present: bool, otherwise: str) -> None:
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)
