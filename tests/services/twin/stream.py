"""One `ModelStreamInfer` stream of the twin, with the rows that it runs."""

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from tritonclient.grpc import service_pb2 as triton  # type: ignore[import-untyped]

from engine.contract.manifest import Manifest
from services.inference.triton.wire import pack, unpack
from tests.services.twin.models import answer, count_tokens, details, quality

if TYPE_CHECKING:
    from tests.services.twin.server import Twin


class Stream:
    """Answers requests as they come, each in a task of its own."""

    def __init__(self, twin: "Twin", context: Any) -> None:
        self._twin = twin
        self._context = context
        self._lock = asyncio.Lock()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._cancels: dict[str, asyncio.Event] = {}

    def take(self, request: Any) -> None:
        """Starts to answer a request."""
        self._cancels[request.id] = asyncio.Event()
        task = asyncio.create_task(self._answer(request))
        self._tasks[request.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(request.id, None))

    def close(self) -> None:
        """Ends what runs."""
        for task in list(self._tasks.values()):
            task.cancel()

    async def _answer(self, request: Any) -> None:
        if request.model_name in self._twin.dead:
            return
        if error := self._twin.error_of(request.model_name):
            await self._send_error(request.id, error)
            return
        texts = [each.decode() for each in unpack(request.raw_input_contents[0])]
        options = json.loads(unpack(request.raw_input_contents[1])[0])
        refusal = self._refusal(len(texts))
        if "cancel" in options:
            self._cancel(options["cancel"])
        elif not texts:
            if request.model_name in self._twin.deaf:
                return
            await self._send(request.id, [{"type": "ready"}])
        elif refusal is not None:
            await self._send(request.id, [refusal])
        else:
            manifest = self._twin.manifest(request.model_name)
            await self._generate(request.id, manifest, texts, options)
        await self._send(request.id, [], final=True)

    def _refusal(self, rows: int) -> dict[str, Any] | None:
        if self._twin.refusal:
            reason, message = "INVALID_OPTIONS", self._twin.refusal
        elif self._twin.running + rows > self._twin.capacity:
            reason, message = "QUEUE_FULL", "full"
        else:
            return None
        refused = {"type": "refused", "reason": reason, "message": message}
        return refused | {"option": self._twin.refused_option}

    async def _generate(
        self, request_id: str, manifest: Manifest, texts: list[str], options: dict[str, Any]
    ) -> None:
        self._twin.requests += 1
        self._twin.options.append(options)
        self._twin.texts += texts
        self._twin.running += len(texts)
        async with asyncio.TaskGroup() as rows:
            for index, text in enumerate(texts):
                rows.create_task(self._row(request_id, manifest, index, text, options))

    async def _row(
        self, request_id: str, manifest: Manifest, index: int, text: str, options: dict[str, Any]
    ) -> None:
        try:
            last = await self._run(request_id, manifest, index, text, options)
        finally:
            self._twin.running -= 1
        await self._send(request_id, [last])

    async def _run(
        self, request_id: str, manifest: Manifest, index: int, text: str, options: dict[str, Any]
    ) -> dict[str, Any]:
        """Sends the deltas of a row, and returns its last event."""
        tokens = count_tokens(text)
        if tokens > self._twin.limit:
            refusal = {"type": "too_long", "i": index, "input_tokens": tokens}
            return refusal | {"limit": self._twin.limit}
        words = answer(manifest, text, options)
        limit = options.get("max_new_tokens") or len(words)
        made, reason = "", self._twin.failing or ("LENGTH" if limit < len(words) else "EOS")
        for position, word in enumerate(words[:limit]):
            piece = f" {word}" if position else word
            if position and await self._is_cancelled(request_id):
                self._twin.cancelled += 1
                reason = "CANCELLED"
                break
            if manifest.name in self._twin.killed:
                await asyncio.Event().wait()
            made += piece
            if options.get("stream"):
                await self._send(request_id, [{"type": "delta", "i": index, "text": piece}])
        whole = "" if options.get("stream") else made
        end = {"type": "end", "i": index, "text": whole, "finish_reason": reason}
        times = {"queue_ms": 0.1, "first_token_ms": 1.0, "total_ms": 2.0}
        counts = {"input_tokens": tokens, "output_tokens": len(words[:limit])}
        if self._twin.lost:
            end["lost"] = True
        if manifest.quality_model:
            end["quality"] = quality(words[:limit])
        return end | times | counts | details(text, words[:limit], options)

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

    async def _send_error(self, request_id: str, error: str) -> None:
        message = triton.ModelStreamInferResponse(error_message=error)
        message.infer_response.id = request_id
        await self._write(message)

    async def _write(self, message: Any) -> None:
        async with self._lock:
            with suppress(Exception):  # the stream has gone
                await self._context.write(message)
