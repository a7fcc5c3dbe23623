"""README's Python examples run over the real stack, as they stand and with many more texts."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.assembly import running_full_stack
from deploy.local.settings import ROOT, StackSettings

README = ROOT / "README.md"
STATED = "127.0.0.1:50051"
# What each example prints once, and for each text of its lists.
LINES = [(3, 2), (1, 3), (0, 2)]


@pytest.fixture(scope="module")
def full_stack_address(settings: StackSettings) -> Iterator[str]:
    with running_full_stack(settings) as (running, _):
        yield running.gateway_address


class More(ast.NodeTransformer):
    """Makes lists of texts so many times as long, and calls another address."""

    def __init__(self, times: int, address: str) -> None:
        self._times, self._address = times, address

    def visit_List(self, node: ast.List) -> ast.AST:
        texts = [e for e in node.elts if isinstance(e, ast.Constant) and isinstance(e.value, str)]
        if texts and len(texts) == len(node.elts):
            node.elts = node.elts * self._times
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        if node.value == STATED:
            return ast.copy_location(ast.Constant(self._address), node)
        return node


def python_examples(document: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```", document.read_text(), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("times", [1, 10, 100])
def test_the_examples_of_the_readme_run(
    times: int, full_stack_address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for example, (once, each) in zip(python_examples(README), LINES, strict=True):
        assert STATED in example
        tree = More(times, full_stack_address).visit(ast.parse(example))
        capsys.readouterr()
        exec(compile(tree, str(README), "exec"), {"__name__": "__main__"})
        shown = capsys.readouterr().out.splitlines()
        assert len([line for line in shown if line.strip()]) == once + each * times, shown
