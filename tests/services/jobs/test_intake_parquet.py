"""Parquet, honest and hostile."""

import io
import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_process import grown, refused
from pyarrow import feather
from pyarrow.parquet import encryption

from services.inference.errors import OverloadError
from services.jobs.errors import InvalidInputError, StoreUnavailableError
from services.jobs.intake import Format, InputForm, IntakeLimits, read_items
from services.jobs.intake.formats import parquet
from services.jobs.intake.memory_room import Room
from services.jobs.store.items import Item

FORM = InputForm(Format.PARQUET)
MIB = 2**20
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


def items(data: bytes, limits: IntakeLimits | None = None, form: InputForm = FORM) -> list[Item]:
    return list(read_items([data], form, limits or IntakeLimits()))


def written(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, out, **options)
    return out.getvalue()


def texts(data: bytes) -> list[str]:
    return [item.text for item in items(data)]


def refusal(data: bytes, limits: IntakeLimits | None = None) -> str:
    return refused(data, FORM, limits or IntakeLimits())


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_is_read(codec: str) -> None:
    values = [f"text {n} é🙂\r\n\x00" for n in range(3000)]
    data = written({"other": [[{"x": n}] for n in range(3000)], "text": values}, compression=codec)
    assert texts(data) == values


def test_the_types_that_hold_strings_and_ids() -> None:
    values = ["a", "", "é"]
    for kind in (
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.dictionary(pa.int32(), pa.string()),
        pa.json_(),
    ):
        column = pa.array(values).cast(kind)
        found = items(written({"text": column, "custom_id": pa.array([7, None, -1], pa.int8())}))
        assert found == [Item(0, "a", "7"), Item(1, "", ""), Item(2, "é", "-1")]


def test_many_rows_of_one_category_and_large_texts() -> None:
    words = [f"word {n}" for n in range(1000)]
    column = pa.array(words * 20).dictionary_encode()
    assert texts(written({"text": column}, row_group_size=7000)) == words * 20
    large = [random.randbytes(100_000).hex() for _ in range(60)]
    for dictionary in (True, False):
        assert texts(written({"text": large}, use_dictionary=dictionary)) == large


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"text": [1]}, "column 'text' has the type int64: it must hold strings"),
        ({"text": [b"x"]}, "column 'text' has the type binary"),
        ({"text": [["x"]]}, "column 'text' has the type list"),
        ({"text": ["x"], "custom_id": [0.5]}, "column 'custom_id' has the type double"),
        ({"text": pa.nulls(1)}, "row 1 has no 'text'"),
        ({"text": ["x", None]}, "row 2 has no 'text'"),
        ({"txt": ["x"]}, "no column 'text'; the columns are 'txt'"),
        ({"text": ["x"] * 2, "custom_id": ["1"] * 2}, "row 2 repeats the 'custom_id' of line 1"),
    ],
)
def test_columns_that_cannot_be_read_are_named(columns: dict[str, Any], said: str) -> None:
    assert said in refusal(written(columns))


@pytest.mark.parametrize("name", ["text", "custom_id"])
def test_a_column_that_is_there_twice_is_refused(name: str) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array(["c"])]
    table = pa.Table.from_arrays(columns, names=["text", "custom_id", name])
    assert refusal(written(table)) == f"there are 2 columns {name!r}: rename all but one"
    twice = pa.Table.from_arrays(columns, names=["text", "other", "other"])
    assert texts(written(twice)) == ["a"]


def test_strings_that_are_not_utf_8_are_named() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff"]).buffers())
    assert "row 2 has a 'text' that is not UTF-8 (character 1)" in refusal(
        written({"text": broken})
    )


def test_a_long_value_is_refused_with_its_row() -> None:
    data = written({"text": ["x", "y" * 5000]})
    assert "row 2 has more than 4096 bytes" in refusal(data, IntakeLimits(max_line_bytes=4096))
    assert "row 2 has a 'text' of 5000 characters" in refusal(
        data, IntakeLimits(max_text_characters=20)
    )


