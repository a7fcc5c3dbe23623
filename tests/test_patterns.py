"""No pattern for `re` uses what the oldest Python that we run on gets wrong.

Possessive quantifiers and atomic groups match wrongly in CPython until 3.11.5 (its issue 106052):
with the Python of Debian 12, tags were doubled and "C++" became "C+".
"""

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [
    path
    for folder in ("services", "engine", "workers", "sdk/python", "deploy", "tests", "examples")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.name.endswith("_pb2.py")
]
WRONG = {_constants.POSSESSIVE_REPEAT, _constants.ATOMIC_GROUP}
FUNCTIONS = {"compile", "match", "fullmatch", "search", "finditer", "findall", "split", "sub"}


def is_wrong(pattern: str) -> bool:
    """Whether a pattern holds such a construct; what is no pattern does not."""
    try:
        return _holds_any(_parser.parse(pattern, re.VERBOSE), WRONG) or _holds_any(
            _parser.parse(pattern), WRONG
        )
    except (re.error, OverflowError):
        return False


def _holds_any(parsed: Any, names: set[Any]) -> bool:
    if isinstance(parsed, _parser.SubPattern):
        return any(_holds_any(each, names) for each in parsed.data)
    if isinstance(parsed, list | tuple):
        return any(_holds_any(each, names) for each in parsed)
    return isinstance(parsed, type(_constants.LITERAL)) and parsed in names


def patterns(source: str) -> Iterator[tuple[int, str]]:
    """What may be a pattern of `re`: its functions' arguments and all raw strings."""
    lines = source.encode().splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            is_re = isinstance(node.func.value, ast.Name) and node.func.value.id == "re"
            if is_re and node.func.attr in FUNCTIONS and node.args:
                yield node.lineno, _text(node.args[0])
        elif isinstance(node, ast.Constant | ast.JoinedStr):
            written = lines[node.lineno - 1][node.col_offset :]
            if re.match(rb"(?i)f?rf?[\"']", written):
                yield node.lineno, _text(node)


def _text(node: ast.AST) -> str:
    """The text of a string; what is filled in counts as one letter."""
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_text, node.values))
    if isinstance(node, ast.BinOp):
        return _text(node.left) + _text(node.right)
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return "x"


def modules() -> Iterable[Any]:
    """Those that put patterns together out of parts, and need neither settings nor models."""
    for name in ("services", "seqway"):
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def compiled(value: Any) -> Iterator[re.Pattern[Any]]:
    """The patterns that a module's variable is or holds."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    for each in value if isinstance(value, list | tuple | set | frozenset) else [value]:
        if isinstance(each, re.Pattern):
            yield each


@pytest.mark.parametrize(
    ("pattern", "wrong"),
    [
        ("a++", True),
        ("(?:a|bc)*+d", True),
        ("x?+", True),
        ("x{2,3}+", True),
        ("(a(?>b*)c)", True),
        ("(?=(?:a*+))", True),
        (r"a\++", False),
        ("[*+]+", False),
        (r"\(?>", False),
        ("a+?", False),
        ("++", False),
    ],
)
def test_the_check_knows_both_constructs(pattern: str, wrong: bool) -> None:
    assert is_wrong(pattern) is wrong


def test_the_check_reads_sources() -> None:
    source = 'import re\nA = re.compile("[^>]*+>")\nB = rf"{A}*+"\nC = "C++"\n'
    assert [line for line, text in patterns(source) if is_wrong(text)] == [2, 3]


@pytest.mark.filterwarnings("ignore:Possible:FutureWarning")
def test_no_source_holds_a_wrong_pattern() -> None:
    assert len(SOURCES) > 300
    assert [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in SOURCES
        for line, text in patterns(path.read_text())
        if is_wrong(text)
    ] == []


def test_no_module_holds_a_wrong_pattern() -> None:
    found = {
        (module.__name__, pattern.pattern)
        for module in modules()
        for value in vars(module).values()
        for pattern in compiled(value)
    }
    assert len(found) > 20
    assert [each for each in sorted(found) if is_wrong(each[1])] == []
