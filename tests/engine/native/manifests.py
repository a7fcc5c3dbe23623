"""Manifests of models that were not imported; importable without ONNX."""

from typing import Any

from engine.contract.manifest import Manifest, Task


def bare_manifest(
    name: str, *, longest: int, task: Task = "translation", **fields: Any
) -> Manifest:
    """What a session must know of a model whose sources and answers have `longest` tokens.

    `fields` are the others of a manifest; there is no checkpoint and no tokenizer.
    """
    base = {"base_model": name, "checkpoint_sha256": "", "tokenizer_sha256": ""}
    limits = {"max_source_tokens": longest, "max_target_tokens": longest}
    return Manifest(**{"name": name, "task": task, "family": "random", **base, **limits, **fields})
