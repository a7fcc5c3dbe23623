"""Settings of calls and connections, read from `SEQWAY_*` environment variables."""

from pydantic import Field

from services.foundation.environment import EnvironmentSettings


class CallSettings(EnvironmentSettings):
    """How long a call may take."""

    request_timeout: float = Field(
        default=60.0,
        gt=0,
        description="seconds from the headers of a call to the end of its request, where that is"
        " one message",
    )
    default_deadline: float = Field(
        default=600.0,
        gt=0,
        description="seconds that a call may take when its caller sets no deadline",
    )
    longest_deadline: float = Field(
        default=86400.0,
        gt=0,
        description="the most seconds that a call may take, whatever deadline its caller sets",
    )
    deadline_margin: float = Field(
        default=0.01,
        ge=0,
        description="seconds of a call's deadline that are reserved for sending the answer",
    )
    credentials_interval: float = Field(
        default=5.0,
        gt=0,
        description="seconds between two checks of the credentials of a call in flight, which ends"
        " when they have been revoked or have expired",
    )


class ConnectionSettings(EnvironmentSettings):
    """How many connections callers may have, for how long, and what they may carry."""

    reuse_port: bool = Field(
        default=False, description="let several gateway processes share the port (SO_REUSEPORT)"
    )
    max_message_bytes: int = Field(
        default=16 * 1024 * 1024, ge=1024, description="the most bytes in one message"
    )
    max_connection_streams: int = Field(
        default=256,
        ge=1,
        description="the most calls at a time on one connection; clients hold back more",
    )
    max_connections: int = Field(
        default=4096, ge=1, description="the most connections of callers; more are closed at once"
    )
    max_idle_connections: int = Field(
        default=512,
        ge=0,
        description="the most connections without a call for 10 s; those that are idle the"
        " longest are closed",
    )
    max_connection_idle: float = Field(
        default=300.0,
        ge=0,
        description="seconds without a call after which a connection is closed; 0 is never",
    )
    handshake_timeout: float = Field(
        default=10.0,
        gt=0,
        description="seconds from the opening of a connection to the end of its TLS handshake and"
        " its HTTP/2 preface",
    )
    max_connection_age: float = Field(
        default=0.0,
        ge=0,
        description="seconds after which clients are asked to reconnect; 0 is never",
    )
    keepalive_time: float = Field(
        default=60.0, gt=0, description="seconds of silence after which the gateway pings a client"
    )
    keepalive_timeout: float = Field(
        default=20.0, gt=0, description="seconds that a client may take to answer a ping"
    )
    client_ping_interval: float = Field(
        default=10.0, ge=0, description="seconds that clients must leave between their own pings"
    )
