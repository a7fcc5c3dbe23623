"""What a checkpoint itself answers, which the answers of its variants are compared with.

That is asked of `transformers`, and of our own model in PyTorch where `transformers` can't read the
files: those of Marian.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoModelForSequenceClassification

from engine.contract.manifest import Manifest, read_manifest
from engine.model.checkpoint import load_checkpoint
from engine.model.marian.folder import as_checkpoint, find
from engine.runtime.decoding.settings import greedy_decoding
from engine.runtime.text.vocabulary import load_tokenizer, load_vocabulary

ORACLE_BATCH = 8

Output = tuple[int, ...] | str
"""The token ids of an answer, its end included, or the likeliest label."""


def oracle_of(checkpoint: Path) -> str:
    """Who answers for a checkpoint: "transformers", or "PyTorch".

    Raises:
        CheckpointError: the folder is one of Marian's, and incomplete.

    """
    return "transformers" if find(checkpoint) is None else "PyTorch"


def oracle_answers(checkpoint: Path, texts: Sequence[str], folder: Path) -> list[Output | None]:
    """What a checkpoint answers in FP32, see `transformers_answers` and `marian_answers`."""
    if oracle_of(checkpoint) == "transformers":
        return transformers_answers(checkpoint, texts, folder)
    return marian_answers(checkpoint, texts, folder)


@torch.no_grad()
def marian_answers(checkpoint: Path, texts: Sequence[str], folder: Path) -> list[Output | None]:
    """The tokens that a model of Marian's takes greedily; such files forbid and force none.

    Raises:
        CheckpointError: it can't be read.

    """
    with as_checkpoint(checkpoint) as place:
        model = load_checkpoint(place).transformer
        manifest = read_manifest(folder)
        decoding, end = greedy_decoding(manifest), manifest.eos_id
        answers: list[Output | None] = []
        for ids, mask in _batches(texts, folder, manifest):
            memory, real = model.encode(ids, mask.bool()), mask.bool()
            made = torch.full((len(ids), 1), decoding.start_id)
            while made.shape[1] <= decoding.max_new_tokens and not _have_ended(made, end):
                best = model.decode(made, memory, real)[:, -1:].argmax(dim=-1)
                made = torch.cat([made, best], dim=1)
            answers += [_until_end(row[1:], end) for row in made.tolist()]
    return answers


def _have_ended(made: torch.Tensor, end: int) -> bool:
    return bool((made[:, 1:] == end).any(dim=1).all())


@torch.no_grad()
def transformers_answers(
    checkpoint: Path, texts: Sequence[str], folder: Path
) -> list[Output | None]:
    """What `transformers` answers in FP32, a generating model greedily.

    The texts are tokenized with the vocabulary of the variant whose files are in `folder`. None
    stands for a text that is longer than a classifier's positions: we read it in windows, and
    `transformers` its start only.
    """
    manifest = read_manifest(folder)
    if manifest.kind == "encoder":
        return _labels(checkpoint, texts, folder, manifest)
    model = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, dtype=torch.float32).eval()
    decoding = greedy_decoding(manifest)
    settings: dict[str, Any] = {
        "num_beams": 1,
        "do_sample": False,
        "max_new_tokens": decoding.max_new_tokens,
        "forced_bos_token_id": decoding.forced_bos_id,
        "decoder_start_token_id": decoding.start_id,
    }
    answers: list[Output | None] = []
    for ids, mask in _batches(texts, folder, manifest):
        made = model.generate(input_ids=ids, attention_mask=mask, **settings)
        answers += [_until_end(row[1:], manifest.eos_id) for row in made.tolist()]
    return answers


def _labels(
    checkpoint: Path, texts: Sequence[str], folder: Path, manifest: Manifest
) -> list[Output | None]:
    tokenizer = load_tokenizer(folder)
    model = AutoModelForSequenceClassification.from_pretrained(checkpoint, dtype=torch.float32)
    answers: list[Output | None] = []
    for text in texts:
        ids = tokenizer.encode(text).ids
        if len(ids) > manifest.max_source_tokens:
            answers.append(None)
            continue
        logits = model.eval()(input_ids=torch.tensor([ids])).logits
        answers.append(manifest.labels[int(logits.argmax())])
    return answers


def _batches(
    texts: Sequence[str], folder: Path, manifest: Manifest
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """The texts' ids and masks `[B,S]`, some texts at a time."""
    sources = load_vocabulary(folder, manifest).encode(texts, *manifest.example_languages)
    for first in range(0, len(sources), ORACLE_BATCH):
        yield _padded(sources[first : first + ORACLE_BATCH], manifest.pad_id)


def _padded(rows: Sequence[list[int]], pad_id: int) -> tuple[torch.Tensor, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([row + [pad_id] * (width - len(row)) for row in rows])
    mask = torch.arange(width)[None] < torch.tensor([[len(row)] for row in rows])
    return ids, mask.long()


def _until_end(ids: list[int], eos_id: int) -> tuple[int, ...]:
    return tuple(ids[: ids.index(eos_id) + 1] if eos_id in ids else ids)
