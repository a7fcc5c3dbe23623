"""Holds the import rules of docs/architecture.md (the layers of the repository)."""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
OURS = ("engine", "services", "workers", "seqway", "deploy", "examples", "tests")


@dataclass(frozen=True)
class Rule:
    """What the modules of one package may import: of ours, and of others (None: anything)."""

    folder: str
    package: str
    ours: tuple[str, ...]
    others: frozenset[str] | None = None


RULES = [
    Rule("engine", "engine", ours=("engine",)),
    Rule(
        "engine/contract",
        "engine.contract",
        ours=("engine.contract",),
        others=frozenset({"langcodes", "msgspec"}),
    ),
    Rule("services/foundation", "services.foundation", ours=("services.foundation",)),
    Rule(
        "services/inference",
        "services.inference",
        ours=("services.inference", "services.foundation", "engine.contract"),
    ),
    Rule(
        "services/jobs",
        "services.jobs",
        ours=("services.jobs", "services.inference", "services.foundation", "engine.contract"),
    ),
    Rule("services", "services", ours=("services", "seqway.v1", "engine.contract")),
    Rule(
        "workers",
        "workers",
        ours=(
            "workers",
            "engine.contract",
            "services.jobs",
            "services.inference",
            "services.foundation",
        ),
    ),
    Rule("deploy", "deploy", ours=("deploy",)),
    Rule("examples", "examples", ours=("examples", "engine")),
    Rule(
        "sdk/python/seqway",
        "seqway",
        ours=("seqway",),
        others=frozenset(
            {"google", "grpc", "grpc_health", "grpc_status", "opentelemetry", "rich", "typer"}
        ),
    ),
]


@dataclass(frozen=True)
class Import:
    """A module as an import statement names it."""

    module: str
    line: int


def imports_of(source: str, package: str) -> Iterator[Import]:
    """Every module that the source of a module in `package` imports, at any depth of the code.

    `from a import b` gives `a.b`, since `b` may be a module.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            base = parents[: len(parents) - node.level + 1] if node.level else []
            origin = ".".join([*base, *filter(None, [node.module])])
            for alias in node.names:
                yield Import(f"{origin}.{alias.name}", node.lineno)


def is_allowed(module: str, rule: Rule) -> bool:
    top = module.partition(".")[0]
    if top in OURS:
        return any(f"{module}.".startswith(f"{allowed}.") for allowed in rule.ours)
    return rule.others is None or top in rule.others or top in sys.stdlib_module_names


def violations(root: Path, rule: Rule) -> list[str]:
    folder = root / rule.folder
    found = []
    for file in sorted(folder.rglob("*.py")):
        if file.is_relative_to(folder / "v1"):  # generated
            continue
        package = ".".join([rule.package, *file.parent.relative_to(folder).parts])
        for one in imports_of(file.read_text(encoding="utf-8"), package):
            if not is_allowed(one.module, rule):
                found.append(f"{file.relative_to(root)}:{one.line} imports {one.module}")
    return found


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.package)
def test_packages_import_only_what_they_may(rule: Rule) -> None:
    assert violations(ROOT, rule) == []


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("services", "from engine.runtime import scheduler"),
        ("services", "import engine"),
        ("services.inference", "from engine.runtime.request import Request"),
        ("services.foundation", "from engine.contract import events"),
        ("workers", "from engine.runtime import engine"),
        ("engine.contract", "from engine.runtime import request"),
        ("engine.contract", "import numpy"),
        ("services", "import workers.tasks"),
        ("services", "from seqway import Client"),
        ("services", "import seqway.client"),
        ("services", "def late():\n    from engine import runtime"),
        ("services.inference", "from services import gateway"),
        ("services.inference", "from ..gateway import server"),
        ("workers", "from services.gateway import server"),
        ("services.foundation", "import services.inference"),
        ("engine", "import services.inference"),
        ("engine", "from examples.debian import splits"),
        ("deploy", "import engine"),
        ("examples", "import services.inference"),
        ("seqway", "from services.inference import errors"),
        ("seqway", "import numpy"),
    ],
)
def test_a_violation_is_found(tmp_path: Path, package: str, statement: str) -> None:
    rule = next(rule for rule in RULES if rule.package == package)
    folder = tmp_path / rule.folder
    folder.mkdir(parents=True)
    (folder / "guilty.py").write_text(statement)
    assert len(violations(tmp_path, rule)) == 1


@pytest.mark.parametrize(
    ("package", "statement"),
    [
        ("services", "from seqway.v1 import translation_pb2"),
        ("services", "from services.inference.errors import InferenceError"),
        ("services.inference", "from . import errors"),
        ("services.inference", "from engine.contract.events import End"),
        ("workers", "from engine.contract import events"),
        ("engine.contract", "import msgspec, json"),
        ("workers", "import services.jobs.chunks.runner"),
        ("engine", "import numpy, engine.runtime"),
        ("examples", "from engine.training import corpus"),
        ("seqway", "from seqway.v1.translation_pb2 import TextDelta"),
        ("seqway", "import grpc.aio, json"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, package: str, statement: str) -> None:
    rule = next(rule for rule in RULES if rule.package == package)
    folder = tmp_path / rule.folder
    folder.mkdir(parents=True)
    (folder / "innocent.py").write_text(statement)
    assert violations(tmp_path, rule) == []
