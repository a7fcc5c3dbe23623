"""Small random encoder-decoders of every kind, as variants that both sessions run."""

import functools
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from torch import nn

from engine.contract.manifest import MANIFEST_FILE, Manifest
from engine.export.graphs.builder import save_model
from engine.export.graphs.transformer import TransformerGraphs
from engine.export.native.transformer import write_native
from engine.export.precision.calibration import Observation, observe, quantizable
from engine.export.precision.float_graphs import ENCODER, STEP, Graphs
from engine.export.precision.recipes import Precision, Recipe, make_recipe
from engine.export.precision.sensitivity import activation_scale
from engine.model.config import ModelConfig
from engine.model.shortlist import Shortlist
from engine.model.transformer import Transformer
from engine.runtime.decoding.trail import Trail
from tests.engine.native.answers import random_sources
from tests.engine.native.manifests import bare_manifest

LONGEST = 140
"""Positions of every model: more than a slot keeps the memory of when its row has ended."""

REFUSED_SOURCES: list[tuple[list[int], str]] = [
    ([], "a source has no tokens"),
    ([997, 1], "token that does not exist"),
    ([-1, 1], "token that does not exist"),
    ([1] * (LONGEST + 1), "longer than the model's positions"),
]
"""Sources that the kind "bart" does not take, and what is said of them."""

_SMALL = ModelConfig(
    vocab_size=61,
    encoder_layers=2,
    decoder_layers=2,
    encoder_heads=4,
    decoder_heads=4,
    d_model=32,
    encoder_ffn=48,
    decoder_ffn=48,
    max_positions=LONGEST,
    pad_id=0,
    eos_id=1,
    decoder_start_id=0,
)
_T5 = replace(
    _SMALL,
    **{"norm": "pre", "norm_kind": "rms", "bias": False, "positions": "relative"},
    **{"scale_embedding": False, "scale_attention": False, "head_width": 5, "d_model": 24},
    **{"relative_buckets": 8, "relative_distance": 20, "norm_epsilon": 1e-6},
)


@dataclass(frozen=True)
class Kind:
    """A configuration, and what else a checkpoint says about the tokens.

    `directions` are how many most of what embeddings differ in has; 0: all have the same.
    """

    config: ModelConfig
    suppressed_ids: tuple[int, ...] = ()
    directions: int = 0


KINDS = MappingProxyType(
    {
        "marian": Kind(replace(_SMALL, activation="silu", output_bias=True), (0,)),
        "pegasus": Kind(replace(_SMALL, norm="pre", vocab_size=11, d_model=24, encoder_heads=3)),
        "bart": Kind(
            replace(
                _SMALL,
                **{"positions": "learned", "activation": "gelu", "embedding_norm": True},
                **{"vocab_size": 997, "output_bias": True, "d_model": 40, "decoder_heads": 5},
            ),
            (996, 0, 15, 16, 511, 512, 3),
        ),
        "mbart": Kind(
            replace(
                _SMALL,
                **{"norm": "pre", "positions": "learned", "activation": "gelu"},
                **{"embedding_norm": True, "d_model": 96, "encoder_ffn": 100, "decoder_ffn": 20},
            )
        ),
        "m2m100": Kind(
            replace(
                _SMALL,
                **{"norm": "pre", "positions": "shifted_sinusoidal", "position_offset": 2},
                **{"d_model": 24, "encoder_heads": 3, "decoder_heads": 2, "vocab_size": 513},
            ),
            (512, 7),
        ),
        "t5": Kind(replace(_T5, scale_head=True)),
        "flan_t5": Kind(
            replace(_T5, gated=True, activation="gelu_tanh", tied_head=False, vocab_size=997),
            (0, 500),
        ),
        "deep": Kind(
            replace(
                _SMALL,
                **{"activation": "tanh", "encoder_layers": 1, "decoder_layers": 3},
                **{"encoder_heads": 2, "encoder_ffn": 16, "decoder_ffn": 130},
            )
        ),
        "ssru": Kind(
            replace(
                _SMALL,
                **{"decoder_unit": "ssru", "d_model": 40, "output_bias": True, "decoder_layers": 3},
                **{"norm_epsilon": 1e-9, "vocab_size": 67},
            )
        ),
        "two_vocabularies": Kind(
            replace(
                _SMALL,
                **{"vocab_size": 45, "source_vocab_size": 83, "output_bias": True, "d_model": 40},
            ),
            (44,),
        ),
        # Heads of 80 are more than the vectors that are summed at once.
        "wide_heads": Kind(
            replace(
                _SMALL,
                **{"head_width": 80, "encoder_heads": 1, "decoder_heads": 2, "gated": True},
                **{"activation": "silu", "norm_kind": "rms", "d_model": 17, "encoder_ffn": 33},
            )
        ),
    }
)

