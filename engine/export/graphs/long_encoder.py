"""The encoder graph of a Transformer with the attention of `engine.model.encoders.long_attention`.

Queries are in N blocks of T = `local_radius` + 1, each with a window W = 3 T: its own block and
those beside it.  G global positions are as many as the padded sources have; a row hides those
behind its own full blocks.  Scores are `[B,H,NT,W+G]`: they take the most memory.
"""

import numpy as np

from engine.export.graphs.builder import Array
from engine.export.graphs.source_encoder import SourceEncoderBuilder
from engine.model.transformer import Transformer
from engine.runtime.sessions.masks import MASKED


class LongEncoderBuilder(SourceEncoderBuilder):
    """Builds the graph; a layer is told nothing of masks, which are the same in all."""

    def __init__(self, model: Transformer, weights: dict[str, Array]) -> None:
        super().__init__(model, weights)
        self._block, self._each = self.config.local_radius + 1, self.config.global_block
        self._length = self._slots = self._real = self._behind = ""
        self._full = self._is_full = self._is_last = ""

    def relative_mask(self, mask: str, length: str) -> str:
        """What is added to the scores, `[B,H,NT,W+G]`."""
        tokens = self.call("Transpose", mask, perm=[0, 1, 3, 2])
        is_real = self.call("Greater", tokens, self._number(-1))
        self._real = self.call("Where", is_real, self._number(1), self._number(0))
        self._length = length
        self._behind = self._missing(length, self._block)
        bias = self._window_bias()
        if not self.config.has_globals:
            return bias
        self._note_globals(is_real)
        return self.call("Concat", bias, self._global_bias(), axis=3)

    def self_attention(self, x: str, prefix: str, mask: str) -> str:
        """Attention to windows and sums; these stand behind the tokens, in one product."""
        both = x
        if self.config.has_globals:
            both = self.call("Concat", x, self._sums(x, prefix), axis=1)
        names = self.query_key_value(prefix)
        query, key, value = self.joined_heads(both, f"{prefix}.qkv", names)
        blocks = self._blocks(self._tokens(query), 0)
        keys, values = self._windows(self._tokens(key)), self._windows(self._tokens(value))
        turned = self.call("Transpose", keys, perm=[0, 1, 2, 4, 3])
        scores = self._joined_blocks(self.call("MatMul", blocks, turned), 3 * self._block)
        width = self.block.head_width
        if self.config.has_globals:
            beside = self.call("Transpose", self._globals(key), perm=[0, 1, 3, 2])
            queries = self._joined_blocks(blocks, width)
            beside = self.call("MatMul", queries, beside)
            scores = self.call("Concat", scores, beside, axis=3)
        scores = self.call("Add", scores, mask, to=f"{prefix}.masked_scores")
        weights = self.call("Softmax", scores, axis=-1, to=f"{prefix}.weights")
        context = self._weighed(weights, values)
        if self.config.has_globals:
            beside = self._slice(weights, 3, self.integers(3 * self._block), self._end)
            context = self.call("Add", context, self.call("MatMul", beside, self._globals(value)))
        context = self._slice(context, 2, self.integers(0), self._length)
        joined = self.call(
            "Reshape",
            self.call("Transpose", context, perm=[0, 2, 1, 3]),
            self.integers(0, 0, self.block.heads * width),
        )
        return self.linear(joined, f"{prefix}.output")

    def _weighed(self, weights: str, values: str) -> str:
        """The means of windows, `[B,H,NT,K]`."""
        wide = 3 * self._block
        near = self._slice(weights, 3, self.integers(0), self.integers(wide))
        blocks = self.call("Reshape", near, self.integers(0, 0, -1, self._block, wide))
        return self._joined_blocks(self.call("MatMul", blocks, values), self.block.head_width)

    def _window_bias(self) -> str:
        """`[B,H,NT,W]`: the bias of tokens that are near and real.

        A token always sees itself: padding that saw nothing would be no number in FP16.
        """
        block = self._block
        distance = np.arange(3 * block)[None] - np.arange(block, 2 * block)[:, None]
        near = self.constant("near", np.abs(distance) < block)
        itself = self.constant("itself", distance == 0)
        bias = self.relative_bias(
            self.constant("distances", distance.astype(np.int64)), self.model.encoder_bias
        )
        bias = self.call("Transpose", bias, perm=[2, 0, 1])
        bias = self.call("Unsqueeze", bias, self.integers(0, 2))
        real = self.call("Transpose", self._windows(self._real), perm=[0, 1, 2, 4, 3])
        seen = self.call("And", self.call("Greater", real, self._number(0.5)), near)
        seen = self.call("Or", seen, itself)
        return self._joined_blocks(self.call("Where", seen, bias, self._masked()), 3 * block)

    def _note_globals(self, is_real: str) -> None:
        """Counts the full blocks of each row, and says which of G these are."""
        one = self.constant("one", np.array(1, np.int64))
        zero = self.constant("zero", np.array(0, np.int64))
        each = self.constant("global_block", np.array(self._each, np.int64))
        count = self.call("Where", is_real, one, zero)
        count = self.call("ReduceSum", count, self.integers(2), keepdims=1)
        self._full = self.call("Div", count, each)  # [B,1,1,1]
        missing = self._missing(self._length, self._each)
        self._slots = self.call("Div", self.call("Add", self._length, missing), each)
        place = self._unsqueezed(self.range(self._slots), 0, 1, 2)
        self._is_full = self.call("Less", place, self._full)  # [B,1,1,G]
        self._is_last = self.call("Equal", place, self.call("Sub", self._full, one))

    def _global_bias(self) -> str:
        """`[B,H,NT,G]`: the bias of sums that a row has, by how far they are from its tokens'."""
        bias = self.model.encoder_global_bias
        assert bias is not None
        one = self.constant("one", np.array(1, np.int64))
        each = self.constant("global_block", np.array(self._each, np.int64))
        positions = self.range(self.call("Add", self._length, self._behind))
        own = self._unsqueezed(self.call("Div", positions, each), 0, 2)
        last = self.call("Sub", self.call("Squeeze", self._full, self.integers(1)), one)
        own = self.call("Min", own, last)  # [B,NT,1]
        place = self._unsqueezed(self.range(self._slots), 0, 1)
        rows = self.relative_bias(self.call("Sub", place, own), bias, "global_relative_bias")
        heads_first = self.call("Transpose", rows, perm=[0, 3, 1, 2])
        return self.call("Where", self._is_full, heads_first, self._masked())

    def _sums(self, x: str, prefix: str) -> str:
        """The normed sums `[B,G,D]` of blocks; the last full one has what is behind it."""
        tokens = self.call("Mul", x, self.call("Squeeze", self._real, self.integers(1)))
        each = self.integers(self._each)
        behind = self.call("Add", self._missing(self._length, self._each), each)
        padded = self._padded(tokens, self.integers(1), self.integers(0), behind)
        shape = self.integers(0, -1, self._each, self.config.d_model)
        blocks = self.call("Reshape", padded, shape)
        parts = self.call("ReduceSum", blocks, self.integers(2), keepdims=0)
        own = self._slice(parts, 1, self.integers(0), self._slots)
        after = self._slice(parts, 1, self.integers(1), self._end)
        sums = self.call("Add", self._where(self._is_full, own), self._where(self._is_last, after))
        return self.norm(sums, f"{prefix}.global_norm")

    def _where(self, holds: str, parts: str) -> str:
        """`parts [B,G,D]`, and zeros where `holds [B,1,1,G]` does not."""
        column = self.call("Transpose", holds, perm=[0, 1, 3, 2])
        column = self.call("Squeeze", column, self.integers(1))
        return self.call("Where", column, parts, self._number(0))

    def _tokens(self, heads: str) -> str:
        """`[B,H,S+G,K] -> [B,H,S,K]`."""
        if not self.config.has_globals:
            return heads
        return self._slice(heads, 2, self.integers(0), self._length)

    def _globals(self, heads: str) -> str:
        """`[B,H,S+G,K] -> [B,H,G,K]`."""
        return self._slice(heads, 2, self._length, self._end)

    def _blocks(self, x: str, around: int) -> str:
        """`[B,*,S,K] -> [B,*,N+2 around,T,K]`, with blocks of zeros before and behind."""
        beside = self.integers(around * self._block)
        behind = self.call("Add", self._behind, beside)
        padded = self._padded(x, self.integers(2), beside, behind)
        width = self.call("Slice", self.call("Shape", x), self.integers(3), self.integers(4))
        shape = self.call("Concat", self.integers(0, 0, -1, self._block), width, axis=0)
        return self.call("Reshape", padded, shape)

    def _windows(self, x: str) -> str:
        """`[B,*,S,K] -> [B,*,N,W,K]`."""
        blocks = self._blocks(x, 1)
        ends = [self.integers(-2), self.integers(-1), self._end]
        parts = [self._slice(blocks, 2, self.integers(i), end) for i, end in enumerate(ends)]
        return self.call("Concat", *parts, axis=3)

    def _joined_blocks(self, x: str, width: int) -> str:
        """`[B,*,N,T,width] -> [B,*,NT,width]`."""
        return self.call("Reshape", x, self.integers(0, 0, -1, width))

    def _missing(self, length: str, step: int) -> str:
        """How much a length is below the next multiple of `step`, `[1]`."""
        size = self.integers(step)
        rest = self.call("Mod", length, size)
        return self.call("Mod", self.call("Sub", size, rest), size)

    def _padded(self, x: str, axis: str, before: str, behind: str) -> str:
        pads = self.call("Concat", before, behind, axis=0)
        return self.call("Pad", x, pads, self._number(0), axis)

    def _slice(self, x: str, axis: int, first: str, last: str) -> str:
        return self.call("Slice", x, first, last, self.integers(axis))

    def _unsqueezed(self, x: str, *axes: int) -> str:
        return self.call("Unsqueeze", x, self.integers(*axes))

    @property
    def _end(self) -> str:
        """The end of any axis, for slices."""
        return self.integers(np.iinfo(np.int32).max)

    def _number(self, value: float) -> str:
        return self.constant(f"number_{value}", np.array(value, np.float32))

    def _masked(self) -> str:
        return self.constant("masked", np.array(MASKED, np.float32))
