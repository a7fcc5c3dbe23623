"""A service that starts in a moment: a web server over an empty folder."""

import http.client
import os
import sys
from pathlib import Path

from deploy.local.ports import HOST, Port, free_ports
from deploy.local.services.service import Check, Launch, Service

VARIABLE = "WEB_PORT"


def web_service(
    folder: Path, name: str = "web", port: int | None = None, code: str | None = None
) -> Service:
    """`code` is run in place of the web server."""
    number = port or free_ports(1)[0]
    serve = ("-m", "http.server", str(number), "--bind", HOST)
    return Service(
        name=name,
        ports=(Port(f"the {name} server", number, VARIABLE),),
        launch=lambda: Launch(
            (sys.executable, *(("-c", code) if code else serve)), dict(os.environ), folder
        ),
        check=lambda: [Check("server", _answers(number))],
        ready_seconds=20,
        stop_seconds=5,
    )


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status == http.HTTPStatus.OK
    except OSError:
        return False
    finally:
        connection.close()
