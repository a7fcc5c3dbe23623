"""A mistake of each class is found, by the policy or the schema that it is for."""

from typing import Any

import pytest

from tests.deploy import validation
from tests.deploy.mistakes import MISTAKES
from tests.deploy.mistakes.editing import CHOSEN, OVERLAY, Change, Mistake, bundle_with, find
from tests.deploy.mistakes.fields import UNKNOWN_FIELDS
from tests.deploy.policies import POLICIES, name_of
from tests.deploy.rendering import overlay_objects


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda one: f"{one.policy}: {one.sentence}")
def test_a_policy_finds_a_mistake(mistake: Mistake) -> None:
    policy = next(one for one in POLICIES if name_of(one) == mistake.policy)
    bundle = bundle_with(overlay_objects(OVERLAY, CHOSEN), mistake.change)
    found = policy(bundle)
    assert any(mistake.sentence in one for one in found), found


def test_every_policy_has_a_mistake_that_it_finds() -> None:
    assert {one.policy for one in MISTAKES} == {name_of(one) for one in POLICIES}


@pytest.mark.parametrize(("kind", "field", "change"), UNKNOWN_FIELDS)
def test_a_schema_finds_an_unknown_field(kind: str, field: str, change: Change) -> None:
    found = _invalid(change)
    assert list(found) == [kind]
    assert field in found[kind][0]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "replicas"), "two"),
        (("spec", "template", "spec", "containers", 0, "ports", 0, "containerPort"), "grpc"),
        (("spec", "template", "spec", "terminationGracePeriodSeconds"), "50s"),
    ],
)
def test_a_schema_finds_a_wrong_type(path: tuple[Any, ...], value: object) -> None:
    def change(objects: list[Any]) -> None:
        place = find(objects, "Deployment", "seqway-gateway")
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    assert list(_invalid(change)) == ["Deployment"]


def _invalid(change: Change) -> dict[str, list[str]]:
    """What the schemas say of the changed objects, by kind."""
    objects = bundle_with(overlay_objects(OVERLAY, CHOSEN), change).objects
    return {one["kind"]: said for one in objects if (said := validation.faults(one))}
