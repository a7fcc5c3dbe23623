"""The bytes of a call's request stream, for a thread that reads them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from seqway.v1 import job_pb2 as pb

from services.inference.errors import InvalidRequestError, MalformedMessageError

# grpc.aio tells of a cancelled call first as if its stream had ended, and a moment later that it
# was cancelled: without this pause what had come by then became a job.
_SETTLE_SECONDS = 0.1


class AbandonedError(Exception):
    """The caller has gone: what it sent is not the whole."""


class Upload:
    """Hands messages over one at a time, so that a fast caller waits for a slow reader."""

    def __init__(self, messages: AsyncIterator[Any]) -> None:
        self._messages = messages
        self._loop = asyncio.get_running_loop()
        self._abandoned = False

    async def first(self) -> pb.JobSpec:
        """The specification, which comes first."""
        message = await anext(self._messages, None)
        if message is None or message.WhichOneof("part") != "spec":
            raise InvalidRequestError("the first message must hold the spec", field="spec")
        return pb.JobSpec.FromString(message.spec.SerializeToString())

    def chunks(self) -> Iterator[bytes]:
        """The rest of the messages; blocks, so it is for another thread.  AbandonedError."""
        while True:
            message = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if self._abandoned:
                raise AbandonedError
            if message is _END:
                return
            if message is None:
                raise MalformedMessageError("a message of the stream is not what it should be")
            if message.WhichOneof("part") != "data":
                raise InvalidRequestError("only the first message holds the spec", field="spec")
            yield message.data

    async def refuse_more(self) -> None:
        """For a job with a URI: InvalidRequestError when input follows all the same."""
        if await self._next() is not _END:
            raise InvalidRequestError(
                "the input comes from spec.input.uri: send no data", field="data"
            )

    def abandon(self) -> None:
        """Has the reading thread stop: the call has ended."""
        self._abandoned = True

    async def _next(self) -> Any:
        if self._abandoned:
            return _END
        message = await anext(self._messages, _END)
        if message is _END:
            await asyncio.sleep(_SETTLE_SECONDS)
        return message


_END: Any = object()
