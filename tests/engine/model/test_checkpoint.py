import json
import shutil
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import load_file, save_file

from engine.model import hub
from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.model.config import ModelConfig
from engine.model.generation_defaults import GenerationDefaults, read_generation
from engine.model.tasks import check_architecture


def test_logits_equal_those_of_transformers(checkpoints: dict[str, Path], family: str) -> None:
    checkpoint = load_checkpoint(checkpoints[family])
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(checkpoints[family]).eval()
    config = checkpoint.config
    ids = torch.randint(3, 390, (3, 17), generator=torch.Generator().manual_seed(0))
    mask = torch.ones(3, 17, dtype=torch.bool)
    mask[1, 9:] = False
    ids[1, 9:] = config.pad_id
    targets = torch.randint(3, 390, (3, 11), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = checkpoint.model(ids, mask, targets)
        theirs = reference(
            input_ids=ids, attention_mask=mask.long(), decoder_input_ids=targets
        ).logits
    torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-4)
    assert checkpoint.languages == ("en", "fr")
    assert checkpoint.max_target_tokens == config.max_positions
    assert checkpoint.generation.options["max_new_tokens"] == 40


@pytest.fixture
def copy(tmp_path: Path, checkpoints: dict[str, Path]) -> Path:
    return Path(shutil.copytree(checkpoints["marian"], tmp_path / "copy"))


def _change_weights(folder: Path, change: object) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)  # type: ignore[operator]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def test_a_missing_parameter_is_named(copy: Path) -> None:
    name = "model.decoder.layers.1.fc2.weight"
    _change_weights(copy, lambda weights: weights.pop(name))
    with pytest.raises(CheckpointError, match=f"incomplete.*{name}"):
        load_checkpoint(copy)


def test_nan_is_refused_with_the_name_of_the_parameter(copy: Path) -> None:
    def poison(weights: dict[str, torch.Tensor]) -> None:
        weights["model.encoder.layers.0.fc1.weight"][3, 4] = float("nan")

    _change_weights(copy, poison)
    with pytest.raises(
        CheckpointError, match=r"model\.encoder\.layers\.0\.fc1\.weight .*not finite"
    ):
        load_checkpoint(copy)


def test_another_family_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "whisper"}))
    with pytest.raises(CheckpointError, match="'whisper' is not supported; these are: albert"):
        load_checkpoint(copy)


def test_a_size_that_does_not_fit_the_weights_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"decoder_ffn_dim": 63}))
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_checkpoint(copy)


