"""`seqway-models import`: what is served in the end, and every wrong input in one sentence."""

import itertools
import json
import logging
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import onnxruntime as ort
import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from engine.cli import app
from engine.contract.manifest import Manifest, read_manifest
from engine.export.precision.recipes import Precision, read_recipes
from engine.export.report.answers import answer_texts, fits, generate, likeliest_labels
from engine.export.report.oracle import transformers_answers
from engine.export.report.variants import report_variant
from engine.runtime.text.vocabulary import load_tokenizer, load_vocabulary
from engine.training.corpus import Pair
from tests.engine.conftest import DATA, read_sources
from tests.engine.model import encoder_checkpoints, seq2seq_checkpoints

ENCODERS = encoder_checkpoints.FAMILIES
SHORT = ["A text editor.", "It is small and fast."]
SEQ2SEQ = seq2seq_checkpoints.FAMILIES


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["import", *map(str, arguments)], env={"COLUMNS": "200"})


def imported(checkpoint: Path, repository: Path, *options: object) -> Manifest:
    result = run(
        *(checkpoint, "--model-repository", repository, "--precision", "fp32", "--name", "m"),
        *options,
    )
    assert result.exit_code == 0, result.output
    return read_manifest(repository / "m_fp32" / "1")


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Every path below a folder, hidden ones too, and what is in each file."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def told(result: Result) -> str:
    """The one sentence on stderr."""
    assert isinstance(result.exception, SystemExit), result.exception
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert len(lines) == 1, result.stderr
    assert result.stderr.strip().endswith(lines[0]), result.stderr
    assert "Traceback" not in result.stderr
    return lines[0]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Writes a checkpoint of a family once."""
    root = tmp_path_factory.mktemp("families")

    def make(family: str, head: str = "classification") -> Path:
        folder = root / f"{family}-{head}"
        if not folder.exists():
            if family in ENCODERS:
                ENCODERS[family](folder, head, 1)
            else:
                SEQ2SEQ[family](folder, 1)
        return folder

    return make


Made = Callable[..., Path]


@pytest.fixture
def repository(tmp_path: Path, checkpoints: dict[str, Path]) -> Path:
    """A repository with one variant that no failure may touch."""
    folder = tmp_path / "repository"
    (folder / "other_fp32" / "1").mkdir(parents=True)
    (folder / "other_fp32" / "config.pbtxt").write_text('name: "other_fp32"')
    return folder


@pytest.fixture
def copy(tmp_path: Path, checkpoints: dict[str, Path]) -> Path:
    return Path(shutil.copytree(checkpoints["pegasus"], tmp_path / "copy"))


# ---- what is written


def test_all_variants_are_written_and_serve(repository: Path, checkpoints: dict[str, Path]) -> None:
    result = run(checkpoints["marian"], "--model-repository", repository)
    assert result.exit_code == 0, result.output
    assert "built-in" not in result.stdout
    names = sorted(path.name for path in repository.iterdir())
    assert names == ["marian_fp32", "marian_int8", "other_fp32"]
    for name in names[:2]:
        manifest = read_manifest(repository / name / "1")
        assert (manifest.task, manifest.language_pairs) == ("translation", (("en", "fr"),))
        answers, _ = answer_texts(repository / name / "1", SHORT)
        assert any(answers)
    config = (repository / "marian_int8" / "config.pbtxt").read_text()
    assert "decoupled: true" in config
    assert (repository / "marian_int8").stat().st_mode & 0o777 == 0o755


def test_fp16_halves_the_files_and_answers_as_the_checkpoint(
    repository: Path, checkpoints: dict[str, Path], copy: Path
) -> None:
    weights = load_file(copy / "model.safetensors")
    rounded = {name: tensor.half().float() for name, tensor in weights.items()}
    save_file(rounded, copy / "model.safetensors", metadata={"format": "pt"})
    options = ("--model-repository", repository, "--name", "m", "--precision", "fp32,fp16,int8")
    result = run(copy, *options)
    assert result.exit_code == 0, result.output
    full, half = repository / "m_fp32" / "1", repository / "m_fp16" / "1"
    assert read_manifest(half).precision == "fp16"
    step = "decoder_step.onnx"
    assert (half / step).stat().st_size < 0.6 * (full / step).stat().st_size
    # Nothing is lost that the checkpoint has: its weights are FP16 already.
    assert answer_texts(half, SHORT) == answer_texts(full, SHORT)


def test_fp16_of_a_classifier(repository: Path, made: Made) -> None:
    options = ("--model-repository", repository, "--name", "m", "--precision", "fp32,fp16")
    result = run(made("bert"), *options)
    assert result.exit_code == 0, result.output
    full, half = repository / "m_fp32" / "1", repository / "m_fp16" / "1"
    size = (half / "model.onnx").stat().st_size
    assert size < 0.6 * (full / "model.onnx").stat().st_size
    # Random logits may be so near to each other that rounded weights change their order.
    texts = read_sources(60)
    found = zip(likeliest_labels(half, texts), likeliest_labels(full, texts), strict=True)
    assert sum(one == other for one, other in found) >= 50


def test_weights_that_fp16_cannot_hold_stay_fp32(repository: Path, copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    weights["model.decoder.layers.0.fc1.weight"][0, 0] = 1e5
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    result = run(copy, "--model-repository", repository, "--precision", "fp16", "--name", "large")
    assert result.exit_code == 0, result.output
    recipes = read_recipes(repository / "large_fp16" / "1")
    reason = recipes["decoder_step.onnx"]["float32"]["decoder.0.ffn.sublayer.up"]
    # The weight itself, or a sum that it takes part in.
    assert float(reason.rpartition("reaches ")[2].replace(",", "")) >= 1e5


def test_an_existing_variant_is_replaced_only_by_force(
    repository: Path, checkpoints: dict[str, Path]
) -> None:
    imported(checkpoints["marian"], repository)
    before = snapshot(repository)
    arguments = (checkpoints["pegasus"], "--model-repository", repository, "--name", "m")
    result = run(*arguments, "--precision", "fp32")
    assert result.exit_code == 1
    assert "m_fp32 exists already: give --force" in told(result)
    assert snapshot(repository) == before
    assert run(*arguments, "--precision", "fp32", "--force").exit_code == 0
    assert read_manifest(repository / "m_fp32" / "1").family == "pegasus"


def test_quality_is_measured_on_a_test_file(
    tmp_path: Path,
    repository: Path,
    checkpoints: dict[str, Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = [json.dumps({"source": text, "target": text}) for text in [*SHORT, "word " * 500]]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    with caplog.at_level(logging.INFO):
        manifest = imported(checkpoints["marian"], repository, "--test", tmp_path / "test.jsonl")
    assert set(manifest.quality) == {"bleu", "chrf"}
    assert "1 of 3 test texts is too long: left out" in caplog.text
    assert manifest.quality_model is None
    assert "no confidence of answers: the test set has 2 texts and 200 are needed" in caplog.text


def test_single_answers_are_estimated_where_a_test_file_teaches_it(
    tmp_path: Path, repository: Path
) -> None:
    """The example, on some of its own test set."""
    lines = (DATA / "en-fr.test.jsonl").read_text(encoding="utf-8").splitlines()
    pairs = [line for line in lines if len(line) < 160][:240]
    (tmp_path / "test.jsonl").write_text("\n".join(pairs), encoding="utf-8")
    manifest = imported(
        DATA.parent / "checkpoints" / "en-fr", repository, "--test", tmp_path / "test.jsonl"
    )
    model = manifest.quality_model
    assert model is not None
    assert model.fitted_pairs + model.held_out_pairs == 240
    assert model.spearman >= 0.3
    [answer] = generate(repository / "m_fp32" / "1", ["A small text editor."])
    assert 0 < (answer.end.quality or 0) < 1


def test_a_classifier_is_served_with_its_labels(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    lines = [json.dumps({"source": text, "target": "net"}) for text in read_sources(4)]
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    manifest = imported(made("bert"), repository, "--test", tmp_path / "test.jsonl")
    assert (manifest.kind, manifest.task, manifest.head) == (
        "encoder",
        "classification",
        "classification",
    )
    assert manifest.labels == tuple(encoder_checkpoints.LABELS)
    assert manifest.token_type_ids
    assert set(manifest.quality) == {"accuracy", "macro_f1"}
    files = repository / "m_fp32" / "1"
    assert set(likeliest_labels(files, read_sources(5))) <= set(manifest.labels)
    assert {one.name for one in ort.InferenceSession(files / "model.onnx").get_inputs()} == {
        "input_ids",
        "mask",
        "token_types",
    }
    config = (files.parent / "config.pbtxt").read_text()
    assert "dynamic_batching { max_queue_delay_microseconds: 2000 }" in config
    assert "max_batch_size: 64" in config
    assert "QUESTION" not in config
    assert "decoupled" not in config


def test_a_span_head_takes_a_question(repository: Path, made: Made) -> None:
    manifest = imported(made("bert", "spans"), repository)
    assert (manifest.task, manifest.head, manifest.labels) == ("question-answering", "spans", ())
    assert '"QUESTION"' in (repository / "m_fp32" / "config.pbtxt").read_text()


def test_proteins_are_calibrated_on_proteins(
    repository: Path, made: Made, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        result = run(made("esm2"), "--model-repository", repository, "--name", "m")
    assert result.exit_code == 0, result.output
    assert "INT8 is calibrated on random amino-acid sequences" in caplog.text


# ---- languages


def test_a_many_to_many_checkpoint_offers_all_its_languages(repository: Path, made: Made) -> None:
    manifest = imported(made("m2m100"), repository)
    assert manifest.language_pairs == ()
    assert {"en", "fr", "zh"} <= set(manifest.source_languages)
    assert manifest.source_languages == manifest.target_languages
    assert manifest.forced_bos_ids.keys() == set(manifest.target_languages)
    assert manifest.source_format["prefix"] == ["source"]


@pytest.mark.parametrize(("source", "target"), [("en", "fr"), ("eng_Latn", "fra_Latn")])
def test_flags_restrict_languages_and_take_the_checkpoints_codes(
    repository: Path, made: Made, source: str, target: str
) -> None:
    manifest = imported(made("nllb"), repository, "--source", source, "--target", target)
    assert manifest.language_pairs == (("en", "fr"),)
    assert manifest.language_codes == {"en": "eng_Latn", "fr": "fra_Latn"}
    assert set(manifest.forced_bos_ids) == {"fr"}


def test_mbart_starts_the_decoder_with_the_target(repository: Path, made: Made) -> None:
    manifest = imported(made("mbart"), repository, "--source", "en", "--target", "ro")
    assert set(manifest.decoder_start_ids) == {"ro"}
    assert manifest.forced_bos_ids == {}
    assert manifest.source_format["suffix"][-1] == "source"


def test_t5_is_told_the_languages_by_name(repository: Path, made: Made) -> None:
    options = ("--task", "translation", "--source", "en", "--target", "de")
    manifest = imported(made("t5"), repository, *options)
    assert manifest.template == "translate {source} to {target}: {text}"
    assert manifest.language_codes == {"en": "English", "de": "German"}


@pytest.mark.parametrize("family", ["t5", "mt5", "bart"])
def test_a_template_names_the_languages(repository: Path, made: Made, family: str) -> None:
    options = ("--task", "translation", "--template", "from {source} into {target}: {text}")
    manifest = imported(made(family), repository, "--source", "eng", "--target", "DE", *options)
    assert manifest.language_pairs == (("en", "de"),)
    assert manifest.language_codes == {"en": "English", "de": "German"}
    files = repository / "m_fp32" / "1"
    spelled = load_tokenizer(files).encode("from English into German: a", add_special_tokens=False)
    (ids,) = load_vocabulary(files, manifest).encode(["a"])
    assert spelled.ids == [i for i in ids if i in spelled.ids]


@pytest.mark.parametrize("spelling", ["fr", "FR", "fra", "__fr__", "fr_XX", ">>fra<<"])
def test_a_language_may_be_spelled_as_other_checkpoints_do(
    repository: Path, made: Made, spelling: str
) -> None:
    options = ("--task", "translation", "--source", "en", "--target", spelling)
    for family in ("m2m100", "bart"):
        manifest = imported(made(family), repository, *options, "--force")
        assert manifest.language_pairs == (("en", "fr"),)


def test_a_generative_question_answerer_has_a_template(repository: Path, made: Made) -> None:
    template = "question: {question} context: {context}"
    options = ("--task", "question-answering", "--template", template)
    manifest = imported(made("t5"), repository, *options)
    assert (manifest.kind, manifest.template) == ("seq2seq", template)


def test_a_folder_named_like_opus_tells_its_languages(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(checkpoints["marian"], tmp_path / "opus-mt-eng-deu"))
    _change(folder / "config.json", source_language=None, target_language=None)
    assert imported(folder, repository).language_pairs == (("en", "de"),)


# ---- wrong inputs


def _change(path: Path, **values: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _other_architecture(folder: Path) -> None:
    _change(folder / "config.json", model_type="whisper")


def _no_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def _broken_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").write_text('{"version": "1.0"')


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def _poisoned(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.decoder.layers.0.fc1.weight"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _too_few_embeddings(folder: Path) -> None:
    """The tokenizer's ids go further than the model's embeddings."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["vocab"].append(["▁unheard-of", -20.0])
    (folder / "tokenizer.json").write_text(json.dumps(content))


