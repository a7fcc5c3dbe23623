"""The command `seqway-gateway`."""

import argparse
import asyncio
import signal
import sys
from typing import Any

import prometheus_client
import uvloop

from services.gateway import logs
from services.gateway.authentication.keys import KeyFileError
from services.gateway.server import Gateway, PortInUseError
from services.gateway.settings import GatewaySettings, describe
from services.process.environment import InvalidSettingsError, read_settings


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
        settings = read_settings(GatewaySettings)
    except InvalidSettingsError as error:
        return _complain(str(error), 2)
    logs.configure(settings)
    try:
        uvloop.run(_serve(settings))
    except (PortInUseError, KeyFileError) as error:
        return _complain(str(error), 1)
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
        prometheus_client.start_http_server(
            settings.metrics_port,
            settings.metrics_host or settings.gateway_host,
            **_metrics_tls(settings),
        )
    except OSError:
        raise PortInUseError(
            f"cannot serve metrics on port {settings.metrics_port}: is it in use?"
        ) from None


def _metrics_tls(settings: GatewaySettings) -> dict[str, Any]:
    """The certificates of the gateway; who reads the metrics must show one where callers must."""
    if not settings.metrics_tls:
        return {}
    client_ca = settings.tls_client_ca
    return {
        "certfile": str(settings.tls_certificate),
        "keyfile": str(settings.tls_key),
        "client_cafile": str(client_ca) if client_ca else None,
        "client_auth_required": client_ca is not None,
    }


def _complain(sentence: str, code: int) -> int:
    print(f"seqway-gateway: {sentence}", file=sys.stderr)  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
