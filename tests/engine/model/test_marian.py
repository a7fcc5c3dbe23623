"""Marian's own files and folders: what is read of them, and what is refused."""

import gzip
import io
import json
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
import zstandard
from numpy.typing import NDArray

from engine.model.checkpoint import CheckpointError
from engine.model.marian.folder import find, write_checkpoint
from engine.model.marian.model_file import read_model
from engine.model.tokenizers.tokenizer import load_tokenizer
from tests.engine.model.marian_files import (
    CONFIG,
    PIECES,
    SOURCE_PIECES,
    Student,
    answers_vocabulary,
    loaded,
    make_student,
    rounded,
    to_bin,
    vocabulary,
    write_folder,
    write_npz,
)

Array = NDArray[np.float64]


# ---- files


def test_integers_become_what_they_stand_for(tmp_path: Path) -> None:
    student = rounded(make_student())
    (tmp_path / "model.bin").write_bytes(to_bin(student))
    model = read_model(tmp_path / "model.bin")
    assert model.tensors.keys() == student.tensors.keys()
    for name, values in student.tensors.items():
        np.testing.assert_allclose(model.tensors[name], values, rtol=1e-6, err_msg=name)
    assert model.weight_multipliers == pytest.approx(student.multipliers)
    assert model.input_multipliers == pytest.approx(student.inputs)
    assert model.config == student.config


@pytest.mark.parametrize("form", ["bin", "npz", "gz", "zst"])
def test_every_form_holds_the_same(form: str, tmp_path: Path) -> None:
    student, path = make_student(), tmp_path / f"model.{form}"
    match form:
        case "npz":
            write_npz(student, path)
        case "gz":
            path.write_bytes(gzip.compress(to_bin(student)))
        case "zst":
            path.write_bytes(zstandard.compress(to_bin(student)))
        case _:
            path.write_bytes(to_bin(student))
    model = read_model(path)
    assert model.config == student.config and not model.weight_multipliers
    for name, values in student.tensors.items():
        np.testing.assert_array_equal(model.tensors[name], values)


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def of_version_2(content: bytes) -> bytes:
    return struct.pack("<Q", 2) + content[8:]


def with_many_tensors(content: bytes) -> bytes:
    return content[:8] + struct.pack("<Q", 1 << 40) + content[16:]


def with_long_name(content: bytes) -> bytes:
    return content[:16] + struct.pack("<Q", 1 << 60) + content[24:]


def with_unknown_type(content: bytes) -> bytes:
    return content[:24] + struct.pack("<Q", 0x999) + content[32:]


def with_small_data(content: bytes) -> bytes:
    return content[:40] + struct.pack("<Q", 3) + content[48:]


def with_configuration(text: bytes) -> bytes:
    """A file that holds nothing else."""
    name = b"special:model.yml\0"
    header = struct.pack("<QQ4Q", 1, 1, len(name), 0x101, 1, len(text))
    return header + name + struct.pack("<iQ", len(text), 0) + text


def npz(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, content)
    return file.getvalue()


_SHAPE = b"{'descr': '<f4', 'fortran_order': False, 'shape': (274877906944,), }\n"
NPY_OF_A_TERABYTE = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(_SHAPE)) + _SHAPE


DAMAGE: dict[Callable[[bytes], bytes], str] = {
    cut: "it is cut off",
    of_version_2: "it begins with 2, and the version 1",
    with_many_tensors: "it says that it holds 1,099,511,627,776 tensors",
    with_long_name: "a length that can't be",
    with_unknown_type: "Wemb is of the type 0x999",
    with_small_data: "Wemb has 3 bytes for the shape",
    lambda content: gzip.compress(content)[:-500]: "is cut off or damaged",
    lambda _: b"": "it is cut off",
    lambda content: zstandard.compress(content)[:-500]: "it is cut off",
    lambda _: b"PK\x03\x04" + bytes(100): "is no model of Marian's",
    lambda _: with_configuration(b"[" * 3000): "special:model.yml can't be read",
    lambda _: with_configuration(b"a: !!int ''"): "special:model.yml can't be read",
    lambda _: with_configuration(b"a: !!timestamp x"): "special:model.yml can't be read",
    lambda _: with_configuration(b"- a"): "it has no special:model.yml",
    lambda _: npz("special:model.yml", b"no array"): "is no model of Marian's",
    lambda _: npz("Wemb.npy", NPY_OF_A_TERABYTE): "is no model of Marian's",
}


