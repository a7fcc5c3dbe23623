"""Asks Triton what is ready, and a model of ours for an answer."""

import http.client
import json
import queue
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-untyped]

from deploy.local.ports import HOST
from deploy.local.services import Check

_SECONDS = 3.0


def check_triton(http_port: int, grpc_port: int, model_repository: Path) -> list[Check]:
    """The server, then each model of the repository."""
    if _get(http_port, "/v2/health/live") is None:
        return [Check("server", ok=False, detail="doesn't answer")]
    names = sorted(path.parent.name for path in model_repository.glob("*/config.pbtxt"))
    return [
        Check("server", ok=True),
        *(_check_model(http_port, grpc_port, name) for name in names),
    ]


def _check_model(http_port: int, grpc_port: int, name: str) -> Check:
    subject = f"model {name}"
    if _get(http_port, f"/v2/models/{name}/ready") is None:
        return Check(subject, ok=False, detail="is not loaded")
    config = json.loads(_get(http_port, f"/v2/models/{name}/config") or "{}")
    # Triton goes on to call a model ready when the process behind it is gone: ask the model.
    if "manifest" in config.get("parameters", {}) and not _answers(grpc_port, name):
        return Check(subject, ok=False, detail="is loaded, but doesn't answer")
    return Check(subject, ok=True)


def _get(port: int, path: str) -> bytes | None:
    """The body of a 200 answer, else None."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        body = response.read()
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return body if response.status == http.HTTPStatus.OK else None


def _answers(port: int, name: str) -> bool:
    """Sends the probe of docs/triton-protocol.md: a request with no text."""
    arrived: queue.Queue[tuple[object, Exception | None]] = queue.Queue()
    text = triton.InferInput("TEXT", [0], "BYTES")
    text.set_data_from_numpy(np.empty((0,), dtype=object))
    options = triton.InferInput("OPTIONS", [1], "BYTES")
    options.set_data_from_numpy(np.array([b"{}"], dtype=object))
    client = triton.InferenceServerClient(f"{HOST}:{port}")
    try:
        client.start_stream(callback=lambda result, error: arrived.put((result, error)))
        client.async_stream_infer(name, [text, options])
        _, error = arrived.get(timeout=_SECONDS)
        return error is None
    except (queue.Empty, triton.InferenceServerException):
        return False
    finally:
        client.stop_stream(cancel_requests=True)
        client.close()
