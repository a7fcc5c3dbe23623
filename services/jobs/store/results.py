"""The results of a chunk as an object: a header, then one JSON object for each line.

The header stands in the first bytes, so that counting results does not read them.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.jobs.store.items import Item
from services.jobs.store.records import LineCounts, Status, count

# More than a header can have.
HEADER_BYTES = 512


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a text; the fields of `answer` are those of the result line."""

    status: Status
    answer: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    message: str = ""

    @classmethod
    def failure(cls, reason: str, message: str, status: Status = Status.FAILED) -> "Outcome":
        """A text that has no answer."""
        return cls(status, {}, reason, message)


Line = dict[str, Any]


def line_of(item: Item, outcome: Outcome) -> Line:
    """The final record of an item."""
    line: Line = {"index": item.index, "status": outcome.status.value}
    if item.custom_id:
        line["custom_id"] = item.custom_id
    line.update(outcome.answer)
    if outcome.reason:
        line["error"] = {"reason": outcome.reason, "message": outcome.message}
    return line


def encode(lines: Sequence[Line], **about: Any) -> bytes:
    """The object of a chunk; `about` goes into its header."""
    counts = count(Counter(line["status"] for line in lines))
    header = {"counts": asdict(counts), **about}
    return b"".join(map(_json, [header, *lines]))


def counts_of(head: bytes) -> LineCounts:
    """The counts of an object, from its first HEADER_BYTES."""
    return LineCounts(**json.loads(head.partition(b"\n")[0])["counts"])


def decode(data: bytes) -> list[Line]:
    """The lines of an object."""
    return [json.loads(line) for line in raw_lines(data)]


def raw_lines(data: bytes) -> Iterator[bytes]:
    """The lines of an object as they stand, without the header."""
    return iter(data.splitlines()[1:])


def encode_items(items: Iterable[Item]) -> bytes:
    """The lines of an input chunk."""
    return b"".join(_json([i.index, i.text, i.custom_id, i.question]) for i in items)


def decode_items(data: bytes) -> list[Item]:
    """The items of an input chunk."""
    return [Item(*json.loads(line)) for line in data.splitlines()]


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
