"""Triton's unary `ModelInfer` as the encoder, a few texts a request.

Triton's dynamic batcher joins the requests of all calls to batches of its own.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc

from engine.contract.readings import EncoderReady, Reading
from services.inference.errors import (
    DeadlineExceededError,
    ModelDeadError,
    ModelFailedError,
    ModelNotReadyError,
    ServiceError,
    ServiceUnavailableError,
    TritonUnavailableError,
    TritonUnreachableError,
)
from services.inference.rows.account import ModelSpan
from services.inference.rows.encoder import Element, Encoder
from services.inference.rows.engine import Lost
from services.inference.rows.recovery import Recovery
from services.inference.triton import wire
from services.inference.triton.faults import error_of, was_reached
from services.inference.triton.pulse import Pulse

# Elements of one request, and requests of one call that are with Triton at a time: together they
# fill the largest batch of a variant, and no call takes more than that.
_CHUNK = 8
_REQUESTS = 8


class TritonEncoder(Encoder):
    """Sends the elements of a call in chunks, over a channel that it does not own."""

    def __init__(self, stub: Any, patience: float, restart_patience: float) -> None:
        """A model may work for `patience`, and be away for `restart_patience` seconds."""
        self._stub = stub
        self._pulse = Pulse(patience)
        self._restart_patience = restart_patience
        self._calls: defaultdict[str, set[Any]] = defaultdict(set)
        self._abandoned: set[Any] = set()

    async def read(
        self,
        model: str,
        elements: Sequence[Element],
        options: Mapping[str, Any],
        deadline: float,
        *,
        leaves: Callable[[ServiceError], bool],
    ) -> list[Reading]:
        """See `Encoder.read`; when one request fails, the others are cancelled."""
        room = asyncio.Semaphore(_REQUESTS)

        async def read_chunk(at: int) -> list[Reading]:
            chunk = elements[at : at + _CHUNK]
            async with room:
                traced = span.traceparents(range(at, at + len(chunk)))
                with self._pulse.working(model):
                    results = await self._ask_again(model, chunk, options, deadline, traced, leaves)
                return [wire.reading_of(each) for each in results]

        with ModelSpan(model) as span:
            starts = range(0, len(elements), _CHUNK)
            tasks = [asyncio.create_task(read_chunk(at)) for at in starts]
            try:
                return [reading for part in await asyncio.gather(*tasks) for reading in part]
            finally:
                for task in tasks:
                    task.cancel()

    async def probe(self, model: str, within: float, *, spans: bool) -> None:
        """Asks the model for a sign of life, which waits in line behind the calls' texts."""
        deadline = asyncio.get_running_loop().time() + within
        element = Element("", "" if spans else None)
        try:
            [answer] = await self._ask(model, [element], {"probe": True}, deadline)
        except DeadlineExceededError:
            if self._pulse.is_excused(model):
                return
            raise ModelNotReadyError(f"{model} did not answer within {within:g} s") from None
        if not isinstance(wire.reading_of(answer), EncoderReady):
            raise ModelNotReadyError(f"{model} did not answer the probe as it should")

    async def _ask_again(
        self,
        model: str,
        chunk: Sequence[Element],
        options: Mapping[str, Any],
        deadline: float,
        traceparents: Sequence[str],
        leaves: Callable[[ServiceError], bool],
    ) -> list[bytes]:
        """As `_ask`, and again when Triton or the model was lost meanwhile."""
        recovery = Recovery(self._restart_patience)
        while True:
            try:
                return await self._ask(model, chunk, options, deadline, traceparents)
            except ServiceUnavailableError as error:
                if leaves(error):
                    raise
                recovery.lose(Lost(error, _may_have_begun(error)), [model])
            await recovery.pause()

    async def _ask(
        self,
        model: str,
        chunk: Sequence[Element],
        options: Mapping[str, Any],
        deadline: float,
        traceparents: Sequence[str] = (),
    ) -> list[bytes]:
        """The `RESULT` of each element."""
        remaining = deadline - asyncio.get_running_loop().time()
        request = wire.element_request(
            model,
            [element.text for element in chunk],
            None if chunk[0].question is None else [element.question or "" for element in chunk],
            _options(len(chunk), options, traceparents),
        )
        response = await self._infer(model, request, max(0.0, remaining))
        self._pulse.note(model)
        results = wire.unpack(response.raw_output_contents[0])
        if len(results) != len(chunk):
            raise ModelFailedError("the model did not answer every text")
        return results

    async def _infer(self, model: str, request: Any, seconds: float) -> Any:
        """Triton's response; of a process that is dead the first call to know tells the others.

        Triton finds it dead anew for each request in its line, which takes it a second each.
        """
        call = self._stub.ModelInfer(request, timeout=seconds)
        self._calls[model].add(call)
        try:
            return await call
        except grpc.aio.AioRpcError as error:
            failure = _failure(error)
            if isinstance(failure, ModelDeadError):
                self._abandon(model)
            raise failure from None
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if call in self._abandoned and not (task and task.cancelling()):
                raise ModelDeadError("the model has stopped") from None
            raise
        finally:
            self._calls[model].discard(call)
            self._abandoned.discard(call)

    def _abandon(self, model: str) -> None:
        for call in self._calls[model]:
            if call.cancel():
                self._abandoned.add(call)


def _options(count: int, options: Mapping[str, Any], traceparents: Sequence[str]) -> Sequence[str]:
    """Those of each element: the same, but for the spans that they are part of."""
    if not traceparents:
        return [json.dumps(options)] * count
    return [json.dumps({**options, "traceparent": each}) for each in traceparents]


def _may_have_begun(error: ServiceUnavailableError) -> bool:
    """Whether the model may have seen the texts: a connection that was never made shows none.

    A process that is dead stays so until Triton is started again, and waiting for it harms nobody.
    """
    return not isinstance(error, ModelNotReadyError | TritonUnreachableError)


def _failure(error: grpc.aio.AioRpcError) -> ServiceError:
    details = error.details() or ""
    known = error_of(details)
    if isinstance(known, ModelNotReadyError):
        return known
    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineExceededError("the deadline passed before the answer was done")
    if error.code() is grpc.StatusCode.UNAVAILABLE:
        kind = TritonUnavailableError if was_reached(details) else TritonUnreachableError
        return kind(f"Triton is not reachable: {details}")
    return known
