"""What the models of a repository are for, from the manifests that the exporter wrote."""

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Model:
    """One variant: `base_model` is its name without the precision."""

    name: str
    base_model: str
    task: str


def read_models(model_repository: Path) -> list[Model]:
    """The models that have a manifest; others are not ours, or damaged, which Triton tells."""
    models = []
    for path in sorted(model_repository.glob("*/1/manifest.json")):
        try:
            manifest = json.loads(path.read_text(encoding="utf-8"))
            models.append(Model(manifest["name"], manifest["base_model"], manifest["task"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return models
