"""Rules of our own for a deployment: a function each, which gives a sentence for each fault."""

from collections.abc import Callable

from tests.deploy.bundle import Bundle
from tests.deploy.policies import (
    availability,
    containers,
    images,
    monitoring,
    network,
    references,
    services,
    settings,
    shutdown,
)

Policy = Callable[[Bundle], list[str]]

POLICIES: tuple[Policy, ...] = (
    *availability.POLICIES,
    *containers.POLICIES,
    *images.POLICIES,
    *monitoring.POLICIES,
    *network.POLICIES,
    *references.POLICIES,
    *services.POLICIES,
    *settings.POLICIES,
    *shutdown.POLICIES,
)


def name_of(policy: Policy) -> str:
    """Such as "services.select_pods"."""
    return f"{policy.__module__.rpartition('.')[2]}.{policy.__name__}"


def faults(bundle: Bundle) -> list[str]:
    """What all policies say."""
    return [fault for policy in POLICIES for fault in policy(bundle)]
