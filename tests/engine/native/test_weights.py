"""The files of the native code: written, read again, and damaged in every way."""

import json
import mmap
import re
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.export.precision.recipes import PRECISIONS, Precision
from engine.native.library import NativeError
from engine.native.model import NativeModel
from engine.native.weights import (
    MODEL_FILE,
    WEIGHTS_FILE,
    StoredTensor,
    WeightsError,
    have_weights,
    read_weights,
    write_weights,
)
from tests.engine.native.damage import Header, change_header, change_model, check_damage
from tests.engine.native.models import KINDS, LONG_KINDS, WIDE, RandomVariant, write_variant

ARRAYS: dict[str, np.ndarray] = {
    "floats": np.arange(48, dtype=np.float32).reshape(3, 16),
    "bytes": np.arange(-64, 64, dtype=np.int8).reshape(1, 2, 64),
    "halves": np.array([1, -2.5, 6e-8, np.inf] * 8, np.float16),
    "sums": np.array([-(2**31), 2**31 - 1] * 8, np.int32),
    "odd": np.array([np.inf, -0.0, 1e-40], np.float32),
}


def stored(name: str, array: np.ndarray) -> StoredTensor:
    kind = {"float32": "F32", "float16": "F16", "int8": "I8", "int32": "I32"}[array.dtype.name]
    return StoredTensor(name, kind, array.shape, lambda: [array[:1], array[1:]])


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with a file of a few tensors."""
    tensors = [stored(name, array) for name, array in ARRAYS.items()]
    write_weights(tmp_path, {"width": 3, "name": "é"}, tensors)
    return tmp_path


def test_what_is_written_is_read_again(small: Path) -> None:
    model, tensors = read_weights(small)
    assert (model["width"], model["name"]) == (3, "é")
    assert list(tensors) == list(ARRAYS)
    for name, array in tensors.items():
        np.testing.assert_array_equal(
            array.view(np.uint8), ARRAYS[name].view(np.uint8), strict=True
        )


def test_tensors_are_mapped_and_not_read(small: Path) -> None:
    for array in read_weights(small)[1].values():
        assert not array.flags.writeable
        owner: Any = array
        while isinstance(owner, np.ndarray):
            owner = owner.base
        assert isinstance(owner.obj if isinstance(owner, memoryview) else owner, mmap.mmap)


def test_other_readers_of_the_format_understand_it(small: Path) -> None:
    from safetensors.numpy import load_file

    loaded = load_file(small / WEIGHTS_FILE)
    assert set(loaded) == set(ARRAYS)
    for name, array in loaded.items():
        np.testing.assert_array_equal(array, ARRAYS[name], strict=True)


def test_others_understand_bfloat16(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    numbers = torch.tensor([1, -2.5, 1e-40, 3e38, torch.inf], dtype=torch.bfloat16)
    bits = numbers.view(torch.uint16).numpy()
    write_weights(tmp_path, {}, [StoredTensor("brains", "BF16", bits.shape, lambda: [bits])])
    assert torch.equal(load_file(tmp_path / WEIGHTS_FILE)["brains"], numbers)
    np.testing.assert_array_equal(read_weights(tmp_path)[1]["brains"], bits, strict=True)


def test_what_would_leave_the_others_unaligned_is_behind_them(tmp_path: Path) -> None:
    arrays = {"a": np.ones(3, np.float32), "b": np.ones(48, np.float16), "c": np.ones(1, np.int8)}
    arrays |= {"d": np.ones(16, np.float16), "e": np.ones(16, np.float32)}
    write_weights(tmp_path, {}, [stored(name, array) for name, array in arrays.items()])
    tensors = read_weights(tmp_path)[1]
    assert list(tensors) == ["e", "b", "d", "a", "c"]
    np.testing.assert_array_equal(tensors["d"], arrays["d"], strict=True)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_tensors_are_aligned_for_vectors(name: str, precision: Precision, tmp_path: Path) -> None:
    """All but the bias of relative positions, which is read one by one."""
    folder = write_variant(tmp_path / name, KINDS[name], precision).folder
    tensors = read_weights(folder)[1]
    types = {"fp32": "float32", "fp16": "float16", "bf16": "uint16", "int8": "int8"}
    assert any(array.dtype == types[precision] for array in tensors.values())
    for tensor, array in tensors.items():
        vector = 32 if array.itemsize == 2 else 64
        assert tensor.endswith(".relative") or array.ctypes.data % vector == 0, tensor


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_16_bits_take_half_of_32(precision: Precision, tmp_path: Path) -> None:
    sizes = [
        (write_variant(tmp_path / one, WIDE, one).folder / WEIGHTS_FILE).stat().st_size
        for one in ("fp32", precision)
    ]
    assert sizes[1] < 0.52 * sizes[0]


@pytest.fixture(scope="module")
def whole(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("whole") / "int8", KINDS["flan_t5"], "int8")


@pytest.fixture(params=["fp16", "bf16"])
def in_half(request: pytest.FixtureRequest, backends: list[str], tmp_path: Path) -> Path:
    """A folder with a model whose weights, embeddings and positions are in 16 bits."""
    kind = KINDS["two_vocabularies"]
    return write_variant(tmp_path / request.param, kind, request.param).folder


@pytest.fixture
def copy(whole: RandomVariant, tmp_path: Path) -> Path:
    """A folder with a copy of an exported model's files, to be damaged."""
    for name in (MODEL_FILE, WEIGHTS_FILE):
        shutil.copy(whole.folder / name, tmp_path)
    NativeModel(tmp_path)
    return tmp_path


