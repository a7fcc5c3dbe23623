"""What Triton has of a repository's models; has it load them, and load again what is lost."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psutil

from deploy.local.errors import StackError
from deploy.local.triton.client import get, post, read_json

_LOAD_SECONDS = 300.0
_VERSION_STATE = "is at UNAVAILABLE state: "
_UNREADABLE = "Triton can't read its config.pbtxt, or finds no version of it"


@dataclass(frozen=True, slots=True)
class ModelState:
    """A model as Triton's index has it: `state` is READY, LOADING, UNLOADING or UNAVAILABLE."""

    state: str
    reason: str

    @property
    def is_ready(self) -> bool:
        """Whether Triton calls it ready; of its process it need not be true."""
        return self.state == "READY"

    @property
    def is_changing(self) -> bool:
        """Whether it is on its way."""
        return self.state.endswith("LOADING")

    @property
    def problem(self) -> str:
        """Why it isn't ready and won't be."""
        return summary(self.reason) or _UNREADABLE


def model_names(model_repository: Path) -> list[str]:
    """The models of a repository; what stands in a hidden folder is on its way in or out."""
    folders = (path.parent.name for path in model_repository.glob("*/config.pbtxt"))
    return sorted(name for name in folders if not name.startswith("."))


def model_states(http_port: int) -> dict[str, ModelState]:
    """The models that Triton knows; empty when it doesn't answer."""
    is_known, body = post(http_port, "/v2/repository/index")
    found = read_json(body) if is_known else None
    return {
        one["name"]: ModelState(one.get("state", ""), one.get("reason", "")) for one in found or []
    }


def is_live(http_port: int) -> bool:
    """Whether the server answers at all."""
    return get(http_port, "/v2/health/live") is not None


def load_models(http_port: int, model_repository: Path) -> list[str]:
    """Has a running Triton load what is new or changed in the repository; the rest stays as it is.

    Returns a sentence for each model that it can't load.

    Raises:
        StackError: Triton doesn't answer.

    """
    if not is_live(http_port):
        raise StackError("Triton doesn't answer.")
    answers = {name: _load(http_port, name) for name in model_names(model_repository)}
    return [f"model {name} can't be loaded: {why}" for name, why in answers.items() if why]


def revive_model(http_port: int, server: int, name: str) -> None:
    """Loads a model again whose process is dead, or hangs; `server` is Triton's process id.

    The process is killed first: one that goes on after Triton has given it up reads memory that is
    no longer its own, and takes the server with it.

    Raises:
        StackError: it can't be loaded.

    """
    _kill_instances(server, name)
    is_unloaded, why = post(http_port, f"/v2/repository/models/{quote(name)}/unload")
    why = _load(http_port, name) if is_unloaded else why
    if why:
        raise StackError(f"Model {name} can't be loaded again: {why}")


def summary(reason: str) -> str:
    """The first line of what Triton says, without the places in its sources and ours."""
    return reason.rpartition(_VERSION_STATE)[2].strip().partition("\n")[0].rstrip(";")


def _load(http_port: int, name: str) -> str:
    """Why it failed; "" when it is loaded."""
    is_loaded, why = post(http_port, f"/v2/repository/models/{quote(name)}/load", _LOAD_SECONDS)
    return "" if is_loaded else summary(why) or "Triton gives no reason"


def has_process(server: int, name: str) -> bool:
    """Whether a process runs a model; `server` is Triton's process id."""
    return any(True for _ in _instances(server, name))


def _kill_instances(server: int, name: str) -> None:
    for instance in _instances(server, name):
        with suppress(psutil.NoSuchProcess):
            instance.kill()


def _instances(server: int, name: str) -> Iterator[psutil.Process]:
    """The children of Triton that run a model: each is told the name of its instance."""
    instance = re.compile(rf"{re.escape(name)}_\d+_\d+")
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server).children():
            with suppress(psutil.NoSuchProcess):
                if any(map(instance.fullmatch, child.cmdline())):
                    yield child
