"""The graph of an encoder with its head, in standard ONNX.

B rows, S positions, H heads, K head width, D width, R rows of the table of distances.

Inputs `input_ids [B,S]`, `mask [B,S]` (1 on tokens, which come first) and `token_types [B,S]`
where the model has them, all INT64; output `logits` FLOAT: `[B,labels]`, `[B,S,2]` of a span head.
"""

from dataclasses import replace

import numpy as np
import onnx
from torch import Tensor

from engine.export.graphs.blocks import BlockBuilder
from engine.export.graphs.builder import FLOAT, INT64, Array
from engine.model.encoders.attention import EncoderAttention
from engine.model.encoders.config import Disentangled, TokenDropout
from engine.model.encoders.model import EncoderModel, EncoderModelLayer
from engine.model.encoders.positions import distance_rows

MASKED = -1e9
"""What is added to the scores of padding; finite, as the decoder's masks are."""

HEAD = ("head_dense", "head_output")
"""The products of the head: small, and every logit hangs on them alone."""

DISTANCES = ".distances"
"""How the names of the products with the table of distances end."""


class EncoderGraphs:
    """Writes the graph of one model; layers that share parameters have copies of them here."""

    def __init__(self, model: EncoderModel) -> None:
        self.model = model

    def graph(self) -> onnx.ModelProto:
        """The graph."""
        config = self.model.config
        builder = _EncoderModelBuilder(self.model)
        ids = builder.input("input_ids", INT64, ["B", "S"])
        padding = builder.is_equal(builder.input("mask", INT64, ["B", "S"]), 0)
        with builder.part("embedding"):
            x = builder.embed(ids, padding)
        scores_mask = builder.scores_mask(padding)
        for layer in range(len(config.order)):
            x = builder.encoder_block(x, f"layers.{layer}", scores_mask)
        if config.block.norm == "pre":
            x = builder.norm(x, "final_norm")
        with builder.part("head"):
            builder.head(x)
        return builder.build()


