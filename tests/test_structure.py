"""Holds the shape of the tree: no import cycles, small folders, a name for each class, nouns."""

import ast
from collections import defaultdict
from collections.abc import Container, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SDK = "sdk/python"
PRODUCT = ("engine", "services", "workers", "deploy", SDK)
GENERATED = f"{SDK}/seqway/v1"

MOST_FILES = 12
# A list of kinds, a file for each.
KINDS = {"engine/model/families"}
# They end like gerunds and are nouns.
NOUNS = {
    "batching",
    "decoding",
    "key_ring",
    "monitoring",
    "question_answering",
    "sampling",
    "tracing",
    "training",
}

PUBLIC = {"FinishReason"}
"""What the SDK shows under the API's own name: the SDK may not import what the servers use."""


def sources(root: Path) -> list[Path]:
    """The modules of the product, without those that are generated."""
    return [
        file
        for folder in PRODUCT
        for file in sorted((root / folder).rglob("*.py"))
        if not file.is_relative_to(root / GENERATED)
    ]


def import_cycle(root: Path) -> list[str]:
    """Modules of which each imports the next, and the last is the first; empty without any."""
    files = {_module(file, root): file for file in sources(root)}
    graph = {
        module: set(_imported(ast.parse(file.read_text(encoding="utf-8")), package, files))
        for module, file in files.items()
        for package in [module if file.stem == "__init__" else module.rpartition(".")[0]]
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(reversed(error.args[1]))
    return []


def _module(file: Path, root: Path) -> str:
    top = root / SDK if file.is_relative_to(root / SDK) else root
    path = file.relative_to(top).with_suffix("")
    return ".".join(path.parent.parts if path.name == "__init__" else path.parts)


def _imported(node: ast.AST, package: str, known: Container[str]) -> Iterator[str]:
    """The modules that code of a package imports, at any depth, but not for type checkers alone."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in known)
    elif isinstance(node, ast.ImportFrom):
        parents = package.split(".")
        base = parents[: len(parents) - node.level + 1] if node.level else []
        origin = ".".join([*base, *filter(None, [node.module])])
        for alias in node.names:
            submodule = f"{origin}.{alias.name}"
            yield from [name for name in (submodule, origin) if name in known][:1]
    skipped = node.body if isinstance(node, ast.If) and _is_type_checking(node.test) else ()
    for child in ast.iter_child_nodes(node):
        if child not in skipped:
            yield from _imported(child, package, known)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def full_folders(root: Path) -> list[str]:
    """Folders with more modules of their own than are found at a glance."""
    modules = defaultdict(list)
    for file in sources(root):
        if file.stem != "__init__":
            modules[str(file.parent.relative_to(root))].append(file)
    return [
        f"{folder}: {len(files)}"
        for folder, files in modules.items()
        if len(files) > MOST_FILES and folder not in KINDS
    ]


def repeated_classes(root: Path) -> list[str]:
    """Names of classes that stand for several things."""
    places = defaultdict(list)
    for file in sources(root):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(str(file.relative_to(root)))
    return [
        f"{name}: {', '.join(files)}"
        for name, files in places.items()
        if len(files) > 1 and name not in PUBLIC
    ]


def gerunds(root: Path) -> list[str]:
    """Modules and packages that are named by what they do."""
    names = {
        str(file.relative_to(root)): file.parent.name if file.stem == "__init__" else file.stem
        for file in sources(root)
    }
    return [path for path, name in names.items() if name.endswith("ing") and name not in NOUNS]


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert import_cycle(ROOT) == []


def test_folders_are_small() -> None:
    assert len(sources(ROOT)) > MOST_FILES
    assert full_folders(ROOT) == []


def test_no_two_classes_share_a_name() -> None:
    assert repeated_classes(ROOT) == []


def test_modules_are_named_by_nouns() -> None:
    assert gerunds(ROOT) == []


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    "files",
    [
        {"a": "import engine.b", "b": "from engine.a import name"},
        {"a": "from engine import b", "b": "from engine import c", "c": "from . import a"},
        {"a": "def late():\n    from engine.b import name", "b": "import engine.a"},
        {
            "a": "from engine import x",
            "x/__init__": "from engine.x import y",
            "x/y": "from .. import a",
        },
        {"a": "if TYPE_CHECKING:\n    pass\nelse:\n    import engine.b", "b": "import engine.a"},
        {"a": "if fast:\n    import engine.b", "b": "import engine.a"},
        {"a": "from engine import a"},
    ],
)
def test_a_cycle_is_found(tmp_path: Path, files: dict[str, str]) -> None:
    write(tmp_path, {f"engine/{name}.py": text for name, text in files.items()})
    found = import_cycle(tmp_path)
    assert "engine.a" in found and found[0] == found[-1]


def test_a_cycle_of_the_sdk_is_found(tmp_path: Path) -> None:
    files = {"a": "from seqway.b import name", "b": "from seqway.v1 import c\nimport seqway.a"}
    write(tmp_path, {f"{SDK}/seqway/{name}.py": text for name, text in files.items()})
    assert import_cycle(tmp_path) in (
        ["seqway.a", "seqway.b", "seqway.a"],
        ["seqway.b", "seqway.a", "seqway.b"],
    )


def test_imports_for_type_checkers_make_no_cycle(tmp_path: Path) -> None:
    files = {
        "engine/a.py": "if TYPE_CHECKING:\n    from engine.b import name",
        "engine/b.py": "import engine.a, json\nfrom engine import c",
        "engine/c.py": "from services import d",
    }
    assert import_cycle(write(tmp_path, files)) == []


def test_a_full_folder_is_found(tmp_path: Path) -> None:
    names = [f"module{number}" for number in range(MOST_FILES)]
    folders = ("engine/a", "engine/model/families", GENERATED)
    write(tmp_path, {f"{each}/{name}.py": "" for each in folders for name in ["__init__", *names]})
    assert full_folders(tmp_path) == []
    write(tmp_path, {f"{each}/more.py": "" for each in folders})
    assert full_folders(tmp_path) == [f"engine/a: {MOST_FILES + 1}"]


def test_a_repeated_class_is_found(tmp_path: Path) -> None:
    files = {
        "engine/a.py": "class A: ...\nclass B: ...",
        f"{SDK}/seqway/a.py": "def f():\n    class A: ...",
        f"{GENERATED}/b.py": "class B: ...",
    }
    [found] = repeated_classes(write(tmp_path, files))
    assert found == f"A: engine/a.py, {SDK}/seqway/a.py"


def test_a_gerund_is_found(tmp_path: Path) -> None:
    names = ("running/__init__", "running/a", "job_running", "running_batch", "tracing", "key_ring")
    found = gerunds(write(tmp_path, {f"engine/{name}.py": "" for name in names}))
    assert found == ["engine/job_running.py", "engine/running/__init__.py"]
