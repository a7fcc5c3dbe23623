"""Random models of a shape, made on the device: what speed depends on, without a checkpoint."""

from dataclasses import dataclass, replace
from typing import Any

import torch

from engine.contract.manifest import Manifest
from engine.native.layout import padded
from engine.runtime.sessions.torch.model import (
    TorchEmbedding,
    TorchModel,
    TorchNorm,
    TorchProduct,
    TorchStack,
    TorchSublayer,
)
from tests.engine.native.manifests import bare_manifest


@dataclass(frozen=True)
class Shape:
    """The sizes of an encoder-decoder whose stacks are alike."""

    name: str
    layers: int
    width: int
    heads: int
    hidden: int
    vocabulary: int


MARIAN_BASE = Shape("marian-base", 6, 512, 8, 2048, 32_000)
SMALL = Shape("small", 1, 64, 2, 128, 500)
"""For the processor."""


def random_model(
    shape: Shape, device: torch.device, dtype: torch.dtype, longest: int
) -> TorchModel:
    """A post-norm model with learned positions; logits are nothing in particular."""
    generator = torch.Generator(device).manual_seed(5)

    def normal(*sizes: int, std: float) -> torch.Tensor:
        return torch.randn(sizes, generator=generator, device=device, dtype=torch.float32) * std

    def product(depth: int, width: int) -> TorchProduct:
        weight = normal(depth, width, std=depth**-0.5).to(dtype)
        return TorchProduct(weight, torch.zeros(width, device=device, dtype=dtype))

    def norm() -> TorchNorm:
        one, zero = (torch.full((width,), float(x), device=device) for x in (1, 0))
        return TorchNorm(one, zero, 1e-5, False)

    width, head = shape.width, padded(shape.width // shape.heads)
    inner = shape.heads * head
    table = TorchEmbedding(
        normal(shape.vocabulary, width, std=1.0).to(dtype), None, normal(longest, width, std=0.1)
    )

    def sublayer(kind: str, entry: int, depth: int) -> TorchSublayer:
        return TorchSublayer(kind, norm(), product(width, entry), product(depth, width))

    def stack(kinds: list[tuple[Any, ...]], last: TorchProduct) -> TorchStack:
        layers = [[sublayer(*kind) for kind in kinds] for _ in range(shape.layers)]
        return TorchStack(shape.heads, head, table, None, None, None, layers, last)

    own, ffn = ("attention", 3 * inner, inner), ("ffn", shape.hidden, shape.hidden)
    cross = ("cross_attention", inner, inner)
    return TorchModel(
        device=device,
        dtype=dtype,
        encoder=stack([own, ffn], product(width, shape.layers * 2 * inner)),
        decoder=stack([own, cross, ffn], product(width, shape.vocabulary)),
        width=width,
        vocabulary=shape.vocabulary,
        source_vocabulary=shape.vocabulary,
        max_positions=longest,
        activation="relu",
        pre_norm=False,
        gated=False,
        recurrent=False,
        unplaced=None,
        suppressed=torch.zeros(0, dtype=torch.int64, device=device),
        shortlist=None,
    )


def endless(manifest: Manifest) -> Manifest:
    """The manifest of a model whose answers do not end before their limit."""
    return replace(manifest, eos_id=-1)


def manifest_of(shape: Shape, longest: int) -> Manifest:
    """What a session must know of a random model."""
    return bare_manifest(
        shape.name,
        longest=longest,
        precision="fp16",
        vocab_size=shape.vocabulary,
        pad_id=0,
        eos_id=1,
        decoder_start_id=0,
        decoder_layers=shape.layers,
        decoder_heads=shape.heads,
        head_width=shape.width // shape.heads,
    )


def floor_seconds(model: TorchModel, rows: int, positions: int) -> float:
    """The least that a step takes on an H100: reading what it must, and its products.

    3.0 TB/s and 798 TFLOP/s of 16-bit numbers.  Each row reads `positions` keys and values of
    its own, and as many of its source.
    """
    products = [model.decoder.last]
    for layer in model.decoder.layers:
        for one in layer:
            products += [one.entry] if one.exit is None else [one.entry, one.exit]
    weights = sum(one.weight.numel() for one in products)
    item = model.dtype.itemsize
    inner, layers = model.decoder.heads * model.decoder.head, len(model.decoder.layers)
    read = weights * item + rows * 2 * layers * inner * 2 * positions * item
    return read / 3.0e12 + 2 * weights * rows / 798e12
