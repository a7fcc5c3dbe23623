"""Inputs in all formats, and what is wrong with them."""

import gzip
import io
import json
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from own_process import grown, refused

from services.jobs.errors import InvalidInputError, UnreadableUriError
from services.jobs.intake import (
    Compression,
    Format,
    InputForm,
    IntakeLimits,
    open_uri,
    read_items,
)
from services.jobs.store.items import Item

LIMITS = IntakeLimits(
    max_items=50, max_text_characters=20, max_line_bytes=4096, max_custom_id_characters=10
)
TEXTS = ["a b", "é\u2028x\u0085\x0by\rz", "", '"q", "', "🙂\x00", " "]


def items(data: bytes, form: InputForm, limits: IntakeLimits = LIMITS) -> list[Item]:
    return list(read_items([data], form, limits))


def jsonl(texts: list[str]) -> bytes:
    return b"".join(
        json.dumps({"text": t, "custom_id": f"i{n}"}).encode() + b"\n" for n, t in enumerate(texts)
    )


def comma_separated(texts: list[str]) -> bytes:
    quoted = ('"' + t.replace('"', '""') + '"' for t in texts)
    rows = (f"{q},i{n}" for n, q in enumerate(quoted))
    return ("text,custom_id\n" + "\n".join(rows)).encode()


def tab_separated(texts: list[str]) -> bytes:
    """There is no way to write a tab or a line feed in a field."""
    rows = (f"{text}\ti{n}" for n, text in enumerate(texts))
    return ("text\tcustom_id\n" + "\n".join(rows)).encode()


