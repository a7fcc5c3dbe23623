"""`seqway-triton-probe`: asks Triton in this container for an answer of every model.

Triton calls a model ready whose process is gone, so each is sent the probe of
docs/triton-protocol.md.  A generating model answers at its next step.  An encoder's probe stands in
line behind the texts of callers: one that has not answered in time counts as alive when its
counters went on meanwhile.

A model that Triton could not load is told, and fails the probe only when there is no other: the pod
serves the rest, and a restart would change nothing.
"""

import argparse
import http.client
import json
import re
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

# What only goes on while an encoder works.
_WORK = re.compile(
    r"^(?:nv_inference_request_success|seqway_encoder_batches)"
    r'\{[^}]*model="([^"]+)"[^}]*\} (\S+)',
    re.MULTILINE,
)
_LATE = "does not answer, and does not work"


@dataclass(frozen=True)
class Triton:
    """The HTTP and the metrics port of the server on this host; each call ends in `seconds`."""

    http_port: int
    metrics_port: int
    seconds: float

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON of a 200 answer, None of another; OSError or HTTPException."""
        status, content = self.request(method, path, body)
        return json.loads(content) if status == http.HTTPStatus.OK else None

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, bytes]:
        """Status and body of any answer."""
        return self._request(self.http_port, method, path, body)

    def work(self) -> dict[str, float]:
        """How much each model has done; nothing where the metrics can't be read."""
        done: dict[str, float] = defaultdict(float)
        try:
            _, content = self._request(self.metrics_port, "GET", "/metrics", None)
        except (OSError, http.client.HTTPException):
            return done
        for model, value in _WORK.findall(content.decode()):
            done[model] += float(value)
        return done

    def _request(self, port: int, method: str, path: str, body: Any) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=self.seconds)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


def main() -> int:
    """0 when every model answers, else 1 with a sentence about each that doesn't."""
    parser = argparse.ArgumentParser(prog="seqway-triton-probe", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long an answer may take")
    parser.add_argument("--http-port", type=int, default=8000)
    parser.add_argument("--metrics-port", type=int, default=8002)
    given = parser.parse_args()
    faults, missing = probe(Triton(given.http_port, given.metrics_port, given.seconds))
    for sentence in faults + missing:
        print(sentence, file=sys.stderr)  # noqa: T201
    return int(bool(faults))


def probe(triton: Triton) -> tuple[list[str], list[str]]:
    """A sentence for each fault (the server, no models, each model), and for each missing model."""
    try:
        index = triton.call("POST", "/v2/repository/index", {})
    except (OSError, http.client.HTTPException) as error:
        return [f"Triton does not answer ({type(error).__name__})"], []
    if not index:
        return ["Triton has no model"], []
    missing = {model["name"]: _reason(model) for model in index if _is_missing(model)}
    told = [f"{name} can't be loaded: {reason}" for name, reason in missing.items()]
    names = sorted({model["name"] for model in index} - missing.keys())
    return (_ask(triton, names), told) if names else (told, [])


def _is_missing(model: dict[str, str]) -> bool:
    """Whether Triton tried in vain to load it; of one that it can't even read there is no state."""
    state, reason = model.get("state", ""), model.get("reason", "")
    return not state or (state == "UNAVAILABLE" and reason != "unloaded")


def _reason(model: dict[str, str]) -> str:
    return model.get("reason", "").strip().partition("\n")[0] or "see the log of Triton"


def _ask(triton: Triton, names: list[str]) -> list[str]:
    before = triton.work()
    with ThreadPoolExecutor(max_workers=min(16, len(names))) as pool:
        states = dict(zip(names, pool.map(lambda name: _state(triton, name), names), strict=True))
    after = triton.work() if _LATE in states.values() else before
    return [
        f"{name} {state}"
        for name, state in states.items()
        if state and not (state == _LATE and after[name] > before[name])
    ]


def _state(triton: Triton, name: str) -> str:
    """What is wrong with a model; "" when nothing is."""
    is_encoder = False
    try:
        config = triton.call("GET", f"/v2/models/{quote(name)}/config")
        if config is None:
            return "is not loaded"
        if "manifest" not in config.get("parameters", {}):
            return ""  # none of ours: Triton's word has to do
        is_encoder = not config.get("model_transaction_policy", {}).get("decoupled")
        status, _ = ask(triton, name, config)
        return "" if status == http.HTTPStatus.OK else "answers with an error"
    except TimeoutError:
        return _LATE if is_encoder else "does not answer"
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"can't be asked ({type(error).__name__})"


def ask(triton: Triton, name: str, config: dict[str, Any]) -> tuple[int, bytes]:
    """Sends a model the probe of its kind; status and body of the answer.

    Of a generating model every lane has to see the request, which has no text.
    """
    path = f"/v2/models/{quote(name)}"
    if config.get("model_transaction_policy", {}).get("decoupled"):
        return triton.request("POST", f"{path}/generate", {"TEXT": [], "OPTIONS": "{}"})
    values = {"OPTIONS": '{"probe": true}'}
    inputs = [
        {"name": one, "shape": [1, 1], "datatype": "BYTES", "data": [values.get(one, "")]}
        for one in (field["name"] for field in config["input"])
    ]
    return triton.request("POST", f"{path}/infer", {"inputs": inputs})


if __name__ == "__main__":
    sys.exit(main())