def _config(text: str = "", **values: object) -> Callable[[Path], None]:
    """Other fields of `config.json`, or all of it."""

    def damage(folder: Path) -> None:
        if text:
            (folder / "config.json").write_text(text)
        else:
            _change(folder / "config.json", **values)

    return damage


def _generation(**values: object) -> Callable[[Path], None]:
    return lambda folder: _change(folder / "generation_config.json", **values)


def _whole_numbers(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["model.decoder.layers.0.fc1.weight"] = torch.ones(64, 32, dtype=torch.int8)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _poisoned_bias(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["final_logits_bias"][0, 0] = torch.nan
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def _shards(name: object) -> Callable[[Path], None]:
    """An index that names a file which is not in the folder."""

    def damage(folder: Path) -> None:
        shutil.move(folder / "model.safetensors", folder.parent / "model.safetensors")
        index = json.dumps({"weight_map": {"model.shared.weight": name}})
        (folder / "model.safetensors.index.json").write_text(index)

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_other_architecture, "model_type 'whisper' is not supported; these are: albert, bart,"),
        (_no_tokenizer, "tokenizer file tokenizer.json or spiece.model is missing"),
        (_broken_tokenizer, "has no tokenizer that can be loaded"),
        (_truncated, "model.safetensors is damaged"),
        (_pickled, "give --allow-pickle if you trust their author"),
        (_poisoned, "copy: model.decoder.layers.0.fc1.weight holds values that are not finite"),
        (_too_few_embeddings, "the tokenizer makes ids up to 400"),
        (_config("["), "config.json can't be read: Expecting value"),
        (_config("[" * 100_000), "config.json can't be read: maximum recursion depth"),
        (_config("{}"), "config.json names no model_type"),
        (_config(model_type=["bart"]), "config.json names no model_type"),
        (_config(model_type="[/red]"), "model_type '[/red]' is not supported"),
        (_config(architectures=[5]), "architectures has to be a list of names, not [5]"),
        (_config(task_specific_params=[1]), "task_specific_params has to hold an object"),
        (
            _config(source_language="\ud800"),
            "config.json can't be read: 'utf-8' codec can't encode",
        ),
        (_config(vocab_size="many"), "Field 'vocab_size' expected int, got str"),
        (_config(encoder_ffn_dim=-3), "encoder_ffn must be at least 1, not -3"),
        (_config(pad_token_id=400), "pad_id must be from 0 to 399, not 400"),
        (_generation(eos_token_id=400), "eos_id must be from 0 to 399, not 400"),
        (_generation(eos_token_id=[1, 2]), "eos_token_id has to be one token, not [1, 2]"),
        (_generation(decoder_start_token_id=-1), "decoder_start_id must be from 0 to 399, not -1"),
        (_generation(forced_bos_token_id=400), "forced_bos_token_id is 400: the model's tokens"),
        (_generation(suppress_tokens=["a"]), "suppress_tokens has to hold token ids, not ['a']"),
        (_generation(bad_words_ids=[5]), "bad_words_ids has to hold token ids, not 5"),
        (_generation(watermarking_config=5), "generation_config.json can't be read"),
        (_whole_numbers, "holds torch.int8, and only real numbers are supported"),
        (_poisoned_bias, "copy: final_logits_bias holds values that are not finite"),
        (_shards("model-2.safetensors"), "the shard model-2.safetensors is missing"),
        (_shards("../model.safetensors"), "the shard ../model.safetensors is missing"),
        (_shards(5), "the shard 5 is missing"),
    ],
)
def test_a_damaged_checkpoint_is_told_in_one_sentence(
    copy: Path, repository: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(copy)
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository)
    assert result.exit_code == 1
    assert reason in told(result)
    assert snapshot(repository) == before