def parquet(columns: dict[str, list[object]]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def ids(texts: list[str]) -> list[object]:
    return [f"i{n}" for n in range(len(texts))]


MAKE: dict[Format, Callable[[list[str]], bytes]] = {
    Format.JSON_LINES: jsonl,
    Format.CSV: comma_separated,
    Format.TSV: tab_separated,
    Format.PARQUET: lambda texts: parquet({"text": list(texts), "custom_id": ids(texts)}),
}
COMPRESS: dict[Compression, Callable[[bytes], bytes]] = {
    Compression.NONE: bytes,
    Compression.GZIP: lambda data: gzip.compress(data[:7]) + gzip.compress(data[7:]),
    Compression.ZSTD: lambda data: (
        zstandard.ZstdCompressor().compress(data[:7])
        + zstandard.ZstdCompressor().compress(data[7:])
    ),
}


@pytest.mark.parametrize("compression", COMPRESS)
@pytest.mark.parametrize("kind", MAKE)
def test_every_format_and_compression_gives_the_items(
    kind: Format, compression: Compression
) -> None:
    data = COMPRESS[compression](MAKE[kind](TEXTS))
    wanted = [Item(n, text, f"i{n}") for n, text in enumerate(TEXTS)]
    assert items(data, InputForm(kind)) == wanted
    assert items(data, InputForm(kind, compression)) == wanted
    chance = random.Random(3)
    for _ in range(5):
        cuts = sorted(chance.choices(range(len(data)), k=6))
        parts = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        assert list(read_items(parts, InputForm(kind), LIMITS)) == wanted


def test_plain_text_is_an_item_a_line() -> None:
    assert [i.text for i in items(b"a\r\n\r\nb c\n", InputForm(Format.TEXT))] == ["a", "", "b c"]
    assert [i.text for i in items(b"\xef\xbb\xbfa", InputForm(Format.TEXT))] == ["a"]


def test_the_suffix_tells_the_format() -> None:
    for uri, kind in (
        ("file:///a/b.csv", Format.CSV),
        ("file:///a/b.tsv.gz", Format.TSV),
        ("s3://b/c.txt.zst", Format.TEXT),
        ("s3://b/c.parquet", Format.PARQUET),
        ("s3://b/c", Format.JSON_LINES),
    ):
        assert InputForm(uri=uri).actual_format is kind


def test_questions_and_other_names() -> None:
    form = InputForm(text_field="context", custom_id_field="id", question_field="question")
    data = b'{"context": "c", "question": "q?", "id": 7}\n'
    assert items(data, form) == [Item(0, "c", "7", "q?")]
    with pytest.raises(InvalidInputError, match="line 1 has no 'question'"):
        items(b'{"context": "c"}\n', form)


@pytest.mark.parametrize(
    ("kind", "data", "line", "reason"),
    [
        (Format.JSON_LINES, b'{"text": "a"}\n{"text": \n', 2, "not JSON at column"),
        (Format.JSON_LINES, b'{"text": "a"}\n\n[1]\n', 3, "not a JSON object"),
        (Format.JSON_LINES, b'{"texts": "a"}\n', 1, "no 'text'"),
        (Format.JSON_LINES, b'{"text": 3}\n', 1, "not a string"),
        (Format.JSON_LINES, b'{"text": "a", "custom_id": [1]}\n', 1, "neither a string nor"),
        (Format.JSON_LINES, b'{"text": "a", "custom_id": "12345678901"}\n', 1, "limit is 10"),
        (Format.JSON_LINES, b'{"text": "\\ud800"}\n', 1, "not UTF-8"),
        (Format.JSON_LINES, b'{"text": "\xff"}\n', 1, "not UTF-8"),
        (Format.JSON_LINES, b"[" * 4000 + b"\n", 1, "not|nested"),
        (
            Format.JSON_LINES,
            b'{"text": "' + b"x" * 21 + b'"}\n',
            1,
            "21 characters; the limit is 20",
        ),
        (
            Format.JSON_LINES,
            b'{"text": "a", "custom_id": "x"}\n{"text": "b", "custom_id": "x"}\n',
            2,
            "of line 1",
        ),
        (Format.CSV, b"text,custom_id\na,1\nb\n", 3, "1 columns, but the header has 2"),
        (Format.CSV, b"text\n\xff\n", 2, "not UTF-8"),
        (Format.TEXT, b"ok\n\xe9t\xe9\n", 2, r"not UTF-8 \(byte 1\)"),
    ],
)
def test_a_bad_line_is_named(kind: Format, data: bytes, line: int, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        items(data, InputForm(kind))
    assert [each.line for each in caught.value.lines] == [line]


@pytest.mark.parametrize(
    ("form", "data", "reason"),
    [
        (InputForm(), b"", "empty"),
        (InputForm(), b"\n\n", "empty"),
        (InputForm(Format.CSV), b"", "empty"),
        (InputForm(Format.CSV), b"text\n", "empty"),
        (InputForm(Format.PARQUET), b"", "empty"),
        (InputForm(), b"{" * 5000, "line 1 has more than 4096 bytes"),
        (InputForm(Format.CSV), b"a,b\n1,2\n", "no column 'text'; the columns are 'a', 'b'"),
        (InputForm(Format.CSV), b'text\n"a\n', "line 2 is not valid CSV"),
        (InputForm(Format.TEXT), "hallo".encode("utf-16"), "UTF-16"),
        (InputForm(Format.PARQUET), b"hello", "not a Parquet file"),
        (InputForm(Format.PARQUET), b"PAR1 hello", "incomplete"),
        (InputForm(Format.PARQUET), parquet({"a": [1]}), "no column 'text'"),
        (InputForm(compression=Compression.GZIP), b"hello", "cannot be decompressed"),
        (InputForm(), gzip.compress(jsonl(TEXTS))[:-9], "cannot be decompressed"),
        (InputForm(), zstandard.compress(jsonl(TEXTS))[:-3], "cannot be decompressed"),
        (InputForm(Format.TEXT), b"x\n" * 51, "more than 50 lines"),
        (InputForm(Format.TEXT, question_field="question"), b"x\n", "cannot hold questions"),
    ],
)
def test_an_input_that_is_wrong_as_a_whole(form: InputForm, data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        items(data, form)


def test_many_bad_lines_are_told_up_to_the_most() -> None:
    with pytest.raises(InvalidInputError, match="and 97 more, where reading stopped") as caught:
        items(b"x\n" * 5000, InputForm(), IntakeLimits())
    assert len(caught.value.lines) == 100


def bomb(size: int, compress: Callable[[bytes], bytes]) -> bytes:
    return compress((b" " * 999 + b"\n") * (size // 1000))


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_decompression_bomb_is_refused_while_it_is_small(
    compress: Callable[[bytes], bytes],
) -> None:
    data = bomb(200 * 2**20, compress)
    took = grown(refused, data, InputForm(Format.JSON_LINES), IntakeLimits())
    assert "bomb" in took.result
    assert took.peak < 100 * 2**20
    with pytest.raises(InvalidInputError, match="more than 1048576 bytes"):
        items(data, InputForm(), IntakeLimits(max_input_bytes=2**20))


def read(uri: str, *allowed: str) -> bytes:
    with open_uri(uri, allowed) as chunks:
        return b"".join(chunks)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    (tmp_path / "in" / "a b.txt").write_bytes(b"hello")
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "in" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "x").write_bytes(b"x")
    os.mkfifo(tmp_path / "in" / "fifo")
    yield tmp_path


def test_a_file_within_the_roots_is_read(folder: Path) -> None:
    assert read(f"file://{folder}/in/a%20b.txt", f"file://{folder}/in/") == b"hello"
    assert read(f"file://{folder}/in/deep/../a%20b.txt", f"file://{folder}/in") == b"hello"


@pytest.mark.parametrize(
    "path",
    [
        "/secret",
        "/in/../secret",
        "/in/%2e%2e/secret",
        "/in/link",
        "/in/missing",
        "/in/deep",
        "/in/fifo",
        "/input/x",
        "/in/a%20b.txt%00",
        "/in/a%20b.txt?x=1",
    ],
)
def test_what_is_outside_or_no_file_is_refused(folder: Path, path: str) -> None:
    with pytest.raises(UnreadableUriError):
        read(f"file://{folder}{path}", f"file://{folder}/in/")


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1/x", "file://host/x", "s3://other/x", "s3://bucket/in/../x", "x", ""]
)
def test_other_places_are_refused(uri: str) -> None:
    with pytest.raises(UnreadableUriError):
        read(uri, "file:///tmp/", "s3://bucket/in/")


def test_without_roots_nothing_is_read() -> None:
    with pytest.raises(UnreadableUriError, match="SEQWAY_JOB_INPUT_URIS"):
        read("file:///etc/passwd")
