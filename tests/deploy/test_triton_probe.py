"""What `seqway-triton-probe` makes of the answers of a Triton that is only pretended.

`test_images.py` asks the real one.
"""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from deploy.images.commands.triton_probe import Triton, probe

GENERATOR, ENCODER, FOREIGN = "en-fr_int8", "deb-section_int8", "foreign"
_CONFIGS: dict[str, Any] = {
    GENERATOR: {"parameters": {"manifest": {}}, "model_transaction_policy": {"decoupled": True}},
    ENCODER: {"parameters": {"manifest": {}}, "input": [{"name": "TEXT"}, {"name": "OPTIONS"}]},
    FOREIGN: {},
}


@dataclass
class Server:
    """How the models behave: which are loaded, what they answer, which never do, what they do.

    `more` are further entries of Triton's index.
    """

    models: tuple[str, ...] = (GENERATOR, ENCODER)
    loaded: tuple[str, ...] = (GENERATOR, ENCODER, FOREIGN)
    status: dict[str, int] = field(default_factory=dict)
    silent: tuple[str, ...] = ()
    more: list[dict[str, str]] = field(default_factory=list)
    work: Callable[[], float] = lambda: 1.0
    asked: dict[str, Any] = field(default_factory=dict)
    end: threading.Event = field(default_factory=threading.Event)

    def answer(self, path: str, body: bytes) -> tuple[int, str]:
        """Status and content, as Triton's HTTP port has them."""
        if path == "/metrics":
            line = 'seqway_encoder_batches{instance="x",model="deb-section_int8"}'
            return 200, f"# HELP some\n{line} {self.work()}\nother 3\n"
        if path == "/v2/repository/index":
            found = [{"name": name, "state": "READY"} for name in self.models]
            return 200, json.dumps(found + self.more)
        _, _, _, name, method = path.split("/")
        if method == "config":
            return (200, json.dumps(_CONFIGS[name])) if name in self.loaded else (400, "{}")
        self.asked[name] = (method, json.loads(body))
        if name in self.silent:
            self.end.wait()
        return self.status.get(name, 200), "{}"


@contextmanager
def serving(server: Server, seconds: float = 20.0) -> Iterator[Triton]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            status, content = server.answer(self.path, self.rfile.read(length))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(content.encode())

        do_POST = do_GET  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield Triton(http.server_port, http.server_port, seconds)
        server.end.set()
        http.shutdown()


def test_each_kind_of_model_is_asked_its_own_question() -> None:
    server = Server(models=(GENERATOR, ENCODER, FOREIGN))
    with serving(server) as triton:
        assert probe(triton) == ([], [])
    inputs = [
        {"name": "TEXT", "shape": [1, 1], "datatype": "BYTES", "data": [""]},
        {"name": "OPTIONS", "shape": [1, 1], "datatype": "BYTES", "data": ['{"probe": true}']},
    ]
    assert server.asked == {
        GENERATOR: ("generate", {"TEXT": [], "OPTIONS": "{}"}),
        ENCODER: ("infer", {"inputs": inputs}),
    }


@pytest.mark.parametrize(
    ("server", "fault"),
    [
        (Server(models=()), "Triton has no model"),
        (Server(loaded=(ENCODER,)), f"{GENERATOR} is not loaded"),
        (Server(status={ENCODER: 500}), f"{ENCODER} answers with an error"),
    ],
)
def test_a_fault_is_named(server: Server, fault: str) -> None:
    with serving(server) as triton:
        assert probe(triton) == ([fault], [])


def test_a_generating_model_has_to_answer_in_time() -> None:
    with serving(Server(silent=(GENERATOR,)), seconds=2.0) as triton:
        assert probe(triton) == ([f"{GENERATOR} does not answer"], [])


def test_an_encoder_with_work_may_be_late_and_one_without_may_not() -> None:
    done = iter(range(100))
    working = Server(silent=(ENCODER,), work=lambda: float(next(done)))
    with serving(working, seconds=2.0) as triton:
        assert probe(triton) == ([], [])
    with serving(Server(silent=(ENCODER,)), seconds=2.0) as triton:
        assert probe(triton) == ([f"{ENCODER} does not answer, and does not work"], [])


def test_a_server_that_is_gone_is_told() -> None:
    with serving(Server()) as triton:
        pass
    ((fault,), _) = probe(triton)
    assert fault.startswith("Triton does not answer")


BROKEN = {"name": "broken", "version": "1", "state": "UNAVAILABLE", "reason": "Bad file\nAt: x"}
CUT = {"name": "cut"}
_TOLD = ["broken can't be loaded: Bad file", "cut can't be loaded: see the log of Triton"]


def test_a_model_that_cannot_be_loaded_is_told_and_the_others_serve() -> None:
    """Neither a new start of the pod nor leaving it without callers would bring the model back."""
    with serving(Server(more=[BROKEN, CUT])) as triton:
        assert probe(triton) == ([], _TOLD)
    with serving(Server(more=[BROKEN], status={ENCODER: 500})) as triton:
        assert probe(triton) == ([f"{ENCODER} answers with an error"], _TOLD[:1])


def test_a_triton_without_any_other_model_is_at_fault() -> None:
    with serving(Server(models=(), more=[BROKEN, CUT])) as triton:
        assert probe(triton) == (_TOLD, [])


@pytest.mark.parametrize(
    "entry",
    [
        {"name": GENERATOR, "state": "LOADING"},
        {"name": GENERATOR, "state": "UNLOADING"},
        {"name": GENERATOR, "state": "UNAVAILABLE", "reason": "unloaded"},
    ],
)
def test_one_that_is_on_its_way_is_no_excuse(entry: dict[str, str]) -> None:
    with serving(Server(models=(ENCODER,), loaded=(ENCODER,), more=[entry])) as triton:
        assert probe(triton) == ([f"{GENERATOR} is not loaded"], [])