def repeated(rows: int, length: int, **options: Any) -> bytes:
    """A dictionary of one entry, and a run of indices: 469 bytes for 1,024 MB."""
    entry = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), ["x" * length])
    plain = pa.schema([("text", pa.string())])
    table = pa.Table.from_arrays([entry], ["text"]).replace_schema_metadata(plain.metadata)
    return written(table, compression="zstd", store_schema=False, **options)


def padded(rows: int, length: int, **options: Any) -> bytes:
    """Texts that differ, and are small when they are compressed."""
    return written({"text": [f"{n}".rjust(length) for n in range(rows)]}, **options)


SMALL = IntakeLimits(max_input_bytes=10_000_000)
TIGHT = IntakeLimits(max_parquet_memory=64 * MIB)
DELTA = {"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}}


@pytest.mark.parametrize(
    ("make", "limits", "said"),
    [
        (lambda: repeated(1024, 1_000_000), IntakeLimits(), "decompression bomb"),
        (lambda: repeated(1024, 1_000_000), SMALL, "more than 10000000"),
        (lambda: repeated(64, 1_000_000, row_group_size=1), SMALL, "more than 10000000"),
        # One page of 120 MB, and one dictionary.
        (lambda: padded(120, 10**6, compression="zstd", use_dictionary=False), TIGHT, "of memory"),
        (lambda: padded(120, 10**6, compression="gzip"), TIGHT, "of memory"),
        (lambda: padded(120, 10**6, compression="brotli", **DELTA), TIGHT, "of memory"),
        (lambda: padded(3, 9 * 10**6, compression="lz4"), IntakeLimits(), "row 1 has more than"),
    ],
)
def test_what_grows_is_refused_while_it_is_small(
    make: Callable[[], bytes], limits: IntakeLimits, said: str
) -> None:
    took = grown(refused, make(), FORM, limits)
    assert said in took.result
    assert took.peak < 80 * MIB
    assert took.rest < 40 * MIB
    assert took.child < limits.max_parquet_memory + 200 * MIB


def nested(depth: int) -> bytes:
    """As many lists in each other, as a writer would not make them: the schema is made by hand."""

    def element(name: bytes, children: int) -> bytes:
        # Of a struct: field 3 repetition (optional), 4 name, 5 number of children.
        return b"\x35\x02\x18" + bytes([len(name)]) + name + b"\x15" + varint(2 * children) + b"\0"

    def varint(number: int) -> bytes:
        out = bytearray()
        while number > 127:
            out.append(number & 127 | 128)
            number >>= 7
        return bytes([*out, number])

    count = depth + 2
    leaf = b"\x15\x0c\x25\x02\x18\x01x\0"
    schema = element(b"root", 1) + element(b"n", 1) * depth + leaf
    listed = b"\xfc" + varint(count) + schema
    footer = b"\x15\x02\x19" + listed + b"\x16\x00\x19\x0c\0"
    return b"PAR1" + footer + struct.pack("<I", len(footer)) + b"PAR1"


def mutated(data: bytes, seed: int) -> bytes:
    chance = random.Random(seed)
    changed = bytearray(data)
    for _ in range(3):
        changed[chance.randrange(4, len(data) - 8)] = chance.randrange(256)
    return bytes(changed)


HONEST = written({"text": [f"text {n}" for n in range(100)], "n": list(range(100))})


@pytest.mark.parametrize(
    "data",
    [
        nested(100_000),
        nested(2_000_000),
        b"PAR1" + b"\x19\xfc\xff\xff\xff\xff\x0f" * 3 + struct.pack("<I", 21) + b"PAR1",
        b"PAR1" + bytes(100) + struct.pack("<I", 100) + b"PAR1",
        *(mutated(HONEST, seed) for seed in range(6)),
    ],
)
def test_a_file_that_lies_is_refused_or_read(data: bytes) -> None:
    try:
        found = items(data)
    except InvalidInputError as error:
        assert "Parquet file" in str(error) or "column" in str(error) or "row" in str(error)
    else:
        assert 0 < len(found) <= 100


def test_many_columns_and_many_row_groups_are_read() -> None:
    wide = {f"c{n}": [n] for n in range(5000)} | {"text": ["x"]}
    assert texts(written(wide)) == ["x"]
    assert texts(written({"text": ["x"] * 2000}, row_group_size=1)) == ["x"] * 2000


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (HONEST[:-1], "incomplete"),
        (HONEST[: len(HONEST) // 2], "incomplete"),
        (HONEST[:-8] + b"\xff\xff\xff\x7fPAR1", "incomplete"),
        (HONEST[:-8] + b"\0\0\0\0PAR1", "cannot be read"),
        (b"PAR1PAR1", "incomplete"),
        (b"PARE" + HONEST[4:], "encrypted"),
        (HONEST[:-4] + b"PARE", "encrypted"),
        (b'{"text": "a"}\n', "not a Parquet file"),
        (b"PK\x03\x04" + bytes(50), "looks like a ZIP archive"),
    ],
)
def test_a_file_that_is_not_whole_or_none_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data)


