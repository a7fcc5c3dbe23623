"""What the check needs of the example model: prepared here, taken to a machine without ONNX.

`python -m tests.gpu.variant FOLDER` writes weights, a manifest and the tokens of texts.  Weights
are FP32, stored in 16 bits where that changes no number: the checkpoint is FP16, and whole ones
would not fit into what is carried.  Each precision is made of these where it is needed.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from engine.contract.manifest import MANIFEST_FILE
from engine.native.layout import pack_bytes, unpack_floats
from engine.native.weights import TYPES, StoredTensor, read_weights, write_weights
from tests.engine.native.manifests import bare_manifest

ROOT = Path(__file__).resolve().parents[2]
CHECKPOINT = ROOT / "examples/checkpoints/en-fr"
TEXTS = ROOT / "examples/data/en-fr.test.jsonl"
SOURCES_FILE = "sources.json"
TABLES = ("embedding", "encoder.positions", "decoder.positions")
SUFFIXES = {"fp32": "float", "fp16": "half", "bf16": "brain"}
KINDS = {"fp32": "F32", "fp16": "F16", "bf16": "BF16"}
COUNT = 128
LONGEST = 128
"""Tokens of sources and answers, which bounds the memory of a slot."""


def prepare(folder: Path) -> None:
    """Writes the variant; it needs ONNX."""
    from engine.export.graphs.transformer import TransformerGraphs
    from engine.export.native.transformer import write_native
    from engine.export.precision.float_graphs import ENCODER, STEP
    from engine.export.precision.recipes import Recipe
    from engine.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(CHECKPOINT)
    model, config = checkpoint.transformer, checkpoint.config
    builder = TransformerGraphs(model)
    graphs = {ENCODER: builder.encoder(), STEP: builder.decoder_step()}
    folder.mkdir(parents=True, exist_ok=True)
    write_native(folder, config, graphs, {name: Recipe("fp32") for name in graphs}, ())
    described, tensors = read_weights(folder)
    _write(folder, described, tensors, _smallest)
    block = config.decoder_block
    manifest = bare_manifest(
        "en-fr_fp32",
        longest=LONGEST,
        base_model="en-fr",
        precision="fp32",
        family="pegasus",
        vocab_size=config.vocab_size,
        pad_id=config.pad_id,
        eos_id=config.eos_id,
        decoder_start_id=config.decoder_start_id,
        decoder_layers=config.decoder_layers,
        decoder_heads=block.heads,
        head_width=block.head_width,
    )
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    (folder / SOURCES_FILE).write_text(json.dumps(_sources()), encoding="utf-8")


def _sources() -> list[list[int]]:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(CHECKPOINT)
    lines = TEXTS.read_text(encoding="utf-8").splitlines()
    tokens = [tokenizer(json.loads(line)["source"]).input_ids for line in lines[: 4 * COUNT]]
    return [one for one in tokens if len(one) <= LONGEST // 2][:COUNT]


def in_precision(variant: Path, precision: str, folder: Path) -> Path:
    """Writes the variant's weights as "fp32", "fp16", "bf16" or "int8" to `folder`.

    INT8 products have a scale for each column; nothing is known of inputs, and tables are as they
    were.
    """
    described, tensors = read_weights(variant)
    folder.mkdir(parents=True)
    _write(folder, described, tensors, lambda _: precision)
    return folder


def _smallest(array: Any) -> str:
    """The precision that holds the numbers of an array, FP16 or FP32."""
    with np.errstate(over="ignore"):
        return "fp16" if np.array_equal(array.astype(np.float16), array) else "fp32"


def _write(folder: Path, described: Any, tensors: Any, precision_of: Callable[[Any], str]) -> None:
    """Writes matrices and tables in the precisions that are named, and all else as it is."""
    stored: list[StoredTensor] = []
    for name, array in tensors.items():
        stem, _, ending = name.rpartition(".")
        if ending not in SUFFIXES.values():
            stem = name
        if stem != name or name in TABLES:
            wide = array.astype(np.float32)
            precision = precision_of(wide)
            if precision == "int8" and stem not in TABLES:
                stored += _bytes(stem, wide)
                continue
            precision = _smallest(wide) if precision == "int8" else precision
            full = f"{stem}.{SUFFIXES[precision]}"
            # A table in FP32 has no suffix.
            full = stem if stem in TABLES and precision == "fp32" else full
            stored.append(_stored(full, KINDS[precision], _converted(wide, precision)))
        else:
            same = next(one for one, dtype in TYPES.items() if dtype == array.dtype)
            stored.append(_stored(name, same, array))
    described = {name: value for name, value in described.items() if name != "format"}
    new = folder.with_name(folder.name + ".new")  # the old ones are mapped
    new.mkdir()
    write_weights(new, described, stored)
    for file in new.iterdir():
        file.replace(folder / file.name)
    new.rmdir()


def _bytes(name: str, packed: Any) -> Iterator[StoredTensor]:
    """A product with INT8 weights, of which the largest of each column is 127."""
    weight = unpack_floats(packed)
    scales = np.maximum(np.abs(weight).max(axis=0), 1e-30) / 127
    made = pack_bytes(np.rint(weight / scales).astype(np.int8))
    depth = made.shape[1] * made.shape[3]
    yield _stored(f"{name}.int8", "I8", made)
    yield _stored(f"{name}.scales", "F32", scales)
    yield _stored(f"{name}.inputs", "F32", np.ones(depth, np.float32))


def _converted(wide: Any, precision: str) -> Any:
    if precision == "fp32":
        return wide
    if precision == "fp16":
        return wide.astype(np.float16)
    # To the nearest, ties to even: no weight is near the largest numbers.
    bits = wide.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _stored(name: str, kind: str, array: Any) -> StoredTensor:
    return StoredTensor(name, kind, array.shape, lambda: [array])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    prepare(parser.parse_args().folder)
