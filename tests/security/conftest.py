"""The whole stack with certificates of an authority that is made for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from deploy.local.assembly import running_full_stack
from deploy.local.settings import StackSettings
from tests.attacks.fortress import issue_key
from tests.security.secured import SecuredStack, issue
from tests.stack.conftest import (
    examples_exported,
    models_exported,
    redis_with_tls,
    triton_installed,
)

__all__ = ["examples_exported", "models_exported", "redis_with_tls", "triton_installed"]

_MODEL = "en-fr_int8"


@pytest.fixture(scope="package")
def secured(
    examples_exported: None, redis_with_tls: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SecuredStack]:
    folder = tmp_path_factory.mktemp("secured")
    (folder / "models").mkdir()
    (folder / "models" / _MODEL).symlink_to(StackSettings().model_repository / _MODEL)
    authority, other = trustme.CA(), trustme.CA()
    ours = issue(authority, folder / "ours")
    wanted = StackSettings(
        model_repository=folder / "models",
        redis_server=redis_with_tls,
        workers=1,
        certificates=ours,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEQWAY_API_KEYS_FILE", str(folder / "keys.json"))
        patch.setenv("SEQWAY_API_KEY_PEPPER", "the pepper of this test")
        key = issue_key("acme")
        with running_full_stack(wanted) as (settings, _):
            yield SecuredStack(
                settings,
                key,
                ours,
                stranger=issue(other, folder / "stranger", trusted=authority),
                misled=issue(authority, folder / "misled", trusted=other),
            )