@pytest.mark.parametrize("damage", DAMAGE, ids=range(len(DAMAGE)))
def test_damage_is_told_in_one_sentence(damage: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(damage(to_bin(make_student())))
    with pytest.raises(CheckpointError) as caught:
        read_model(path)
    assert DAMAGE[damage] in str(caught.value) and str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_cut_is_noticed(tmp_path: Path) -> None:
    content, path = to_bin(rounded(make_student())), tmp_path / "model.bin"
    for size in np.linspace(0, len(content) - 1, 60).astype(int):
        path.write_bytes(content[:size])
        with pytest.raises(CheckpointError):
            read_model(path)


# ---- folders


def test_a_folder_of_another_kind_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "vocab.enpt.spm").touch()
    assert find(tmp_path) is None
    (tmp_path / "model.enpt.bin").touch()
    assert find(tmp_path) is not None
    (tmp_path / "config.json").touch()
    assert find(tmp_path) is None


def test_a_configuration_names_the_files(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_student())
    (folder / "model.other.bin").touch()
    with pytest.raises(CheckpointError, match="several models"):
        find(folder)
    configuration = {
        "relative-paths": True,
        "models": ["model.enpt.intgemm.alphas.bin"],
        "vocabs": ["vocab.enpt.spm", "../vocab.enpt.spm"],
        "shortlist": ["lex.s2t.bin", False],
    }
    (folder / "config.yml").write_text(yaml.safe_dump(configuration))
    found = find(folder)
    assert found is not None and found.model.name == "model.enpt.intgemm.alphas.bin"
    assert found.vocabularies == (folder / "vocab.enpt.spm",) * 2
    (folder / "vocab.enpt.spm").unlink()
    with pytest.raises(CheckpointError, match=r"vocab\.enpt\.spm is missing"):
        find(folder)
    for name in ("model.other.bin", "model.enpt.intgemm.alphas.bin"):
        (folder / name).unlink()
    for content, told in {
        "models: [a, b]\nvocabs: [c, d]": "one model and two vocabularies",
        "models: ['']\nvocabs: ['', '']": "is incomplete",
        f"models: [{'a' * 5000}]\nvocabs: [c, d]": "is incomplete",
        "[" * 5000: "can't be read",
        "a: !!int ''": "can't be read",
    }.items():
        (folder / "config.yml").write_text(content)
        with pytest.raises(CheckpointError, match=told):
            find(folder)


def test_of_several_configurations_those_count_whose_files_are_there(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_student())
    for name, model in {"a": "model.not.there.bin", "b": "model.enpt.intgemm.alphas.bin"}.items():
        configuration = {"models": [model], "vocabs": ["vocab.enpt.spm"] * 2}
        (folder / f"{name}.yml").write_text(yaml.safe_dump(configuration))
    (folder / "c.yml").write_text("{% a template %}")
    found = find(folder)
    assert found is not None and found.model.name == "model.enpt.intgemm.alphas.bin"
    (folder / "model.not.there.bin").touch()
    with pytest.raises(CheckpointError, match="several models"):
        find(folder)


@pytest.mark.parametrize(
    ("files", "pair"),
    [
        ({}, ("en", "pt")),
        (
            {"model_info.json": {"src": "German", "trg": "English", "shortName": "de-en-tiny"}},
            ("de", "en"),
        ),
        (
            {"metadata.json": {"sourceLanguage": "en", "targetLanguage": "zh-Hant"}},
            ("en", "zh-Hant"),
        ),
        ({"metadata.json": {"sourceLanguage": 3}, "model_info.json": []}, ("en", "pt")),
    ],
)
def test_languages_come_from_metadata_and_names(
    files: dict[str, Any], pair: tuple[str, str], tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "tiny.base", make_student())
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))
    found = find(folder)
    assert found is not None and found.languages == pair


