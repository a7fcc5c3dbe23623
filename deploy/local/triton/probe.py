"""Asks Triton what is ready, and a model of ours for an answer."""

import http.client
from urllib.parse import quote

from deploy.images.commands.triton_probe import Triton, ask
from deploy.local.records import StackRecord
from deploy.local.services.service import Check
from deploy.local.settings import StackSettings
from deploy.local.triton.client import SECONDS, get, read_json
from deploy.local.triton.models import (
    ModelState,
    has_process,
    is_live,
    model_names,
    model_states,
)

_DEAD_SIGN = b"not healthy"
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
    server = Triton(port, settings.ports.triton_metrics.number, SECONDS)
    try:
        status, content = ask(server, name, config)
    except (OSError, http.client.HTTPException):
        status, content = 0, b""
    if status == http.HTTPStatus.OK:
        return Check(subject, ok=True)
    # Of a dead process Triton tells each request after a second: a probe may wait behind many.
    if _DEAD_SIGN in content or _is_gone(settings, name):
        detail = "is loaded, but its process is dead"
        return Check(subject, ok=False, detail=detail, is_dead=True)
    detail = "is loaded, but doesn't answer"
    return Check(subject, ok=False, detail=detail, is_silent=True, work=server.work()[name])


def _is_gone(settings: StackSettings, name: str) -> bool:
    """Whether Triton, which runs, has no process for a model."""
    server = StackRecord.load(settings.run_directory).processes.get("triton")
    return server is not None and not has_process(server.pid, name)
