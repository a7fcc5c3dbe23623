"""gzip and zstd, whole and hostile."""

import gzip
import struct
import zlib

import pytest
import zstandard
from own_process import grown, refused

from services.inference.errors import OverloadError
from services.jobs.intake import (
    Compression,
    Format,
    InputForm,
    IntakeLimits,
    decompression,
    read_items,
)
from services.jobs.intake.memory_room import Room

TEXT = InputForm(Format.TEXT)
MIB = 2**20
SKIPPABLE = struct.pack("<II", 0x184D2A50, 3) + b"abc"


def texts(data: bytes, step: int = 0) -> list[str]:
    size = step or len(data)
    chunks = [data[start : start + size] for start in range(0, len(data), size)]
    return [item.text for item in read_items(chunks, TEXT, IntakeLimits())]


def frame(text: bytes, window_log: int = 20) -> bytes:
    """Streamed, so that its header asks for a window; with matches over long distances."""
    parameters = zstandard.ZstdCompressionParameters(window_log=window_log, enable_ldm=True)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return compressor.compress(text) + compressor.flush()


@pytest.mark.parametrize("step", [0, 1, 7])
def test_frames_and_members_of_all_kinds_follow_each_other(step: int) -> None:
    plain = zstandard.compress(b"b\n")
    data = SKIPPABLE + frame(b"a\n") + plain + SKIPPABLE + frame(b"c\n", 23) + frame(b"")
    assert texts(data, step) == ["a", "b", "c"]
    assert texts(gzip.compress(b"a\n") + gzip.compress(b"") + gzip.compress(b"b"), step) == [
        "a",
        "b",
    ]


@pytest.mark.parametrize("cut", [1, 2, 5, 9])
def test_a_frame_that_is_cut_is_refused(cut: int) -> None:
    for data in (frame(b"a" * 99)[:-cut], frame(b"a\n") + frame(b"b\n")[:cut]):
        form = InputForm(Format.TEXT, Compression.ZSTD)
        assert "cannot be decompressed" in refused(data, form, IntakeLimits())


@pytest.mark.parametrize("data", [b"", frame(b"a\n")])
@pytest.mark.parametrize("window_log", [28, 31])
def test_a_frame_that_asks_for_too_wide_a_window_is_told_so(data: bytes, window_log: int) -> None:
    wide = data + frame(b"x\n", window_log)
    said = refused(wide, TEXT, IntakeLimits())
    assert f"asks for a zstd window of {2**window_log} bytes; the limit is 134217728" in said


def test_a_window_as_wide_as_that_of_the_zstd_program_is_read() -> None:
    lines = [f"line {n}" for n in range(1000)]
    assert texts(frame("\n".join(lines).encode(), 27)) == lines


def test_few_wide_windows_are_held_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    room = Room("zstd inputs", places=1, patience=0.05)
    monkeypatch.setattr(decompression, "_ROOM", room)
    wide = frame(b"a\n" * MIB, 27) + frame(b"a\n", 27)
    first = read_items([wide], TEXT, IntakeLimits())
    next(first)
    with pytest.raises(OverloadError, match="1 zstd inputs are being read already"):
        texts(wide)
    assert texts(frame(b"a\n")) == ["a"]
    del first
    assert len(texts(wide)) == MIB + 1


def test_a_dictionary_that_nobody_has_is_refused() -> None:
    samples = [b"some text %d " % n * 20 for n in range(500)]
    dictionary = zstandard.train_dictionary(4096, samples)
    data = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"some text 7\n" * 20)
    assert "cannot be decompressed" in refused(data, TEXT, IntakeLimits())


def test_members_without_number_do_not_take_without_end() -> None:
    """What is left behind a member is copied: a chunk of many must not be one."""
    assert texts(gzip.compress(b"") * 200_000 + gzip.compress(b"a\n")) == ["a"]
    assert texts(frame(b"") * 50_000 + frame(b"a\n")) == ["a"]


def refused_blocks() -> str:
    """Blocks of 128 KiB in four bytes each: a frame that is nearly nothing but them."""
    header = b"\x28\xb5\x2f\xfd\x00\x68"  # a window of 8 MiB
    block = struct.pack("<I", (131072 << 3) | 2)[:3] + b"x"
    return refused([header + block * 500_000] * 2, TEXT, IntakeLimits())


def refused_member() -> str:
    compressor = zlib.compressobj(9, wbits=31)
    data = b"".join(compressor.compress(b"x" * MIB) for _ in range(300)) + compressor.flush()
    return refused(data, TEXT, IntakeLimits())


@pytest.mark.parametrize("run", [refused_blocks, refused_member])
def test_what_unfolds_is_refused_while_it_is_small(run: object) -> None:
    took = grown(run)  # type: ignore[arg-type]
    assert "line 1 has more than 8388608 bytes" in took.result
    assert took.peak < 100 * MIB
    assert took.rest < 60 * MIB