def _folder(name: str) -> Callable[[Path], None]:
    """A folder where a file should be: root, too, can't read it."""

    def damage(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).mkdir()

    return damage


def _dangling(name: str) -> Callable[[Path], None]:
    """A link whose target is gone, as in a cache of the hub that was cleaned."""

    def damage(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(folder / "blobs" / "0123")

    return damage


def _unreadable(name: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / name).chmod(0)
        if os.access(folder / name, os.R_OK):
            pytest.skip("root reads everything")

    return damage


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (_unreadable("model.safetensors"), "model.safetensors can't be read: Permission denied."),
        (_unreadable("config.json"), "config.json can't be read: Permission denied."),
        (_folder("model.safetensors"), "model.safetensors can't be read: Is a directory."),
        (_dangling("model.safetensors"), "can't be read: it is a link to a file that is not there"),
        (_folder("config.json"), "config.json can't be read: Is a directory."),
        (_dangling("config.json"), "can't be read: it is a link to a file that is not there"),
        (_folder("tokenizer.json"), "tokenizer.json can't be read: Is a directory."),
        (_unreadable("tokenizer.json"), "tokenizer.json can't be read: Permission denied."),
        (_dangling("tokenizer.json"), "can't be read: it is a link to a file that is not there"),
        (_folder("generation_config.json"), "generation_config.json can't be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_the_systems_reason(
    copy: Path, repository: Path, damage: Callable[[Path], None], reason: str
) -> None:
    damage(copy)
    result = run(copy, "--model-repository", repository)
    assert result.exit_code == 1
    assert reason in told(result)


def test_a_missing_marian_tokenizer_file_is_named(
    tmp_path: Path, repository: Path, checkpoints: dict[str, Path]
) -> None:
    folder = Path(shutil.copytree(checkpoints["marian"], tmp_path / "copy"))
    (folder / "source.spm").unlink()
    result = run(folder, "--model-repository", repository)
    assert result.exit_code == 1
    assert "source.spm" in told(result)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--task", "poetry"], "--task poetry is not one of translation, summarization,"),
        (
            ["--task", "classification"],
            "PegasusForConditionalGeneration, which generates text and can't do classification: "
            "give --task translation, summarization or question-answering",
        ),
        (
            ["--precision", "fp32,int3"],
            "unknown precision 'int3'; choose from fp32, fp16, bf16, int8",
        ),
        (["--precision", ","], "--precision names none; choose from"),
        (["--name", "../evil"], "can't be a model's name"),
        (["--template", "summarize:"], "has no {text}"),
        (["--template", "{text} {text}"], "has {text} in it twice"),
        (["--template", "{text} {tone}"], "has {tone} in it, which nothing fills"),
        (["--source", "English", "--target", "fr"], "'English' is no language: give a BCP-47"),
        (["--source", "[/red]", "--target", "fr"], "'[/red]' is no language"),
        (["--calibration", "nothing.txt"], "nothing.txt can't be read"),
        (["--test", "nothing.jsonl"], "nothing.jsonl can't be read: No such file"),
    ],
)
def test_options_that_make_no_sense_are_told_in_one_sentence(
    copy: Path, repository: Path, options: list[str], reason: str
) -> None:
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository, *options)
    assert result.exit_code == 1
    assert reason in told(result)
    assert snapshot(repository) == before