class _EncoderModelBuilder(BlockBuilder):
    """`BlockBuilder` with embeddings, positions in attention, and heads."""

    def __init__(self, model: EncoderModel) -> None:
        self.model, self.config = model, model.config
        # The scale of attention is in the weights: it has a form of its own with distances.
        block = replace(model.config.block, scale_attention=False)
        super().__init__("encoder", _weights_by_layer(model), block)

    def is_equal(self, x: str, value: int) -> str:
        """Where an INT64 tensor is `value`."""
        return self.call("Equal", x, self.constant(f"value_{value}", np.array(value, np.int64)))

    def choose(self, condition: str, yes: float, no: float) -> str:
        """One of two numbers for each element of a condition."""
        numbers = [self.constant(f"number_{n}", np.array(n, np.float32)) for n in (yes, no)]
        return self.call("Where", condition, *numbers)

    def embed(self, ids: str, padding: str) -> str:
        """Embeddings of tokens, positions and types, `[B,S,D]`."""
        config = self.config
        x = self._lookup("embedding", ids)
        if config.token_dropout is not None:
            x = self._scale_for_dropout(config.token_dropout, x, ids, padding)
        if config.positions == "learned":
            table = self.weights["positions.weight"][config.position_offset :]
            x = self.call("Add", x, self._until_length("positions", table, ids))
        if config.token_types:
            types = self.input("token_types", INT64, ["B", "S"])
            x = self.call("Add", x, self._lookup("token_types", types))
        if config.positions == "rotary":
            angles = self.model.shared_positions(config.max_tokens)[0]
            self._cosines = self._until_length("cosines", angles.cos().numpy(), ids)
            self._sines = self._until_length("sines", angles.sin().numpy(), ids)
        if config.disentangled is not None:
            self._rows = self._distance_rows(config.disentangled, ids)
        if config.embedding_norm == "before":
            x = self.norm(x, "embedding_norm")
        if config.projection != "none":
            x = self.linear(x, "projection")
        return self.norm(x, "embedding_norm") if config.embedding_norm == "after" else x

    def scores_mask(self, padding: str) -> str:
        """0 on tokens and very negative on padding, `[B,1,1,S]`."""
        return self.call("Unsqueeze", self.choose(padding, MASKED, 0.0), self.integers(1, 2))

    def self_attention(self, x: str, prefix: str, mask: str) -> str:
        """See `BlockBuilder`; with rotated queries and keys, or scores of the distances."""
        names = self.query_key_value(prefix)
        query, key, value = self.joined_heads(x, f"{prefix}.qkv", names)
        if self.config.positions == "rotary":
            query, key = self._rotate(query), self._rotate(key)
        if self.config.disentangled is not None:
            mask = self._distance_scores(self.config.disentangled, query, key, prefix, mask)
        context = self.call(
            "Transpose", self.attend(prefix, query, key, value, mask), perm=[0, 2, 1, 3]
        )
        joined = self.call("Reshape", context, self.integers(0, 0, self.block.width))
        return self.linear(joined, f"{prefix}.output")

    def head(self, x: str) -> None:
        """The logits, as the output of the graph."""
        shape: list[int | str] = ["B", "S", 2]
        if self.model.head == "classification":
            shape = ["B", self.model.labels]
            first = self.call("Gather", x, self.integers(0), axis=1)
            first = self.call("Squeeze", first, self.integers(1))
            self.block = replace(self.block, activation=self.config.head_activation)
            x = self.activation(self.linear(first, "head_dense"))
        weights = self.weights["head_output.weight"], self.weights["head_output.bias"]
        self.product(x, "head_output", *weights, to="logits")
        self.output("logits", FLOAT, shape)

    def _lookup(self, name: str, ids: str) -> str:
        table = self.constant(f"{name}.weight", self.weights[f"{name}.weight"])
        return self.call("Gather", table, ids, axis=0)

    def _until_length(self, name: str, table: Array, ids: str) -> str:
        """The first S rows of a table."""
        length = self.call("Shape", ids, start=1)
        return self.call(
            "Slice", self.constant(name, table), self.integers(0), length, self.integers(0)
        )

    def _scale_for_dropout(self, dropout: TokenDropout, x: str, ids: str, padding: str) -> str:
        """See `TokenDropout`: without masked tokens, one factor for all embeddings."""
        dropped = self.is_equal(ids, dropout.mask_id)
        counts = [
            self.call("ReduceSum", self.choose(condition, *numbers), self.integers(1), keepdims=1)
            for condition, numbers in ((dropped, (1.0, 0.0)), (padding, (0.0, 1.0)))
        ]
        one = self.constant("number_1.0", np.array(1.0, np.float32))
        kept = self.constant("kept_in_training", np.array(1 - dropout.training_ratio, np.float32))
        factor = self.call("Div", kept, self.call("Sub", one, self.call("Div", *counts)))
        factors = self.call("Mul", factor, self.choose(dropped, 0.0, 1.0))
        return self.call("Mul", x, self.call("Unsqueeze", factors, self.integers(2)))

    def _rotate(self, x: str) -> str:
        """See `encoder_positions.rotate`."""
        first, second = self.call_many("Split", [x], [f"{x}.1", f"{x}.2"], axis=3, num_outputs=2)
        turned = self.call("Concat", self.call("Neg", second), first, axis=3)
        along, across = self.call("Mul", x, self._cosines), self.call("Mul", turned, self._sines)
        return self.call("Add", along, across)

    def _distance_rows(self, relative: Disentangled, ids: str) -> str:
        """The row of the table of distances for each query and key, `[S,S]`."""
        longest = self.config.max_tokens
        rows = distance_rows(relative, longest).numpy()
        by_distance = np.concatenate([rows[0, :0:-1], rows[:, 0]])
        places = self._until_length("places", np.arange(longest, dtype=np.int64), ids)
        middle = self.constant("longest", np.array(longest - 1, np.int64))
        queries = self.call("Unsqueeze", self.call("Add", places, middle), self.integers(1))
        distances = self.call("Sub", queries, places)
        return self.call("Gather", self.constant("rows", by_distance), distances, axis=0)

    def _distance_scores(
        self, relative: Disentangled, query: str, key: str, prefix: str, mask: str
    ) -> str:
        """What the distances add to the scores, on top of the mask, `[B,H,S,S]`."""
        layer = self.model.layers[self.config.order[int(prefix.split(".")[1])]]
        assert isinstance(layer, EncoderModelLayer)
        attention, table = layer.attention.sublayer, self.model.shared_positions(0)[0]
        assert isinstance(attention, EncoderAttention)
        shape = self.call("Shape", query, end=2)
        shape = self.call("Concat", shape, self.call("Shape", self._rows), axis=0)
        if relative.c2p:
            keys = attention.distance_keys(relative, table)
            rows = self.call("Expand", self._rows, shape)
            mask = self.call("Add", mask, self._pick(query, f"{prefix}.to_position", keys, rows))
        if relative.p2c:
            queries = attention.distance_queries(relative, table)
            rows = self.call("Expand", self.call("Transpose", self._rows, perm=[1, 0]), shape)
            scores = self._pick(key, f"{prefix}.to_content", queries, rows)
            mask = self.call("Add", mask, self.call("Transpose", scores, perm=[0, 1, 3, 2]))
        return mask

    def _pick(self, x: str, name: str, distances: Tensor, rows: str) -> str:
        """Of the products of `x [B,H,S,K]` with all `distances [H,R,K]`, those in `rows`."""
        table = self.constant(name, distances.detach().transpose(1, 2).numpy())
        every = self.call("MatMul", x, table, to=f"{name}{DISTANCES}")
        return self.call("GatherElements", every, rows, axis=3)


def _weights_by_layer(model: EncoderModel) -> dict[str, Array]:
    """The parameters by the layer that uses them, queries scaled."""
    state = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    weights = {name: array for name, array in state.items() if not name.startswith("layers.")}
    for layer, block in enumerate(model.config.order):
        prefix = f"layers.{block}."
        for name, array in state.items():
            if name.startswith(prefix):
                if ".sublayer.query." in name:
                    array = array * np.float32(model.config.attention_scale)
                weights[f"layers.{layer}.{name.removeprefix(prefix)}"] = array
    return weights
