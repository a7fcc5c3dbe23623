"""The bytes of a call's request stream, for a fiber that reads them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

from seqway.v1 import job_pb2 as pb

from services.foundation.fibers import give_way, wait
from services.gateway.calls.handlers import SETTLE_SECONDS
from services.inference.errors import BadRequestError, DeadlineExceededError, MalformedMessageError

# Read at a time before another upload has its turn; decompressed it may be much more.
_SLICE = 256 * 1024


class UploadIdleError(DeadlineExceededError):
    """The caller sent nothing for too long."""

    reason: ClassVar[str] = "UPLOAD_IDLE"


class Upload:
    """Hands messages over one at a time, so that a fast caller waits for a slow reader."""

    def __init__(self, messages: AsyncIterator[Any], idle: float) -> None:
        """UploadIdleError when no byte comes for `idle` seconds, from whatever waits for one."""
        self._messages = messages
        self._idle = idle

    async def first(self) -> pb.JobSpec:
        """The specification, which comes first."""
        message = await self._next(None)
        if message is None or message.WhichOneof("part") != "spec":
            raise BadRequestError("the first message must hold the spec", field="spec")
        return pb.JobSpec.FromString(message.spec.SerializeToString())

    def chunks(self) -> Iterator[bytes]:
        """The rest of the bytes, for a function that `Fibers` runs."""
        while (data := wait(self._data)) is not _END:
            yield from in_turns([data])

    async def refuse_more(self) -> None:
        """For a job with a URI: BadRequestError when input follows all the same."""
        if await self._next(_END) is not _END:
            raise BadRequestError("the input comes from spec.input.uri: send no data", field="data")
        await asyncio.sleep(SETTLE_SECONDS)

    async def _data(self) -> Any:
        """The bytes of the next message; _END behind the last."""
        message = await self._next(_END)
        if message is _END:
            await asyncio.sleep(SETTLE_SECONDS)  # else a partial upload would become a job
            return _END
        if message is None:
            raise MalformedMessageError("a message of the stream cannot be parsed")
        if message.WhichOneof("part") != "data":
            raise BadRequestError("only the first message may hold the spec", field="spec")
        return message.data

    async def _next(self, end: Any) -> Any:
        """The next message that is not empty; `end` behind the last."""
        try:
            async with asyncio.timeout(self._idle):
                message = await anext(self._messages, end)
                while message is not None and message is not _END and _is_empty(message):
                    message = await anext(self._messages, end)
                return message
        except TimeoutError:
            raise UploadIdleError(
                f"no data arrived for {self._idle:g} s: send the input without such pauses; nothing"
                " of it was kept"
            ) from None


def in_turns(chunks: Iterator[bytes] | list[bytes]) -> Iterator[bytes]:
    """The same bytes, in slices between which other uploads have their turn."""
    for chunk in chunks:
        for start in range(0, len(chunk), _SLICE):
            yield chunk[start : start + _SLICE]
            give_way()


def _is_empty(message: Any) -> bool:
    return bool(message.WhichOneof("part") == "data" and not message.data)


_END: Any = object()
