"""Cuts a stream of lines into chunks."""

from collections.abc import Iterable, Iterator

from services.jobs.store.items import Item


def chunked(items: Iterable[Item], most: int, characters: int) -> Iterator[list[Item]]:
    """Lists of at most `most` items; one is closed when it has so many `characters`."""
    chunk: list[Item] = []
    size = 0
    for item in items:
        chunk.append(item)
        size += len(item.text) + len(item.question or "")
        if len(chunk) >= most or size >= characters:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
