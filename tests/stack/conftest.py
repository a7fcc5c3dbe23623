"""What the tests of the stack stand on: cheap services, and the real Triton where it is."""

import os
import shutil
from pathlib import Path

import pytest

from deploy.local.settings import ROOT, StackSettings

ECHO_MODEL = Path(__file__).parent / "echo"


@pytest.fixture(scope="session")
def triton_installed() -> None:
    """Skips where Triton's environment is missing; under CI=true that is a failure."""
    _require(
        (StackSettings().triton_environment / ".installed").exists(),
        "Triton's environment is missing: run `make setup`",
    )


@pytest.fixture(scope="session")
def models_exported(triton_installed: None) -> None:
    """Skips where no model is exported; under CI=true that is a failure."""
    _require(
        any(StackSettings().model_repository.glob("*/config.pbtxt")),
        "no model is exported: run `make models`",
    )


@pytest.fixture(scope="session")
def examples_exported(models_exported: None) -> None:
    """Skips where an example model is not exported; under CI=true that is a failure."""
    names = ("en-fr", "deb-summary", "deb-section")
    repository = StackSettings().model_repository
    missing = [name for name in names if not any(repository.glob(f"{name}_*/config.pbtxt"))]
    _require(not missing, f"{' and '.join(missing)} is not exported: run `make models`")


@pytest.fixture(scope="session")
def redis_with_tls() -> Path:
    """Debian's server; skips where it is missing, which under CI=true is a failure."""
    unpacked = ROOT / ".debian-redis" / "redis-server"
    found = unpacked if unpacked.exists() else shutil.which("redis-server")
    _require(found is not None, "Debian's Redis is missing: run `make debian-redis`")
    return Path(str(found))


def _require(present: bool, otherwise: str) -> None:
    if not present:
        if os.environ.get("CI") == "true":
            pytest.fail(otherwise)
        pytest.skip(otherwise)


@pytest.fixture
def echo_repository(tmp_path: Path) -> Path:
    """A model repository with one model of the backend in `echo/`."""
    folder = tmp_path / "repository" / "echo_fp32"
    (folder / "1").mkdir(parents=True)
    (folder / "config.pbtxt").write_text((ECHO_MODEL / "config.pbtxt").read_text())
    (folder.parent / "README.md").write_text("No model.")
    return folder.parent