def _pickle(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_pickles_are_loaded_only_when_allowed(copy: Path) -> None:
    before = load_checkpoint(copy).model.state_dict()
    _pickle(copy)
    with pytest.raises(CheckpointError, match=r"no \.safetensors.*--allow-pickle"):
        load_checkpoint(copy)
    after = load_checkpoint(copy, allow_pickle=True).model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("it ran",)


def test_a_pickle_never_runs_code(copy: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (copy / "model.safetensors").unlink()
    torch.save({"weight": Bomb()}, copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="could run code: it is not loaded"):
        load_checkpoint(copy, allow_pickle=True)
    assert "it ran" not in capfd.readouterr().out


@pytest.mark.parametrize("size", [0, 4, 1000, -1])
def test_a_torn_file_is_refused(copy: Path, size: int) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(copy)


def test_a_torn_pickle_is_refused(copy: Path) -> None:
    _pickle(copy)
    weights = copy / "pytorch_model.bin"
    weights.write_bytes(weights.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="damaged"):
        load_checkpoint(copy, allow_pickle=True)


def _shard(folder: Path) -> list[Path]:
    model = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="30KB")
    return sorted(folder.glob("model-*.safetensors"))


def test_shards_are_read_and_a_missing_one_is_named(copy: Path) -> None:
    before = load_checkpoint(copy).model.state_dict()
    shards = _shard(copy)
    assert len(shards) > 2
    after = load_checkpoint(copy).model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before)
    shards[1].unlink()
    with pytest.raises(CheckpointError, match=f"the shard {shards[1].name} is missing"):
        load_checkpoint(copy)
    (copy / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(CheckpointError, match="no index of shards"):
        load_checkpoint(copy)


def test_a_folder_without_weights_or_configuration_is_refused(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        load_checkpoint(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"config\.json can't be read"):
        load_checkpoint(copy)
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        load_checkpoint(copy)


def test_weights_that_are_not_used_are_named(copy: Path, caplog: pytest.LogCaptureFixture) -> None:
    _change_weights(copy, lambda weights: weights.update(extra=torch.ones(1)))
    load_checkpoint(copy)
    assert "1 tensor is not used, such as extra" in caplog.text


def test_a_checkpoint_without_odd_tensors_says_nothing(
    checkpoints: dict[str, Path], family: str, caplog: pytest.LogCaptureFixture
) -> None:
    load_checkpoint(checkpoints[family])
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("kind", "classes", "task", "head"),
    [
        ("seq2seq", ["BartForConditionalGeneration"], None, None),
        ("seq2seq", ["MarianMTModel"], "translation", None),
        ("seq2seq", ["T5Model"], "summarization", None),
        ("seq2seq", [], "question-answering", None),
        ("encoder", ["BertForSequenceClassification"], None, "classification"),
        ("encoder", ["BertForSequenceClassification"], "classification", "classification"),
        ("encoder", ["BertForQuestionAnswering"], "question-answering", "spans"),
        ("encoder", [], "classification", "classification"),
    ],
)
def test_the_class_tells_the_head(
    tmp_path: Path, kind: Any, classes: list[str], task: Any, head: str | None
) -> None:
    assert check_architecture(tmp_path, kind, classes, task) == head


@pytest.mark.parametrize(
    ("kind", "classes", "task", "reason"),
    [
        ("encoder", ["BertModel"], "classification", "BertModel.*no head for classification"),
        ("encoder", ["BertForMaskedLM"], None, "BertForMaskedLM.*no head that is supported"),
        ("encoder", [], None, "no architectures: give --task classification or question-answering"),
        ("encoder", ["BertForSequenceClassification"], "translation", "can't do translation"),
        ("encoder", ["BertForQuestionAnswering"], "classification", "no head for classification"),
        (
            "seq2seq",
            ["BartForSequenceClassification"],
            None,
            "Classification, which is not supported",
        ),
        ("seq2seq", ["T5EncoderModel"], "translation", "T5EncoderModel"),
        (
            "seq2seq",
            ["BartForConditionalGeneration"],
            "classification",
            "can't do classification: give",
        ),
    ],
)
def test_a_checkpoint_for_another_task_is_refused(
    tmp_path: Path, kind: Any, classes: list[str], task: Any, reason: str
) -> None:
    with pytest.raises(CheckpointError, match=reason):
        check_architecture(tmp_path, kind, classes, task)


def _defaults(folder: Path, content: dict[str, Any], *tasks: str) -> GenerationDefaults:
    content = {"model_type": "t5", "vocab_size": 100} | content
    (folder / "config.json").write_text(json.dumps(content))
    return read_generation(folder, content, list(tasks))


def test_generation_defaults_are_the_engines_options(tmp_path: Path) -> None:
    transformers.GenerationConfig(
        max_length=142,
        min_length=56,
        num_beams=4,
        length_penalty=2.0,
        early_stopping=True,
        no_repeat_ngram_size=3,
        forced_bos_token_id=0,
        forced_eos_token_id=2,
        bad_words_ids=[[7], [8, 9]],
        decoder_start_token_id=2,
    ).save_pretrained(tmp_path)
    defaults = _defaults(tmp_path, {})
    assert defaults.options == {
        "max_new_tokens": 141,
        "min_new_tokens": 55,
        "num_beams": 4,
        "length_penalty": 2.0,
        "early_stopping": True,
        "no_repeat_ngram_size": 3,
        "forced_eos_id": 2,
        "bad_words": [[8, 9]],
    }
    assert (defaults.forced_bos_id, defaults.suppressed_ids) == (0, (7,))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("encoder_no_repeat_ngram_size", 1),
        ("encoder_no_repeat_ngram_size", True),
        ("encoder_repetition_penalty", 0),
        ("encoder_repetition_penalty", 1.2),
        ("guidance_scale", 0),
        ("penalty_alpha", 1),
        ("min_p", 1),
        ("typical_p", 0),
        ("epsilon_cutoff", 1.0),
        ("diversity_penalty", 1.0),
        ("num_beam_groups", 2),
        ("stop_strings", "."),
        ("stop_strings", ["."]),
        ("exponential_decay_length_penalty", [5, 1.0]),
        ("force_words_ids", [[3]]),
        ("renormalize_logits", 1),
        ("renormalize_logits", "true"),
    ],
)
@pytest.mark.parametrize("where", ["generation_config", "config", "task"])
def test_settings_that_are_not_had_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, where: str, name: str, value: Any
) -> None:
    """A value of 1 or true is not neutral because it equals a neutral one of another setting."""
    stated, tasks = {name: value}, []
    if where == "generation_config":
        (tmp_path / "generation_config.json").write_text(json.dumps({"max_length": 9} | stated))
        stated = {}
    elif where == "task":
        stated, tasks = {"task_specific_params": {"summarization": stated}}, ["summarization"]
    assert name not in _defaults(tmp_path, stated, *tasks).options
    assert f"{name}=" in caplog.text
    assert "left out" in caplog.text


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("encoder_no_repeat_ngram_size", [0, None, False]),
        ("encoder_repetition_penalty", [1, 1.0, None]),
        ("typical_p", [1.0, None]),
        ("num_beam_groups", [1]),
        ("diversity_penalty", [0, 0.0]),
        ("guidance_scale", [1, 1.0]),
        ("sequence_bias", [None]),
        ("renormalize_logits", [False, None]),
    ],
)
def test_settings_that_change_nothing_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, values: list[Any]
) -> None:
    for value in values:
        assert _defaults(tmp_path, {name: value}).options == {}
    assert caplog.text == ""


