"""Validates objects against the schemas of their kinds; an unknown field is a fault."""

import json
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped]

from tests.deploy.rendering import KUBERNETES, Object

# The oldest that docs/kubernetes.md promises, and the newest whose schemas we have.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
_OURS = ("keda.sh/", "monitoring.coreos.com/", "cert-manager.io/")


def faults(item: Object) -> list[str]:
    """What the schemas say against an object."""
    return list(_faults(json.dumps(item, sort_keys=True)))


@cache
def _faults(text: str) -> tuple[str, ...]:
    item = json.loads(text)
    if item["apiVersion"].startswith(_OURS):
        return tuple(_sentence(error) for error in _validator(item["kind"]).iter_errors(item))
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(item, version, strict=True)
        except jsonschema.ValidationError as error:
            found.append(f"{version}: {_sentence(error)}")
    return tuple(found)


@cache
def _validator(kind: str) -> jsonschema.Draft202012Validator:
    path = KUBERNETES / "schemas" / f"{kind.lower()}.json"
    assert path.exists(), f"{kind} has no schema: write {path.relative_to(KUBERNETES)}"
    schema: dict[str, Any] = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _sentence(error: jsonschema.ValidationError) -> str:
    return f"{'.'.join(map(str, error.path)) or 'object'}: {error.message[:200]}"
