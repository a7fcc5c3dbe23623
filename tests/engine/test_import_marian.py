"""`seqway-models import` of Marian's own folders: variants compute with the file's integers."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.export.precision.recipes import read_recipes
from engine.native.library import is_there
from engine.native.weights import read_weights
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.text.vocabulary import load_vocabulary
from tests.engine.conftest import read_sources
from tests.engine.model.marian_files import (
    PIECES,
    WIDTH,
    make_student,
    rounded,
    to_shortlist,
    write_folder,
)
from tests.engine.native.answers import decode

STUDENT = rounded(make_student())


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The two variants of a packed folder, imported as a user does it."""
    root = tmp_path_factory.mktemp("marian")
    folder = write_folder(root / "enpt-tiny", STUDENT, packed=True)
    (root / "repository").mkdir()
    result = run(folder, "--model-repository", root / "repository")
    assert result.exit_code == 0, result.output
    return root / "repository"


def unpacked(packed: NDArray[np.int8], shape: tuple[int, int]) -> NDArray[np.int8]:
    """The matrix `[in,out]` of `[out/16,in/4,16,4]`."""
    whole = packed.transpose(1, 3, 0, 2).reshape(packed.shape[1] * 4, -1)
    return whole[: shape[0], : shape[1]]


def test_variants_say_what_they_are(repository: Path) -> None:
    assert sorted(path.name for path in repository.iterdir()) == [
        "enpt-tiny_fp32",
        "enpt-tiny_int8",
    ]
    for name in ("enpt-tiny_fp32", "enpt-tiny_int8"):
        manifest = read_manifest(repository / name / "1")
        assert (manifest.task, manifest.language_pairs) == ("translation", (("en", "pt"),))
        assert (manifest.decoder_unit, manifest.vocab_size) == ("ssru", PIECES + 1)


def test_int8_computes_with_the_integers_of_the_file(repository: Path) -> None:
    files = repository / "enpt-tiny_int8" / "1"
    recipes = read_recipes(files)
    for graph in recipes.values():
        assert not graph["not_int8"]
        assert all(one["given"] for one in graph["roundings"].values())
    _, tensors = read_weights(files)
    joined = {
        "encoder.0.attention.qkv": [f"encoder_l1_self_W{part}" for part in "qkv"],
        "decoder.1.recurrence.input_forget": ["decoder_l2_rnn_W", "decoder_l2_rnn_Wf"],
        "decoder.0.ffn.down": ["decoder_l1_ffn_W2"],
        "cross_projections": [
            f"decoder_l{layer}_context_W{part}" for layer in (1, 2) for part in "kv"
        ],
    }
    for ours, theirs in joined.items():
        expected = np.hstack([STUDENT.integers[name] for name in theirs])
        if ours == "encoder.0.attention.qkv" or ours == "cross_projections":
            # Heads of 8 are padded to 16.
            expected = np.pad(expected.reshape(WIDTH, -1, 8), ((0, 0), (0, 0), (0, 8)))
            expected = expected.reshape(WIDTH, -1)
        made = unpacked(tensors[f"{ours}.int8"], expected.shape)
        np.testing.assert_array_equal(made, expected, err_msg=ours)
        inputs = tensors[f"{ours}.inputs"][0]
        assert inputs == pytest.approx(STUDENT.inputs[theirs[0]])
    head = unpacked(tensors["head.int8"], (WIDTH, PIECES + 1))
    np.testing.assert_array_equal(head[:, :PIECES], STUDENT.integers["Wemb"].T)
    assert not head[:, PIECES].any()


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_runtime_answers_as_native_code(precision: str, repository: Path) -> None:
    if not is_there():
        pytest.skip("no compiler works here")
    files = repository / f"enpt-tiny_{precision}" / "1"
    manifest = read_manifest(files)
    sources = load_vocabulary(files, manifest).encode(read_sources(12), "en", "pt")
    limits = [20] * len(sources)
    native = decode(NativeSession(files, manifest), sources, limits, at_once=5)
    onnx = decode(OnnxSession(files, manifest, threads=1), sources, limits, at_once=5)
    same = [
        np.array_equal(one.tokens, other.tokens) for one, other in zip(native, onnx, strict=True)
    ]
    # Floats between the integers have another order of sums.
    assert sum(same) >= (12 if precision == "fp32" else 6)


def test_beams_and_alone_are_as_ever(repository: Path) -> None:
    engine = Engine(repository / "enpt-tiny_int8" / "1", Settings(lanes=1))
    engine.start()
    texts = read_sources(8)
    for beams in (1, 4):
        options = Options(stream=False, num_beams=beams, max_new_tokens=20)
        together = [answer.text for answer in run_texts(engine, texts, options)]
        alone = [answer.text for answer in run_texts(engine, texts, options, in_flight=1)]
        assert together == alone and any(together)
    engine.stop()


