"""The sizes of a checkpoint or of a variant, read without its weights."""

from pathlib import Path
from typing import Any

from engine.model.config import ModelConfig
from engine.model.errors import CheckpointError, in_one_line
from engine.native.weights import MODEL_FILE, WeightsError, read_model
from engine.parallel.capacity.errors import CapacityError


def read_dimensions(checkpoint: str) -> ModelConfig:
    """The configuration of a checkpoint's folder, of a hub id, or of a variant's folder.

    Raises:
        CheckpointError: it can't be read, or is of a family that is not supported.
        CapacityError: it generates no text.

    """
    folder = Path(checkpoint)
    for variant in (folder, folder / "1"):
        if (variant / MODEL_FILE).is_file():
            return _of_variant(variant)
    return _of_checkpoint(folder if folder.is_dir() else _downloaded(checkpoint))


def _of_variant(folder: Path) -> ModelConfig:
    """Of the sizes that native code reads, in which heads and hidden widths are padded to 16."""
    try:
        found = read_model(folder)
        if "decoder_layers" not in found:
            raise CapacityError(f"{folder} generates no text: only what does is planned.")
        return ModelConfig(
            vocab_size=found["vocabulary"],
            source_vocab_size=found["source_vocabulary"],
            d_model=found["width"],
            encoder_layers=found["encoder_layers"],
            decoder_layers=found["decoder_layers"],
            encoder_heads=found["encoder_heads"],
            decoder_heads=found["decoder_heads"],
            head_width=_head_width(found),
            encoder_ffn=found["encoder_hidden"],
            decoder_ffn=found["decoder_hidden"],
            gated=found["gated"],
            max_positions=found["max_positions"],
            max_target_positions=found["max_target_positions"],
            **_attention(found),
            norm="pre" if found["pre_norm"] else "post",
            norm_kind="rms" if found["rms"] else "layer",
            positions="relative" if found["furthest"] else "learned",
            decoder_unit="ssru" if found["recurrent"] else "attention",
        )
    except WeightsError as error:
        raise CheckpointError(str(error)) from error
    except CapacityError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        place = folder / MODEL_FILE
        raise CheckpointError(f"{place} describes no model: {in_one_line(error)}") from error


def _attention(found: dict[str, Any]) -> dict[str, Any]:
    """What of a source tokens attend to; sizes that it does not have are 0 in the file."""
    sizes = {name: found[name] for name in ("local_radius", "global_block") if found[name]}
    return {"encoder_attention": found["encoder_attention"], **sizes}


def _head_width(found: dict[str, Any]) -> int:
    """That of both stacks; 0 where each has the model's width over its heads."""
    heads = [(found[f"{name}_heads"], found[f"{name}_head"]) for name in ("encoder", "decoder")]
    if all(count * width == found["width"] for count, width in heads):
        return 0
    if heads[0][1] != heads[1][1]:
        raise ValueError("its stacks have heads of different widths")
    return int(heads[0][1])


def _of_checkpoint(folder: Path) -> ModelConfig:
    from transformers import AutoConfig

    from engine.model.checkpoint import read_config
    from engine.model.families import ENCODER_FAMILIES, SEQ2SEQ_FAMILIES

    raw = read_config(folder)
    family = raw["model_type"]
    if family in ENCODER_FAMILIES:
        raise CapacityError(f"{folder} ({family}) generates no text: only what does is planned.")
    if family not in SEQ2SEQ_FAMILIES:
        known = ", ".join(sorted(SEQ2SEQ_FAMILIES))
        raise CheckpointError(f"{folder}: model_type {family!r} is not one of {known}.")
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        sizes: ModelConfig = SEQ2SEQ_FAMILIES[family].read_config({**config.to_dict(), **raw})
    # What others have written is wrong in more ways than can be listed.
    except Exception as error:
        raise CheckpointError(f"{folder}: {in_one_line(error)}") from error
    return sizes


def _downloaded(name: str) -> Path:
    """The folder with the configuration of a hub id; weights are not fetched."""
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["*config.json"]))
    # The hub's library lets errors of whatever HTTP library it uses through.
    except Exception as error:
        raise CheckpointError(
            f"{name} is neither a folder nor a hub id that could be had: {in_one_line(error)}"
        ) from error
