"""What each format says byte for byte, and what an input looks like that is in none of them."""

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from own_process import grown, refused

from services.jobs.errors import InvalidInputError
from services.jobs.intake import Compression, Format, InputForm, IntakeLimits, read_items

MIB = 2**20
CSV, TSV, TEXT, JSON = Format.CSV, Format.TSV, Format.TEXT, Format.JSON_LINES


def texts(data: bytes, kind: Format, **form: str) -> list[str]:
    return [item.text for item in read_items([data], InputForm(kind, **form), IntakeLimits())]  # type: ignore[arg-type]


def refusal(data: bytes, form: InputForm, limits: IntakeLimits | None = None) -> str:
    return refused(data, form, limits or IntakeLimits())


def test_tsv_has_no_quoting() -> None:
    data = b'text\tcustom_id\n"Hello\t1\nshe said\t2\nbye"\t3\n"a ""b"""\t4\n'
    found = list(read_items([data], InputForm(TSV), IntakeLimits()))
    assert [(each.text, each.custom_id) for each in found] == [
        ('"Hello', "1"),
        ("she said", "2"),
        ('bye"', "3"),
        ('"a ""b"""', "4"),
    ]


def test_tsv_keeps_what_is_no_tab_and_no_line_end() -> None:
    field = "a\rb\x0b\x0c\x1c\x85\u2028\u2029\\t\\n, ; \x00"
    assert texts(f"text\tn\r\n{field}\t1\r\n".encode(), TSV) == [field]
    assert texts(b"text\na\n\nb\n", TSV) == ["a", "", "b"]
    assert texts(b"text\tn\na\t1\n\nb\t2\n", TSV) == ["a", "b"]
    assert texts(b"text\tn\n\t1\n", TSV) == [""]
    assert "line 2 has 1 columns, but the header has 2" in refusal(b"text\tn\na", InputForm(TSV))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "field",
    [
        "a\r\nb",
        "a\nb",
        "a\rb",
        "\r",
        "\r\n",
        "\n\r\n\n",
        "a\x0bb\x0cc\x1cd\x85e\u2028f\u2029g\x00h\x1ai",
        'say "a"\r\n, twice',
        " a ",
        "",
    ],
)
def test_a_quoted_field_is_kept_byte_for_byte(field: str, end: str) -> None:
    quoted = '"' + field.replace('"', '""') + '"'
    data = f"text,custom_id{end}{quoted},1{end}{quoted},2".encode()
    assert texts(data, CSV) == [field, field]
    assert texts(f"n,text{end}1,{quoted}{end}".encode(), CSV) == [field]


def test_other_line_ends_do_not_cut_lines() -> None:
    line = "a\rb\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029c"
    assert texts(f"{line}\r\n{line}\n".encode(), TEXT) == [line, line]
    assert texts(json.dumps({"text": line}, ensure_ascii=False).encode(), JSON) == [line]


@pytest.mark.parametrize(("kind", "separator"), [(CSV, ","), (TSV, "\t")])
@pytest.mark.parametrize("name", ["text", "custom_id", "question"])
def test_a_column_that_is_there_twice_is_refused(kind: Format, separator: str, name: str) -> None:
    header = separator.join(["text", "custom_id", "question", name])
    data = f"{header}\n{separator.join('abcd')}\n".encode()
    form = InputForm(kind, question_field="question")
    assert refusal(data, form) == f"there are 2 columns {name!r}: rename all but one"
    other = separator.join(["text", "other", "other"])
    assert texts(f"{other}\n{separator.join('abc')}\n".encode(), kind) == ["a"]


@pytest.mark.parametrize("name", ["text", "custom_id", "question"])
def test_a_member_that_is_there_twice_is_refused(name: str) -> None:
    line = b'{"text": "a", "custom_id": "b", "question": "c", "%s": "d"}\n' % name.encode()
    form = InputForm(JSON, question_field="question")
    assert f"line 1 has {name!r} twice" in refusal(line, form)
    assert texts(b'{"n": 1, "text": "a", "n": {"text": 1, "text": 2}}\n', JSON) == ["a"]


