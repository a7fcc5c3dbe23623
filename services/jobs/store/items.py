"""The lines of a job's input, and the chunks in which the store keeps them."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b


@dataclass(frozen=True, slots=True)
class Item:
    """A line, checked: `index` counts from 0 and is its place in results.

    `text` may be blank; `question` is None except for question answering.
    """

    index: int
    text: str
    custom_id: str = ""
    question: str | None = None

    @property
    def text_id(self) -> str:
        """Equal for items that have the same answer, and for no others."""
        key = repr((self.text, self.question)).encode(errors="surrogatepass")
        return blake2b(key, digest_size=16).hexdigest()


def chunked(items: Iterable[Item], most: int, characters: int) -> Iterator[list[Item]]:
    """Lists of at most `most` items; a list is closed once it has that many `characters`."""
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


def encode_items(items: Iterable[Item]) -> bytes:
    """The object of an input chunk."""
    return b"".join(json_line([i.index, i.text, i.custom_id, i.question]) for i in items)


def decode_items(data: bytes) -> list[Item]:
    """The items of an input chunk."""
    return [Item(*json.loads(line)) for line in data.splitlines()]


def json_line(value: object) -> bytes:
    """A value as one line of JSON."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
