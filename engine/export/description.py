"""The manifest of a checkpoint's variants, before a precision is chosen."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.export.source import SourcePlan, Wish, plan_source
from engine.export.variant import tokenizer_sha256
from engine.model.checkpoint import Checkpoint, CheckpointError
from engine.runtime.detokenizer import Detokenizer
from engine.runtime.manifest import Manifest
from engine.runtime.vocabulary import load_vocabulary

_SAMPLE = ("Hello, world!", "It's a small, fast text editor (GPL).", "Où est l'été ? 東京 😀")


def describe(
    checkpoint: Checkpoint, wish: Wish, name: str, tokenizer: Any, files: Path
) -> Manifest:
    """The manifest, with precision "fp32"; the tokenizer's files are in `files`.

    Raises:
        CheckpointError: the checkpoint can't do what is wished for, or its tokenizer's text can't
            be made as `transformers` makes it.

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
        return _encoder(checkpoint, common)
    manifest = _seq2seq(checkpoint, plan_source(checkpoint, tokenizer, wish), common)
    _check_text(manifest, tokenizer, files)
    return manifest


def _encoder(checkpoint: Checkpoint, common: dict[str, Any]) -> Manifest:
    config = checkpoint.encoder.config
    return Manifest(
        **common,
        pad_id=config.pad_id,
        head=checkpoint.head or "",
        labels=list(checkpoint.labels),
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
        decoder_start_id=config.decoder_start_id,
        eos_id=config.eos_id,
        pad_id=config.pad_id,
        generation=checkpoint.generation.options,
    )


def _check_text(manifest: Manifest, tokenizer: Any, files: Path) -> None:
    """Compares text to ids to text with `transformers`, so that no tokenizer is served wrongly."""
    try:
        vocabulary = load_vocabulary(files, manifest)
    except (ValueError, LookupError) as error:
        raise CheckpointError(
            f"the tokenizer {type(tokenizer).__name__} has an incomplete vocabulary: {error}"
        ) from error
    for text in _SAMPLE:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        ours = Detokenizer(vocabulary.token_bytes).push(ids, end=True)
        theirs = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        if ours.strip() != theirs.strip():
            raise CheckpointError(
                f"the tokenizer {type(tokenizer).__name__} is not supported: it makes {theirs!r} "
                f"where we would make {ours!r}."
            )
