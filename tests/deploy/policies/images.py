"""Which images are run."""

import re
import tomllib

from tests.deploy.bundle import Bundle
from tests.deploy.rendering import ROOT

_VERSION = re.compile(r"[a-z0-9./-]+:v?\d+\.\d+\.\d+[\w.-]*(@sha256:[0-9a-f]{64})?$")


def project_version() -> str:
    """The version of the packages, which is that of our images."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def are_pinned(bundle: Bundle) -> list[str]:
    """A whole version as the tag; of our own images it is the project's."""
    found = []
    for container in bundle.containers:
        image = container.spec["image"]
        if not _VERSION.match(image):
            found.append(f"{container.title}: {image} is no certain version")
        elif image.startswith("seqway/") and not image.endswith(f":{project_version()}"):
            found.append(f"{container.title}: {image} is not the project's {project_version()}")
    return found


def are_built_here(bundle: Bundle) -> list[str]:
    """Each image of ours has a Dockerfile."""
    return [
        f"{container.title}: there is no Dockerfile for {container.spec['image']}"
        for container in bundle.containers
        if container.spec["image"].startswith("seqway/")
        and not (ROOT / "deploy" / "images" / f"{container.image}.Dockerfile").exists()
    ]


POLICIES = (are_pinned, are_built_here)
