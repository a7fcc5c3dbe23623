"""What the encoder's graph and the decoder step's have in common around their layers."""

import numpy as np
import torch
from torch import Tensor

from engine.export.graphs.blocks import BlockBuilder
from engine.export.graphs.builder import Array
from engine.model.positions import RelativeBias
from engine.model.transformer import Transformer
from engine.runtime.sessions.caches import padded


def as_array(tensor: Tensor) -> Array:
    """A parameter as float32."""
    return tensor.detach().float().numpy()


class StackBuilder(BlockBuilder):
    """What both graphs need: embeddings, positions and the bias by relative position."""

    def __init__(
        self, name: str, model: Transformer, weights: dict[str, Array], decoder: bool
    ) -> None:
        config = model.config
        super().__init__(name, weights, config.decoder_block if decoder else config.encoder_block)
        self.model = model
        self.config = config
        self.decoder = decoder
        self.stack = "decoder" if decoder else "encoder"

    def embed(self, ids: str) -> str:
        """Token embeddings, scaled where the model scales them."""
        table = self.constant("embedding", as_array(self.model.embedding_of(self.decoder).weight))
        x = self.call("Gather", table, ids, axis=0, to=f"{self.stack}_embedding")
        if self.config.embedding_scale == 1.0:
            return x
        scale = self.constant("embedding_scale", np.array(self.config.embedding_scale, np.float32))
        return self.call("Mul", x, scale, to=f"{self.stack}_embedding.scaled")

    def position_table(self) -> str:
        """The rows that are added to the embeddings; empty where positions are relative."""
        rows = self.model.position_rows(self.decoder)
        if rows is None:
            return ""
        table = as_array(rows)
        if not self.decoder:
            # Sources are padded to round lengths: padding may come after the last position.
            table = np.pad(table, ((0, padded(len(table)) - len(table)), (0, 0)))
        return self.constant("positions_table", table)

    def embedding_norm(self, x: str) -> str:
        """The norm of the stack's input, where there is one."""
        return self.norm(x, f"{self.stack}_embedding_norm") if self.config.embedding_norm else x

    def final_norm(self, x: str) -> str:
        """The norm at the end of the stack, where there is one."""
        return self.norm(x, f"{self.stack}_norm") if self.config.norm == "pre" else x

    def dimension(self, x: str, axis: int) -> str:
        """The size of one axis, `[1]` INT64."""
        return self.call(
            "Slice", self.call("Shape", x), self.integers(axis), self.integers(axis + 1)
        )

    def range(self, length: str) -> str:
        """0, 1, ... up to a length given as `[1]` INT64."""
        zero = self.constant("zero", np.array(0, np.int64))
        one = self.constant("one", np.array(1, np.int64))
        scalar = self.call("Squeeze", length, self.integers(0))
        return self.call("Range", zero, scalar, one)

    def relative_bias(self, distances: str, bias: RelativeBias, name: str = "relative_bias") -> str:
        """The bias of each distance: `[*] -> [*,H]`, from a table that ends where buckets do."""
        furthest = bias.furthest
        with torch.no_grad():
            table = bias.by_distance(torch.arange(-furthest, furthest + 1))
        low = self.constant("nearest", np.array(0, np.int64))
        high = self.constant("furthest", np.array(2 * furthest, np.int64))
        shifted = self.call("Add", distances, self.integers(furthest))
        rows = self.call("Clip", shifted, low, high)
        return self.call("Gather", self.constant(name, as_array(table)), rows, axis=0)