def test_names_of_other_columns_may_be_anything() -> None:
    assert texts(b'"a,b","text",\n1,x,2\n', CSV) == ["x"]
    assert texts(b"\xef\xbb\xbftext,custom_id\nx,1\n", CSV) == ["x"]
    assert texts(b"\xef\xbb\xbftext\tcustom_id\nx\t1\n", TSV) == ["x"]
    both = b'\xef\xbb\xbf{"text": "a"}\n\xef\xbb\xbf{"text": "b"}\n'
    assert texts(both, JSON) == ["a", "b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'text,n\n"a,1\nb,2\n', "line 2 is not valid CSV (a quote is not closed)"),
        (b"text,n\na\rb,1\n", "line 2 is not valid CSV (a carriage return outside quotes"),
        (b'text,n\n"a"b,1\n', "line 2 is not valid CSV"),
        (b"text,n\nx,1\n" + b"y," * 700_000, "line 3 has 700001 columns"),
        (b'text\n"' + b"x" * 9 * MIB, "line 2 has more than 8388608 bytes"),
        (b'text\n"' + b"xx\n" * 3 * MIB, "the row at line 2 has more than 8388608 bytes"),
        (b'text\na\n"x\n' + b'yy\n","' * 2 * MIB, "the row at line 3 has more than 8388608"),
        (b"text\n" + b"\n" * 60, "more than 50 blank lines"),
    ],
)
def test_csv_that_does_not_end_is_refused(data: bytes, said: str) -> None:
    assert said in refusal(data, InputForm(CSV), IntakeLimits(max_items=50))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"text": "a", "n": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b'{"text": "a", "n": ' + b'{"n":' * 50_000 + b"1" + b"}" * 50_000 + b"}", "too deeply"),
        (b'{"text": ' + b"1" * 100_000 + b"}", "has a 'text' that is not a string"),
        (b'{"text": "a", "custom_id": ' + b"1" * 300 + b"}", "has a 'custom_id' of 300 characters"),
        (b'{"text": "a", "custom_id": ' + b"1" * MIB + b"}", "has a 'custom_id' that is neither"),
        (b'{"text": "a", "custom_id": 1e999}', "has a 'custom_id' that is neither"),
        (b'{"text": "a\x00b"}', "is not JSON at column 12"),
        (b'{"text": "' + b"x" * 2 * MIB + b'"}', "has a 'text' of 2097152 characters"),
        (b'{"' + b"k" * 9 * MIB + b'": 1}', "has more than 8388608 bytes"),
        ('{"text": "a"}'.encode("utf-16-le"), "is not JSON"),
    ],
)
def test_json_that_is_too_much_names_its_line(line: bytes, said: str) -> None:
    said_of = refusal(b'{"text": "%s"}\n' % (b"x" * 2000) + line, InputForm(JSON))
    assert said_of.startswith("line 2 ")
    assert said in said_of


def test_what_is_not_read_of_a_line_may_be_large() -> None:
    number = b"1" * 1_000_000
    assert texts(b'{"n": ' + number + b', "x": 1.' + number + b', "text": "a"}', JSON) == ["a"]
    assert texts(b'{"text": "a\\u0000b", "n": [' + b"{}," * 500_000 + b"1]}", JSON) == ["a\0b"]


