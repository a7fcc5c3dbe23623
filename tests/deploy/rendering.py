"""Renders the overlays as `kubectl apply -k` would, with any components on top."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
OVERLAYS = ("dev", "gpu-l4", "gpu-a100", "gpu-h100", "gpu-h100-x4")
# In the order in which docs/kubernetes.md asks to name them.
COMPONENTS = ("keda", "prometheus", "s3", "ipv6", "mtls")
CHOICES: tuple[tuple[str, ...], ...] = ((), *((one,) for one in COMPONENTS), COMPONENTS)

Object = dict[str, Any]


def render(folder: Path) -> list[Object]:
    """The objects of a folder with a kustomization; AssertionError says what kubectl says."""
    done = subprocess.run(
        [require_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


@cache
def _text(overlay: str, components: tuple[str, ...]) -> str:
    with tempfile.TemporaryDirectory() as temporary:
        # Real paths: kustomize wants relative ones, and follows links.
        here = Path(temporary).resolve()
        places = [KUBERNETES / "components" / one for one in components]
        kustomization = {
            "resources": [os.path.relpath(KUBERNETES / "overlays" / overlay, here)],
            "components": [os.path.relpath(place, here) for place in places],
        }
        (here / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        return yaml.safe_dump_all(render(here))


def overlay_objects(overlay: str, components: Sequence[str] = ()) -> list[Object]:
    """The objects of an overlay with components; the caller may change them."""
    return list(yaml.load_all(_text(overlay, tuple(components)), yaml.CSafeLoader))


def require_kubectl() -> str:
    """Where kubectl is; skips where it is missing, which is a failure under CI=true."""
    found = shutil.which("kubectl")
    if found is None:
        if os.environ.get("CI") == "true":
            pytest.fail("kubectl is missing: install it")
        pytest.skip("kubectl is missing: install it")
    return found