LONG_KINDS = MappingProxyType(
    {
        "long_local": Kind(replace(_T5, encoder_attention="local", local_radius=5)),
        # Sources shorter than a block have no sum; others have tokens behind their last block.
        "long_global": Kind(
            replace(
                _T5,
                **{"encoder_attention": "transient_global", "local_radius": 9, "global_block": 3},
                **{"scale_head": True, "d_model": 40, "vocab_size": 131},
            )
        ),
    }
)
"""Kinds whose encoders attend to windows, and to sums of blocks."""


WIDE = Kind(
    replace(
        _SMALL,
        **{"encoder_layers": 1, "decoder_layers": 1, "d_model": 160, "vocab_size": 3001},
        **{"encoder_ffn": 1000, "decoder_ffn": 1000},
    )
)
"""Its products, attention and head are large enough to be shared between threads."""


_WIDE = ModelConfig(
    **{"vocab_size": 1501, "d_model": 144, "max_positions": LONGEST, "output_bias": True},
    **{"encoder_layers": 1, "decoder_layers": 2, "encoder_heads": 3, "decoder_heads": 3},
    **{"encoder_ffn": 64, "decoder_ffn": 64, "pad_id": 0, "eos_id": 1, "decoder_start_id": 0},
)
SCREENED = MappingProxyType(
    {
        "few": Kind(_WIDE, (0, 700, 1500), directions=20),
        "all": Kind(_WIDE, (0, 700, 1500)),
        "padded": Kind(replace(_WIDE, d_model=150, output_bias=False), directions=20),
    }
)
"""Kinds whose heads are wide enough to be screened: of few tokens, and of all."""


@dataclass(frozen=True)
class RandomVariant:
    """A variant's files, and the checkpoint that they were made of."""

    folder: Path
    manifest: Manifest
    kind: Kind
    transformer: Transformer