def endless(first: bytes, then: bytes) -> Iterator[bytes]:
    yield first
    while True:
        yield then * (MIB // len(then))


def refused_endless(form: InputForm, first: bytes, then: bytes) -> str:
    return refused(endless(first, then), form, IntakeLimits())


@pytest.mark.parametrize(
    ("form", "first", "then"),
    [
        (InputForm(TEXT), b"", b"x"),
        (InputForm(JSON), b'{"text": "', b"x"),
        (InputForm(JSON), b'{"text": "a", "n": [', b"{},"),
        (InputForm(CSV), b'text\n"', b"ab\n"),
        (InputForm(CSV), b'text\n"', b'ab\n","'),
        (InputForm(TSV), b"text", b"\tab"),
    ],
)
def test_what_does_not_end_is_refused_while_it_is_small(
    form: InputForm, first: bytes, then: bytes
) -> None:
    took = grown(refused_endless, form, first, then)
    assert "has more than 8388608 bytes" in took.result
    assert took.peak < 200 * MIB
    assert took.rest < 60 * MIB


def large_line() -> list[str]:
    line = b'{"text": "a", "n": [' + b"{}," * (8 * MIB // 3 - 20) + b"1]}\n"
    return texts(line, JSON)


def test_a_line_of_many_values_is_bounded() -> None:
    took = grown(large_line)
    assert took.result == ["a"]
    assert took.peak < 300 * MIB
    assert took.rest < 60 * MIB


def zipped(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "<xml/>")
    return out.getvalue()


def parquet() -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table({"text": ["x"]}), out)
    return out.getvalue()


FILES = {
    "a PDF document": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "an RTF document": b"{\\rtf1\\ansi Hello}",
    "a ZIP archive": zipped("[Content_Types].xml"),
    "an old Office document": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500),
    "a Parquet file": parquet(),
    "Arrow IPC": b"ARROW1\0\0\xff\xff\xff\xff",
    "an Avro file": b"Obj\x01\x04\x14",
    "an SQLite database": b"SQLite format 3\0" + bytes(100),
    "bzip2": b"BZh91AY&SY" + bytes(20),
    "xz": b"\xfd7zXZ\0\0\x04",
    "LZ4": b"\x04\x22\x4d\x18\x64",
    "a 7-Zip": b"7z\xbc\xaf\x27\x1c\0\x04",
    "an image": b"\x89PNG\r\n\x1a\n",
    "UTF-16: convert": '{"text": "hello"}\n'.encode("utf-16"),
    "UTF-32: convert": '{"text": "hello"}\n'.encode("utf-32"),
}


@pytest.mark.parametrize("kind", [JSON, CSV, TSV, TEXT])
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_text_is_named_with_what_is_taken(name: str, kind: Format) -> None:
    said = refusal(FILES[name], InputForm(kind))
    assert name in said
    assert "accepted are JSON Lines (.jsonl), CSV (.csv), TSV (.tsv), plain text" in said


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("kind", [JSON, CSV, TSV, TEXT])
def test_wide_characters_without_a_mark_are_seen(kind: Format, codec: str) -> None:
    said = refusal("text\tcustom_id\nHello wörld, 世界\t1\n".encode(codec), InputForm(kind))
    assert f"{codec[:6].upper()}: convert it to UTF-8" in said


def test_bytes_that_are_compressed_though_it_is_said_that_they_are_not() -> None:
    data = gzip.compress(b'{"text": "a"}\n')
    said = refusal(data, InputForm(JSON, Compression.NONE))
    assert "the input is gzip, which was not declared" in said
    assert "gzip" in refusal(gzip.compress(data), InputForm(JSON))
    assert "zstd" in refusal(b"\x28\xb5\x2f\xfd\x00", InputForm(TEXT, Compression.NONE))
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("x.jsonl"))
    assert "was read as JSON Lines" in refusal(archive.getvalue(), InputForm(JSON))


