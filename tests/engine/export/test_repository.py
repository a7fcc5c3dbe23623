"""Where variants are made, and what is left of an import that was killed."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine.export import workplace
from engine.export.repository import RepositoryError, staging

BEGIN = """
import sys
from pathlib import Path
from engine.export import workplace
from engine.export.repository import staging

beside, repository, *names = sys.argv[1:]
if beside == "no":
    workplace._beside = lambda _: None
with staging(Path(repository), names, overwrite=True) as place:
    for name in names:
        folder = place.variant(name)
        (folder / "1" / "deep").mkdir(parents=True)
        for file in ("config.pbtxt", "1/graph", "1/deep/plan"):
            (folder / file).write_text("new")
    {then}
"""
WAIT = "print('waiting', flush=True); sys.stdin.read()"
DIE = """
    import os, signal
    rename, left = Path.rename, [{moves}]
    def dying(path, target):
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        return rename(path, target)
    Path.rename = dying
    place.commit()
"""


def _import(beside: str, repository: Path, then: str, *names: str) -> subprocess.Popen[str]:
    code = BEGIN.format(then=textwrap.indent(textwrap.dedent(then), "    ").strip())
    return subprocess.Popen(
        [sys.executable, "-c", code, beside, str(repository), *names],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _files(folder: Path) -> dict[str, str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in found}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "models" / "repository"
    (folder / "old_fp32" / "1" / "plans").mkdir(parents=True)
    for name in ("config.pbtxt", "1/graph", "1/plans/plan"):
        (folder / "old_fp32" / name).write_text("old")
    return folder


@pytest.fixture(params=["yes", "no"])
def beside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Whether there is a place beside the repository: not if it is a volume of its own."""
    if request.param == "no":
        monkeypatch.setattr(workplace, "_beside", lambda _: None)
    return str(request.param)


def test_no_folder_but_a_variants_is_ever_in_the_repository(repository: Path, beside: str) -> None:
    with staging(repository, ["new_fp32"], overwrite=False) as place:
        folder = place.variant("new_fp32")
        (folder / "config.pbtxt").write_text("new")
        assert [path.name for path in repository.iterdir() if path.is_dir()] == ["old_fp32"]
        place.commit()
    names = sorted(path.name for path in repository.iterdir())
    assert names == ["new_fp32", "old_fp32"]
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]


def test_a_variant_is_replaced_as_a_whole(repository: Path, beside: str) -> None:
    with staging(repository, ["old_fp32"], overwrite=True) as place:
        folder = place.variant("old_fp32")
        (folder / "1").mkdir()
        (folder / "config.pbtxt").write_text("new")
        (folder / "1" / "other").write_text("new")
        place.commit()
    assert _files(repository) == {"old_fp32/config.pbtxt": "new", "old_fp32/1/other": "new"}
    assert not (repository / "old_fp32" / "1" / "plans").exists()


def test_a_move_that_fails_leaves_all_as_it_was(
    repository: Path, beside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, rename, moved = _files(repository), Path.rename, []

    def fail(path: Path, target: Path) -> Path:
        moved.append(path)
        if len(moved) == 3:
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    names = ["new_fp32", "old_fp32"]
    with (
        pytest.raises(RepositoryError, match="Input/output error"),
        staging(repository, names, overwrite=True) as place,
    ):
        for name in names:
            (place.variant(name) / "config.pbtxt").write_text("new")
        place.commit()
    assert _files(repository) == before
    assert [path.name for path in repository.iterdir()] == ["old_fp32"]


def test_what_a_killed_import_left_is_swept_and_what_a_running_one_has_is_not(
    repository: Path, beside: str
) -> None:
    before = _files(repository)
    running = _import(beside, repository, WAIT, "running_fp32")
    killed = _import(beside, repository, WAIT, "killed_fp32")
    try:
        for process in (running, killed):
            assert process.stdout and process.stdout.readline() == "waiting\n"
        killed.kill()
        killed.wait()
        assert [path.name for path in repository.iterdir() if path.is_dir()] == ["old_fp32"]
        with staging(repository, ["new_fp32"], overwrite=False):
            left = [*repository.glob("*.ledger"), *repository.parent.glob(".*.imports/*.ledger")]
            assert len(left) == 2  # the running one's, and ours
    finally:
        running.communicate("")
    assert _files(repository) == before
    assert [path.name for path in repository.iterdir()] == ["old_fp32"]
    assert [path.name for path in repository.parent.iterdir()] == ["repository"]


@pytest.mark.parametrize("moves", range(8))
def test_a_process_killed_between_two_moves_leaves_nothing_half_done(
    repository: Path, beside: str, moves: int
) -> None:
    before = _files(repository)
    names = ("a_fp32", "old_fp32")
    process = _import(beside, repository, DIE.format(moves=moves), *names)
    process.communicate("")
    with staging(repository, ["next_fp32"], overwrite=False):
        pass
    if process.returncode == -signal.SIGKILL:
        assert _files(repository) == before
        assert [path.name for path in repository.iterdir()] == ["old_fp32"]
    else:  # there were fewer moves
        assert process.returncode == 0
        assert set(_files(repository).values()) == {"new"}


def test_where_nothing_can_be_written_beside_it_the_temporary_folder_serves(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A volume is another mount: a rename from beside it does not lead there."""
    mount_of = workplace.mount_of
    own = repository.resolve()
    monkeypatch.setattr(
        workplace, "mount_of", lambda one: (0, "own") if one == own else mount_of(one)
    )
    with staging(repository, ["new_fp32"], overwrite=False) as place:
        (place.variant("new_fp32") / "config.pbtxt").write_text("new")
        assert [path.name for path in repository.parent.iterdir()] == ["repository"]
        assert repository not in place.scratch.parents
        place.commit()
    assert (repository / "new_fp32" / "config.pbtxt").read_text() == "new"
    assert not any(path.name.startswith(".") for path in repository.iterdir())


def test_mounts_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    assert workplace.mount_of(tmp_path / "a") == workplace.mount_of(tmp_path)
    assert workplace.mount_of(Path("/proc")) != workplace.mount_of(Path("/"))


def test_a_ledger_that_was_not_written_whole_is_removed(repository: Path) -> None:
    ledger = repository / ".import.0123.ledger"
    ledger.write_text('{"folder": "/nowh')
    (repository / ".import.0123.0").write_text("new")
    os.utime(ledger)
    before = _files(repository / "old_fp32")
    with staging(repository, ["new_fp32"], overwrite=False):
        pass
    assert [path.name for path in repository.iterdir()] == ["old_fp32"]
    assert _files(repository / "old_fp32") == before


def test_what_former_versions_left_is_swept_when_nothing_is_new_in_it(repository: Path) -> None:
    for name in (".import.abcdefgh", ".import.zyxwvuts"):
        (repository / name / "new").mkdir(parents=True)
    for folder in (repository / ".import.abcdefgh" / "new", repository / ".import.abcdefgh"):
        os.utime(folder, (0, 0))
    with staging(repository, ["new_fp32"], overwrite=False):
        pass
    assert {path.name for path in repository.iterdir()} == {".import.zyxwvuts", "old_fp32"}
