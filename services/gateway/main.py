"""The command `seqway-gateway`."""

import argparse
import asyncio
import signal
import sys

import prometheus_client
import pydantic
import uvloop

from services.gateway.server import Gateway, PortInUseError
from services.gateway.settings import GatewaySettings, describe
from services.observability import logs, tracing


def main() -> int:
    """Serves until SIGTERM or SIGINT; 1 when it cannot listen, 2 when a setting is wrong."""
    parser = argparse.ArgumentParser(
        prog="seqway-gateway",
        description="The gRPC gateway of Seqway. It is set up by environment variables:",
        epilog=describe(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    try:
        settings = GatewaySettings()
    except pydantic.ValidationError as error:
        return _complain(_sentence(error), 2)
    logs.configure(settings)
    tracing.start("seqway-gateway")
    try:
        uvloop.run(_serve(settings))
    except PortInUseError as error:
        return _complain(str(error), 1)
    finally:
        tracing.stop()
    return 0


async def _serve(settings: GatewaySettings) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    _serve_metrics(settings)
    gateway = Gateway(settings)
    await gateway.start()
    await stop.wait()
    await gateway.drain()


def _serve_metrics(settings: GatewaySettings) -> None:
    if not settings.metrics_port:
        return
    try:
        prometheus_client.start_http_server(settings.metrics_port, settings.gateway_host)
    except OSError:
        raise PortInUseError(
            f"cannot serve metrics on port {settings.metrics_port}: is it in use?"
        ) from None


def _complain(sentence: str, code: int) -> int:
    print(f"seqway-gateway: {sentence}", file=sys.stderr)  # noqa: T201
    return code


def _sentence(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    name = "_".join(str(part) for part in first["loc"][:1]).upper()
    return f"SEQWAY_{name}: {first['msg']}"


if __name__ == "__main__":
    sys.exit(main())