LOOKS = {
    "a JSON array": [b'[{"text": "a"},\n{"text": "b"}]\n', b'["a", "b"]', b'[\n  {\n    "text"'],
    "JSON over several lines": [b'{\n  "text": "a"\n}\n', b'{"data": [\n{"text": "a"}\n]}\n'],
    "HTML": [b"<!DOCTYPE html>\n<html>", b"<html><body>a</body></html>"],
    "XML": [b'<?xml version="1.0"?>\n<tmx/>', b"<xliff/>"],
    "WebVTT subtitles": [b"WEBVTT\n\n00:01.000 --> 00:02.000\nHi\n"],
    "SRT subtitles": [
        b"1\n00:00:01,000 --> 00:00:02,000\nHi\n",
        b"\xef\xbb\xbf1\r\n00:00:01,000 -->",
    ],
    "Markdown or YAML": [b"# Title\n\nA text.\n", b"---\ntitle: x\n---\n"],
    "CSV": [b"custom_id,text\n1,a\n", b'"text","n"\r\n"a","1"\r\n'],
    "TSV": [b"text\tn\na\t1\n"],
    "CSV with semicolons": [b"text;n\na;1\n"],
    "plain text": [b"Hello world.\nHow are you?\n"],
}


@pytest.mark.parametrize(
    ("name", "data"), [(name, data) for name, all_ in LOOKS.items() for data in all_]
)
def test_what_is_not_json_lines_is_told_what_it_looks_like(name: str, data: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        texts(data, JSON)
    said = str(caught.value)
    assert f"the input looks like {name}" in said
    assert "was read as JSON Lines: accepted are JSON Lines (.jsonl)" in said
    # A client may show the lines alone.
    assert "accepted are" in caught.value.lines[0].reason


def test_one_bad_line_behind_good_ones_tells_of_no_other_format() -> None:
    assert "accepted are" not in refusal(b'{"text": "a"}\n[1]\n', InputForm(JSON))
    assert "accepted are" not in refusal(b'{"txt": "a"}\n', InputForm(JSON))


@pytest.mark.parametrize(
    ("kind", "name"), [(CSV, "TSV"), (CSV, "CSV with semicolons"), (TSV, "CSV"), (CSV, "HTML")]
)
def test_a_header_without_the_column_is_told_what_it_looks_like(kind: Format, name: str) -> None:
    said = refusal(LOOKS[name][0], InputForm(kind))
    assert "there is no column 'text'" in said
    assert f"looks like {name}" in said
    assert "accepted are" in said


def test_plain_text_may_look_like_anything() -> None:
    for data in (
        b"[1]\n",
        b"{\n",
        b"<p>Hello</p>\n",
        b"# Title\n",
        b"PAR1 is a magic\n",
        b"ORC\n",
        b"PK\n",
        b"%PDF is a format\n",
        b"BZh\n",
        "\u8a73\u7d30\n".encode(),
        b"a\x00b\n",
    ):
        assert texts(data, TEXT) == [data[:-1].decode()]


@pytest.mark.parametrize(
    "name",
    ["a.srt", "b.md", "c.xlsx", "d.docx", "e.PDF", "f.zip", "g.html", "h.csv.bak", "i.%6Dd"],
)
def test_a_name_that_tells_no_format_is_refused(name: str) -> None:
    form = InputForm(uri=f"s3://bucket/folder.csv/{name}")
    with pytest.raises(InvalidInputError, match=r"accepted are JSON Lines \(.jsonl\)") as caught:
        list(read_items([b'{"text": "a"}\n'], form, IntakeLimits()))
    assert caught.value.field == "spec.input.format"
    named = InputForm(JSON, uri=form.uri)
    assert len(list(read_items([b'{"text": "a"}\n'], named, IntakeLimits()))) == 1


def test_random_bytes_end_in_an_error_or_in_items() -> None:
    chance = random.Random(7)
    for kind in (JSON, CSV, TSV, TEXT):
        for length in (1, 2, 3, 7, 100, 5000):
            for head in (
                b"",
                b"text\n",
                b'{"text": "',
                b"\xef\xbb\xbf",
                b"\x1f\x8b",
                b"\x28\xb5\x2f\xfd",
            ):
                data = head + chance.randbytes(length)
                try:
                    list(read_items([data], InputForm(kind), IntakeLimits()))
                except InvalidInputError as error:
                    assert len(str(error)) < 1500