@pytest.mark.parametrize("command", ["import", "export", "serve"])
def test_every_command_names_precisions_alike(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
    assert "--precision" in shown
    assert "--variants" not in shown, "the old spelling, which works still"


@pytest.mark.parametrize(
    "options",
    [
        ["--precision", "fp16,int3"],
        ["--precision", "fp16", "--precision", "int3"],
        ["--variants", "fp16,int3"],
    ],
)
@pytest.mark.parametrize("command", ["import", "export", "serve"])
def test_precisions_are_a_list_or_several_options(command: str, options: list[str]) -> None:
    result = CliRunner().invoke(app, [command, "folder", *options], env={"COLUMNS": "200"})
    assert result.exit_code == 1
    assert "unknown precision 'int3'" in told(result)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--max-rows", "2000"], "'--max-rows': Input should be less than or equal to 1024"),
        (["--max-rows", "0"], "'--max-rows': Input should be greater than or equal to 1"),
        (["--token-budget", "-1"], "'--token-budget': Input should be greater than or equal to 0"),
    ],
)
def test_limits_that_nothing_keeps_are_refused(options: list[str], reason: str) -> None:
    result = run("folder", *options)
    assert result.exit_code == 2
    assert reason in result.stderr


def test_a_language_that_the_checkpoint_does_not_know_is_refused(
    repository: Path, made: Made
) -> None:
    result = run(made("m2m100"), "--model-repository", repository, "--source", "tlh")
    assert result.exit_code == 1
    assert "does not know the language 'tlh'; it knows " in told(result)


