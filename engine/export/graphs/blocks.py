"""The blocks of `engine.model.layers` as ONNX nodes; a `prefix` names the weights of a block.

B rows, S positions, H heads, K head width, D model width.  Weights keep the names of the PyTorch
parameters; a linear map whose `bias` is not among them has none.
"""

from collections.abc import Callable, Sequence

import numpy as np

from engine.export.graphs.builder import RESIDUAL, Array, GraphBuilder
from engine.model.config import BlockConfig


class BlockBuilder(GraphBuilder):
    """Builds layers of one `BlockConfig` from `weights`, by the names of PyTorch's state dict.

    The scale of attention, 1/sqrt(K), is folded into the query projection: each linear map whose
    prefix ends in ".query" is multiplied by it.
    """

    def __init__(self, name: str, weights: dict[str, Array], block: BlockConfig) -> None:
        super().__init__(name)
        self.weights = weights
        self.block = block

    def norm(self, x: str, prefix: str) -> str:
        """LayerNorm or RMSNorm over the last axis."""
        scale = self.constant(f"{prefix}.weight", self.weights[f"{prefix}.weight"])
        epsilon = self.block.norm_epsilon
        if self.block.norm_kind == "rms":
            return self.call("RMSNormalization", x, scale, to=prefix, epsilon=epsilon, axis=-1)
        bias = self.constant(f"{prefix}.bias", self.weights[f"{prefix}.bias"])
        return self.call("LayerNormalization", x, scale, bias, to=prefix, epsilon=epsilon)

    def linear(self, x: str, prefix: str) -> str:
        """A linear map `[..., in] -> [..., out]`."""
        return self.product(x, prefix, *self._linear_weights(prefix))

    def _linear_weights(self, prefix: str) -> tuple[Array, Array | None]:
        weight = self.weights[f"{prefix}.weight"]
        bias = self.weights.get(f"{prefix}.bias")
        if not (prefix.endswith(".query") and self.block.scale_attention):
            return weight, bias
        scale = np.float32(self.block.head_width**-0.5)
        return weight * scale, None if bias is None else bias * scale

    def product(
        self, x: str, prefix: str, weight: Array, bias: Array | None = None, to: str = ""
    ) -> str:
        """`x @ weight.T + bias`, with `weight [out, in]`; `to` names the result."""
        kernel = self.constant(f"{prefix}.weight", weight.T)
        if bias is None:
            return self.call("MatMul", x, kernel, to=to or prefix)
        product = self.call("MatMul", x, kernel, to=prefix)
        added = self.constant(f"{prefix}.bias", bias)
        return self.call("Add", product, added, to=to or f"{prefix}.biased")

    def joined(self, x: str, name: str, prefixes: list[str]) -> list[str]:
        """Several linear maps of one input as one product, split again; their widths are equal."""
        weights, biases = zip(*(self._linear_weights(prefix) for prefix in prefixes), strict=True)
        product = self.product(x, name, np.concatenate(weights), _joined_biases(weights, biases))
        names = [f"{prefix}.split" for prefix in prefixes]
        return self.call_many("Split", [product], names, axis=-1, num_outputs=len(names))

    def joined_heads(
        self, x: str, name: str, prefixes: list[str], to: list[str] | None = None
    ) -> list[str]:
        """As `joined`, each map's result split into heads: `[B,S,D] -> [B,H,S,K]`.

        It is split along the heads: TensorRT moves a split along the channels through the product,
        and an INT8 product then becomes a 16-bit one.
        """
        weights, biases = zip(*(self._linear_weights(prefix) for prefix in prefixes), strict=True)
        product = self.product(x, name, np.concatenate(weights), _joined_biases(weights, biases))
        shape = self.integers(0, 0, len(prefixes) * self.block.heads, self.block.head_width)
        heads = self.call("Transpose", self.call("Reshape", product, shape), perm=[0, 2, 1, 3])
        names = to or [f"{prefix}.heads" for prefix in prefixes]
        return self.call_many("Split", [heads], names, axis=1, num_outputs=len(names))

    def query_key_value(self, prefix: str) -> list[str]:
        """The names of the three projections of self-attention."""
        return [f"{prefix}.{part}" for part in ("query", "key", "value")]

    def attend(
        self, name: str, query: str, keys: str, values: str, mask: str, weights_to: str = ""
    ) -> str:
        """Softmax attention over `[B,H,*,K]`; `mask` is added to the scores `[B,H,*,S]`.

        `name` begins the names of what it makes, `weights_to` is that of the softmax.
        """
        turned = self.call("Transpose", keys, perm=[0, 1, 3, 2], to=f"{name}.turned_keys")
        scores = self.call("MatMul", query, turned, to=f"{name}.scores")
        scores = self.call("Add", scores, mask, to=f"{name}.masked_scores")
        weights = self.call("Softmax", scores, axis=-1, to=weights_to or f"{name}.weights")
        return self.call("MatMul", weights, values, to=f"{name}.context")

    def self_attention(self, x: str, prefix: str, mask: str) -> str:
        """Self-attention over whole sequences, `[B,S,D] -> [B,S,D]`."""
        names = self.query_key_value(prefix)
        query, key, value = self.joined_heads(x, f"{prefix}.qkv", names)
        context = self.call(
            "Transpose", self.attend(prefix, query, key, value, mask), perm=[0, 2, 1, 3]
        )
        inner = self.block.heads * self.block.head_width
        joined = self.call("Reshape", context, self.integers(0, 0, inner))
        return self.linear(joined, f"{prefix}.output")

    def feed_forward(self, x: str, prefix: str) -> str:
        """The feed-forward block with its residual."""

        def ffn(h: str) -> str:
            inner = f"{prefix}.sublayer"
            if not self.block.gated:
                hidden = self.activation(self.linear(h, f"{inner}.up"), f"{inner}.activation")
            else:
                gate, up = self.joined(h, f"{inner}.gate_up", [f"{inner}.gate", f"{inner}.up"])
                hidden = self.call("Mul", self.activation(gate), up, to=f"{inner}.gated")
            return self.linear(hidden, f"{inner}.down")

        return self.residual(x, prefix, ffn)

    def activation(self, x: str, to: str = "") -> str:
        """The activation of the feed-forward blocks."""
        kind = self.block.activation
        if kind == "silu":
            return self.call("Mul", x, self.call("Sigmoid", x), to=to)
        if kind == "relu" and not self.block.bias:
            # ONNX Runtime makes no INT8 product of a MatMul whose Relu is rounded.
            zero = self.constant("zero_float", np.array(0, np.float32))
            return self.call("Max", x, zero, to=to)
        if kind == "gelu_tanh":
            return self.call("Gelu", x, approximate="tanh", to=to)
        return self.call({"relu": "Relu", "gelu": "Gelu", "tanh": "Tanh"}[kind], x, to=to)

    def residual(self, x: str, prefix: str, sublayer: Callable[[str], str]) -> str:
        """The residual sum around `sublayer`, with the norm before or after it."""
        pre = self.block.norm == "pre"
        with self.part(prefix):
            inner = sublayer(self.norm(x, f"{prefix}.norm") if pre else x)
        summed = self.call("Add", x, inner, to=f"{prefix}{RESIDUAL}")
        return summed if pre else self.norm(summed, f"{prefix}.norm")

    def encoder_block(self, x: str, prefix: str, mask: str) -> str:
        """Self-attention and feed-forward, `[B,S,D] -> [B,S,D]`."""
        x = self.residual(
            x,
            f"{prefix}.attention",
            lambda h: self.self_attention(h, f"{prefix}.attention.sublayer", mask),
        )
        return self.feed_forward(x, f"{prefix}.ffn")


def _joined_biases(weights: Sequence[Array], biases: Sequence[Array | None]) -> Array | None:
    """The biases of linear maps that are joined, zeros for one without; None where none has any."""
    if all(bias is None for bias in biases):
        return None
    return np.concatenate(
        [
            np.zeros(len(weight), np.float32) if bias is None else bias
            for weight, bias in zip(weights, biases, strict=True)
        ]
    )
