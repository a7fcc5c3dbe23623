"""Compressed bytes to plain ones, a bounded piece at a time."""

import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Any

import zstandard

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import Compression, IntakeLimits, check_size
from services.jobs.intake.memory_room import Room

_PIECE = 2**20
_GZIP_SLICE = 4096
_ZSTD_SLICE = 64
_ZSTD_HEADER = 18
_GZIP_MAGIC = b"\x1f\x8b"
# A frame, or one to pass over, as pzstd begins with.
_ZSTD_MAGIC = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
# A frame that wants more memory to be read is refused, as by the zstd program.
_MOST_WINDOW = 2**27
# What every decompressor has to have (RFC 8878).
_WIDE = 2**23
_ROOM = Room(f"zstd inputs with a window of more than {_WIDE} bytes", places=2, patience=1.0)


def plain_bytes(
    chunks: Iterable[bytes], compression: Compression | None, limits: IntakeLimits
) -> Iterator[bytes]:
    """The bytes of an input, decompressed; raises InvalidInputError.

    Never holds more than a piece, so that a decompression bomb is refused while it is small.
    """
    source = iter(chunks)
    head = b""
    while len(head) < 4 and (chunk := next(source, None)) is not None:
        head += chunk
    if compression is None:
        compression = _seen(head)
    compressed = _Counted(head, source)
    size = 0
    for piece in _gathered(_READERS[compression](compressed)):
        size += len(piece)
        check_size(size, compressed.size, limits)
        for start in range(0, len(piece), _PIECE):
            yield piece[start : start + _PIECE]


def _seen(head: bytes) -> Compression:
    if head.startswith(_GZIP_MAGIC):
        return Compression.GZIP
    return Compression.ZSTD if _ZSTD_MAGIC.match(head) else Compression.NONE


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces that are worth the work on each."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        held.append(piece)
        size += len(piece)
        if size >= _PIECE // 4:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)


class _Counted:
    """The chunks of an input, and how many bytes of it were read."""

    def __init__(self, head: bytes, rest: Iterator[bytes]) -> None:
        self.size = 0
        self._head = head
        self._rest = rest

    def __iter__(self) -> Iterator[bytes]:
        yield from self._count(self._head)
        for chunk in self._rest:
            yield from self._count(chunk)

    def _count(self, chunk: bytes) -> Iterator[bytes]:
        if chunk:
            self.size += len(chunk)
            yield chunk


def _plain(chunks: Iterable[bytes]) -> Iterator[bytes]:
    yield from chunks


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Several members may follow each other, and be tiny.

    It is fed in slices, since the end of a member copies what is left of what was fed.
    """
    reader = _gzip_reader()
    fresh = True
    for data in _sliced(chunks, _GZIP_SLICE):
        while data:
            fresh = False
            try:
                piece = reader.decompress(data, _PIECE)
            except zlib.error:
                raise _broken(Compression.GZIP) from None
            if piece:
                yield piece
            data = reader.unconsumed_tail
            if reader.eof:
                data = reader.unused_data
                reader, fresh = _gzip_reader(), True
    if not fresh:
        raise _broken(Compression.GZIP)


def _gzip_reader() -> Any:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


def _sliced(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for data in chunks:
        for start in range(0, len(data), size):
            yield data[start : start + size]


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Several frames may follow each other.

    It is fed in slices: 4 compressed bytes can hold a block of 128 KiB, and there is no limit to
    give to the decompressor.  A frame with a wide window takes a place in the room for such ones,
    and keeps it until the input ends: the next one would have to wait for it.
    """
    with ExitStack() as places:
        is_wide = False
        slices = _sliced(chunks, _ZSTD_SLICE)
        reader: Any = None
        data = b""
        for more in slices:
            data += more
            while data:
                if reader is None:
                    window = _window(data)
                    if window is None:
                        break
                    if window > _WIDE and not is_wide:
                        places.enter_context(_ROOM.place())
                        is_wide = True
                    reader = _zstd_reader()
                try:
                    piece = reader.decompress(data)
                except zstandard.ZstdError:
                    raise _broken(Compression.ZSTD) from None
                if piece:
                    yield piece
                data = b""
                if reader.eof:
                    reader, data = None, reader.unused_data
        if reader is not None or data:
            raise _broken(Compression.ZSTD)


def _window(header: bytes) -> int | None:
    """The window that a frame asks for; None for a header that is not whole yet."""
    try:
        window: int = zstandard.get_frame_parameters(header).window_size
    except zstandard.ZstdError:
        if len(header) < _ZSTD_HEADER:
            return None
        raise _broken(Compression.ZSTD) from None
    if window > _MOST_WINDOW:
        raise InvalidInputError(
            f"the input asks for a zstd window of {window} bytes; the limit is {_MOST_WINDOW}:"
            " compress it with --long=27 or less"
        )
    return window


def _zstd_reader() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW).decompressobj()


def _broken(kind: Compression) -> InvalidInputError:
    return InvalidInputError(
        f"the input is incomplete or not {kind.value}: it cannot be decompressed to its end"
    )


_READERS = {Compression.NONE: _plain, Compression.GZIP: _gunzip, Compression.ZSTD: _unzstd}