def test_a_checkpoint_that_can_do_several_tasks_needs_to_be_told_one(
    repository: Path, made: Made
) -> None:
    result = run(made("t5"), "--model-repository", repository)
    assert result.exit_code == 1
    assert "give --task translation, summarization or question-answering" in told(result)


def test_an_encoder_does_not_translate(repository: Path, made: Made) -> None:
    result = run(made("bert"), "--model-repository", repository, "--task", "translation")
    assert result.exit_code == 1
    assert "BertForSequenceClassification, which can't do translation" in told(result)


def test_an_encoder_that_does_not_tell_its_head_needs_a_task(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    folder = Path(shutil.copytree(made("roberta"), tmp_path / "copy"))
    _change(folder / "config.json", architectures=None)
    result = run(folder, "--model-repository", repository)
    assert result.exit_code == 1
    assert "no architectures: give --task classification or question-answering" in told(result)
    manifest = imported(folder, repository, "--task", "classification")
    assert manifest.task == "classification"


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("BertModel", [], "BertModel, which has no head that is supported: fine-tune it first."),
        (
            "BertForSequenceClassification",
            ["--task", "question-answering"],
            "which has no head for question-answering; it was made for classification: give that "
            "--task.",
        ),
    ],
)
def test_a_head_that_does_not_fit_is_told(
    tmp_path: Path, repository: Path, made: Made, name: str, options: list[str], reason: str
) -> None:
    folder = Path(shutil.copytree(made("bert"), tmp_path / "copy"))
    _change(folder / "config.json", architectures=[name])
    result = run(folder, "--model-repository", repository, *options)
    assert result.exit_code == 1
    assert reason in told(result)


