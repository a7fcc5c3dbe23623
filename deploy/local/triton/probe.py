"""Asks Triton what is ready, and a model of ours for an answer."""

import queue
from typing import Any
from urllib.parse import quote

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-untyped]

from deploy.images.commands.triton_probe import Triton
from deploy.local.ports import HOST
from deploy.local.services.service import Check
from deploy.local.settings import StackSettings
from deploy.local.triton.client import SECONDS, get, read_json
from deploy.local.triton.models import ModelState, is_live, model_names, model_states

_DEAD_SIGN = "not healthy"
_MODEL = "model "


def check_triton(settings: StackSettings) -> list[Check]:
    """The server, then each model of the repository."""
    port = settings.ports.triton_http.number
    if not is_live(port):
        return [Check("server", ok=False, detail="doesn't answer", is_silent=True)]
    states = model_states(port)
    names = model_names(settings.model_repository)
    return [
        Check("server", ok=True),
        *(_check_model(settings, name, states.get(name)) for name in names),
    ]


def model_of(subject: str) -> str:
    """The model that a check is about; "" when it is about the server."""
    return subject.removeprefix(_MODEL) if subject.startswith(_MODEL) else ""


def _check_model(settings: StackSettings, name: str, state: ModelState | None) -> Check:
    subject = f"{_MODEL}{name}"
    if state is None or not (state.is_ready or state.is_changing):
        problem = state.problem if state else ModelState("", "").problem
        return Check(subject, ok=False, detail=f"is not loaded: {problem}", is_hopeless=True)
    if not state.is_ready:
        return Check(subject, ok=False, detail=f"is {state.state.lower()}")
    port = settings.ports.triton_http.number
    config = read_json(get(port, f"/v2/models/{quote(name)}/config"))
    # Triton goes on to call a model ready when the process behind it is gone: ask the model.
    if "manifest" not in (config or {}).get("parameters", {}):
        return Check(subject, ok=True)
    try:
        _ask(settings, name, config)
    except triton.InferenceServerException as error:
        if _DEAD_SIGN in str(error):
            detail = "is loaded, but its process is dead"
            return Check(subject, ok=False, detail=detail, is_dead=True)
    except queue.Empty:
        pass
    else:
        return Check(subject, ok=True)
    server = Triton(port, settings.ports.triton_metrics.number, SECONDS)
    detail = "is loaded, but doesn't answer"
    return Check(subject, ok=False, detail=detail, is_silent=True, work=server.work()[name])


def _ask(settings: StackSettings, name: str, config: dict[str, Any]) -> None:
    """Sends the probe of docs/triton-protocol.md; raises when there is no answer."""
    certificates = settings.certificates
    client = triton.InferenceServerClient(
        f"{HOST}:{settings.ports.triton_grpc.number}",
        creds=certificates.channel_credentials() if certificates else None,
    )
    try:
        if config.get("model_transaction_policy", {}).get("decoupled"):
            _stream(client, name)
        else:
            _infer(client, name, [field["name"] for field in config["input"]])
    finally:
        client.close()


def _stream(client: Any, name: str) -> None:
    """To a generating variant: a request with no text."""
    arrived: queue.Queue[tuple[object, Exception | None]] = queue.Queue()
    try:
        client.start_stream(callback=lambda result, error: arrived.put((result, error)))
        client.async_stream_infer(
            name, [_strings("TEXT", [0], []), _strings("OPTIONS", [1], [b"{}"])]
        )
        _, error = arrived.get(timeout=SECONDS)
    finally:
        client.stop_stream(cancel_requests=True)
    if error is not None:
        raise error


def _infer(client: Any, name: str, inputs: list[str]) -> None:
    """To an encoder variant: one text with the option that says that it is a probe."""
    values = {"OPTIONS": b'{"probe": true}'}
    tensors = [_strings(one, [1, 1], [values.get(one, b"")]) for one in inputs]
    client.infer(name, tensors, client_timeout=SECONDS)


def _strings(name: str, shape: list[int], values: list[bytes]) -> Any:
    tensor = triton.InferInput(name, shape, "BYTES")
    tensor.set_data_from_numpy(np.array(values, dtype=object).reshape(shape))
    return tensor
