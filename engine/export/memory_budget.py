"""How much is computed at once, so that an import's memory does not hang on how long texts are.

A text's values in a layer grow with its length, and its scores of attention, one for each head,
query and key, with the square of it; a decoder keeps keys and values of every layer.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.contract.manifest import Manifest
from engine.model.checkpoint import Checkpoint
from engine.model.config import BlockConfig
from engine.runtime.batching.scheduler import Limits
from engine.runtime.engine import Settings
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.placement import default_lanes

ROOM = 192 << 20
"""Bytes of values that are computed at once; what one text alone takes may be over it."""

LIVE = 4
"""Values of a layer, of each kind, that are in memory at a time."""

FLOAT = 4

WINDOW_TOKENS = 2048
"""Tokens that an encoder's lane computes at once, see `EncoderEngine`."""


@dataclass(frozen=True)
class Budget:
    """What texts cost in one checkpoint.

    `block` is a layer of the encoder, which has so many `layers`; `token` are the bytes of a token
    in a decoder's caches, `logits` those of one position's logits; both are 0 where there is no
    decoder.
    """

    block: BlockConfig
    layers: int
    token: int = 0
    logits: int = 0

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> "Budget":
        """The budget of a checkpoint."""
        if checkpoint.kind == "encoder":
            return cls(checkpoint.encoder.config.block, len(checkpoint.encoder.config.order))
        config = checkpoint.config
        block = config.decoder_block
        pair = 2 * FLOAT * block.heads * block.head_width
        token, logits = config.decoder_layers * pair, FLOAT * config.vocab_size
        return cls(config.encoder_block, config.encoder_layers, token, logits)

    def encoding(self, length: int, *, observed: bool = False) -> int:
        """The bytes that the encoder takes for a text of `length` tokens.

        Where it is `observed`, the inputs of all products of all layers are kept until the end.
        """
        block = self.block
        inner = block.heads * block.head_width
        wide = LIVE * (max(block.width, inner) + block.hidden)
        if observed:
            wide += self.layers * (2 * block.width + inner + block.hidden)
        return FLOAT * (length * wide + LIVE * block.heads * length * length)

    def decoding(self, length: int, positions: int, at_once: int = 1) -> int:
        """The bytes of an answer of `positions` tokens, `at_once` of them computed together."""
        # Keys and values are read and written anew, logits have their softmax beside them.
        return 2 * self.token * (padded(length) + padded(positions)) + LIVE * at_once * self.logits

    def groups(
        self,
        lengths: Sequence[int],
        positions: int = 0,
        at_once: int = 1,
        *,
        observed: bool = False,
        most: int = 1 << 10,
    ) -> list[list[int]]:
        """The texts, as indices, in groups of like length; each group has at least one.

        For `positions` and `at_once` see `decoding`, for `observed` see `encoding`.
        """
        groups: list[list[int]] = []
        for index in sorted(range(len(lengths)), key=lengths.__getitem__):
            cost = self.encoding(padded(lengths[index]), observed=observed)
            if positions:
                cost += self.decoding(lengths[index], positions, at_once)
            if groups and len(groups[-1]) < most and cost * (len(groups[-1]) + 1) <= ROOM:
                groups[-1].append(index)
            else:
                groups.append([index])
        return groups

    def longest(self) -> int:
        """The length up to which a text can be observed alone."""
        length = padded(1)
        while self.encoding(2 * length, observed=True) <= ROOM:
            length *= 2
        return length

    def settings(self, lengths: Sequence[int], manifest: Manifest) -> Settings:
        """How an engine runs texts of these lengths with the model's own defaults.

        What is within the room runs as in service.
        """
        longest = max(lengths, default=1)
        usual = Limits()
        if manifest.kind == "encoder":
            lane = max(1, WINDOW_TOKENS // longest) * self.encoding(longest)
            return Settings(lanes=_lanes(lane))
        beams = int(manifest.generation.get("num_beams", 1))
        answer = int(manifest.generation.get("max_new_tokens", manifest.max_target_tokens))
        row = self.decoding(longest, answer)
        lanes = _lanes(max(beams * row, self.encoding(longest)))
        rows = max(beams, min(usual.max_rows, ROOM // lanes // row))
        tokens = longest * max(1, ROOM // lanes // self.encoding(longest))
        return Settings(
            lanes=lanes,
            limits=Limits(max_rows=rows, encoder_tokens=min(usual.encoder_tokens, tokens)),
        )


def _lanes(bytes_each: int) -> int:
    return max(1, min(default_lanes(None), ROOM // max(1, bytes_each)))