@pytest.mark.parametrize("word", ["base.tiny", "data", "task", "beta"])
def test_words_of_four_letters_are_no_pair(word: str, tmp_path: Path) -> None:
    folder = tmp_path / word
    folder.mkdir()
    for name in ("model.base.bin", "vocab.spm"):
        (folder / name).touch()
    found = find(folder)
    assert found is not None and found.languages == ("", "")


@pytest.mark.parametrize("answers", [vocabulary(), answers_vocabulary()], ids=["same", "other"])
def test_two_vocabularies_may_number_one_table(answers: bytes, tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_student())
    (folder / "vocab.enpt.spm").rename(folder / "srcvocab.enpt.spm")
    (folder / "trgvocab.enpt.spm").write_bytes(answers)
    config = loaded(folder).config
    assert (config.vocab_size, config.source_vocab_size) == (PIECES + 1, 0)
    separate = answers != vocabulary()
    assert (folder / "as-checkpoint" / "target_vocab.json").exists() == separate
    assert config.eos_id == (1 if separate else 0)


@pytest.mark.parametrize("source_pieces", [SOURCE_PIECES, PIECES, PIECES + 50])
def test_sources_may_have_a_table_of_their_own(source_pieces: int, tmp_path: Path) -> None:
    checkpoint = loaded(write_folder(tmp_path, make_student(source_pieces=source_pieces)))
    config = checkpoint.config
    assert (config.source_vocab_size, config.vocab_size) == (source_pieces + 1, PIECES + 1)
    assert (config.decoder_start_id, config.eos_id) == (PIECES, 1)
    tokenizer = load_tokenizer(checkpoint.folder, config.source_vocab_size, config.vocab_size)
    assert (len(tokenizer.numbers), len(tokenizer.target_numbers)) == (source_pieces + 1, 401)
    assert (tokenizer.eos_id, tokenizer.target_numbers["</s>"]) == (0, 1)


def test_a_vocabulary_may_have_a_piece_for_padding_of_its_own(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, make_student())
    (folder / "vocab.enpt.spm").write_bytes(vocabulary(pad=2))
    config = loaded(folder).config
    assert (config.vocab_size, config.pad_id, config.decoder_start_id) == (401, 400, 400)


def without_source_vocabulary(folder: Path, _: Student) -> None:
    (folder / "srcvocab.enpt.spm").unlink()


def with_one_for_both_beside(folder: Path, _: Student) -> None:
    (folder / "vocab.enpt.spm").write_bytes(vocabulary())


def swapped(folder: Path, _: Student) -> None:
    source = (folder / "srcvocab.enpt.spm").rename(folder / "other")
    (folder / "trgvocab.enpt.spm").rename(folder / "srcvocab.enpt.spm")
    source.rename(folder / "trgvocab.enpt.spm")


def changed(**choices: bool) -> Callable[[Path, Student], None]:
    """Writes the model anew, whose configuration has other `choices`."""

    def change(folder: Path, student: Student) -> None:
        student.config |= {name.replace("_", "-"): value for name, value in choices.items()}
        (folder / "model.enpt.intgemm.alphas.bin").write_bytes(to_bin(student))

    return change


def without(name: str) -> Callable[[Path, Student], None]:
    def change(folder: Path, student: Student) -> None:
        del student.tensors[name]
        changed()(folder, student)

    return change


TWO_REFUSED: list[tuple[Callable[[Path, Student], None], str]] = [
    (without_source_vocabulary, r"srcvocab\.\*\.spm and trgvocab.*and holds trgvocab\.enpt\.spm"),
    (with_one_for_both_beside, r"has to hold vocab\.\*\.spm, or srcvocab"),
    (swapped, r"knows 300 tokens and srcvocab\.enpt\.spm has 400"),
    (without("encoder_Wemb"), "'encoder_Wemb' is missing: tied-embeddings-all is False"),
    (without("decoder_Wemb"), "it has 'encoder_Wemb'"),
    (
        changed(tied_embeddings_all=True),
        "'Wemb' is missing: tied-embeddings-all is True.*'encoder_Wemb' and 'decoder_Wemb'",
    ),
    (changed(tied_embeddings=False), "a head that has a matrix of its own is not supported"),
    (changed(tied_embeddings_src=True), "'Wemb' is missing"),
]


