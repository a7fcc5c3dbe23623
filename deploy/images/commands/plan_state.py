"""Which variants of a model repository lack TensorRT plans that run on a GPU."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FLAVOUR = "tensorrt"


@dataclass(frozen=True)
class Target:
    """What plans have to be built for: a compute capability such as "89", and a TensorRT."""

    compute_capability: str
    version: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "Target | None":
        """The target that COMPUTE_CAPABILITY and TENSORRT_VERSION name; None where there is none.

        Raises:
            ValueError: only one of them is set.

        """
        capability = environment.get("COMPUTE_CAPABILITY", "")
        version = environment.get("TENSORRT_VERSION", "")
        if bool(capability) != bool(version):
            raise ValueError("COMPUTE_CAPABILITY and TENSORRT_VERSION have to be set together")
        return cls(capability, version) if capability else None


def variants(models: Path) -> list[str]:
    """The variants of ours in a model repository."""
    return sorted(path.parent.parent.name for path in models.glob("*/1/manifest.json"))


def lacking(models: Path, target: Target) -> dict[str, str]:
    """The variants without whole and fitting plans, each with the reason."""
    reasons = {name: _fault(models / name / "1", target) for name in variants(models)}
    return {name: reason for name, reason in reasons.items() if reason}


def _fault(variant: Path, target: Target) -> str:
    """What is wrong with the plans of a variant for a target; "" when nothing is."""
    folder = variant / "plans" / f"sm_{target.compute_capability}"
    plan = _read(folder / "plan.json")
    if plan is None:
        return f"has no plans for sm_{target.compute_capability}"
    built = (plan.get("flavour"), plan.get("version"))
    if built != (_FLAVOUR, target.version):
        return f"has plans of {built[0]} {built[1]}, and {_FLAVOUR} {target.version} runs here"
    for place, digests in ((variant, plan.get("graphs", {})), (folder, plan.get("files", {}))):
        for name, digest in digests.items():
            if _sha256(place / name) != digest:
                return f"has plans that do not fit its {name}"
    return ""


def _read(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
