"""Mistakes that somebody may make in the manifests, and what has to find each."""

from tests.deploy.mistakes import (
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

MISTAKES = (
    *availability.MISTAKES,
    *containers.MISTAKES,
    *images.MISTAKES,
    *monitoring.MISTAKES,
    *network.MISTAKES,
    *references.MISTAKES,
    *services.MISTAKES,
    *settings.MISTAKES,
    *shutdown.MISTAKES,
)