def random_transformer(config: ModelConfig, directions: int = 0) -> Transformer:
    """No weight is neutral, so that forgetting one shows; for `directions` see `Kind`."""
    torch.manual_seed(5)
    model = Transformer(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name and name.endswith("weight"):
                parameter.uniform_(0.5, 1.5)
            elif name.endswith("bias") or "_bias." in name or "_positions." in name:
                parameter.normal_(std=0.5)
        for module in model.modules():
            if isinstance(module, nn.Linear):
                module.weight.normal_(std=1.5 * module.in_features**-0.5)
        embeddings = 1.0 if not config.scale_embedding else config.d_model**-0.5
        for table in (model.embedding_of(decoder=False), model.embedding):
            table.weight.normal_(std=embeddings)
            if directions:
                few = torch.randn(len(table.weight), directions) @ torch.randn(
                    directions, config.d_model
                )
                table.weight.mul_(0.03).add_(few, alpha=embeddings * directions**-0.5)
    return model


@functools.cache
def _exported(kind: Kind) -> tuple[Transformer, Graphs]:
    transformer = random_transformer(kind.config, kind.directions)
    builder = TransformerGraphs(transformer, kind.suppressed_ids)
    return transformer, {ENCODER: builder.encoder(), STEP: builder.decoder_step()}


@functools.cache
def _seen(kind: Kind) -> dict[str, Observation]:
    _, graphs = _exported(kind)
    manifest = _manifest(kind.config, "int8")
    lengths, vocabulary = [5, 9, 16, 30], kind.config.encoder_vocab_size
    texts = random_sources(manifest, lengths, seed=1, vocabulary=vocabulary)
    return dict(zip(graphs, observe(*graphs.values(), manifest, [texts]), strict=True))


def _head_inputs(kind: Kind) -> np.ndarray:
    _, graphs = _exported(kind)
    products = quantizable(graphs[STEP])
    name = products["head"] if "head" in products else products["logits"]
    return _seen(kind)[STEP].inputs[name].rows


@functools.cache
def _recipes(kind: Kind, precision: Precision, migrated: bool) -> dict[str, Recipe]:
    _, graphs = _exported(kind)
    if precision != "int8":
        return {name: Recipe(precision) for name in graphs}
    seen = _seen(kind)
    recipes = {name: make_recipe(graph, precision, seen[name]) for name, graph in graphs.items()}
    random = np.random.default_rng(2)
    if migrated:
        return {name: _migrated(graphs[name], recipes[name], seen[name], random) for name in graphs}
    return recipes


def int8_products(kind: Kind) -> list[str]:
    """The names of its products that are INT8."""
    return [name for one in _recipes(kind, "int8", False).values() for name in one.roundings]


def write_variant(
    folder: Path,
    kind: Kind,
    precision: Precision,
    *,
    migrated: bool = False,
    only: str = "",
    shortlist: Shortlist | None = None,
    screened: bool = False,
) -> RandomVariant:
    """Exports a random model for both sessions.

    `migrated` INT8 inputs have divisors; `only` names the product that is INT8, "" is for all. The
    head is `screened` by what it read in some answers.
    """
    transformer, graphs = _exported(kind)
    recipes = _recipes(kind, precision, migrated)
    if only:
        others = dict.fromkeys(int8_products(kind), "")
        del others[only]
        recipes = {name: recipe.without(others) for name, recipe in recipes.items()}
    manifest = _manifest(kind.config, precision)
    folder.mkdir(parents=True)
    inputs = _head_inputs(kind) if screened else None
    write_native(folder, kind.config, graphs, recipes, kind.suppressed_ids, shortlist, inputs)
    for name, graph in graphs.items():
        save_model(recipes[name].serving(graph), folder / name)
    (folder / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    return RandomVariant(folder, manifest, kind, transformer)


def random_shortlist(kind: Kind, seed: int) -> Shortlist:
    """Lists of up to 20 tokens; some have none."""
    random, config = np.random.default_rng(seed), kind.config
    lists = [
        np.sort(random.choice(config.vocab_size, min(size, config.vocab_size), replace=False))
        for size in [3, *random.integers(0, 20, config.encoder_vocab_size)]
    ]
    ends = np.cumsum([one.size for one in lists])
    return Shortlist(ends.astype(np.int32), np.concatenate(lists).astype(np.int32))


def _manifest(config: ModelConfig, precision: Precision) -> Manifest:
    block = config.decoder_block
    return bare_manifest(
        f"random_{precision}",
        longest=config.max_positions,
        task="summarization",
        base_model="random",
        precision=precision,
        vocab_size=config.vocab_size,
        pad_id=config.pad_id,
        eos_id=config.eos_id,
        decoder_start_id=config.decoder_start_id,
        decoder_layers=config.decoder_layers,
        decoder_heads=block.heads,
        head_width=block.head_width,
        decoder_unit=config.decoder_unit,
    )


def _migrated(
    graph: onnx.ModelProto, recipe: Recipe, seen: Observation, random: np.random.Generator
) -> Recipe:
    """A recipe in which every channel is divided by a number of its own."""
    sources, roundings = quantizable(graph), {}
    for name, rounding in recipe.roundings.items():
        rows = seen.inputs[sources[name]].rows
        divisors = random.uniform(0.5, 2, rows.shape[1]).astype(np.float32)
        scale = activation_scale(np.abs(rows / divisors).ravel())
        roundings[name] = replace(rounding, scale=scale, divisors=divisors)
    return replace(recipe, roundings=roundings)


@torch.no_grad()
def oracle(variant: RandomVariant, source: list[int], trail: Trail) -> np.ndarray:
    """The log-probabilities `[T,V]` of the PyTorch model along the tokens of an answer."""
    tokens = [variant.manifest.decoder_start_id, *trail.tokens[:-1].tolist()]
    ids = torch.tensor([source])
    logits = variant.transformer(
        ids, torch.ones_like(ids, dtype=torch.bool), torch.tensor([tokens])
    )
    logits[..., list(variant.kind.suppressed_ids)] = -torch.inf
    return torch.log_softmax(logits[0], dim=-1).numpy()
