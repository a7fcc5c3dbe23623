"""Commands that are refused before any call: exit code 2, and a line that says why."""

import os
from pathlib import Path

import pytest

from tests.sdk.command_line import refused
from tests.sdk.server import FakeServer

pytestmark = pytest.mark.usefixtures("environment")


def usage_error(*arguments: str | Path, stdin: bytes = b"") -> str:
    """The message, without the box that the terminal's width breaks it in."""
    shown = refused(*arguments, stdin=stdin, code=2)
    return " ".join(shown.replace("│", " ").split())


def test_wrong_usage_is_told_apart(tmp_path: Path) -> None:
    binary = tmp_path / "binary"
    binary.write_bytes(b"ab\xff")
    assert "No such file" in usage_error("translate", "--file", tmp_path / "none")
    assert "not UTF-8" in usage_error("translate", "--file", binary)
    assert "not UTF-8" in usage_error("translate", stdin=b"\xff")
    assert "not both" in usage_error("translate", "text", "--file", binary)
    assert "No such option" in usage_error("translate", "--nope")


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--beams", "100"], "'--beams': Input should be less than or equal to 8"),
        (["--beams", "4", "--sample"], "can't be combined with --beams 4"),
        (["--n-best", "4", "--sample"], "can't be combined with --n-best 4"),
        (["--beams", "2", "--n-best", "3"], "2 beams give 2 answers at most"),
        (["--temperature", "0.5"], "requires --sample"),
        (["--top-k", "5"], "requires --sample"),
        (["--top-p", "0.5"], "requires --sample"),
        (["--seed", "5"], "requires --sample"),
        (["--sample", "--temperature", "0"], "must be from 0.001 to 1000, not 0"),
        (["--sample", "--top-p", "1.5"], "at most 1, not 1.5"),
        (["--sample", "--seed", "-1"], "'--seed': Input should be greater than or equal to 0"),
        (["--min-tokens", "9", "--max-tokens", "8"], "above --max-tokens 8"),
        (["--repetition-penalty", "0"], "must be from 0.01 to 100, not 0"),
        (["--early-stopping", "maybe"], "'maybe' is not one of"),
    ],
)
def test_contradictory_generation_flags(
    server: FakeServer, flags: list[str], expected: str
) -> None:
    assert expected in usage_error("summarize", "some text", *flags)
    assert server.summarization.requests == []


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--html", "--xml"], "can't be html and xml at once"),
        (["--format", "text", "--html"], "can't be html and text at once"),
        (["--match-case"], "requires --glossary"),
    ],
)
def test_contradictory_flags_of_translate(
    server: FakeServer, flags: list[str], expected: str
) -> None:
    assert expected in usage_error("translate", "text", *flags)
    assert server.translation.requests == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"only a term\n", "line 1: expected a term and its translation"),
        (b"a\tb\n\nc\t\n", "line 3: expected a term and its translation"),
        (b"\n", "holds no terms"),
        (b"a\t\xff", "is not UTF-8 text"),
    ],
)
def test_a_glossary_that_cannot_be_used(tmp_path: Path, content: bytes, expected: str) -> None:
    glossary = tmp_path / "g.tsv"
    glossary.write_bytes(content)
    assert expected in usage_error("translate", "text", "--glossary", glossary)


def test_a_glossary_that_is_not_there(tmp_path: Path) -> None:
    assert "No such file" in usage_error("translate", "text", "--glossary", tmp_path / "none")


def test_a_question_needs_one_context(tmp_path: Path) -> None:
    file = tmp_path / "context"
    assert "not both" in usage_error("ask", "Who?", "--context", "Ada", "--context-file", file)
    assert "No such file" in usage_error("ask", "Who?", "--context-file", file)
    assert "Missing argument" in usage_error("ask")


@pytest.mark.parametrize(
    "arguments",
    [("translate",), ("translate", "x", "--keep"), ("summarize",), ("classify",)],
)
def test_an_argument_that_is_not_text(arguments: tuple[str, ...]) -> None:
    assert "an argument is not UTF-8 text" in usage_error(*arguments, os.fsdecode(b"\xff"))


def test_a_threshold_is_a_probability() -> None:
    assert "less than or equal to 1" in usage_error("classify", "text", "--threshold", "2")