def refused(folder: Path) -> None:
    """Opening the model says which folder is bad and what to do."""
    with pytest.raises(WeightsError) as caught:
        NativeModel(folder)
    assert str(folder) in str(caught.value)
    assert str(caught.value).endswith(": export the variant again.")


@pytest.mark.parametrize("name", [MODEL_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_told(copy: Path, name: str) -> None:
    assert have_weights(copy)
    (copy / name).unlink()
    assert not have_weights(copy)
    refused(copy)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, 0.3, 0.99, -64, -1])
def test_a_cut_file_is_told(copy: Path, kept: float) -> None:
    path = copy / WEIGHTS_FILE
    size = path.stat().st_size
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * size) if isinstance(kept, float) else kept])
    refused(copy)


@pytest.mark.parametrize("length", [0, 1, 10**6, 2**62, 2**64 - 1])
def test_a_header_of_another_length_is_told(copy: Path, length: int) -> None:
    path = copy / WEIGHTS_FILE
    path.write_bytes(struct.pack("<Q", length) + path.read_bytes()[8:])
    refused(copy)


def update(entry: dict[str, Any]) -> Callable[[Header], Any]:
    return lambda header: header["embedding"].update(entry)


@pytest.mark.parametrize(
    "change",
    [
        lambda _: [],
        lambda _: 5,
        lambda header: header.update(embedding=None),
        lambda header: header.update(embedding=[1]),
        lambda header: header["embedding"].pop("data_offsets"),
        lambda header: header["embedding"].pop("dtype"),
        update({"dtype": "F16"}),
        update({"dtype": "I8"}),
        update({"shape": [3, 5]}),
        update({"shape": ["a"]}),
        update({"data_offsets": [0, 64]}),
        update({"data_offsets": [0]}),
        update({"data_offsets": [10**9, 10**9 + 997 * 32 * 4]}),
        update({"data_offsets": [10**30, 10**30 + 997 * 32 * 4]}),
        update({"data_offsets": [-(10**9), -(10**9) + 997 * 32 * 4]}),
        update({"data_offsets": ["a", "b"]}),
    ],
)
def test_a_header_that_does_not_fit_is_told(copy: Path, change: Callable[[Header], Any]) -> None:
    change_header(copy, change)
    refused(copy)


def test_metadata_is_passed_over(copy: Path) -> None:
    change_header(copy, lambda header: header.update(__metadata__={"made": "elsewhere"}))
    NativeModel(copy)


@pytest.mark.parametrize("content", ["", "{", "[1]", "null", "{}", '"text"', "\0\1"])
def test_a_model_file_that_describes_nothing_is_told(copy: Path, content: str) -> None:
    (copy / MODEL_FILE).write_text(content)
    refused(copy)


@pytest.mark.parametrize("version", [1, 4, "3", None])
def test_files_of_another_version_are_told(copy: Path, version: Any) -> None:
    change_model(copy, format=version)
    with pytest.raises(WeightsError, match=r"another version: export the variant again\.$"):
        NativeModel(copy)


def test_files_of_the_version_before_are_read(copy: Path) -> None:
    described = json.loads((copy / MODEL_FILE).read_text())
    assert described.pop("source_vocabulary") == 0
    (copy / MODEL_FILE).write_text(json.dumps(described | {"format": 2}))
    NativeModel(copy)


def test_models_of_a_version_before_attend_to_all_of_a_source(copy: Path) -> None:
    added = ("encoder_attention", "local_radius", "global_block", "max_target_positions")
    described = json.loads((copy / MODEL_FILE).read_text())
    assert [described.pop(name) for name in added] == ["full", 0, 0, 0]
    (copy / MODEL_FILE).write_text(json.dumps(described))
    assert read_weights(copy)[0]["encoder_attention"] == "full"
    NativeModel(copy)


