"""Models whose sources and answers have vocabularies of their own, imported as a user does it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import sentencepiece
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.contract.manifest import read_manifest
from engine.contract.options import Options
from engine.export.gates.tokenizer import check_tokenizer
from engine.export.precision.recipes import read_recipes
from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.model.tokenizers.tokenizer import load_tokenizer
from engine.native.library import is_there
from engine.native.weights import read_weights
from engine.runtime.batch import TextAnswer, run_texts
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.text.vocabulary import load_vocabulary
from tests.engine.conftest import read_sources
from tests.engine.model.marian_files import (
    PIECES,
    SOURCE_PIECES,
    WIDTH,
    Reference,
    answers_vocabulary,
    make_student,
    rounded,
    vocabulary,
    write_folder,
)
from tests.engine.model.seq2seq_checkpoints import write_marian_two
from tests.engine.native.answers import decode

STUDENT = rounded(make_student(source_pieces=SOURCE_PIECES))
TEXTS = [*read_sources(10), "", "x", "東京 \N{GRINNING FACE}"]
STEPS = 12


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("two")
    folder = write_folder(root / "enpt-tiny", STUDENT, packed=True)
    (root / "repository").mkdir()
    result = run(folder, "--model-repository", root / "repository")
    assert result.exit_code == 0, result.output
    return root / "repository"


def pieces(model: bytes) -> sentencepiece.SentencePieceProcessor:
    return sentencepiece.SentencePieceProcessor(model_proto=model)


def answers(files: Path, **options: object) -> list[TextAnswer]:
    engine = Engine(files, Settings(lanes=1))
    engine.start()
    plain = Options(stream=False, token_ids=True, max_new_tokens=STEPS, stop_repetition=False)
    try:
        return run_texts(engine, TEXTS, replace(plain, **options))  # type: ignore[arg-type]
    finally:
        engine.stop()


def test_a_variant_has_the_files_and_sizes_of_both(repository: Path) -> None:
    for name in ("enpt-tiny_fp32", "enpt-tiny_int8"):
        files = repository / name / "1"
        manifest = read_manifest(files)
        assert (manifest.vocab_size, manifest.eos_id) == (PIECES + 1, 1)
        assert (manifest.decoder_start_id, manifest.pad_id) == (PIECES, SOURCE_PIECES)
        assert (files / "source.spm").read_bytes() == vocabulary(SOURCE_PIECES)
        assert (files / "target.spm").read_bytes() == answers_vocabulary()
        _, tensors = read_weights(files)
        assert len(tensors["source_embedding"]) == SOURCE_PIECES + 1
        assert len(tensors["embedding"]) == PIECES + 1


def test_answers_are_those_of_the_description(repository: Path) -> None:
    """Cut by the one vocabulary, computed in NumPy, and put together by the other."""
    sources, targets = pieces(vocabulary(SOURCE_PIECES)), pieces(answers_vocabulary())
    reference = Reference(STUDENT)
    made = answers(repository / "enpt-tiny_fp32" / "1")
    for text, answer in zip(TEXTS, made, strict=True):
        expected = reference.answer([*sources.encode(text), 0], end=1, most=STEPS)
        assert list(answer.end.token_ids) == expected
        known = [token for token in expected if not targets.is_unknown(token)]
        assert answer.text == targets.decode(known).strip(" ")
    assert len({answer.text for answer in made}) > 3


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_onnx_runtime_answers_as_native_code(precision: str, repository: Path) -> None:
    if not is_there():
        pytest.skip("no compiler works here")
    files = repository / f"enpt-tiny_{precision}" / "1"
    manifest = read_manifest(files)
    sources = load_vocabulary(files, manifest).encode(TEXTS, "en", "pt")
    sources += [[token, 0] for token in (0, 1, SOURCE_PIECES - 1, SOURCE_PIECES)]
    limits = [STEPS] * len(sources)
    native = decode(NativeSession(files, manifest), sources, limits, at_once=5)
    onnx = decode(OnnxSession(files, manifest, threads=1), sources, limits, at_once=5)
    same = [
        np.array_equal(one.tokens, other.tokens) for one, other in zip(native, onnx, strict=True)
    ]
    # Floats between the integers have another order of sums.
    assert sum(same) >= (len(sources) if precision == "fp32" else len(sources) // 2)


def test_int8_computes_with_the_integers_of_the_file(repository: Path) -> None:
    files = repository / "enpt-tiny_int8" / "1"
    for graph in read_recipes(files).values():
        assert not graph["not_int8"] and all(one["given"] for one in graph["roundings"].values())
    _, tensors = read_weights(files)
    packed = tensors["head.int8"]
    head = packed.transpose(1, 3, 0, 2).reshape(packed.shape[1] * 4, -1)[:WIDTH]
    np.testing.assert_array_equal(head[:, :PIECES], STUDENT.integers["decoder_Wemb"].T)
    assert tensors["head.inputs"][0] == pytest.approx(STUDENT.inputs["decoder_Wemb"])
    for name, theirs in {"source_embedding": "encoder_Wemb", "embedding": "decoder_Wemb"}.items():
        expected = STUDENT.tensors[theirs] * np.float32(WIDTH**0.5)
        np.testing.assert_allclose(tensors[name][:-1, :WIDTH], expected, rtol=1e-6)
        assert not tensors[name][-1].any()


def test_a_forced_start_and_candidates_are_of_the_answers(repository: Path) -> None:
    files = repository / "enpt-tiny_int8" / "1"
    start = "Ce paquet"
    forced = pieces(answers_vocabulary()).encode(start)
    for beams in (1, 3):
        for answer in answers(files, target_prefix=start, num_beams=beams, alignment=True):
            assert list(answer.end.token_ids)[: len(forced)] == forced
            assert answer.text.startswith(start)


def test_alignment_is_with_the_characters_of_the_source(repository: Path) -> None:
    files = repository / "enpt-tiny_fp32" / "1"
    vocabulary = load_vocabulary(files, read_manifest(files))
    for text in TEXTS:
        spans = vocabulary.offsets(text, "en", "pt")
        assert len(spans) == len(vocabulary.encode([text], "en", "pt")[0])
        covered = {index for first, last in spans for index in range(first, last)}
        assert covered == {index for index, one in enumerate(text) if not one.isspace()}
    linked = answers(files, alignment=True)
    assert any(answer.end.alignment for answer in linked)


# ---- checkpoints of transformers

CODES = (">>fra<<", ">>por<<")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "two"
    write_marian_two(folder, 3, (300, 260), *CODES)
    return folder


@pytest.fixture(scope="module")
def few_sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Likewise, and answers have more tokens than sources."""
    folder = tmp_path_factory.mktemp("few") / "few"
    write_marian_two(folder, 3, (200, 300), *CODES)
    return folder


