"""Small random encoders of every family, as variants that both sessions run."""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch

from engine.contract.manifest import MANIFEST_FILE, Manifest
from engine.export.graphs.builder import save_model
from engine.export.graphs.encoder import EncoderGraphs
from engine.export.native.encoder import runs_natively, write_native_encoder
from engine.export.precision.encoders import never_int8, observe_encoder
from engine.export.precision.float_graphs import MODEL
from engine.export.precision.recipes import Precision, Recipe, make_recipe
from engine.model.checkpoint import load_checkpoint
from engine.model.config import BlockConfig
from engine.model.encoders.config import EncoderConfig, HeadKind
from engine.model.encoders.model import EncoderModel
from engine.runtime.encoders.session import Floats
from engine.runtime.encoders.windows import TokenWindow
from tests.engine.model.encoder_checkpoints import FAMILIES, HEADS, LONGEST, randomise
from tests.engine.native.answers import random_windows

# No size is a multiple of 16, layers share parameters, and labels are more than a vector.
ODD = EncoderConfig(
    block=BlockConfig(20, heads=4, head_width=5, hidden=33, activation="gelu_tanh", norm="pre"),
    vocab_size=61,
    order=(0, 1, 0),
    max_positions=LONGEST + 3,
    position_offset=3,
    pad_id=0,
    embedding_width=12,
    projection="biased",
    token_types=3,
    head_activation="silu",
)
ODD_LABELS = 19


@functools.cache
def random_encoder(family: str, head: HeadKind) -> EncoderModel:
    """That of a family, or "odd"."""
    if family == "odd":
        torch.manual_seed(3)
        model = EncoderModel(ODD, head, ODD_LABELS if head == "classification" else 2).eval()
        randomise(model)
        return model
    with tempfile.TemporaryDirectory() as folder:
        FAMILIES[family](Path(folder), head, 3)
        return load_checkpoint(Path(folder)).encoder


EVERY = [("odd", "classification"), ("odd", "spans")] + [
    (family, head) for family, heads in HEADS.items() for head in heads
]
NATIVE = [
    (family, head) for family, head in EVERY if family not in ("esm2", "deberta-v2", "deberta-v3")
]


@dataclass(frozen=True)
class EncoderVariant:
    """A variant's files, and the model that they were made of."""

    folder: Path
    manifest: Manifest
    model: EncoderModel

    @torch.no_grad()
    def oracle(self, window: TokenWindow) -> Floats:
        """What PyTorch makes of a window."""
        ids = torch.tensor([window.ids])
        types = torch.tensor([window.token_types])
        return np.asarray(self.model(ids, torch.ones_like(ids).bool(), types)[0], np.float32)


@functools.cache
def _exported(family: str, head: HeadKind, precision: Precision) -> tuple[onnx.ModelProto, Recipe]:
    model = random_encoder(family, head)
    graph = EncoderGraphs(model).graph()
    if precision != "int8":
        return graph, Recipe(precision)
    windows = random_windows(_manifest(family, head, precision), (5, 9, 16, 30, 64, 50), seed=1)
    seen = observe_encoder(graph, model.config, [[window.ids for window in windows]])
    return graph, make_recipe(graph, precision, seen, never_int8(graph))


def write_encoder(
    folder: Path, family: str, head: HeadKind, precision: Precision, only: str = ""
) -> EncoderVariant:
    """Exports a random model for both sessions; `only` names the product that is INT8."""
    model = random_encoder(family, head)
    graph, recipe = _exported(family, head, precision)
    if only:
        recipe = recipe.without(dict.fromkeys(set(recipe.roundings) - {only}, ""))
    manifest = _manifest(family, head, precision)
    folder.mkdir(parents=True)
    if runs_natively(model.config):
        write_native_encoder(folder, model, graph, recipe)
    save_model(recipe.serving(graph), folder / MODEL)
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return EncoderVariant(folder, manifest, model)


def _manifest(family: str, head: HeadKind, precision: Precision) -> Manifest:
    config = random_encoder(family, head).config
    return Manifest(
        name=f"random_{precision}",
        base_model="random",
        task="classification" if head == "classification" else "question-answering",
        precision=precision,
        family=family,
        checkpoint_sha256="",
        tokenizer_sha256="",
        max_source_tokens=config.max_tokens,
        vocab_size=config.vocab_size,
        pad_id=config.pad_id,
        kind="encoder",
        head=head,
        token_type_ids=config.token_types > 0,
    )


def int8_products(family: str, head: HeadKind) -> list[str]:
    """The names of its products that are INT8."""
    return list(_exported(family, head, "int8")[1].roundings)