@pytest.mark.parametrize(
    "entries",
    [
        {"activation": "swish"},
        {"activation": None},
        {"width": "wide"},
        {"width": None},
        {"epsilon": "small"},
        {"suppressed_ids": ["a"]},
        {"suppressed_ids": [2**40]},
        {"suppressed_ids": None},
    ],
)
def test_a_model_file_with_a_wrong_value_is_told(copy: Path, entries: dict[str, Any]) -> None:
    change_model(copy, **entries)
    refused(copy)


def test_a_model_file_without_a_value_is_told(copy: Path) -> None:
    whole = json.loads((copy / MODEL_FILE).read_text())
    for name in whole.keys() - {"format"}:
        (copy / MODEL_FILE).write_text(json.dumps({k: v for k, v in whole.items() if k != name}))
        refused(copy)


@pytest.mark.parametrize(
    "entries",
    [
        {"encoder_layers": 0},
        {"decoder_layers": -1},
        {"decoder_layers": 2**30},
        {"encoder_heads": 0},
        {"decoder_heads": 8, "decoder_head": 8},
        {"decoder_heads": -4, "decoder_head": -16},
        {"decoder_heads": 2**20, "decoder_head": 2**20},
        {"encoder_hidden": 40},
        {"vocabulary": -997},
        {"source_vocabulary": -1},
        {"source_vocabulary": 2**25},
        {"width": 0},
        {"max_positions": 0},
        {"furthest": -1},
        {"local_radius": -1},
        {"local_radius": 5, "global_block": -1},
        {"global_block": 3},
        {"local_radius": 5, "global_block": 3, "pre_norm": False},
        {"suppressed_ids": [997]},
        {"suppressed_ids": [-1]},
    ],
)
def test_a_size_that_no_model_has_is_refused(copy: Path, entries: dict[str, Any]) -> None:
    change_model(copy, **entries)
    with pytest.raises(NativeError, match=r"the model|a token is suppressed"):
        NativeModel(copy)


@pytest.mark.parametrize("name", ["furthest", "vocabulary", "width", "encoder_hidden"])
def test_a_tensor_of_another_size_is_named(copy: Path, name: str) -> None:
    change_model(copy, **{name: json.loads((copy / MODEL_FILE).read_text())[name] + 16})
    with pytest.raises(NativeError, match=r"the tensor \S+ has \d+ bytes, not \d+"):
        NativeModel(copy)


def test_every_tensor_is_needed_and_named_where_it_is_missing(copy: Path) -> None:
    """A product without its integers is looked for in floats."""
    content = (copy / WEIGHTS_FILE).read_bytes()
    for name in read_weights(copy)[1]:
        change_header(
            copy, lambda header, name=name: {k: v for k, v in header.items() if k != name}
        )
        named = name.replace(".int8", ".float").replace(".relative", ".positions")
        with pytest.raises(NativeError, match=f"the tensor {named} is missing"):
            NativeModel(copy)
        (copy / WEIGHTS_FILE).write_bytes(content)


@pytest.mark.parametrize(
    "name", ["encoder.global_relative", "encoder.1.attention.global_norm.weight"]
)
def test_tensors_of_sums_are_needed(name: str, backends: list[str], tmp_path: Path) -> None:
    folder = write_variant(tmp_path / "long", LONG_KINDS["long_global"], "fp32").folder
    change_header(folder, lambda header: {k: v for k, v in header.items() if k != name})
    with pytest.raises(NativeError, match=f"the tensor {name} is missing"):
        NativeModel(folder)


def test_every_tensor_in_16_bits_is_needed_and_looked_for_in_32(in_half: Path) -> None:
    content = (in_half / WEIGHTS_FILE).read_bytes()
    names = list(read_weights(in_half)[1])
    tables = {"embedding", "source_embedding", "decoder.positions", "head"}
    assert tables < {name.rpartition(".")[0] for name in names}
    for name in names:
        change_header(
            in_half, lambda header, name=name: {k: v for k, v in header.items() if k != name}
        )
        named = re.sub(r"\.(half|brain)$", r"(\.float)?", name)
        with pytest.raises(NativeError, match=f"the tensor {named} is missing"):
            NativeModel(in_half)
        (in_half / WEIGHTS_FILE).write_bytes(content)


def test_a_tensor_in_16_bits_of_another_size_is_named(in_half: Path) -> None:
    sizes = {"vocabulary": 45, "source_vocabulary": 83}
    for name, table in zip(sizes, ("embedding", "source_embedding"), strict=True):
        change_model(in_half, **sizes | {name: sizes[name] + 16})
        with pytest.raises(NativeError, match=rf" {table}\.(half|brain) has \d+ bytes, not \d+"):
            NativeModel(in_half)


def test_no_damage_has_any_other_error(copy: Path) -> None:
    check_damage(copy, NativeModel)


def test_no_damage_of_16_bits_has_any_other_error(in_half: Path) -> None:
    check_damage(in_half, NativeModel)