def test_languages_are_codes_of_the_source(few_sources: Path, tmp_path: Path) -> None:
    result = run(few_sources, "--model-repository", tmp_path, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    files = tmp_path / "few_fp32" / "1"
    manifest = read_manifest(files)
    assert tuple(manifest.target_languages) == ("fr", "pt")
    numbers = json.loads((few_sources / "vocab.json").read_text())
    for code, language in zip(CODES, ("fr", "pt"), strict=True):
        (ids,) = load_vocabulary(files, manifest).encode(["A"], "en", language)
        assert ids[0] == numbers[code] and ids[-1] == numbers["</s>"] == 0


def test_what_is_forbidden_is_forbidden_of_answers(few_sources: Path) -> None:
    checkpoint = load_checkpoint(few_sources)
    assert checkpoint.source_vocab_size < 300 < checkpoint.vocab_size
    assert checkpoint.suppressed_ids == (checkpoint.source_vocab_size - 1, 300)


def without_target_numbers(folder: Path) -> None:
    (folder / "target_vocab.json").unlink()


def with_an_added_token(folder: Path) -> None:
    (folder / "added_tokens.json").write_text(json.dumps({"<ent>": 303}))


def with_many_target_numbers(folder: Path) -> None:
    path = folder / "target_vocab.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"much": 5000}))


def with_one_vocabulary_too_large(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"separate_vocabs": False}))


def shared(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | {"share_encoder_decoder_embeddings": True}
    path.write_text(json.dumps(config))


def of_other_sizes(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"vocab_size": 350}))


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (without_target_numbers, "the tokenizer file target_vocab.json is missing"),
    (with_an_added_token, "the token '<ent>' was added, and source and target have vocabularies"),
    (with_many_target_numbers, "makes ids up to 5000, and the model knows those below 261 only"),
    (with_one_vocabulary_too_large, "makes ids up to 302, and the model knows those below 261"),
    (shared, "decoder_vocab_size is 261 and vocab_size 303"),
    (of_other_sizes, "size mismatch for source_embedding.weight"),
]


@pytest.mark.parametrize(("change", "told"), REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_fit_is_told_in_one_sentence(
    change: Callable[[Path], None], told: str, checkpoint: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoint, tmp_path / "copy"))
    change(folder)
    result = run(folder, "--model-repository", tmp_path, "--precision", "fp32")
    assert result.exit_code == 1
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and told in " ".join(result.stderr.split()), result.stderr
    assert not list(tmp_path.glob("copy_*"))


def test_answers_that_would_be_put_together_by_the_sources_are_noticed(
    repository: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """The gate of an import, with the numbers of one vocabulary in place of the other's."""
    result = run(checkpoint, "--model-repository", tmp_path, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    files = tmp_path / "two_fp32" / "1"
    tokenizer, manifest = load_tokenizer(checkpoint, 303, 261), read_manifest(files)
    check_tokenizer(tokenizer, manifest, files)
    shutil.copyfile(files / "vocab.json", files / "target_vocab.json")
    with pytest.raises(CheckpointError, match=r"it makes .* and we would make"):
        check_tokenizer(tokenizer, replace(manifest, vocab_size=303), files)
