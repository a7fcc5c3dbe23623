"""What happens to calls when a gateway drains: work is finished, waits end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar, TypeVar, cast

from services.gateway.calls.handlers import Context
from services.inference.errors import ServiceUnavailableError

Message = TypeVar("Message")

# A caller that is still sending does so again within this time.
_UPLOAD_SECONDS = 1.0


class DrainingError(ServiceUnavailableError):
    """The gateway is about to stop: the call goes on at another, from where it was."""

    reason: ClassVar[str] = "DRAINING"

    def __init__(self) -> None:
        super().__init__("the gateway is shutting down: call again")


class Draining:
    """Ends waits once the gateway drains, and knows which calls have not ended.

    A wait is for something that may never come: a change of a job, a result that is not there yet,
    the next bytes of an upload.  All of it happens on one event loop.
    """

    def __init__(self) -> None:
        self._began = False
        self._waits: dict[asyncio.Timeout, float] = {}
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """Ends all waits, those to come too; nothing happens the second time."""
        if self._began:
            return
        self._began = True
        for wait, patience in self._waits.items():
            wait.reschedule(asyncio.get_running_loop().time() + patience)

    def note(self, context: Context) -> None:
        """Counts a call until the last of it has left the gateway."""
        self._calls += 1
        self._idle.clear()
        context.add_done_callback(cast(Any, self._note_end))  # the stubs want another type

    async def idle(self) -> None:
        """Returns when every call that was noted has ended."""
        await self._idle.wait()

    @asynccontextmanager
    async def ends(self, patience: float = 0.0) -> AsyncIterator[None]:
        """DrainingError when the block still waits so many seconds after the drain has begun."""
        wait = asyncio.timeout(patience if self._began else None)
        try:
            async with wait:
                self._waits[wait] = patience
                yield
        except TimeoutError:
            if wait.expired():
                raise DrainingError from None
            raise
        finally:
            self._waits.pop(wait, None)

    async def pause(self, seconds: float) -> None:
        """Sleeps; DrainingError as soon as the gateway drains."""
        async with self.ends():
            await asyncio.sleep(seconds)

    def watched(self, messages: AsyncIterator[Message]) -> AsyncIterator[Message]:
        """The messages of a caller; DrainingError when the next is long in coming by then."""
        return _Watched(messages, self)

    def _note_end(self, _context: Context) -> None:
        self._calls -= 1
        if not self._calls:
            self._idle.set()


class _Watched(AsyncIterator[Message]):
    def __init__(self, messages: AsyncIterator[Message], draining: Draining) -> None:
        self._messages = aiter(messages)
        self._draining = draining

    async def __anext__(self) -> Message:
        async with self._draining.ends(_UPLOAD_SECONDS):
            return await anext(self._messages)
