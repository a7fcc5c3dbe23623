"""The results of a chunk as an object: a header, then one JSON object for each line.

The header stands in the first bytes, so that counting results does not read them.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from services.jobs.store.items import Item, json_line
from services.jobs.store.records import LineCounts, Status, count

# More than a header can have.
HEADER_BYTES = 512
_NOT_IN_ANSWER = ("index", "status", "custom_id", "error")


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

    @classmethod
    def stopped(cls, status: Status) -> "Outcome":
        """A text whose run was cancelled, or expired, before it was done."""
        if status is Status.EXPIRED:
            why = "the job's deadline passed before this line was done"
            return cls.failure("DEADLINE_PASSED", why, status)
        why = "the job was cancelled before this line was done"
        return cls.failure("JOB_CANCELLED", why, status)

    @classmethod
    def of_line(cls, line: "Line") -> "Outcome":
        """What became of a text, from its final record."""
        answer = {name: value for name, value in line.items() if name not in _NOT_IN_ANSWER}
        error = line.get("error", {})
        reason, message = error.get("reason", ""), error.get("message", "")
        return cls(Status(line["status"]), answer, reason, message)


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
    return b"".join(map(json_line, [header, *lines]))


def counts_of(head: bytes) -> LineCounts:
    """The counts of an object, from its first HEADER_BYTES."""
    return LineCounts(**json.loads(head.partition(b"\n")[0])["counts"])


def decode(data: bytes) -> list[Line]:
    """The lines of an object."""
    return [json.loads(line) for line in raw_lines(data)]


def raw_lines(data: bytes) -> Iterator[bytes]:
    """The lines of an object as they stand, without the header."""
    return iter(data.splitlines()[1:])