@pytest.mark.parametrize(("change", "told"), TWO_REFUSED, ids=range(len(TWO_REFUSED)))
def test_two_vocabularies_that_do_not_fit_are_refused(
    change: Callable[[Path, Student], None], told: str, tmp_path: Path
) -> None:
    student = make_student(source_pieces=SOURCE_PIECES)
    folder = write_folder(tmp_path, student)
    change(folder, student)
    with pytest.raises(CheckpointError, match=told) as caught:
        loaded(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_a_table_that_the_configuration_does_not_know_is_refused(tmp_path: Path) -> None:
    student = make_student()
    student.tensors["encoder_Wemb"] = student.tensors["Wemb"]
    folder = write_folder(tmp_path, student)
    for side in ("srcvocab", "trgvocab"):
        (folder / f"{side}.enpt.spm").write_bytes(vocabulary())
    with pytest.raises(CheckpointError, match="it has 'encoder_Wemb', which is no part"):
        loaded(folder)


def test_a_vocabulary_of_another_model_is_refused(tmp_path: Path) -> None:
    student = make_student()
    student.tensors["Wemb"] = student.tensors["Wemb"][:-1]
    found = find(write_folder(tmp_path, student))
    assert found is not None
    with pytest.raises(CheckpointError, match=r"knows 399 tokens and vocab\.enpt\.spm has 400"):
        write_checkpoint(found, tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"transformer-preprocess": "n"}, "transformer-preprocess is 'n'"),
        ({"dec-cell": "gru"}, "the decoder has a gru"),
        ({"transformer-decoder-autoreg": "average-attention"}, "the decoder has average-attention"),
        ({"transformer-ffn-activation": "prelu"}, "the activation 'prelu'"),
        ({"type": "s2s"}, "type is 's2s'"),
        ({"tied-embeddings-all": False}, "tied-embeddings-all and tied-embeddings are False"),
        ({"transformer-train-position-embeddings": True}, "transformer-train-position-embeddings"),
        ({"transformer-ffn-depth": 3}, "transformer-ffn-depth is 3"),
        ({"transformer-decoder-ffn-depth": 3}, "transformer-decoder-ffn-depth is not 2"),
        ({"transformer-rnn-projection": True}, "transformer-rnn-projection is True"),
        ({"dim-emb": 10_000_000}, "dim-emb is 10000000, and embeddings have 32"),
        ({"enc-depth": 1}, "it has 'encoder_l2_ffn_W1', which is no part of a network"),
        ({"transformer-heads": 5}, "must divide d_model"),
        ({"enc-depth": 3}, "'encoder_l3_self_Wq' is missing"),
    ],
)
def test_what_is_not_supported_is_named(change: dict[str, Any], told: str, tmp_path: Path) -> None:
    student = make_student()
    student.config = CONFIG | change
    with pytest.raises(CheckpointError, match=told):
        loaded(write_folder(tmp_path, student))


def test_a_configuration_that_is_not_there_is_missed(tmp_path: Path) -> None:
    student = make_student()
    student.config = {}
    with pytest.raises(CheckpointError, match="'transformer-dim-ffn' is missing"):
        loaded(write_folder(tmp_path, student))


def test_a_decoder_may_have_a_feed_forward_width_of_its_own(tmp_path: Path) -> None:
    student = make_student()
    for layer in range(1, CONFIG["dec-depth"] + 1):
        here = f"decoder_l{layer}_ffn"
        for name in (f"{here}_W1", f"{here}_b1"):
            student.tensors[name] = student.tensors[name][:, :16]
        student.tensors[f"{here}_W2"] = student.tensors[f"{here}_W2"][:16]
    student.config = CONFIG | {"transformer-decoder-dim-ffn": 16}
    config = loaded(write_folder(tmp_path, student)).config
    assert (config.encoder_ffn, config.decoder_ffn) == (48, 16)


def test_a_configuration_may_hold_what_is_not_for_us(tmp_path: Path) -> None:
    student = make_student()
    student.config = CONFIG | {"nested": {"a": [1]}, 3: 4, "none": None}
    assert loaded(write_folder(tmp_path, student)).vocab_size == PIECES + 1
