"""Triton's HTTP port on this machine."""

import http.client
import json
from typing import Any

from deploy.local.ports import HOST

SECONDS = 3.0


def get(port: int, path: str) -> bytes | None:
    """The body of a 200 answer, else None."""
    status, body = _request(port, "GET", path, SECONDS)
    return body if status == http.HTTPStatus.OK else None


def post(port: int, path: str, seconds: float | None = None) -> tuple[bool, str]:
    """Whether the answer was 200, and its body; of an error the message."""
    status, body = _request(port, "POST", path, seconds or SECONDS)
    text = body.decode(errors="replace")
    if status == http.HTTPStatus.OK:
        return True, text
    try:
        return False, str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        return False, text


def read_json(body: bytes | str | None) -> Any:
    """What the body of an answer says; None when it is no JSON."""
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None


def _request(port: int, method: str, path: str, seconds: float) -> tuple[int, bytes]:
    """Status 0 and the error when there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        return 0, f"Triton doesn't answer ({type(error).__name__})".encode()
    finally:
        connection.close()
