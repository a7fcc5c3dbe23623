"""A twin of Triton for tests: a real gRPC server with a pretended model behind it.

The model turns every word into upper case, one word at a time, and counts a token for every four
characters.  Faults are set on the twin: see `Twin`.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
from tritonclient.grpc import service_pb2 as triton  # type: ignore[import-untyped]
from tritonclient.grpc import service_pb2_grpc

from services.inference.manifest import Manifest
from services.inference.triton.wire import pack, unpack


def manifest_of(precision: str = "int8", base_model: str = "en-fr") -> Manifest:
    """A manifest for the twin."""
    source, target = base_model.split("-")
    return Manifest(
        name=f"{base_model}_{precision}",
        base_model=base_model,
        task="translation",
        language_pairs=((source, target),),
        precision=precision,
        family="twin",
        max_source_tokens=512,
        max_target_tokens=256,
        quality={"bleu": 30.1},
    )


@dataclass
class Twin:
    """Its state, its faults, and what it has seen.

    `gate`: rows wait at it behind their first word.  `dead`: models that answer nothing.
    `unloaded`: models that are not ready.  `capacity`: a request that would make more rows run is
    refused.  `failing`: what every row ends with instead of EOS.
    """

    manifests: list[Manifest] = field(default_factory=lambda: [manifest_of()])
    limit: int = 512
    capacity: int = 100_000
    dead: set[str] = field(default_factory=set)
    unloaded: set[str] = field(default_factory=set)
    failing: str = ""
    error: str = ""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    running: int = 0
    cancelled: int = 0
    requests: int = 0
    cancel_requests: int = 0
    streams: int = 0
    options: list[dict[str, Any]] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self._server: grpc.aio.Server | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Listens; on the port of before when it was stopped."""
        self._server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Servicer(self), self._server)
        self.port = self._server.add_insecure_port(self.url)
        await self._server.start()

    async def stop(self) -> None:
        """Breaks every stream."""
        if self._server is not None:
            await self._server.stop(None)
            self._server = None


class _Servicer(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    def __init__(self, twin: Twin) -> None:
        self._twin = twin

    async def RepositoryIndex(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        response = triton.RepositoryIndexResponse()
        for manifest in self._twin.manifests:
            state = "UNAVAILABLE" if manifest.name in self._twin.unloaded else "READY"
            response.models.add(name=manifest.name, version="1", state=state)
        response.models.add(name="somebody-elses", version="1", state="READY")
        return response

    async def ModelConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        response = triton.ModelConfigResponse()
        for manifest in self._twin.manifests:
            if manifest.name == request.name:
                text = manifest.model_dump_json()
                response.config.parameters["manifest"].string_value = text
        return response

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterator[Any], context: Any
    ) -> None:
        self._twin.streams += 1
        stream = _Stream(self._twin, context)
        try:
            async for request in requests:
                stream.take(request)
        finally:
            self._twin.streams -= 1
            stream.close()


class _Stream:
    def __init__(self, twin: Twin, context: Any) -> None:
        self._twin = twin
        self._context = context
        self._lock = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancels: dict[str, asyncio.Event] = {}

    def take(self, request: Any) -> None:
        self._cancels[request.id] = asyncio.Event()
        task = asyncio.create_task(self._answer(request))
        self._tasks[request.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.id, None))

    def close(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()

    async def _answer(self, request: Any) -> None:
        if request.model_name in self._twin.dead:
            return
        if self._twin.error:
            await self._send_error(request.id)
            return
        texts = [each.decode() for each in unpack(request.raw_input_contents[0])]
        options = json.loads(unpack(request.raw_input_contents[1])[0])
        if "cancel" in options:
            self._cancel(options["cancel"])
        elif not texts:
            await self._send(request.id, [{"type": "ready"}])
        elif self._twin.running + len(texts) > self._twin.capacity:
            refusal = {"type": "refused", "reason": "QUEUE_FULL", "message": "full"}
            await self._send(request.id, [refusal])
        else:
            await self._generate(request.id, texts, options)
        await self._send(request.id, [], final=True)

    async def _generate(self, request_id: str, texts: list[str], options: dict[str, Any]) -> None:
        self._twin.requests += 1
        self._twin.options.append(options)
        self._twin.running += len(texts)
        async with asyncio.TaskGroup() as rows:
            for index, text in enumerate(texts):
                rows.create_task(self._row(request_id, index, text, options))

    async def _row(self, request_id: str, index: int, text: str, options: dict[str, Any]) -> None:
        try:
            last = await self._translate(request_id, index, text, options)
        finally:
            self._twin.running -= 1
        await self._send(request_id, [last])

    async def _translate(
        self, request_id: str, index: int, text: str, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Sends the deltas of a row, and returns its last event."""
        tokens = (len(text) + 3) // 4
        if tokens > self._twin.limit:
            refusal = {"type": "too_long", "i": index, "input_tokens": tokens}
            return refusal | {"limit": self._twin.limit}
        words = [word.upper() for word in text.split(" ")]
        limit = options.get("max_new_tokens") or len(words)
        made, reason = "", self._twin.failing or ("LENGTH" if limit < len(words) else "EOS")
        for position, word in enumerate(words[:limit]):
            piece = f" {word}" if position else word
            if position and await self._is_cancelled(request_id):
                self._twin.cancelled += 1
                reason = "CANCELLED"
                break
            made += piece
            if options.get("stream"):
                await self._send(request_id, [{"type": "delta", "i": index, "text": piece}])
        whole = "" if options.get("stream") else made
        end = {"type": "end", "i": index, "text": whole, "finish_reason": reason, "score": -1.5}
        times = {"queue_ms": 0.1, "first_token_ms": 1.0, "total_ms": 2.0}
        return end | times | {"input_tokens": tokens, "output_tokens": len(words)}

    async def _is_cancelled(self, request_id: str) -> bool:
        cancel = self._cancels[request_id]
        waits = [asyncio.create_task(each.wait()) for each in (self._twin.gate, cancel)]
        _, pending = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in pending:
            wait.cancel()
        return cancel.is_set()

    def _cancel(self, request_ids: list[str]) -> None:
        self._twin.cancel_requests += 1
        for request_id in request_ids:
            if request_id in self._cancels:
                self._cancels[request_id].set()

    async def _send(
        self, request_id: str, events: list[dict[str, Any]], *, final: bool = False
    ) -> None:
        message = triton.ModelStreamInferResponse()
        message.infer_response.id = request_id
        message.infer_response.parameters["triton_final_response"].bool_param = final
        if events:
            message.infer_response.outputs.add(name="EVENTS", datatype="BYTES", shape=[1])
            message.infer_response.raw_output_contents.append(pack([json.dumps(events).encode()]))
        await self._write(message)

    async def _send_error(self, request_id: str) -> None:
        message = triton.ModelStreamInferResponse(error_message=self._twin.error)
        message.infer_response.id = request_id
        await self._write(message)

    async def _write(self, message: Any) -> None:
        async with self._lock:
            with suppress(Exception):  # the stream has gone
                await self._context.write(message)
