"""The command `seqway-gateway`."""

import argparse
import asyncio
import gc
import resource
import signal
import sys

import uvloop

from services.foundation import logs, tracing
from services.foundation.endpoints import PortInUseError, serve_metrics
from services.foundation.environment import InvalidSettingsError, describe, read_settings
from services.foundation.proxies import bypass_proxies_on_loopback
from services.gateway.authentication.keys import KeyFileError
from services.gateway.server import Gateway
from services.gateway.settings import GatewaySettings

_DESCRIPTORS = 1 << 16
# Python's default is 700, which a few calls make: they are alive then, and looked at in vain.
_YOUNG_OBJECTS = 10_000


def main() -> int:
    """Serves until SIGTERM or SIGINT; 1 when it cannot listen, 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(
        prog="seqway-gateway",
        description="The gRPC gateway of Seqway. It is configured by environment variables:",
        epilog=describe(GatewaySettings),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    bypass_proxies_on_loopback()
    try:
        settings = read_settings(GatewaySettings)
    except InvalidSettingsError as error:
        return _complain(str(error), 2)
    logs.configure(settings.logs)
    _allow_descriptors()
    tracing.start("seqway-gateway")
    try:
        uvloop.run(_serve(settings))
    except InvalidSettingsError as error:
        return _complain(str(error), 2)
    except (PortInUseError, KeyFileError) as error:
        return _complain(str(error), 1)
    finally:
        tracing.stop()
    return 0


def _allow_descriptors() -> None:
    """Raises the limit to what connections need, as far as allowed: shells set a low one."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _DESCRIPTORS if most == resource.RLIM_INFINITY else min(_DESCRIPTORS, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _collect_seldom() -> None:
    """Has Python look for garbage in what calls make only, and after thousands of objects.

    A look at all that was imported holds up every call for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG_OBJECTS)


async def _serve(settings: GatewaySettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serve_metrics(settings.serving)
    gateway = Gateway(settings)
    await gateway.start()
    _collect_seldom()
    await stop.wait()
    await gateway.drain()


def _complain(sentence: str, code: int) -> int:
    print(f"seqway-gateway: {sentence}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