def test_arrow_ipc_is_no_parquet() -> None:
    out = io.BytesIO()
    feather.write_feather(pa.table({"text": ["x"]}), out)
    said = refusal(out.getvalue())
    assert "looks like Arrow IPC" in said
    assert "accepted are JSON Lines" in said
    stream = io.BytesIO()
    with pa.ipc.new_stream(stream, pa.schema([("text", pa.string())])) as writer:
        writer.write_table(pa.table({"text": ["x"]}))
    assert "looks like Arrow IPC" in refusal(stream.getvalue())


def encrypted(plaintext_footer: bool) -> bytes:
    class Kms(encryption.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key: bytes, _name: str) -> bytes:
            return key.hex().encode()

        def unwrap_key(self, wrapped: bytes, _name: str) -> bytes:
            return bytes.fromhex(wrapped.decode())

    factory = encryption.CryptoFactory(lambda _connection: Kms())
    configuration = encryption.EncryptionConfiguration(
        footer_key="footer", column_keys={"column": ["text"]}, plaintext_footer=plaintext_footer
    )
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    return written({"text": ["x"]}, encryption_properties=properties)


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_file_is_told_so(plaintext_footer: bool) -> None:
    assert "encrypted" in refusal(encrypted(plaintext_footer))


def test_what_does_not_begin_like_parquet_is_refused_at_once() -> None:
    read = 0

    def endless() -> Iterator[bytes]:
        nonlocal read
        while True:
            read += 1
            yield b"x" * MIB

    with pytest.raises(InvalidInputError, match="does not begin with PAR1"):
        list(read_items(endless(), FORM, IntakeLimits()))
    assert read <= 2


def children() -> set[str]:
    return {
        child
        for path in Path("/proc/self/task").glob("*/children")
        for child in path.read_text().split()
    }


def test_the_process_ends_with_the_reading_and_sees_no_credentials(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    before = children()
    rows = read_items([written({"text": [f"{n}" for n in range(100_000)]})], FORM, IntakeLimits())
    next(iter(rows))
    (process,) = children() - before
    assert b"secret" not in Path(f"/proc/{process}/environ").read_bytes()
    del rows
    assert children() == before


def test_a_process_that_crashes_is_a_refused_file(monkeypatch: pytest.MonkeyPatch) -> None:
    before = children()
    rows = read_items([written({"text": [f"{n}" for n in range(100_000)]})], FORM, IntakeLimits())
    next(rows)
    (process,) = children() - before
    os.kill(int(process), 11)
    with pytest.raises(InvalidInputError, match="cannot be read"):
        list(rows)


def test_reading_is_bounded_by_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_SECONDS", 1)
    data = written({"text": ["x"] * 4_000_000}, compression="zstd")
    with pytest.raises(InvalidInputError, match="more than 1 s to read"):
        for _ in read_items([data], FORM, IntakeLimits()):
            pass


def test_few_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_ROOM", Room("Parquet files", places=1, patience=0.05))
    data = written({"text": [f"{n}" for n in range(100_000)]})
    first = read_items([data], FORM, IntakeLimits())
    next(first)
    with pytest.raises(OverloadError, match="Parquet files are being read already") as caught:
        items(data)
    assert caught.value.retry_delay
    del first
    assert len(items(HONEST)) == 100


def test_a_disk_that_is_full_is_nobodys_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def write(self, _data: Any) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(parquet.tempfile, "TemporaryFile", lambda prefix: Full())
    with pytest.raises(StoreUnavailableError, match="No space left"):
        items(HONEST)
