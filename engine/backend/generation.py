"""A generating variant: a shim between Triton's decoupled requests and `engine.runtime.engine`.

docs/triton-protocol.md is the contract.  Triton's own thread calls `execute`, which only hands over
to the engine's lanes; the outbox sends answers, so that serialising never delays a step; the
watcher looks for callers who left.
"""

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import triton_python_backend_utils as pb_utils

from engine.backend.device import device_of
from engine.backend.loss import end_process
from engine.backend.metrics import EngineMetrics
from engine.backend.outbox import Message, Outbox
from engine.backend.parameters import Parameters
from engine.backend.tracing import open_spans
from engine.contract.events import Event, RefusalReason, Refused, encode_events
from engine.contract.options import (
    InvalidOptionsError,
    Options,
    Priority,
    parse_options,
    take_traceparents,
)
from engine.parallel.groups.engine import GroupedEngine
from engine.parallel.places import count_gpus
from engine.runtime.engine import Engine
from engine.runtime.request import Request
from engine.runtime.sessions.session import DeviceLostError

if TYPE_CHECKING:
    from engine.backend.spans import TracedRequest

WATCH_SECONDS, IDLE_WATCH_SECONDS = 0.004, 0.02
"""How often the watcher looks whether a step was made, and for one request whether it was left."""

LAST_SECONDS = 5.0
"""How long the answers of a process that ends may take to be sent."""

WATCH_REST = 4.0
"""How often as long as a question took the watcher rests: answers wait for Triton meanwhile."""


class GenerationVariant:
    """One instance of one variant that makes text; takes what Triton gives to `initialize`."""

    def __init__(self, args: dict[str, str]) -> None:
        self._engine = self._open_engine(args)
        self._metrics = EngineMetrics(args["model_name"], args["model_instance_name"], self._engine)
        self._spans = open_spans(args["model_name"])
        self._traced: dict[str, TracedRequest] = {}
        self._senders: dict[str, Any] = {}
        self._asking = threading.Lock()
        self._outbox = Outbox(self._respond)
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=target, daemon=True, name=name)
            for name, target in (
                ("seqway-outbox", self._outbox.run),
                ("seqway-watcher", self._watch),
            )
        ]
        self._engine.start()
        for thread in self._threads:
            thread.start()

    def execute(self, requests: list[Any]) -> None:
        """Hands each request to the engine; a request that can't be read is refused by itself."""
        for request in requests:
            sender = request.get_response_sender()
            key = request.request_id() or uuid.uuid4().hex
            try:
                texts, options, cancelled, traceparents = _read(request)
            except InvalidOptionsError as error:
                refused = Refused(RefusalReason.INVALID_OPTIONS, str(error), error.option)
                self._outbox.put(Message(key, sender, [refused], last=True))
                continue
            for other in cancelled:
                self._engine.cancel(other)
            self._senders[key] = sender
            can_wait = options.priority is Priority.BULK and not options.stream
            traced = self._trace(key, traceparents)
            sink = self._sink(key, sender, can_wait, traced)
            self._engine.submit(Request(key, texts, options, sink))

    def finalize(self) -> None:
        """Ends what runs and waits for its last answers to be sent."""
        self._engine.stop()
        self._stopping.set()
        self._outbox.close()
        for thread in self._threads:
            thread.join()
        if self._spans is not None:
            self._spans.close()

    def _open_engine(self, args: dict[str, str]) -> Engine | GroupedEngine:
        """One for the device of this instance, or the front of groups, which finds theirs."""
        parameters = Parameters(json.loads(args["model_config"]))
        folder = Path(args["model_repository"]) / args["model_version"]
        layout = parameters.layout()
        if layout.ranks == 1:
            return Engine(folder, parameters.settings(device_of(args)), self._leave)
        settings = parameters.settings(0 if count_gpus() else None)
        return GroupedEngine(folder, settings, layout, self._leave)

    def _leave(self, error: DeviceLostError) -> None:
        """Ends the process, with nothing half sent: Triton shares the memory of what is sent."""
        self._outbox.close()
        self._threads[0].join(LAST_SECONDS)
        end_process(error)

    def _trace(self, key: str, traceparents: list[str]) -> "TracedRequest | None":
        """Has the outbox tell of a request that is part of a sampled trace."""
        if self._spans is None or not traceparents:
            return None
        traced = self._spans.request(traceparents)
        if traced is not None:
            self._traced[key] = traced
        return traced

    def _sink(
        self, key: str, sender: Any, can_wait: bool, traced: "TracedRequest | None"
    ) -> Callable[[list[Event], bool], None]:
        def sink(events: list[Event], last: bool) -> None:
            if traced is not None:
                traced.note_lane(events)
            self._outbox.put(Message(key, sender, events, last, can_wait))

        return sink

    def _respond(self, message: Message) -> None:
        if message.last:
            with self._asking:
                self._senders.pop(message.key, None)
        content = encode_events(message.events)
        flags = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL if message.last else 0
        try:
            message.sender.send(_response(content), flags=flags)
        except pb_utils.TritonModelException:
            self._engine.cancel(message.key)  # the caller is gone
        if message.key in self._traced:
            self._tell(message)

    def _tell(self, message: Message) -> None:
        """Makes the spans of what has ended, once it is on its way."""
        assert self._spans is not None
        self._spans.generated(self._traced[message.key], message.events)
        if message.last:
            del self._traced[message.key]

    def _watch(self) -> None:
        """Cancels what callers left, and brings the metrics up to date.

        Behind a step it asks about each request, and leaves Triton to the answers in between.
        """
        steps, pause = -1, WATCH_SECONDS
        turns: deque[str] = deque()
        while not self._stopping.wait(pause):
            began = time.monotonic()
            made = self._engine.steps
            if made != steps or turns:
                steps = made
                turns = turns or deque(self._senders)
                while turns and turns[0] not in self._senders:
                    turns.popleft()
                if turns and self._has_left(key := turns.popleft()):
                    self._engine.cancel(key)
            self._metrics.update(time.monotonic())
            quick = WATCH_SECONDS if self._senders else IDLE_WATCH_SECONDS
            pause = max(quick, WATCH_REST * (time.monotonic() - began))

    def _has_left(self, key: str) -> bool:
        """Asks under the lock: Triton crashes when it is asked about a request that was closed."""
        with self._asking:
            sender = self._senders.get(key)
            return sender is not None and bool(sender.is_cancelled())


def _read(request: Any) -> tuple[list[str], Options, list[str], list[str]]:
    """The texts, options, ids to cancel and traceparents of a request."""
    raw = pb_utils.get_input_tensor_by_name(request, "OPTIONS").as_numpy().ravel()
    try:
        options = json.loads(raw[0]) if raw.size else {}
    except ValueError as error:
        raise InvalidOptionsError(f"OPTIONS is not JSON: {error}") from error
    if not isinstance(options, dict):
        raise InvalidOptionsError("OPTIONS must be a JSON object")
    cancelled = options.pop("cancel", [])
    if not isinstance(cancelled, list) or not all(isinstance(key, str) for key in cancelled):
        raise InvalidOptionsError("cancel must be a list of request ids")
    texts = pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy().ravel()
    traceparents = take_traceparents(options, len(texts))
    try:
        decoded = [text.decode() for text in texts]
        return decoded, parse_options(options), cancelled, traceparents
    except UnicodeDecodeError as error:
        raise InvalidOptionsError(f"TEXT is not UTF-8: {error}") from error


def _response(events: bytes) -> Any:
    array = np.array([events], dtype=np.object_)
    return pb_utils.InferenceResponse([pb_utils.Tensor("EVENTS", array)])
