"""Random models of a shape, made on the device: what speed depends on, without a checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.contract.manifest import Manifest
from engine.model.config import Activation
from engine.native.layout import padded
from engine.runtime.sessions.torch.model import (
    Product,
    TorchEmbedding,
    TorchModel,
    TorchNorm,
    TorchProduct,
    TorchStack,
    TorchSublayer,
)
from engine.runtime.text.hugging_face import TOKENIZER_FILE
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
    activation: Activation = "relu"
    embedding_norm: bool = False


MARIAN_BASE = Shape("marian-base", 6, 512, 8, 2048, 32_000)
BART_LARGE = Shape("bart-large", 12, 1024, 16, 4096, 50_264, "gelu", embedding_norm=True)
SMALL = Shape("small", 1, 64, 2, 128, 500)
"""For the processor."""

EOS_ID = 1
WORD = "w7"
"""A token of `write_tokenizer`'s, as a text has it."""
_NEVER = -1e4
"""The bias of the token that ends an answer: all have the length that they are limited to."""


def random_model(
    shape: Shape, device: torch.device, dtype: torch.dtype, longest: int
) -> TorchModel:
    """A post-norm model with learned positions, whose answers do not end; else logits are any."""
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
        first = norm() if shape.embedding_norm else None
        return TorchStack(shape.heads, head, table, None, first, None, layers, last)

    own, ffn = ("attention", 3 * inner, inner), ("ffn", shape.hidden, shape.hidden)
    cross = ("cross_attention", inner, inner)
    logits = product(width, shape.vocabulary)
    logits.bias[EOS_ID] = _NEVER
    return TorchModel(
        device=device,
        dtype=dtype,
        encoder=stack([own, ffn], product(width, shape.layers * 2 * inner)),
        decoder=stack([own, cross, ffn], logits),
        width=width,
        vocabulary=shape.vocabulary,
        source_vocabulary=shape.vocabulary,
        max_positions=longest,
        activation=shape.activation,
        pre_norm=False,
        gated=False,
        recurrent=False,
        unplaced=None,
        suppressed=torch.zeros(0, dtype=torch.int64, device=device),
        shortlist=None,
    )


def manifest_of(shape: Shape, longest: int) -> Manifest:
    """What a session must know of a random model."""
    return bare_manifest(
        shape.name,
        longest=longest,
        precision="fp16",
        vocab_size=shape.vocabulary,
        pad_id=0,
        eos_id=EOS_ID,
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
    products: list[Product] = [model.decoder.last]
    for layer in model.decoder.layers:
        for one in layer:
            products += [one.entry] if one.exit is None else [one.entry, one.exit]
    weights = 0
    for product in products:
        assert isinstance(product, TorchProduct)
        weights += product.weight.numel()
    item = model.dtype.itemsize
    inner, layers = model.decoder.heads * model.decoder.head, len(model.decoder.layers)
    read = weights * item + rows * 2 * layers * inner * 2 * positions * item
    return read / 3.0e12 + 2 * weights * rows / 798e12


def write_tokenizer(folder: Path, vocabulary: int) -> None:
    """Writes a `tokenizer.json` with a token for each of the words "w0", "w1", ..."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit

    words = {f"w{index}": index for index in range(vocabulary)}
    tokenizer = Tokenizer(WordLevel(words, unk_token="w2"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / TOKENIZER_FILE))
