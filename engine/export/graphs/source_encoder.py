"""The encoder graph of a Transformer whose tokens attend to all of their source."""

import onnx

from engine.export.graphs.builder import FLOAT, INT64, Array
from engine.export.graphs.stack import StackBuilder
from engine.model.transformer import Transformer


class SourceEncoderBuilder(StackBuilder):
    """Builds the graph that `engine.export.graphs.transformer` describes."""

    def __init__(self, model: Transformer, weights: dict[str, Array]) -> None:
        super().__init__("encoder", model, weights, decoder=False)

    def encoder(self) -> onnx.ModelProto:
        """The graph."""
        ids = self.input("input_ids", INT64, ["B", "S"])
        mask = self.input("mask", FLOAT, ["B", 1, 1, "S"])
        length = self.dimension(ids, 1)
        x = self.embed(ids)
        table = self.position_table()
        if table:
            rows = self.call("Slice", table, self.integers(0), length, self.integers(0))
            x = self.call("Add", x, rows, to=f"{self.stack}_embedding.placed")
        else:
            mask = self.relative_mask(mask, length)
        x = self.embedding_norm(x)
        for layer in range(self.config.encoder_layers):
            x = self.encoder_block(x, f"encoder.{layer}", mask)
        self._cross_projections(self.final_norm(x))
        return self.build()

    def relative_mask(self, mask: str, length: str) -> str:
        """What is added to the scores, `[B,H,S,S]`: the mask, and the bias by relative position."""
        position = self.range(length)
        column = self.call("Unsqueeze", position, self.integers(1))
        row = self.call("Unsqueeze", position, self.integers(0))
        distances = self.call("Sub", row, column)
        bias = self.relative_bias(distances, self.model.encoder_bias)
        heads_first = self.call("Transpose", bias, perm=[2, 0, 1])
        return self.call("Add", mask, self.call("Unsqueeze", heads_first, self.integers(0)))

    def _cross_projections(self, x: str) -> None:
        """The cross keys and values of every decoder layer, from one product."""
        self.block = self.config.decoder_block
        heads, width = self.block.heads, self.block.head_width
        prefixes = {
            f"cross_{part}_{layer}": f"decoder.{layer}.cross_attention.sublayer.{part}"
            for layer in range(self.config.decoder_layers)
            for part in ("key", "value")
        }
        self.joined_heads(x, "cross_projections", list(prefixes.values()), to=list(prefixes))
        for name in prefixes:
            self.output(name, FLOAT, ["B", heads, "S", width])
