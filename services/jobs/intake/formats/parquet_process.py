"""Reads a Parquet file in a process of its own: what the file makes it take ends with it.

A small file may say anything of its pages, dictionaries and schema, and Arrow believes it before a
row is seen.  So memory, time and files are limited by the kernel here, and a crash is one refused
input.  It is a program (`parquet.py` beside it runs it) and imports nothing of ours:
standard input is the file, the argument a `ParquetOrder`.  It answers in lines of JSON: "ready",
then for each row an object with the fields that are not null, then "end", or a list with why it
refuses.
"""

import json
import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, TypedDict

import pyarrow as pa
import pyarrow.parquet as pq

# Decoded at a time: so many of the longest texts have room.
_ROWS = 16
# Where values stand in a dictionary, rows of a batch share it.
_DICTIONARY_ROWS = 1024
_READ_BYTES = 2**20
_GRACE = 5
_BINARY = {
    pa.string(): pa.binary(),
    pa.large_string(): pa.large_binary(),
    pa.string_view(): pa.binary_view(),
}


class ParquetOrder(TypedDict):
    """`memory` is in bytes, beside the program; `seconds` are of the processor.

    `needed` are the columns that there must be, `id` one that may be missing; `longest` is the most
    bytes of a value.
    """

    needed: list[str]
    id: str
    memory: int
    seconds: int
    longest: int


class RefusedError(Exception):
    """Why the file is not read, in words for its sender."""


def main() -> None:
    """Reads and answers."""
    order: ParquetOrder = json.loads(sys.argv[1])
    out = sys.stdout.buffer
    _limit(order)
    _say(out, "ready")
    out.flush()
    try:
        for row in _rows(sys.stdin.buffer, order):
            _say(out, row)
        verdict: Any = "end"
    except BrokenPipeError:
        os._exit(1)
    except RefusedError as error:
        verdict = [str(error)]
    except MemoryError:
        verdict = [
            f"the Parquet file takes more than {order['memory']} bytes of memory to read, which is"
            " the limit: write it with smaller pages and row groups, or send JSON Lines"
        ]
    except Exception as error:  # whatever a file makes Arrow raise
        encrypted = "encrypt" in str(error).lower() or "decrypt" in str(error).lower()
        reason = "parts of it are encrypted" if encrypted else type(error).__name__
        verdict = [f"the Parquet file cannot be read ({reason})"]
    _say(out, verdict)
    out.flush()
    # Nothing that the file left in Arrow is taken down in order.
    os._exit(0)


def _limit(order: ParquetOrder) -> None:
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_AS: size + order["memory"],
        resource.RLIMIT_CPU: order["seconds"],
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 0,
    }
    for kind, most in limits.items():
        _, hard = resource.getrlimit(kind)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # Of the processor's time the soft limit tells what it was, the hard one only kills.
        grace = _GRACE if kind == resource.RLIMIT_CPU and hard == resource.RLIM_INFINITY else 0
        resource.setrlimit(kind, (most, most + grace))


def _say(out: BinaryIO, value: Any) -> None:
    out.write(json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n")


def _rows(stdin: BinaryIO, order: ParquetOrder) -> Iterator[dict[str, Any]]:
    file = pq.ParquetFile(stdin, buffer_size=_READ_BYTES, pre_buffer=False)
    schema = file.schema_arrow
    columns = _columns(schema, order)
    shared = any(pa.types.is_dictionary(schema.field(name).type) for name in columns)
    size = _DICTIONARY_ROWS if shared else _ROWS
    number = 0
    for batch in file.iter_batches(batch_size=size, columns=columns, use_threads=False):
        for start in range(0, batch.num_rows, _ROWS):
            part = batch.slice(start, _ROWS)
            values = [_values(part.column(name)) for name in columns]
            for row in zip(*values, strict=True):
                number += 1
                pairs = zip(columns, row, strict=True)
                yield {
                    name: _plain(value, number, order) for name, value in pairs if value is not None
                }


def _columns(schema: Any, order: ParquetOrder) -> list[str]:
    names = list(schema.names)
    for name in (*order["needed"], order["id"]):
        if names.count(name) > 1:
            raise RefusedError(
                f"there are {names.count(name)} columns {name!r}: rename all but one"
            )
    for name in order["needed"]:
        if name not in names:
            known = ", ".join(repr(each[:40]) for each in names[:10])
            raise RefusedError(
                f"there is no column {name!r}; the columns are {known}: name the right one"
            )
        kind = _stored(schema.field(name).type)
        if kind not in _BINARY and not pa.types.is_null(kind):
            raise RefusedError(
                f"the column {name!r} has the type {str(kind)[:40]}: it must hold strings"
            )
    if order["id"] not in names:
        return order["needed"]
    kind = _stored(schema.field(order["id"]).type)
    if kind not in _BINARY and not pa.types.is_null(kind) and not pa.types.is_integer(kind):
        raise RefusedError(
            f"the column {order['id']!r} has the type {str(kind)[:40]}: it must hold strings"
            " or integers"
        )
    return list(dict.fromkeys([*order["needed"], order["id"]]))


def _stored(kind: Any) -> Any:
    """What the values of a type are."""
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _values(column: Any) -> list[Any]:
    """Bytes where there are strings, which may not be UTF-8."""
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    kind = _BINARY.get(column.type)
    values: list[Any] = (column if kind is None else column.cast(kind)).to_pylist()
    return values


def _plain(value: bytes | int, number: int, order: ParquetOrder) -> str | int:
    if isinstance(value, int):
        return value
    if len(value) > order["longest"]:
        raise RefusedError(
            f"row {number} has more than {order['longest']} bytes, which is the limit"
        )
    # Bytes that are no UTF-8 become lone surrogates, which the check of each text finds.
    return value.decode(errors="surrogateescape")


if __name__ == "__main__":
    main()