@pytest.mark.parametrize("where", ["generation_config", "config", "task"])
def test_scores_are_normalized_again_where_the_checkpoint_says_so(
    tmp_path: Path, where: str
) -> None:
    stated: dict[str, Any] = {"renormalize_logits": True}
    tasks = []
    if where == "generation_config":
        (tmp_path / "generation_config.json").write_text(json.dumps(stated))
        stated = {}
    elif where == "task":
        stated, tasks = {"task_specific_params": {"translation": stated}}, ["translation"]
    assert _defaults(tmp_path, stated, *tasks).options == {"renormalize_logits": True}


def test_what_config_json_sets_in_vain_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "generation_config.json").write_text(json.dumps({"num_beams": 3}))
    old = {"num_beams": 4, "length_penalty": 1, "early_stopping": False, "max_length": 20}
    assert _defaults(tmp_path, old).options == {"num_beams": 3}
    assert caplog.text == ""
    old |= {"length_penalty": 0.5, "renormalize_logits": True, "min_length": 3}
    assert _defaults(tmp_path, old).options == {"num_beams": 3}
    for name in ("length_penalty=0.5", "renormalize_logits=True", "min_length=3"):
        assert f"{name} of config.json does not hold" in caplog.text


def test_the_decoders_start_of_a_task_holds(tmp_path: Path) -> None:
    """facebook/mbart-large-en-ro states it so."""
    specific = {"translation_en_to_ro": {"decoder_start_token_id": 9, "num_beams": None}}
    stated = {"num_beams": 5, "decoder_start_token_id": 3, "task_specific_params": specific}
    defaults = _defaults(tmp_path, stated, "translation_en_to_ro")
    assert (defaults.tokens, defaults.options) == ({"decoder_start_token_id": 9}, {})