def test_variants_are_reported_beside_our_own_model(repository: Path, tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "enpt-tiny", STUDENT)
    lines = [json.dumps({"source": text, "target": text}) for text in read_sources(10)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    page = tmp_path / "page.html"
    options = ("--checkpoint", folder, "--test", tmp_path / "pairs.jsonl", "--output", page)
    arguments = ("report", "enpt-tiny", "--model-repository", repository, *options)
    result = CliRunner().invoke(app, [*map(str, arguments)], env={"COLUMNS": "100"})
    assert result.exit_code == 0, result.output
    (row,) = [line for line in result.stdout.splitlines() if "equal to PyTorch" in line]
    assert row.split("│")[2].strip() == "10 of 10"
    assert "equal to PyTorch" in page.read_text(encoding="utf-8")
    (folder / "vocab.enpt.spm").unlink()
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert "it has no vocabulary" in " ".join(result.stderr.split())


def test_a_user_may_name_the_languages(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", STUDENT)
    options = ("--model-repository", tmp_path, "--precision", "fp32", "--name", "m")
    result = run(folder, *options, "--source", "en", "--target", "pt-BR")
    assert result.exit_code == 0, result.output
    assert read_manifest(tmp_path / "m_fp32" / "1").language_pairs == (("en", "pt-BR"),)


def test_a_folder_that_does_not_tell_its_languages_asks_for_them(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", STUDENT)
    (folder / "model.enpt.intgemm.alphas.bin").rename(folder / "model.bin")
    (folder / "vocab.enpt.spm").rename(folder / "vocab.spm")
    result = run(folder, "--model-repository", tmp_path, "--precision", "fp32", "--name", "m")
    assert result.exit_code != 0
    assert "give --source and --target" in " ".join(result.stderr.split()), result.stderr


def test_a_damaged_model_leaves_nothing(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model", STUDENT)
    model = folder / "model.enpt.intgemm.alphas.bin"
    model.write_bytes(model.read_bytes()[:-1000])
    result = run(folder, "--model-repository", tmp_path, "--precision", "fp32", "--name", "m")
    assert result.exit_code != 0
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and "is cut off" in lines[0]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_json_has_what_was_given(repository: Path) -> None:
    content = json.loads((repository / "enpt-tiny_int8" / "1" / "precision.json").read_text())
    head = content["decoder_step.onnx"]["roundings"]["head"]
    assert head["given"] and not head["migrated"]
    assert head["scale"] == pytest.approx(1 / STUDENT.inputs["Wemb"])


def test_a_shortlist_is_used_where_it_is_wanted(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "enpt-tiny", STUDENT)
    options = ("--model-repository", tmp_path, "--precision", "fp32,int8", "--shortlist", "file")
    missed = run(folder, *options)
    assert missed.exit_code != 0
    assert "has no shortlist (lex.*.bin)" in " ".join(missed.stderr.split())
    lists = [[token, min(token + 3, PIECES - 1)] for token in range(PIECES)]
    (folder / "lex.50.50.enpt.s2t.bin").write_bytes(to_shortlist(lists, first=5))
    for name, extra in (("short", ["--shortlist", "file"]), ("whole", [])):
        result = run(folder, *options[:-2], "--name", name, *extra)
        assert result.exit_code == 0, result.output
    if not is_there():
        pytest.skip("no compiler works here")
    for precision in ("fp32", "int8"):
        files = [tmp_path / f"{name}_{precision}" / "1" for name in ("short", "whole")]
        manifest = read_manifest(files[0])
        sources = load_vocabulary(files[0], manifest).encode(read_sources(8), "en", "pt")
        sessions = (NativeSession(one, manifest) for one in files)
        short, whole = (decode(one, sources, [20] * len(sources)) for one in sessions)
        for source, one in zip(sources, short, strict=True):
            likely = {0, 1, 2, 3, 4, *source, *(min(token + 3, PIECES - 1) for token in source)}
            assert set(one.tokens.tolist()) <= likely
        # Random weights make any of 400 tokens.
        assert any(
            one.tokens.tolist() != other.tokens.tolist()
            for one, other in zip(short, whole, strict=True)
        )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--shortlist", "exact", "--precision", "fp32"), "is for int8 variants"),
        (("--shortlist", "lex.bin"), "is not one of file, exact"),
    ],
)
def test_a_shortlist_that_makes_no_sense_is_refused(
    options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "enpt-tiny", STUDENT)
    refused = run(folder, "--model-repository", tmp_path, *options)
    assert refused.exit_code != 0
    assert told in " ".join(refused.stderr.split())


def test_a_narrow_head_is_not_screened_and_that_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_folder(tmp_path / "enpt-tiny", STUDENT)
    options = ("--model-repository", tmp_path, "--precision", "int8", "--shortlist", "exact")
    result = run(folder, *options)
    assert result.exit_code == 0, result.output
    assert "the head is not screened" in caplog.text
