"""Small random checkpoints as `transformers` writes them, and variants made of them."""

import json
from pathlib import Path

import pytest
import sentencepiece
import torch
import transformers
from transformers import PreTrainedTokenizerFast

from engine.export.exporter import ExportJob, export
from engine.model.checkpoint import load_checkpoint
from engine.training.vocabulary import train_vocabulary

# These models are so small that threads would only wait for each other.
torch.set_num_threads(1)

DATA = Path(__file__).parents[2] / "examples" / "data"
VOCABULARY = 400


def read_sources(count: int) -> list[str]:
    lines = (DATA / "en-fr.test.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["source"] for line in lines[:count]]


def _sizes(vocab: int) -> dict[str, object]:
    return {
        "vocab_size": vocab,
        "d_model": 32,
        "encoder_layers": 2,
        "decoder_layers": 2,
        "encoder_attention_heads": 4,
        "decoder_attention_heads": 2,
        "encoder_ffn_dim": 48,
        "decoder_ffn_dim": 64,
        "max_position_embeddings": 128,
        "scale_embedding": True,
        "init_std": 0.3,
        "forced_eos_token_id": None,
        "source_language": "en",
        "target_language": "fr",
    }


def write_pegasus(folder: Path) -> Path:
    torch.manual_seed(1)
    tokenizer = train_vocabulary(read_sources(300), VOCABULARY)
    config = transformers.PegasusConfig(
        **_sizes(VOCABULARY),
        activation_function="relu",
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=0,
    )
    model = transformers.PegasusForConditionalGeneration(config)
    _randomise(model)
    model.generation_config = transformers.GenerationConfig(
        max_length=41, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0
    )
    model.save_pretrained(folder)
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(folder)
    return folder


def write_marian(folder: Path) -> Path:
    torch.manual_seed(2)
    folder.mkdir(parents=True, exist_ok=True)
    for side in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(read_sources(300)),
            model_prefix=str(folder / side),
            vocab_size=VOCABULARY,
            minloglevel=2,
            bos_id=-1,
            eos_id=0,
            unk_id=1,
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
        (folder / f"{side}.vocab").unlink()
    spm = sentencepiece.SentencePieceProcessor(model_file=str(folder / "source.spm"))
    pieces = [spm.id_to_piece(index) for index in range(VOCABULARY)]
    pieces.append("<pad>")
    numbers = {piece: index for index, piece in enumerate(pieces)}
    (folder / "vocab.json").write_text(json.dumps(numbers), encoding="utf-8")
    pad = numbers["<pad>"]
    config = transformers.MarianConfig(
        **_sizes(len(pieces)),
        activation_function="swish",
        pad_token_id=pad,
        eos_token_id=numbers["</s>"],
        decoder_start_token_id=pad,
    )
    model = transformers.MarianMTModel(config)
    _randomise(model)
    model.generation_config = transformers.GenerationConfig(
        max_length=41,
        pad_token_id=pad,
        eos_token_id=numbers["</s>"],
        decoder_start_token_id=pad,
        bad_words_ids=[[pad]],
    )
    model.save_pretrained(folder)
    return folder


def _randomise(model: torch.nn.Module) -> None:
    """Biases and norms that are not their neutral values, so that forgetting one shows."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(std=0.1)
            elif "layer_norm.weight" in name:
                parameter.uniform_(0.5, 1.5)
        model.get_buffer("final_logits_bias").normal_(std=0.5)


WRITERS = {"pegasus": write_pegasus, "marian": write_marian}


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each family."""
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: write(root / name) for name, write in WRITERS.items()}


@pytest.fixture(scope="session", params=list(WRITERS))
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]) -> Path:
    """A model repository with both variants of each family's checkpoint."""
    root = tmp_path_factory.mktemp("repository")
    for name, folder in checkpoints.items():
        job = ExportJob(load_checkpoint(folder), name, ("en", "fr"), root, read_sources(32))
        export(job, ["fp32", "int8"])
    return root


@pytest.fixture(scope="session", params=["fp32", "int8"])
def variant(request: pytest.FixtureRequest, repository: Path, family: str) -> Path:
    """The files of one variant."""
    return repository / f"{family}_{request.param}" / "1"
