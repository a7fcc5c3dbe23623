"""The encoder graph and the decoder-step graph of a Transformer, in standard ONNX.

B rows, S source positions, L cache positions, H heads, K head width, D model width, V vocabulary.

Encoder: `input_ids [B,S]` INT64, `mask [B,1,1,S]` (0 on tokens, very negative on padding)
  -> per decoder layer i `cross_key_i [B,H,S,K]`, `cross_value_i [B,H,S,K]`.
Decoder step: `ids [B]`, `positions [B]` INT64, `self_mask [B,1,1,L]`, `cross_mask [B,1,1,S]`, per
layer the caches
  `past_key_i`, `past_value_i [B,H,L,K]` and the encoder's `cross_key_i`, `cross_value_i`
  -> `next_ids [B]` INT64, `log_probs [B]`, and `present_key_i`, `present_value_i`, which are the
  past caches with this step's row written at `positions` (bind them to the same memory: the write
  is in place).
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import numpy as np
import onnx
from torch import Tensor

from engine.export.graph import FLOAT, INT64, Array, GraphBuilder
from engine.model.config import ModelConfig
from engine.model.transformer import Transformer

LAYER_NORM_EPSILON = 1e-5


class TransformerGraphs:
    """Writes both graphs of one model. `suppressed_ids` are tokens that are never made."""

    def __init__(self, model: Transformer, suppressed_ids: tuple[int, ...] = ()) -> None:
        self.config: ModelConfig = model.config
        self.weights: dict[str, Array] = {
            name: _numpy(tensor) for name, tensor in model.state_dict().items()
        }
        self.positions = _numpy(model.positions)
        self.output_bias = self.weights.get(
            "output_bias", np.zeros(self.config.vocab_size, np.float32)
        ).copy()
        self.output_bias[list(suppressed_ids)] = -np.inf

    def encoder(self) -> onnx.ModelProto:
        """The encoder graph."""
        config = self.config
        graph = _TransformerBuilder("encoder", self, config.encoder_heads)
        ids = graph.input("input_ids", INT64, ["B", "S"])
        mask = graph.input("mask", FLOAT, ["B", 1, 1, "S"])
        shape = graph.call("Shape", ids)
        length = graph.call("Slice", shape, graph.integers(1), graph.integers(2))
        table = graph.constant("positions_table", self.positions)
        positions = graph.call("Slice", table, graph.integers(0), length, graph.integers(0))
        x = graph.call("Add", graph.embed(ids), positions)
        for layer in range(config.encoder_layers):
            prefix = f"encoder.{layer}"
            x = graph.residual(
                x,
                f"{prefix}.attention",
                partial(graph.self_attention, prefix=f"{prefix}.attention.sublayer", mask=mask),
            )
            x = graph.feed_forward(x, f"{prefix}.ffn")
        if config.norm == "pre":
            x = graph.layer_norm(x, "encoder_norm")
        for name, projected in graph.cross_projections(x).items():
            heads, width = config.decoder_heads, config.d_model // config.decoder_heads
            graph.split_heads(projected, heads, to=name)
            graph.output(name, FLOAT, ["B", heads, "S", width])
        return graph.build()

    def decoder_step(self) -> onnx.ModelProto:
        """The decoder-step graph."""
        config = self.config
        heads, width = config.decoder_heads, config.d_model // config.decoder_heads
        graph = _TransformerBuilder("decoder_step", self, heads)
        ids = graph.input("ids", INT64, ["B"])
        positions = graph.input("positions", INT64, ["B"])
        self_mask = graph.input("self_mask", FLOAT, ["B", 1, 1, "L"])
        cross_mask = graph.input("cross_mask", FLOAT, ["B", 1, 1, "S"])
        table = graph.constant("positions_table", self.positions)
        x = graph.call("Add", graph.embed(ids), graph.call("Gather", table, positions, axis=0))
        for layer in range(config.decoder_layers):
            prefix = f"decoder.{layer}"
            past = [graph.input(f"past_{p}_{layer}", FLOAT, ["B", heads, "L", width]) for p in _KV]
            cross = [
                graph.input(f"cross_{p}_{layer}", FLOAT, ["B", heads, "S", width]) for p in _KV
            ]

            def cached(
                h: str, prefix: str = prefix, layer: int = layer, past: list[str] = past
            ) -> str:
                attention = f"{prefix}.attention.sublayer"
                query, key, value = graph.query_key_value(h, attention)
                present = [f"present_{part}_{layer}" for part in _KV]
                for cache, update, name in zip(past, (key, value), present, strict=True):
                    row = graph.one_position(update)
                    graph.call("TensorScatter", cache, row, positions, axis=-2, to=name)
                    graph.output(name, FLOAT, ["B", heads, "L", width])
                context = graph.attend(graph.one_position(query), present[0], present[1], self_mask)
                return graph.linear(graph.join_position(context), f"{attention}.output")

            def crossed(h: str, prefix: str = prefix, cross: list[str] = cross) -> str:
                attention = f"{prefix}.cross_attention.sublayer"
                query = graph.one_position(graph.linear(h, f"{attention}.query"))
                context = graph.attend(query, cross[0], cross[1], cross_mask)
                return graph.linear(graph.join_position(context), f"{attention}.output")

            x = graph.residual(x, f"{prefix}.attention", cached)
            x = graph.residual(x, f"{prefix}.cross_attention", crossed)
            x = graph.feed_forward(x, f"{prefix}.ffn")
        if config.norm == "pre":
            x = graph.layer_norm(x, "decoder_norm")
        # LogSoftmax before TopK: ReduceLogSumExp over a large vocabulary takes five times as long.
        log_probs = graph.call("LogSoftmax", graph.head(x), axis=-1)
        best = graph.call_many("TopK", [log_probs, graph.integers(1)], ["best", "best_id"], axis=-1)
        for value, name in zip(best, ("log_probs", "next_ids"), strict=True):
            graph.call("Reshape", value, graph.integers(-1), to=name)
        graph.output("next_ids", INT64, ["B"])
        graph.output("log_probs", FLOAT, ["B"])
        return graph.build()


_KV: tuple[Literal["key"], Literal["value"]] = ("key", "value")


def _numpy(tensor: Tensor) -> Array:
    return tensor.detach().float().numpy()


class _TransformerBuilder(GraphBuilder):
    """The blocks of a Transformer as ONNX nodes; a `prefix` names the weights of a block.

    The scale of attention, 1/sqrt(K), is folded into the query projection.
    """

    def __init__(self, name: str, graphs: TransformerGraphs, heads: int) -> None:
        super().__init__(name)
        self.graphs = graphs
        self.config = graphs.config
        self.heads = heads
        self.head_width = self.config.d_model // heads

    def embed(self, ids: str) -> str:
        """Scaled token embeddings."""
        table = self.constant("embedding", self.graphs.weights["embedding.weight"])
        scale = self.constant("embedding_scale", np.array(self.config.embedding_scale, np.float32))
        return self.call("Mul", self.call("Gather", table, ids, axis=0), scale)

    def layer_norm(self, x: str, prefix: str) -> str:
        """LayerNorm over the last axis."""
        weights = self.graphs.weights
        scale = self.constant(f"{prefix}.weight", weights[f"{prefix}.weight"])
        bias = self.constant(f"{prefix}.bias", weights[f"{prefix}.bias"])
        return self.call("LayerNormalization", x, scale, bias, epsilon=LAYER_NORM_EPSILON)

    def linear(self, x: str, prefix: str) -> str:
        """A linear map `[..., in] -> [..., out]`."""
        return self._matmul(x, prefix, *self._weights(prefix))

    def _weights(self, prefix: str) -> tuple[Array, Array]:
        weight = self.graphs.weights[f"{prefix}.weight"]
        bias = self.graphs.weights[f"{prefix}.bias"]
        if not prefix.endswith(".query"):
            return weight, bias
        scale = np.float32(self.head_width**-0.5)
        return weight * scale, bias * scale

    def _matmul(self, x: str, prefix: str, weight: Array, bias: Array) -> str:
        kernel = self.constant(f"{prefix}.weight", weight.T)
        product = self.call("MatMul", x, kernel, to=prefix)
        return self.call("Add", product, self.constant(f"{prefix}.bias", bias))

    def query_key_value(self, x: str, prefix: str) -> list[str]:
        """The three projections of self-attention."""
        return self._joined(
            x, f"{prefix}.qkv", [f"{prefix}.{p}" for p in ("query", "key", "value")]
        )

    def cross_projections(self, x: str) -> dict[str, str]:
        """The cross keys and values of every decoder layer, by the names of the graph's outputs."""
        prefixes = {
            f"cross_{part}_{layer}": f"decoder.{layer}.cross_attention.sublayer.{part}"
            for layer in range(self.config.decoder_layers)
            for part in _KV
        }
        parts = self._joined(x, "cross_projections", list(prefixes.values()))
        return dict(zip(prefixes, parts, strict=True))

    def _joined(self, x: str, name: str, prefixes: list[str]) -> list[str]:
        """Several linear maps of one input as one product, split again."""
        weights, biases = zip(*(self._weights(prefix) for prefix in prefixes), strict=True)
        joined = self._matmul(x, name, np.concatenate(weights), np.concatenate(biases))
        names = [f"{prefix}.split" for prefix in prefixes]
        return self.call_many("Split", [joined], names, axis=-1, num_outputs=len(names))

    def split_heads(self, x: str, heads: int, to: str = "") -> str:
        """`[B,S,D] -> [B,H,S,K]`."""
        shape = self.integers(0, 0, heads, self.config.d_model // heads)
        return self.call("Transpose", self.call("Reshape", x, shape), perm=[0, 2, 1, 3], to=to)

    def one_position(self, x: str) -> str:
        """`[B,D] -> [B,H,1,K]`: with one position no transposition is needed."""
        return self.call("Reshape", x, self.integers(0, self.heads, 1, self.head_width))

    def join_position(self, x: str) -> str:
        """`[B,H,1,K] -> [B,D]`."""
        return self.call("Reshape", x, self.integers(0, self.config.d_model))

    def attend(self, query: str, keys: str, values: str, mask: str) -> str:
        """Softmax attention over `[B,H,*,K]` with an additive mask."""
        scores = self.call("MatMul", query, self.call("Transpose", keys, perm=[0, 1, 3, 2]))
        weights = self.call("Softmax", self.call("Add", scores, mask), axis=-1)
        return self.call("MatMul", weights, values)

    def self_attention(self, x: str, prefix: str, mask: str) -> str:
        """The encoder's self-attention, `[B,S,D] -> [B,S,D]`."""
        query, key, value = (
            self.split_heads(part, self.heads) for part in self.query_key_value(x, prefix)
        )
        context = self.call("Transpose", self.attend(query, key, value, mask), perm=[0, 2, 1, 3])
        joined = self.call("Reshape", context, self.integers(0, 0, self.config.d_model))
        return self.linear(joined, f"{prefix}.output")

    def feed_forward(self, x: str, prefix: str) -> str:
        """The feed-forward block with its residual."""

        def ffn(h: str) -> str:
            hidden = self.activation(self.linear(h, f"{prefix}.sublayer.up"))
            return self.linear(hidden, f"{prefix}.sublayer.down")

        return self.residual(x, prefix, ffn)

    def activation(self, x: str) -> str:
        """The activation of the feed-forward blocks."""
        if self.config.activation == "silu":
            return self.call("Mul", x, self.call("Sigmoid", x))
        return self.call({"relu": "Relu", "gelu": "Gelu"}[self.config.activation], x)

    def residual(self, x: str, prefix: str, sublayer: Callable[[str], str]) -> str:
        """The residual sum around `sublayer`, with LayerNorm before or after it."""
        if self.config.norm == "pre":
            return self.call("Add", x, sublayer(self.layer_norm(x, f"{prefix}.norm")))
        return self.layer_norm(self.call("Add", x, sublayer(x)), f"{prefix}.norm")

    def head(self, x: str) -> str:
        """Logits `[B,V]`."""
        return self._matmul(
            x, "head", self.graphs.weights["embedding.weight"], self.graphs.output_bias
        )
