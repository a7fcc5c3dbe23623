"""Parquet, by a process of its own."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from services.jobs.errors import InvalidInputError, StoreUnavailableError
from services.jobs.intake.appearance import hint
from services.jobs.intake.form import FORMATS_ACCEPTED, check_size
from services.jobs.intake.formats.source import InputRow, Source
from services.jobs.intake.memory_room import Room

_MAGIC = b"PAR1"
_ENCRYPTED = b"PARE"
_LEAST_BYTES = 12
_ROOM = Room("Parquet files", places=2, patience=10.0)
_PROGRAM = Path(__file__).with_name("parquet_process.py")
# Of the processor, which are enough for the largest input that is taken.
_SECONDS = 900
# It needs nothing else, and credentials least of all.
_VARIABLES = ("PATH", "PYTHONHOME", "PYTHONPATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL")
_ENVIRONMENT = {
    # What is freed goes back, and the address space is what is used.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}


def parquet_rows(source: Source) -> Iterator[InputRow]:
    """Apache Parquet, from a temporary file since its directory is at its end.

    Raises InvalidInputError, OverloadError when too many are read already, and
    StoreUnavailableError when there is no room for the file.
    """
    if not source.head:
        return
    _check_magic(source.head[: len(_MAGIC)], source)
    with tempfile.TemporaryFile(prefix="seqway-job-") as spool:
        size = _spool(source, spool)
        with _ROOM.place(), _process(spool, source) as process:
            assert process.stdout is not None
            yield from _rows(process, process.stdout, size, source)


def _check_magic(found: bytes, source: Source) -> None:
    if found == _ENCRYPTED:
        raise InvalidInputError("the Parquet file is encrypted: send it decrypted")
    if found != _MAGIC:
        raise InvalidInputError(
            f"the input is not a Parquet file: it does not begin with {_MAGIC.decode()};"
            f" {hint(source.head, source.form)}"
        )


def _spool(source: Source, spool: IO[bytes]) -> int:
    size = 0
    try:
        for piece in source.pieces:
            spool.write(piece)
            size += len(piece)
        spool.seek(max(0, size - 8))
        footer = spool.read(8)
        spool.seek(0)
    except OSError as error:
        raise StoreUnavailableError(
            f"there is no disk space for the Parquet file ({error.strerror})"
        ) from None
    if footer[4:] == _ENCRYPTED:
        raise InvalidInputError("the Parquet file is encrypted: send it decrypted")
    whole = size >= _LEAST_BYTES and footer[4:] == _MAGIC
    if not whole or int.from_bytes(footer[:4], "little") > size - _LEAST_BYTES:
        raise InvalidInputError(
            "the Parquet file is incomplete: its footer, at its end, is missing or invalid"
        )
    return size


@contextmanager
def _process(spool: IO[bytes], source: Source) -> Iterator["subprocess.Popen[bytes]"]:
    form, limits = source.form, source.limits
    needed = list(form.fields)
    if form.custom_id_field not in (form.text_field, form.question_field):
        needed.remove(form.custom_id_field)
    order = {
        "needed": needed,
        "id": form.custom_id_field,
        "memory": limits.max_parquet_memory,
        "seconds": _SECONDS,
        "longest": limits.max_line_bytes,
    }
    kept = {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    process = subprocess.Popen(
        # -P: the folder of the program is no place to import from.
        [sys.executable, "-P", str(_PROGRAM), json.dumps(order)],
        stdin=spool,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=kept | _ENVIRONMENT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def _rows(
    process: "subprocess.Popen[bytes]", out: IO[bytes], compressed: int, source: Source
) -> Iterator[InputRow]:
    size = number = 0
    # JSON makes six bytes of one at most, of each value.
    longest = 4096 + 6 * len(source.form.fields) * (source.limits.max_line_bytes + 256)
    if _said(out, longest) != "ready":
        raise RuntimeError("the process that reads Parquet did not start")
    while isinstance(said := _said(out, longest), dict):
        number += 1
        size += sum(_bytes(value) for value in said.values())
        check_size(size, compressed, source.limits)
        yield InputRow(number, said)
    if isinstance(said, list):
        raise InvalidInputError(str(said[0]))
    if said != "end":
        raise InvalidInputError(_fate(process.wait()))


def _said(out: IO[bytes], longest: int) -> Any:
    """The next value; None when the process has ended."""
    line = out.readline(longest)
    if not line.endswith(b"\n"):
        return None
    return json.loads(line.decode("utf-8", "surrogatepass"))


def _bytes(value: str | int) -> int:
    return len(value.encode("utf-8", "surrogatepass")) if isinstance(value, str) else 8


def _fate(code: int) -> str:
    if code == -signal.SIGXCPU:
        return f"the Parquet file takes more than {_SECONDS} s to read, which is the limit"
    return f"the Parquet file cannot be read: its reader crashed; {FORMATS_ACCEPTED}"
