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
  A decoder of SSRUs has no caches and no `self_mask`: per layer `past_state_i [B,D]`, which is not
  read where the position is 0, and `present_state_i`, which may be the same memory.
  Values on the way, outputs too, which cost nothing where they are not bound: `logits [B,V]` (the
  output bias is in them, and -inf at suppressed tokens) and `cross_weights_i [B,H,1,S]`, the
  softmax of each layer's cross-attention.  Where tokens are suppressed, `suppressed_logits [B,n]`
  are theirs as the model has them, in ascending order of id: with them a caller gets the softmax
  over the whole vocabulary back.
"""

from functools import partial

import numpy as np
import onnx

from engine.export.graphs.builder import FLOAT, INT64, Array
from engine.export.graphs.long_encoder import LongEncoderBuilder
from engine.export.graphs.source_encoder import SourceEncoderBuilder
from engine.export.graphs.stack import StackBuilder, as_array
from engine.model.config import ModelConfig
from engine.model.transformer import Transformer

_KV = ("key", "value")


class TransformerGraphs:
    """Writes both graphs of one model. `suppressed_ids` are tokens that are never made."""

    def __init__(self, model: Transformer, suppressed_ids: tuple[int, ...] = ()) -> None:
        self.model = model
        self.config: ModelConfig = model.config
        self.suppressed_ids = sorted(set(suppressed_ids))
        self.weights: dict[str, Array] = {
            name: as_array(tensor) for name, tensor in model.state_dict().items()
        }

    def encoder(self) -> onnx.ModelProto:
        """The encoder graph."""
        is_long = self.config.encoder_attention != "full"
        builder = LongEncoderBuilder if is_long else SourceEncoderBuilder
        return builder(self.model, self.weights).encoder()

    def decoder_step(self) -> onnx.ModelProto:
        """The decoder-step graph."""
        return _StepBuilder(self).decoder_step()


class _StepBuilder(StackBuilder):
    def __init__(self, graphs: TransformerGraphs) -> None:
        super().__init__("decoder_step", graphs.model, graphs.weights, decoder=True)
        self.suppressed_ids = graphs.suppressed_ids

    def decoder_step(self) -> onnx.ModelProto:
        ids = self.input("ids", INT64, ["B"])
        positions = self.input("positions", INT64, ["B"])
        recurrent = self.config.is_recurrent
        self_mask = "" if recurrent else self.input("self_mask", FLOAT, ["B", 1, 1, "L"])
        cross_mask = self.input("cross_mask", FLOAT, ["B", 1, 1, "S"])
        x = self.embed(ids)
        table = self.position_table()
        if table:
            rows = self.call("Gather", table, positions, axis=0)
            if self.config.positions == "shifted_sinusoidal":
                rows = self._without_pads(rows, ids)
            x = self.call("Add", x, rows, to=f"{self.stack}_embedding.placed")
        else:
            self_mask = self.call("Add", self_mask, self._bias(positions, self_mask))
        x = self.embedding_norm(x)
        for layer in range(self.config.decoder_layers):
            if recurrent:
                unit = partial(self._recurrent, layer=layer, positions=positions)
                x = self.residual(x, f"decoder.{layer}.recurrence", unit)
            else:
                x = self._self_attention(x, layer, positions, self_mask)
            x = self._rest_of_layer(x, layer, cross_mask)
        self._head(self.final_norm(x))
        return self.build()

    def _without_pads(self, rows: str, ids: str) -> str:
        """`[B,D]`: zeros where the token is padding, such as the start token of some decoders."""
        pad = self.constant("pad_id", np.array(self.config.pad_id))
        padding = self.call("Unsqueeze", self.call("Equal", ids, pad), self.integers(1))
        zero = self.constant("no_position", np.array(0, dtype=np.float32))
        return self.call("Where", padding, zero, rows)

    def _bias(self, positions: str, self_mask: str) -> str:
        """`[B,H,1,L]`: how each row's position attends to those of its cache."""
        cached = self.call("Unsqueeze", self.range(self.dimension(self_mask, 3)), self.integers(0))
        distances = self.call("Sub", cached, self.call("Unsqueeze", positions, self.integers(1)))
        bias = self.relative_bias(distances, self.model.decoder_bias)
        heads_first = self.call("Transpose", bias, perm=[0, 2, 1])
        return self.call("Unsqueeze", heads_first, self.integers(2))

    def _self_attention(self, x: str, layer: int, positions: str, mask: str) -> str:
        heads, width = self.block.heads, self.block.head_width
        past = [self.input(f"past_{p}_{layer}", FLOAT, ["B", heads, "L", width]) for p in _KV]
        cached = partial(self._cached, layer=layer, past=past, positions=positions, mask=mask)
        return self.residual(x, f"decoder.{layer}.attention", cached)

    def _recurrent(self, h: str, layer: int, positions: str) -> str:
        """An SSRU, see `engine.model.layers`."""
        prefix = f"decoder.{layer}.recurrence.sublayer"
        shape: list[int | str] = ["B", self.config.d_model]
        past = self.input(f"past_state_{layer}", FLOAT, shape)
        first = self.call("Equal", positions, self.constant("zero", np.array(0, np.int64)))
        nothing = self.constant("zero_float", np.array(0, np.float32))
        past = self.call("Where", self.call("Unsqueeze", first, self.integers(1)), nothing, past)
        names = [f"{prefix}.{part}" for part in ("input", "forget")]
        new, forget = self.joined(h, f"{prefix}.input_forget", names)
        kept = self.call("Sigmoid", forget)
        more = self.call("Mul", kept, self.call("Sub", past, new))
        state = self.call("Add", new, more, to=f"present_state_{layer}")
        self.output(state, FLOAT, shape)
        return self.call("Relu", state)

    def _rest_of_layer(self, x: str, layer: int, cross_mask: str) -> str:
        prefix, heads, width = f"decoder.{layer}", self.block.heads, self.block.head_width
        cross = [self.input(f"cross_{p}_{layer}", FLOAT, ["B", heads, "S", width]) for p in _KV]
        x = self.residual(
            x,
            f"{prefix}.cross_attention",
            partial(self._crossed, layer=layer, cross=cross, mask=cross_mask),
        )
        return self.feed_forward(x, f"{prefix}.ffn")

    def _cached(self, h: str, layer: int, past: list[str], positions: str, mask: str) -> str:
        """Self-attention of one position over the cache that it is written to."""
        prefix = f"decoder.{layer}.attention.sublayer"
        query, key, value = self.joined(h, f"{prefix}.qkv", self.query_key_value(prefix))
        present = [f"present_{part}_{layer}" for part in _KV]
        for cache, update, name in zip(past, (key, value), present, strict=True):
            row = self._one_position(update)
            self.call("TensorScatter", cache, row, positions, axis=-2, to=name)
            self.output(name, FLOAT, ["B", self.block.heads, "L", self.block.head_width])
        context = self.attend(prefix, self._one_position(query), present[0], present[1], mask)
        return self.linear(self._join_position(context), f"{prefix}.output")

    def _crossed(self, h: str, layer: int, cross: list[str], mask: str) -> str:
        """Attention of one position over the source."""
        prefix = f"decoder.{layer}.cross_attention.sublayer"
        query = self._one_position(self.linear(h, f"{prefix}.query"))
        weights = f"cross_weights_{layer}"
        self.output(weights, FLOAT, ["B", self.block.heads, 1, "S"])
        context = self.attend(prefix, query, cross[0], cross[1], mask, weights_to=weights)
        return self.linear(self._join_position(context), f"{prefix}.output")

    def _one_position(self, x: str) -> str:
        """`[B,H*K] -> [B,H,1,K]`: with one position no transposition is needed."""
        shape = self.integers(0, self.block.heads, 1, self.block.head_width)
        return self.call("Reshape", x, shape)

    def _join_position(self, x: str) -> str:
        """`[B,H,1,K] -> [B,H*K]`."""
        return self.call("Reshape", x, self.integers(0, self.block.heads * self.block.head_width))

    def _head(self, x: str) -> None:
        """Logits, their log softmax, and the best token."""
        weight, bias = self._head_weights()
        masked = bias
        if self.suppressed_ids:
            masked = (np.zeros(len(weight), np.float32) if bias is None else bias).copy()
            masked[self.suppressed_ids] = -np.inf
            self._suppressed_head(x, weight, bias)
        logits = self.product(x, "head", weight, masked, to="logits")
        # LogSoftmax before TopK: ReduceLogSumExp over a large vocabulary takes five times as long.
        log_probs = self.call("LogSoftmax", logits, axis=-1, to="all_log_probs")
        best = self.call_many("TopK", [log_probs, self.integers(1)], ["best", "best_id"], axis=-1)
        for value, name in zip(best, ("log_probs", "next_ids"), strict=True):
            self.call("Reshape", value, self.integers(-1), to=name)
        self.output("next_ids", INT64, ["B"])
        self.output("log_probs", FLOAT, ["B"])
        self.output("logits", FLOAT, ["B", len(weight)])

    def _suppressed_head(self, x: str, weight: Array, bias: Array | None) -> None:
        """A Gemm, which stays float: rounding `x` for two products would undo the head's fusion."""
        few = self.suppressed_ids
        inputs = [x, self.constant("suppressed_head.weight", weight[few].T)]
        if bias is not None:
            inputs.append(self.constant("suppressed_head.bias", bias[few]))
        self.call("Gemm", *inputs, to="suppressed_logits")
        self.output("suppressed_logits", FLOAT, ["B", len(few)])

    def _head_weights(self) -> tuple[Array, Array | None]:
        """`[V,D]` with the head's scale in it, and the bias `[V]`."""
        weight = as_array(self.model.head_weight)
        if self.config.scale_head:
            weight = weight * np.float32(self.config.d_model**-0.5)
        return weight, self.weights.get("output_bias")
