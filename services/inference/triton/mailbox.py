"""Where the replies to one call wait for it."""

import asyncio
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Mailbox(Generic[_Item]):
    """Items from many writers for one reader, which takes all that are there at once.

    Cheaper than a queue: a reader who is busy finds everything that came meanwhile in one go.
    """

    def __init__(self) -> None:
        self._items: list[_Item] = []
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None

    def put(self, item: _Item) -> None:
        """Adds an item."""
        self._items.append(item)
        self._wake()

    def fail(self, error: Exception) -> None:
        """Makes the reader raise `error` once it has taken what is there; the first one counts."""
        self._error = self._error or error
        self._wake()

    async def take(self) -> list[_Item]:
        """All items, at least one; waits for it."""
        while not self._items:
            if self._error is not None:
                raise self._error
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        items, self._items = self._items, []
        return items

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