def test_a_bart_that_classifies_is_refused_in_words_that_say_so(
    tmp_path: Path, repository: Path, made: Made
) -> None:
    folder = Path(shutil.copytree(made("bart"), tmp_path / "copy"))
    _change(folder / "config.json", architectures=["BartForSequenceClassification"])
    result = run(folder, "--model-repository", repository, "--task", "translation")
    assert "BartForSequenceClassification, which is not supported: of an" in told(result)


@pytest.mark.parametrize(
    ("count", "said"), [(1, "1 tensor is not used"), (2, "2 tensors are not used")]
)
def test_tensors_that_nothing_uses_are_counted(
    copy: Path, repository: Path, caplog: pytest.LogCaptureFixture, count: int, said: str
) -> None:
    weights = load_file(copy / "model.safetensors")
    weights |= {f"odd.{number}": torch.ones(2) for number in range(count)}
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    imported(copy, repository)
    assert said in caplog.text


def test_an_encoder_takes_no_template(repository: Path, made: Made) -> None:
    result = run(made("bert"), "--model-repository", repository, "--template", "topic: {text}")
    assert result.exit_code == 1
    assert "leave --source, --target and --template out" in told(result)


def test_an_unknown_option_is_refused(copy: Path, repository: Path) -> None:
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository, "--varients", "fp32")
    assert result.exit_code == 2
    assert "No such option" in result.stderr
    assert snapshot(repository) == before


def test_a_repository_that_cannot_be_written_is_told(tmp_path: Path, copy: Path) -> None:
    # A path below a file: root, too, can't make that folder.
    (tmp_path / "file").write_text("text")
    result = run(copy, "--model-repository", tmp_path / "file" / "repository")
    assert result.exit_code == 1
    assert "can't be written: Not a directory" in told(result)
    assert (tmp_path / "file").read_text() == "text"


def test_a_new_repository_is_gone_again_after_a_failure(tmp_path: Path, copy: Path) -> None:
    _broken_tokenizer(copy)
    result = run(copy, "--model-repository", tmp_path / "new" / "repository")
    assert result.exit_code == 1
    assert not (tmp_path / "new").exists()


def test_neither_variant_is_written_when_the_second_fails(
    monkeypatch: pytest.MonkeyPatch, copy: Path, repository: Path
) -> None:
    from engine.export.gates.transformer import GateError
    from engine.export.precision import fallback

    checked = []

    def check(files: Path, *_: object) -> None:
        checked.append(files)
        if len(checked) == 2:
            raise GateError("the second is bad")

    monkeypatch.setattr(fallback, "check_variant", check)
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository)
    assert result.exit_code == 1
    assert "the second is bad" in told(result)
    assert len(checked) == 2
    assert snapshot(repository) == before


