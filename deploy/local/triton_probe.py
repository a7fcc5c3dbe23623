"""Asks Triton what is ready, and a model of ours for an answer."""

import http.client
import json
import queue
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-untyped]

from deploy.local.errors import StackError
from deploy.local.ports import HOST
from deploy.local.services import Check
from deploy.local.settings import StackSettings

_SECONDS = 3.0
_LOAD_SECONDS = 120.0


def check_triton(settings: StackSettings) -> list[Check]:
    """The server, then each model of the repository."""
    if _get(settings.ports.triton_http.number, "/v2/health/live") is None:
        return [Check("server", ok=False, detail="doesn't answer")]
    return [
        Check("server", ok=True),
        *(_check_model(settings, name) for name in _names(settings.model_repository)),
    ]


def load_models(http_port: int, model_repository: Path) -> None:
    """Has a running Triton load what is new or changed in the repository; the rest stays as it is.

    Raises:
        StackError: a model can't be loaded.

    """
    for name in _names(model_repository):
        status, body = _post(http_port, f"/v2/repository/models/{name}/load")
        if status != http.HTTPStatus.OK:
            raise StackError(
                f"Triton, which runs already, can't load {name} of {model_repository} ({body}): "
                "run `make down` and try again."
            )


def _names(model_repository: Path) -> list[str]:
    return sorted(path.parent.name for path in model_repository.glob("*/config.pbtxt"))


def _check_model(settings: StackSettings, name: str) -> Check:
    http_port = settings.ports.triton_http.number
    subject = f"model {name}"
    if _get(http_port, f"/v2/models/{name}/ready") is None:
        return Check(subject, ok=False, detail="is not loaded")
    config = json.loads(_get(http_port, f"/v2/models/{name}/config") or "{}")
    # Triton goes on to call a model ready when the process behind it is gone: ask the model.
    if "manifest" in config.get("parameters", {}) and not _answers(settings, name, config):
        return Check(subject, ok=False, detail="is loaded, but doesn't answer")
    return Check(subject, ok=True)


def _get(port: int, path: str) -> bytes | None:
    """The body of a 200 answer, else None."""
    try:
        status, body = _request(port, "GET", path, _SECONDS)
    except (OSError, http.client.HTTPException):
        return None
    return body if status == http.HTTPStatus.OK else None


def _post(port: int, path: str) -> tuple[int, str]:
    """The status of the answer and its body; a server that doesn't answer is status 0."""
    try:
        status, body = _request(port, "POST", path, _LOAD_SECONDS)
    except (OSError, http.client.HTTPException) as error:
        return 0, str(error)
    return status, body.decode(errors="replace")


def _request(port: int, method: str, path: str, seconds: float) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, port, timeout=seconds)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def _answers(settings: StackSettings, name: str, config: dict[str, Any]) -> bool:
    """Sends the probe of docs/triton-protocol.md."""
    certificates = settings.certificates
    client = triton.InferenceServerClient(
        f"{HOST}:{settings.ports.triton_grpc.number}",
        creds=certificates.channel_credentials() if certificates else None,
    )
    try:
        if config.get("model_transaction_policy", {}).get("decoupled"):
            return _streams(client, name)
        inputs = [field["name"] for field in config["input"]]
        return _infers(client, name, inputs)
    finally:
        client.close()


def _streams(client: Any, name: str) -> bool:
    """To a generating variant: a request with no text."""
    arrived: queue.Queue[tuple[object, Exception | None]] = queue.Queue()
    try:
        client.start_stream(callback=lambda result, error: arrived.put((result, error)))
        client.async_stream_infer(
            name, [_strings("TEXT", [0], []), _strings("OPTIONS", [1], [b"{}"])]
        )
        _, error = arrived.get(timeout=_SECONDS)
        return error is None
    except (queue.Empty, triton.InferenceServerException):
        return False
    finally:
        client.stop_stream(cancel_requests=True)


def _infers(client: Any, name: str, inputs: list[str]) -> bool:
    """To an encoder variant: one text with the option that says that it is a probe."""
    values = {"OPTIONS": b'{"probe": true}'}
    tensors = [_strings(one, [1, 1], [values.get(one, b"")]) for one in inputs]
    try:
        client.infer(name, tensors, client_timeout=_SECONDS)
    except triton.InferenceServerException:
        return False
    return True


def _strings(name: str, shape: list[int], values: list[bytes]) -> Any:
    tensor = triton.InferInput(name, shape, "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=object).reshape(shape))
    return tensor
