"""Mistakes that policies/settings.py has to find."""

from tests.deploy.mistakes.editing import Mistake, setting

MISTAKES = (
    Mistake(
        "settings.exist",
        "SEQWAY_DRAIN_GRACES is no setting of it",
        setting("gateway", "SEQWAY_DRAIN_GRACES", "30"),
    ),
    Mistake(
        "settings.exist",
        "container worker: SEQWAY_DRAIN_GRACE is no setting of it",
        setting("worker", "SEQWAY_DRAIN_GRACE", "30"),
    ),
    Mistake(
        "settings.exist",
        "SEQWAY_JOBSTORE is no setting",
        setting("shared", "SEQWAY_JOBSTORE", "file:///jobs"),
    ),
    Mistake(
        "settings.can_be_read",
        "container gateway: SEQWAY_DRAIN_WAIT: Input should be a valid number",
        setting("gateway", "SEQWAY_DRAIN_WAIT", "2s"),
    ),
    Mistake(
        "settings.can_be_read",
        "SEQWAY_REQUIRE_TLS is set, and in plaintext are: metrics",
        setting("shared", "SEQWAY_METRICS_TLS", "false"),
    ),
    Mistake(
        "settings.agree_with_ports",
        "SEQWAY_GATEWAY_PORT is 50061, which is no port of it",
        setting("gateway", "SEQWAY_GATEWAY_PORT", "50061"),
    ),
    Mistake(
        "settings.name_files_that_are_mounted",
        "SEQWAY_API_KEYS_FILE is /etc/keys.json, where nothing is mounted",
        setting("gateway", "SEQWAY_API_KEYS_FILE", "/etc/keys.json"),
    ),
    Mistake(
        "settings.keep_workers_busy",
        "SEQWAY_CHUNK_WINDOW is 4, and there may be 24 processes",
        setting("shared", "SEQWAY_CHUNK_WINDOW", "4"),
    ),
)
