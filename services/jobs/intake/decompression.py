"""Compressed bytes to plain ones, a bounded piece at a time."""

import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import zstandard

from services.jobs.errors import InvalidInputError
from services.jobs.intake.form import Compression, IntakeLimits

_PIECE = 2**20
_SLICE = 64
_RATIO_FROM = 64 * 2**20
_MAGIC = {b"\x1f\x8b": Compression.GZIP, b"\x28\xb5\x2f\xfd": Compression.ZSTD}
# A frame that wants more memory to be read is refused.
_MOST_WINDOW = 2**27


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
        found = (kind for magic, kind in _MAGIC.items() if head.startswith(magic))
        compression = next(found, Compression.NONE)
    compressed = _Counted(head, source)
    size = 0
    for piece in _gathered(_READERS[compression](compressed)):
        size += len(piece)
        if size > limits.max_input_bytes:
            raise InvalidInputError(
                f"the input has more than {limits.max_input_bytes} bytes, which is the most: cut it"
                " into several jobs"
            )
        if size > max(_RATIO_FROM, compressed.size * limits.max_ratio):
            raise InvalidInputError(
                f"the input is a decompression bomb: it has more than {limits.max_ratio} times its"
                " compressed size, which is the most"
            )
        yield piece


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
    """Several members may follow each other."""
    reader = _gzip_reader()
    fresh = True
    for data in chunks:
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


def _unzstd(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Several frames may follow each other.

    It is fed in slices: 4 compressed bytes can hold a block of 128 KiB, and there is no limit to
    give to the decompressor.
    """
    reader = _zstd_reader()
    fresh = True
    for data in chunks:
        for start in range(0, len(data), _SLICE):
            slice_ = data[start : start + _SLICE]
            while slice_:
                fresh = False
                try:
                    piece = reader.decompress(slice_)
                except zstandard.ZstdError:
                    raise _broken(Compression.ZSTD) from None
                if piece:
                    yield piece
                slice_ = b""
                if reader.eof:
                    slice_ = reader.unused_data
                    reader, fresh = _zstd_reader(), True
    if not fresh:
        raise _broken(Compression.ZSTD)


def _zstd_reader() -> Any:
    return zstandard.ZstdDecompressor(max_window_size=_MOST_WINDOW).decompressobj()


def _broken(kind: Compression) -> InvalidInputError:
    return InvalidInputError(
        f"the input is not whole or not {kind.value}: it cannot be decompressed to its end"
    )


_READERS = {Compression.NONE: _plain, Compression.GZIP: _gunzip, Compression.ZSTD: _unzstd}
