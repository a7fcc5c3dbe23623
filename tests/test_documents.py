"""The documents: their length, the width of their lines, and that what they name exists."""

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
NAME = Path(__file__).name
WIDTH = 120
MOST_WORDS = {"README.md": 900, "docs/architecture.md": 1500}
DOCUMENTS = [
    *("README.md", "SECURITY.md", "CHANGELOG.md"),
    *("examples/README.md", "model_repository/README.md", "sdk/typescript/README.md"),
    *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md")),
]
ALERTS = "deploy/observability/alerts.yaml"

_FENCE = re.compile(r"^ *```.*?^ *```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)(?:#([^)\s]*))?\)")
_TOP = "deploy|docs|engine|examples|protos|sdk|services|tests|workers"
_PATH = re.compile(rf"(?:{_TOP})(?:/[\w.-]+)+/?")
_FILE = re.compile(r"[\w/]+\.py")
_ITEM = re.compile(r"\n\n|\n(?= *(?:-|\d+\.) )")


def _read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def _prose(name: str) -> str:
    """A document without its blocks of code."""
    return _FENCE.sub("", _read(name))


@cache
def _anchors(path: Path) -> frozenset[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    anchors: dict[str, int] = {}
    found = set()
    for heading in re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text()), re.MULTILINE):
        plain = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        anchor = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        times = anchors[anchor] = anchors.get(anchor, -1) + 1
        found.add(f"{anchor}-{times}" if times else anchor)
    return frozenset(found)


def _missing_target(document: Path, target: str, anchor: str) -> str | None:
    """What is wrong with a relative link, if anything is."""
    path = (document.parent / target).resolve() if target else document
    if not path.exists():
        return f"{document.name} links to {target}, which does not exist"
    if anchor and path.suffix == ".md" and anchor not in _anchors(path):
        return f"{document.name} links to {target}#{anchor}, a heading that does not exist"
    return None


def _exists(name: str) -> bool:
    """Whether it is a file, or a folder that holds more than what Python left of a former one."""
    path = ROOT / name
    return path.is_file() or any(
        each.is_file() and "__pycache__" not in each.parts for each in path.rglob("*")
    )


@cache
def _code() -> str:
    """Everything that reads settings, in one text."""
    folders = ("services", "workers", "engine", "deploy", "sdk/python", "tests")
    files = (file for each in folders for file in (ROOT / each).rglob("*.py"))
    return "\n".join(file.read_text(encoding="utf-8") for file in files if file.name != NAME)


@pytest.mark.parametrize("name", MOST_WORDS)
def test_people_finish_it(name: str) -> None:
    assert len(_read(name).split()) <= MOST_WORDS[name]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_lines_fit_a_screen(name: str) -> None:
    lines = _prose(name).splitlines()
    assert [line for line in lines if len(line) > WIDTH] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_lead_somewhere(name: str) -> None:
    links = _LINK.findall(_prose(name))
    faults = [_missing_target(ROOT / name, target, anchor) for target, anchor in links]
    assert [fault for fault in faults if fault] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_in_code_spans_exist(name: str) -> None:
    """A code span that begins like a path of the repository is one."""
    spans = re.findall(r"`([^`\n]+)`", _prose(name))
    paths = {span for span in spans if _PATH.fullmatch(span)}
    assert sorted(path for path in paths if not _exists(path)) == []


def test_files_lie_in_a_room_that_is_named_beside_them() -> None:
    """In the page that says which file decides what, most files are named without their folders."""
    lost = []
    for item in _ITEM.split(_prose("docs/architecture.md")):
        spans = re.findall(r"`([^`\n]+)`", item)
        rooms = [ROOT / span for span in spans if _PATH.fullmatch(span)]
        rooms = [room.parent if room.is_file() else room for room in rooms]
        names = [span for span in spans if _FILE.fullmatch(span) and not _PATH.fullmatch(span)]
        lost += [name for name in names if not any(any(room.rglob(name)) for room in rooms)]
    assert lost == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_settings_exist(name: str) -> None:
    """A variable is spelled out in the code, or a field of a class of settings."""
    variables = set(re.findall(r"SEQWAY_[A-Z_]*[A-Z]", _read(name)))
    unknown = {each for each in variables if each not in _code()}
    fields = {each.removeprefix("SEQWAY_").lower() for each in unknown}
    assert sorted(each for each in fields if not re.search(rf"\b{each}:", _code())) == []


def test_every_alert_has_its_runbook() -> None:
    links = re.findall(r"runbook_url: (\S+)#(\S+)", _read(ALERTS))
    assert links
    assert [
        link for path, anchor in links if (link := _missing_target(ROOT / path, "", anchor))
    ] == []
