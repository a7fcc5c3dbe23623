import json
import shutil
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.model.config import ModelConfig


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
    assert checkpoint.max_target_tokens == 40


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
        CheckpointError, match=r"encoder\.0\.ffn\.sublayer\.up\.weight .*not finite"
    ):
        load_checkpoint(copy)


def test_another_family_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "whisper"}))
    with pytest.raises(CheckpointError, match="'whisper' is not supported; these are: marian"):
        load_checkpoint(copy)


def test_a_size_that_does_not_fit_the_weights_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"decoder_ffn_dim": 63}))
    with pytest.raises(CheckpointError, match="size mismatch"):
        load_checkpoint(copy)


def test_pickles_are_refused(copy: Path) -> None:
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"no \.safetensors"):
        load_checkpoint(copy)


def test_a_torn_file_is_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="can't be read"):
        load_checkpoint(copy)


def test_a_folder_that_is_not_there_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="neither a folder nor a hub id"):
        load_checkpoint(tmp_path / "nothing")


def test_the_article_base_model_is_a_configuration() -> None:
    config = ModelConfig(vocab_size=32000)
    sizes = (config.encoder_layers, config.decoder_layers, config.encoder_heads, config.d_model)
    assert sizes == (6, 6, 8, 512)
    assert config.encoder_ffn == config.decoder_ffn == 2048


def test_heads_have_to_divide_the_width() -> None:
    with pytest.raises(ValueError, match=r"decoder_heads \(7\) must divide d_model"):
        ModelConfig(vocab_size=10, decoder_heads=7)
