"""The manifest of a checkpoint's variants, before a precision is chosen."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.contract.manifest import Manifest
from engine.export.gates.tokenizer import check_encoder_tokenizer, check_tokenizer
from engine.export.source_plan import SourcePlan, Wish, plan_source
from engine.export.variant_folder import tokenizer_sha256
from engine.model.checkpoint import Checkpoint
from engine.model.tokenizers.tokenizer import CheckpointTokenizer


def describe(
    checkpoint: Checkpoint, wish: Wish, name: str, tokenizer: CheckpointTokenizer, files: Path
) -> Manifest:
    """The manifest, with precision "fp32"; the tokenizer's files are in `files`.

    Raises:
        CheckpointError: the checkpoint can't do what is wished for, or the runtime's tokenizer
            makes other ids or another text than the checkpoint's own.

    """
    common: dict[str, Any] = {
        "name": name,
        "base_model": name,
        "task": wish.task,
        "precision": "fp32",
        "family": checkpoint.family,
        "kind": checkpoint.kind,
        "checkpoint_sha256": checkpoint.sha256,
        "tokenizer_sha256": tokenizer_sha256(files),
        "vocab_size": checkpoint.vocab_size,
        "max_source_tokens": checkpoint.max_source_tokens,
    }
    if checkpoint.kind == "encoder":
        types = checkpoint.encoder.config.token_types
        check_encoder_tokenizer(tokenizer, files, types, pairs=checkpoint.head == "spans")
        return _encoder(checkpoint, common)
    common["silent_ids"] = list(tokenizer.silent_ids)
    manifest = _seq2seq(checkpoint, plan_source(checkpoint, tokenizer, wish), common)
    check_tokenizer(tokenizer, manifest, files)
    return manifest


def _encoder(checkpoint: Checkpoint, common: dict[str, Any]) -> Manifest:
    config = checkpoint.encoder.config
    return Manifest(
        **common,
        pad_id=config.pad_id,
        head=checkpoint.head or "",
        labels=tuple(checkpoint.labels),
        multi_label=checkpoint.multi_label,
        token_type_ids=config.token_types > 0,
    )


def _seq2seq(checkpoint: Checkpoint, plan: SourcePlan, common: dict[str, Any]) -> Manifest:
    config = checkpoint.config
    return Manifest(
        **common,
        **asdict(plan),
        max_target_tokens=checkpoint.max_target_tokens,
        decoder_layers=config.decoder_layers,
        decoder_heads=config.decoder_heads,
        head_width=config.decoder_block.head_width,
        decoder_unit=config.decoder_unit,
        decoder_start_id=config.decoder_start_id,
        eos_id=config.eos_id,
        pad_id=config.source_pad_id,
        generation=checkpoint.generation.options,
    )