def test_a_variant_that_cannot_be_moved_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch, copy: Path, repository: Path
) -> None:
    assert run(copy, "--model-repository", repository, "--name", "m").exit_code == 0
    before = snapshot(repository)
    rename = Path.rename

    def fail(path: Path, target: Path) -> Path:
        if path.name == "m_int8" and path.parent.name == "new":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail)
    result = run(copy, "--model-repository", repository, "--name", "m", "--force")
    assert result.exit_code == 1
    assert "can't be written: No space left on device" in told(result)
    assert snapshot(repository) == before


# ---- files of texts


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("--test", b"{", ".jsonl, line 1: Expecting property name"),
        ("--test", b"[" * 100_000, ".jsonl, line 1: maximum recursion depth"),
        ("--test", b"\n[1]\n", ".jsonl, line 2: a JSON object was expected, not [1]"),
        ("--test", b'{"source": "a"}', "line 1: 'target' is missing, and has to be a text"),
        ("--test", b'{"source": 5, "target": "b"}', "line 1: 'source' is 5, and has to be a text"),
        ("--test", b'{"source": "\\ud800", "target": "b"}', "'source' holds half of a character"),
        ("--test", b'{"source": "\xe9"}', "can't be read as UTF-8"),
        ("--test", b"\n", "holds no pair"),
        ("--calibration", b'{"text": "a"}', "line 1: 'source' is missing, and has to be a text"),
        ("--calibration", b'{"source": " "}', "holds no text"),
    ],
)
def test_files_of_texts_that_cannot_be_read_are_told_in_one_sentence(
    tmp_path: Path, repository: Path, copy: Path, option: str, content: bytes, reason: str
) -> None:
    (tmp_path / "texts.jsonl").write_bytes(content)
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository, option, tmp_path / "texts.jsonl")
    assert result.exit_code == 1
    assert reason in told(result)
    assert snapshot(repository) == before


def test_calibration_needs_sources_only(tmp_path: Path, repository: Path, copy: Path) -> None:
    lines = [json.dumps({"source": text, "id": 7}) for text in SHORT]
    (tmp_path / "texts.jsonl").write_text("\ufeff" + "\n\n".join(lines), encoding="utf-8")
    options = ("--model-repository", repository, "--calibration", tmp_path / "texts.jsonl")
    result = run(copy, *options)
    assert result.exit_code == 0, result.output


# ---- what a checkpoint's decoding defaults become


def test_the_generation_config_comes_over_the_configuration(copy: Path, repository: Path) -> None:
    _change(copy / "generation_config.json", eos_token_id=7, decoder_start_token_id=9)
    manifest = imported(copy, repository)
    assert (manifest.eos_id, manifest.decoder_start_id) == (7, 9)


def test_defaults_that_no_request_could_ask_for_are_left_out(
    copy: Path, repository: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _change(
        copy / "generation_config.json",
        temperature=0.0,
        num_beams="4",
        length_penalty=0.8,
        bad_words_ids=[[400], [5, 6], [1]],
        suppress_tokens=[-1, 3],
    )
    manifest = imported(copy, repository)
    assert "left out: temperature must be " in caplog.text
    assert "left out: num_beams must be a whole number from 1 to 8, not '4'" in caplog.text
    assert manifest.generation == {
        "length_penalty": 0.8,
        "max_new_tokens": 40,
        "bad_words": [[5, 6]],
        "suppressed_ids": [3],
    }


# ---- pickles


class _Malicious:
    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self._trace),)


def test_a_pickle_with_code_in_it_does_not_run(
    tmp_path: Path, repository: Path, copy: Path
) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({"model.shared.weight": _Malicious(tmp_path / "ran")}, copy / "pytorch_model.bin")
    result = run(copy, "--model-repository", repository, "--allow-pickle")
    assert result.exit_code == 1
    assert "holds more than tensors, which could run code: it is not loaded" in told(result)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"hello\n", b"\x80\x02.", b"PK\x03\x04"])
def test_a_damaged_pickle_is_told(repository: Path, copy: Path, content: bytes) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(content)
    result = run(copy, "--model-repository", repository, "--allow-pickle")
    assert result.exit_code == 1
    assert "pytorch_model.bin is damaged" in told(result)


# ---- signals, and others at work


