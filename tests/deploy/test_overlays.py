"""Every overlay, alone and with components, renders, validates and keeps our policies."""

from functools import cache

import pytest

from tests.deploy import validation
from tests.deploy.bundle import Bundle
from tests.deploy.policies import POLICIES, Policy, faults, name_of
from tests.deploy.rendering import CHOICES, KUBERNETES, OVERLAYS, overlay_objects, render

COMBINED = [
    pytest.param(overlay, components, id="+".join((overlay, *components)))
    for overlay in OVERLAYS
    for components in CHOICES
]


@pytest.mark.parametrize(("overlay", "components"), COMBINED)
def test_an_overlay_validates(overlay: str, components: tuple[str, ...]) -> None:
    objects = overlay_objects(overlay, components)
    found = {
        f"{one['kind']} {one['metadata']['name']}": faults
        for one in objects
        if (faults := validation.faults(one))
    }
    assert found == {}


@cache
def _bundle(overlay: str, components: tuple[str, ...]) -> Bundle:
    return Bundle(overlay_objects(overlay, components))


@pytest.mark.parametrize("policy", POLICIES, ids=name_of)
def test_all_overlays_keep_a_policy(policy: Policy) -> None:
    found = {
        "+".join((overlay, *components)): faults
        for overlay in OVERLAYS
        for components in CHOICES
        if (faults := policy(_bundle(overlay, components)))
    }
    assert found == {}


def test_every_overlay_and_component_is_tested() -> None:
    overlays = {path.parent.name for path in KUBERNETES.glob("overlays/*/kustomization.yaml")}
    components = {path.parent.name for path in KUBERNETES.glob("components/*/kustomization.yaml")}
    assert overlays == set(OVERLAYS)
    # These two are part of the overlays for GPUs.
    assert components == {one for choice in CHOICES for one in choice} | {"api-keys", "gpu"}


def test_the_loader_validates_and_can_write_where_triton_reads() -> None:
    (pod,) = render(KUBERNETES / "loader")
    bundle = Bundle([pod, *overlay_objects("dev")])
    assert validation.faults(pod) == []
    assert faults(bundle) == []


def test_one_object_is_in_each_file() -> None:
    crowded = [
        path.relative_to(KUBERNETES)
        for path in KUBERNETES.rglob("*.yaml")
        if path.read_text().count("\n---") or path.read_text().count("\nkind:") > 1
    ]
    assert crowded == []
