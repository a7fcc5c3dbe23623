"""Mistakes that policies/shutdown.py has to find."""

from tests.deploy.mistakes.editing import Mistake, container, setting

MISTAKES = (
    Mistake(
        "shutdown.have_time",
        "container gateway needs 70 s to end, and gets 50 s",
        setting("gateway", "SEQWAY_DRAIN_GRACE", "60"),
    ),
    Mistake(
        "shutdown.leave_first",
        "it has no preStop sleep",
        lambda objects: container(objects, "triton").pop("lifecycle"),
    ),
    Mistake(
        "shutdown.end_celery_soon",
        "container controller has no REMAP_SIGTERM",
        setting("controller", "REMAP_SIGTERM", "SIGTERM"),
    ),
)