@pytest.fixture
def hangups() -> Iterator[None]:
    """Under nohup they are ignored, also by what is tested."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variants are written without being computed: what happens to their folders is tested."""

    def write(_self: object, _names: object, folders: dict[Precision, Path]) -> None:
        for folder in folders.values():
            (folder / "config.pbtxt").write_text("the new one")

    monkeypatch.setattr("engine.export.exporter._Export.write", write)


@pytest.mark.usefixtures("hangups", "at_once")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
@pytest.mark.parametrize("moved", [0, 1, 2, 3])
def test_a_signal_leaves_all_as_it_was(
    monkeypatch: pytest.MonkeyPatch, copy: Path, repository: Path, number: int, moved: int
) -> None:
    """Whenever it comes while variants are moved: out of the way, or to their places."""
    for name in ("m_fp32", "m_int8"):
        (repository / name).mkdir()
        (repository / name / "config.pbtxt").write_text("the old one")
    before = snapshot(repository)
    rename, count = Path.rename, itertools.count()

    def signalled(path: Path, target: Path) -> Path:
        done = rename(path, target)
        if next(count) == moved:
            signal.raise_signal(number)
        return done

    monkeypatch.setattr(Path, "rename", signalled)
    result = run(copy, "--model-repository", repository, "--name", "m", "--force")
    assert result.exit_code in (130, 128 + number)
    assert snapshot(repository) == before
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_a_variant_that_another_import_has_placed_meanwhile_stays(
    monkeypatch: pytest.MonkeyPatch, copy: Path, repository: Path
) -> None:
    from engine.export.precision import fallback

    def check(*_: object) -> None:
        (repository / "m_int8").mkdir(exist_ok=True)
        (repository / "m_int8" / "config.pbtxt").write_text("another's")

    monkeypatch.setattr(fallback, "check_variant", check)
    result = run(copy, "--model-repository", repository, "--name", "m")
    assert result.exit_code == 1
    assert "m_int8 exists already: give --force" in told(result)
    assert sorted(path.name for path in repository.iterdir()) == ["m_int8", "other_fp32"]
    assert (repository / "m_int8" / "config.pbtxt").read_text() == "another's"


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, copy: Path, repository: Path) -> None:
    from engine.export.precision import fallback

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(fallback, "write_graphs", full)
    before = snapshot(repository)
    result = run(copy, "--model-repository", repository)
    assert result.exit_code == 1
    assert "can't be written: No space left on device" in told(result)
    assert snapshot(repository) == before


def test_a_path_that_is_too_long_is_told(copy: Path, repository: Path) -> None:
    result = run(copy, "--model-repository", repository / ("a" * 300))
    assert result.exit_code == 1
    assert "can't be read: File name too long" in told(result)
    assert "can't be a model's name" in told(run(copy, "--name", "a" * 300))
    assert "neither a folder nor a hub id" in told(run("a" * 5000, "--name", "m"))


def test_a_file_is_no_checkpoint(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "weights.bin").write_text("weights")
    result = run(tmp_path / "weights.bin", "--model-repository", repository)
    assert result.exit_code == 1
    assert "weights.bin is a file: give the checkpoint's folder" in told(result)


# ---- limits


@pytest.mark.parametrize("family", ["bart", "mbart"])
def test_a_source_may_be_as_long_as_a_model_of_an_odd_length(
    tmp_path: Path, repository: Path, made: Made, family: str
) -> None:
    longest = 77  # the runtime pads sources to multiples of 16
    folder = Path(shutil.copytree(made(family), tmp_path / "copy"))
    _change(folder / "config.json", max_position_embeddings=longest)
    weights = load_file(folder / "model.safetensors")
    for name in (name for name in weights if name.endswith("embed_positions.weight")):
        weights[name] = weights[name][: longest + 2].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    options = ("--task", "translation", "--source", "en", "--target", "fr")
    manifest = imported(folder, repository, *options)
    assert (manifest.max_source_tokens, manifest.max_target_tokens) == (longest, longest)
    files = repository / "m_fp32" / "1"
    encode = load_vocabulary(files, manifest).encode
    texts = ["x " * words + "x" * letters for words in range(longest) for letters in range(9)]
    text = next(text for text in texts if len(encode([text], "en", "fr")[0]) == longest)
    assert fits(files, [text, f"{text} x x"]) == [True, False]
    oracle = transformers_answers(folder, [text], files)
    assert report_variant(files, oracle, [Pair(text, "")]).equal == 1
