"""The files of an encoder, damaged in every way; what all models share: `test_weights.py`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from engine.native.library import NativeError
from engine.native.model import NativeEncoder, NativeModel
from engine.native.weights import (
    MODEL_FILE,
    NATIVE_FILES,
    WEIGHTS_FILE,
    WeightsError,
    read_weights,
)
from tests.engine.native.damage import change_header, change_model, check_damage
from tests.engine.native.encoders import EncoderVariant, write_encoder


@pytest.fixture(scope="module")
def whole(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> EncoderVariant:
    folder = tmp_path_factory.mktemp("whole") / "int8"
    return write_encoder(folder, "odd", "classification", "int8")


@pytest.fixture
def copy(whole: EncoderVariant, tmp_path: Path) -> Path:
    """A folder with a copy of an exported encoder's files, to be damaged."""
    for name in NATIVE_FILES:
        shutil.copy(whole.folder / name, tmp_path)
    NativeEncoder(tmp_path)
    return tmp_path


def test_tensors_are_aligned_for_vectors(whole: EncoderVariant) -> None:
    for name, array in read_weights(whole.folder)[1].items():
        assert array.ctypes.data % 64 == 0, name


@pytest.mark.parametrize(
    "entries",
    [
        {"activation": "swish"},
        {"head_activation": None},
        {"width": "wide"},
        {"labels": None},
        {"epsilon": "small"},
        {"twins": None},
        {"twins": 5},
        {"twins": {"a": "b"}},
        {"twins": {"a": ["embedding"]}},
    ],
)
def test_a_model_file_with_a_wrong_value_is_told(copy: Path, entries: dict[str, Any]) -> None:
    change_model(copy, **entries)
    with pytest.raises(WeightsError, match=r"describes no model .*: export the variant again\.$"):
        NativeEncoder(copy)


def test_a_model_file_without_a_value_is_told(copy: Path) -> None:
    whole = json.loads((copy / MODEL_FILE).read_text())
    for name in whole:
        (copy / MODEL_FILE).write_text(json.dumps({k: v for k, v in whole.items() if k != name}))
        with pytest.raises(WeightsError, match="export the variant again"):
            NativeEncoder(copy)


def test_a_model_of_another_sort_is_told(copy: Path) -> None:
    with pytest.raises(WeightsError, match="describes no model"):
        NativeModel(copy)


@pytest.mark.parametrize(
    "entries",
    [
        {"layers": 0},
        {"layers": 2**30},
        {"heads": 0},
        {"heads": -4, "head": -16},
        {"heads": 2**20, "head": 2**20},
        {"hidden": 40},
        {"vocabulary": -61},
        {"width": 0},
        {"embedding_width": 0},
        {"projects": False},
        {"max_positions": 0},
        {"token_types": -1},
        {"labels": 0},
        {"labels": 2**30},
    ],
)
def test_a_size_that_no_model_has_is_refused(copy: Path, entries: dict[str, Any]) -> None:
    change_model(copy, **entries)
    with pytest.raises(NativeError, match="the model"):
        NativeEncoder(copy)


@pytest.mark.parametrize(
    "name", ["vocabulary", "width", "embedding_width", "hidden", "max_positions", "labels"]
)
def test_a_tensor_of_another_size_is_named(copy: Path, name: str) -> None:
    change_model(copy, **{name: json.loads((copy / MODEL_FILE).read_text())[name] + 16})
    with pytest.raises(NativeError, match=r"the tensor \S+ has \d+ bytes, not \d+"):
        NativeEncoder(copy)


def test_every_tensor_is_needed_and_named_where_it_is_missing(
    backends: list[str], tmp_path: Path
) -> None:
    """A product without its integers is looked for in floats."""
    folder = write_encoder(tmp_path / "int8", "electra-small", "classification", "int8").folder
    content = (folder / WEIGHTS_FILE).read_bytes()
    for name in read_weights(folder)[1]:
        change_header(
            folder, lambda header, name=name: {k: v for k, v in header.items() if k != name}
        )
        named = name.replace(".int8", ".float")
        with pytest.raises(NativeError, match=f"the tensor {named} is missing"):
            NativeEncoder(folder)
        (folder / WEIGHTS_FILE).write_bytes(content)


def test_no_damage_has_any_other_error(copy: Path) -> None:
    check_damage(copy, NativeEncoder)