def test_config_json_holds_the_defaults_of_older_checkpoints(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    specific = {
        "summarization": {"prefix": "summarize: ", "num_beams": 4, "max_length": 200},
        "translation_en_to_fr": {"prefix": "translate English to French: ", "num_beams": 16},
    }
    old = {"num_beams": 2, "do_sample": True, "task_specific_params": specific}
    assert _defaults(tmp_path, old).options == {"num_beams": 2, "sample": True}
    summary = _defaults(tmp_path, old, "summarization")
    assert summary.options == {"num_beams": 4, "sample": True, "max_new_tokens": 199}
    assert summary.prefix == "summarize: "
    translation = _defaults(tmp_path, old | {"typical_p": 0.3}, "translation_en_to_fr")
    assert translation.options["num_beams"] == 8
    assert "16 beams" in caplog.text
    assert "typical_p=0.3 is not supported" in caplog.text


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="neither a folder nor a hub id"):
        load_checkpoint(tmp_path / "nothing")


class FakeHub:
    """Lists some files and notes which are fetched; `error` is raised instead."""

    def __init__(self, names: list[str], error: Exception | None = None) -> None:
        self.names, self.error = names, error
        self.fetched: list[str] = []
        self.revision: str | None = None

    def list_repo_files(self, repo_id: str, revision: str | None = None) -> list[str]:
        if self.error:
            raise self.error
        return self.names

    def download(self, repo_id: str, **asked: Any) -> str:
        if asked.get("local_files_only"):
            raise LocalEntryNotFoundError("not there")
        self.revision = asked["revision"]
        patterns = asked["allow_patterns"]
        self.fetched = [
            name for name in self.names if any(fnmatch(name, pattern) for pattern in patterns)
        ]
        return "downloaded"

    def use(self, monkeypatch: pytest.MonkeyPatch) -> "FakeHub":
        monkeypatch.setattr(hub, "HfApi", lambda: self)
        monkeypatch.setattr(hub, "snapshot_download", self.download)
        return self


HUB_FILES = ["README.md", "config.json", "tokenizer.json", "tf_model.h5", "onnx/model.onnx"]


def test_only_what_is_needed_is_downloaded_in_one_format(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [*HUB_FILES, "model.safetensors", "pytorch_model.bin"]
    fake = FakeHub(names).use(monkeypatch)
    assert hub.locate("some/model", "v2", allow_pickle=True) == Path("downloaded")
    assert fake.fetched == ["README.md", "config.json", "tokenizer.json", "model.safetensors"]
    assert fake.revision == "v2"


def test_pickles_are_not_even_downloaded_unless_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeHub([*HUB_FILES, "pytorch_model.bin"]).use(monkeypatch)
    with pytest.raises(CheckpointError, match=r"some/model has no \.safetensors"):
        hub.locate("some/model", None, allow_pickle=False)
    assert fake.fetched == []
    hub.locate("some/model", None, allow_pickle=True)
    assert fake.fetched == ["README.md", "config.json", "tokenizer.json", "pytorch_model.bin"]


def test_a_hub_that_cannot_be_reached_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    FakeHub([], RuntimeError("Name or service not known\nmore")).use(monkeypatch)
    with pytest.raises(CheckpointError, match=r"can't be reached: Name or service not known$"):
        hub.locate("some/model", None, allow_pickle=False)


def test_the_article_base_model_is_a_configuration() -> None:
    config = ModelConfig(vocab_size=32000)
    sizes = (config.encoder_layers, config.decoder_layers, config.encoder_heads, config.d_model)
    assert sizes == (6, 6, 8, 512)
    assert config.encoder_ffn == config.decoder_ffn == 2048


def test_heads_have_to_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"decoder_heads \(7\) must divide d_model"):
        ModelConfig(vocab_size=10, decoder_heads=7)
