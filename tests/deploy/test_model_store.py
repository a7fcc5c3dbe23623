"""`seqway-model-store` copies a repository to an object store and back."""

import os
import threading
import time
from pathlib import Path

import pytest
from obstore.store import LocalStore

from deploy.images.commands.model_store import main, pull, pull_whole, push
from tests.deploy.test_plans import add_plan, add_variant

_PATIENCE = 10.0


@pytest.fixture
def bucket(tmp_path: Path) -> Path:
    folder = tmp_path / "bucket"
    folder.mkdir()
    return folder


@pytest.fixture
def store(bucket: Path) -> LocalStore:
    return LocalStore(bucket)


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def test_what_is_pushed_is_pulled(tmp_path: Path, bucket: Path, store: LocalStore) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    add_plan(add_variant(source, "en-fr_fp16"))
    (source / "en-fr_fp16" / ".exported").touch()
    push(store, source)
    assert ".exported" not in {Path(name).name for name in files(bucket)}
    assert pull(store, target) == 5
    assert files(target) == files(bucket)


def test_only_variants_are_copied(
    tmp_path: Path, bucket: Path, store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    add_variant(source, "en-fr_fp16")
    (source / "README.md").write_text("What comes here.")
    push(store, source)
    assert not (bucket / "README.md").exists()
    (bucket / "README.md").write_text("Another tool has copied it.")
    caplog.clear()
    pull(store, target)
    assert [path.name for path in target.iterdir()] == ["en-fr_fp16"]
    assert "README" not in caplog.text


def test_only_what_changed_is_copied_again(
    tmp_path: Path, bucket: Path, store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    add_variant(bucket, "en-fr_fp16")
    target = tmp_path / "target"
    target.mkdir()
    pull(store, target)
    caplog.clear()
    pull(store, target)
    push(store, target)
    assert caplog.text == ""

    graph = bucket / "en-fr_fp16" / "1" / "encoder.onnx"
    graph.write_bytes(b"other bytes")
    pull(store, target)
    assert files(target) == files(bucket)

    add_plan(target / "en-fr_fp16" / "1")
    caplog.clear()
    push(store, target)
    pushed = [record.getMessage().rpartition("/")[2] for record in caplog.records]
    # Whoever sees the manifest of plans finds the plans.
    assert pushed == ["encoder.plan", "plan.json"]


def test_a_change_of_equal_size_is_pushed(tmp_path: Path, bucket: Path, store: LocalStore) -> None:
    files_of = add_variant(bucket, "en-fr_fp16")
    target = tmp_path / "target"
    target.mkdir()
    pull(store, target)
    config = target / "en-fr_fp16" / "1" / "encoder.onnx"
    config.write_bytes(config.read_bytes()[::-1])
    later = time.time() + 5
    os.utime(config, (later, later))
    push(store, target)
    assert (files_of / "encoder.onnx").read_bytes() == config.read_bytes()


def test_pulling_goes_on_until_there_is_a_model(
    tmp_path: Path, bucket: Path, store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    target = tmp_path / "target"
    target.mkdir()
    pulling = threading.Thread(target=pull_whole, args=(store, target, 0.01), daemon=True)
    pulling.start()
    deadline = time.monotonic() + _PATIENCE
    while "waiting for models" not in caplog.text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert pulling.is_alive()
    add_variant(tmp_path, "en-fr_fp16").parent.rename(bucket / "en-fr_fp16")
    pulling.join(_PATIENCE)
    assert not pulling.is_alive()
    assert files(target) == files(bucket)


def test_a_push_that_was_killed_takes_no_pod_down(
    tmp_path: Path, bucket: Path, store: LocalStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    add_variant(source, "en-fr_fp16")
    add_variant(source, "half_fp16")
    push(store, source)
    pushed = [record.getMessage().removeprefix("pushing ") for record in caplog.records]
    assert [Path(name).name for name in pushed[-2:]] == ["config.pbtxt", "config.pbtxt"]
    (bucket / pushed[-1]).unlink()  # it was killed before the last object
    assert pull(store, target) == 3
    assert [path.name for path in target.iterdir()] == ["en-fr_fp16"]
    assert "half_fp16 has no config.pbtxt" in caplog.text


def test_it_says_that_it_is_not_told_where(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MODEL_STORE", raising=False)
    monkeypatch.setattr("sys.argv", ["seqway-model-store", "pull", "--models", "/nowhere"])
    assert main() == 2
    assert "MODEL_STORE is not set" in caplog.text
