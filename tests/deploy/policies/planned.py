"""Names that the manifests use before the code has them."""

PLANNED = frozenset(
    {
        # settings
        "SEQWAY_API_KEYS_FILE",
        "SEQWAY_HEALTH_PORT",
        "SEQWAY_HEARTBEAT_FILE",
        "SEQWAY_LOG_FORMAT",
        "SEQWAY_LOG_LEVEL",
        "SEQWAY_METRICS_HOST",
        "SEQWAY_METRICS_PORT",
        "SEQWAY_METRICS_TLS",
        "SEQWAY_REDIS_TLS_CA",
        "SEQWAY_REDIS_TLS_CERTIFICATE",
        "SEQWAY_REDIS_TLS_KEY",
        "SEQWAY_REQUIRE_TLS",
        "SEQWAY_SECRETS_DIR",
        "SEQWAY_TLS_CERTIFICATE",
        "SEQWAY_TLS_CLIENT_CA",
        "SEQWAY_TLS_KEY",
        "SEQWAY_TRITON_TLS_CA",
        "SEQWAY_TRITON_TLS_CERTIFICATE",
        "SEQWAY_TRITON_TLS_KEY",
        # metrics
        "seqway_chunks",
        "seqway_row_run_seconds",
        "seqway_row_wait_seconds",
    }
)
