"""The configuration of an encoder-decoder Transformer (Vaswani et al. 2017, arXiv:1706.03762)."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "gelu", "gelu_tanh", "silu", "tanh"]
NormPlacement = Literal["pre", "post"]
NormKind = Literal["layer", "rms"]
Positions = Literal["sinusoidal", "shifted_sinusoidal", "learned", "relative"]
DecoderUnit = Literal["attention", "ssru"]
EncoderAttention = Literal["full", "local", "transient_global"]


def check_token(name: str, token_id: int, vocab_size: int) -> None:
    """Checks that a model knows a token.

    Raises:
        ValueError: it does not.

    """
    if not 0 <= token_id < vocab_size:
        raise ValueError(f"{name} must be from 0 to {vocab_size - 1}, not {token_id}.")


@dataclass(frozen=True)
class BlockConfig:
    """Sizes and choices of one stack's layers: what an attention and a feed-forward block need.

    `norm` says where the norm stands: "post" after each residual sum, as in the article, or "pre"
    before each sub-layer (Xiong et al. 2020, arXiv:2002.04745).  `norm_kind` is LayerNorm or
    RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467).  `gated` feed-forward blocks multiply the
    activation by a second projection (Shazeer 2020, arXiv:2002.05202).  `scale_attention` divides
    the scores by the root of `head_width`; T5 does not.
    """

    width: int
    heads: int
    head_width: int
    hidden: int
    activation: Activation = "relu"
    gated: bool = False
    norm: NormPlacement = "post"
    norm_kind: NormKind = "layer"
    norm_epsilon: float = 1e-5
    bias: bool = True
    scale_attention: bool = True
    dropout: float = 0.1


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of one encoder-decoder; the defaults are the article's base model.

    `vocab_size` counts the tokens of answers, and of sources where `source_vocab_size` is 0; else
    these have a vocabulary, and embeddings, of their own.
    What the layers of both stacks share is described at `BlockConfig`; with "pre", one more norm
    stands at the end of each stack.  `head_width` 0 stands for `d_model / heads`.
    `positions`: "sinusoidal" (sines first, then cosines), "shifted_sinusoidal" (M2M100's: other
    frequencies, the first token at `position_offset`, none for padding), "learned" (a table for
    each stack) or "relative" (T5's bias on the scores, in `relative_buckets` up to
    `relative_distance`).
    `max_target_positions` bounds answers where it is not 0, and `max_positions` sources alone.
    `decoder_unit` is what a decoder's layer has before its cross-attention: self-attention, or a
    simpler simple recurrent unit (see `layers.SimpleRecurrentUnit`).
    `encoder_attention` says what a token of a source attends to: to all of it, to those at most
    `local_radius` away, or also to a sum of each `global_block` tokens
    (see `encoders.long_attention`).
    `embedding_norm` is a norm on each stack's input, `output_bias` a bias per token on the logits,
    whose weights are the embeddings if `tied_head`, times `d_model ** -0.5` if `scale_head`.

    Raises:
        ValueError: a size is not positive, `heads` does not divide `d_model`, a special token is
            outside of the answers' vocabulary, or an encoder that does not attend to all of a
            source has positions that are not relative, or is not pre-norm.

    """

    vocab_size: int
    encoder_layers: int = 6
    decoder_layers: int = 6
    encoder_heads: int = 8
    decoder_heads: int = 8
    d_model: int = 512
    encoder_ffn: int = 2048
    decoder_ffn: int = 2048
    activation: Activation = "relu"
    norm: NormPlacement = "post"
    positions: Positions = "sinusoidal"
    max_positions: int = 512
    scale_embedding: bool = True
    output_bias: bool = False
    dropout: float = 0.1
    pad_id: int = 0
    eos_id: int = 1
    decoder_start_id: int = 0
    head_width: int = 0
    gated: bool = False
    norm_kind: NormKind = "layer"
    norm_epsilon: float = 1e-5
    bias: bool = True
    scale_attention: bool = True
    embedding_norm: bool = False
    tied_head: bool = True
    scale_head: bool = False
    position_offset: int = 0
    relative_buckets: int = 32
    relative_distance: int = 128
    decoder_unit: DecoderUnit = "attention"
    source_vocab_size: int = 0
    max_target_positions: int = 0
    encoder_attention: EncoderAttention = "full"
    local_radius: int = 127
    global_block: int = 16

    def __post_init__(self) -> None:
        for name in (
            "vocab_size",
            "encoder_layers",
            "decoder_layers",
            "d_model",
            "encoder_ffn",
            "decoder_ffn",
            "max_positions",
            "local_radius",
            "global_block",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("source_vocab_size", "max_target_positions"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative: {getattr(self, name)}.")
        for name in ("pad_id", "eos_id", "decoder_start_id"):
            check_token(name, getattr(self, name), self.vocab_size)
        for name in ("encoder_heads", "decoder_heads"):
            heads = getattr(self, name)
            if heads < 1 or (not self.head_width and self.d_model % heads):
                raise ValueError(f"{name} ({heads}) must divide d_model ({self.d_model}).")
        if self.positions == "relative":
            self._check_relative()
        is_full = self.encoder_attention == "full"
        if not is_full and (self.positions != "relative" or self.norm != "pre"):
            raise ValueError(
                f"encoder_attention {self.encoder_attention!r} takes relative positions and norms "
                f"before sub-layers, not positions that are {self.positions}, and {self.norm}-norm."
            )

    def _check_relative(self) -> None:
        if self.relative_buckets < 4 or self.relative_buckets % 2:
            raise ValueError(
                f"relative_buckets must be even and at least 4, not {self.relative_buckets}."
            )
        if self.relative_distance <= self.relative_buckets // 2:
            raise ValueError(
                f"relative_distance ({self.relative_distance}) must be over half of "
                f"relative_buckets ({self.relative_buckets})."
            )

    @property
    def encoder_vocab_size(self) -> int:
        """How many tokens sources may be made of."""
        return self.source_vocab_size or self.vocab_size

    @property
    def source_pad_id(self) -> int:
        """What sources are padded with: any token will do, since no attention reaches it."""
        return min(self.pad_id, self.encoder_vocab_size - 1)

    @property
    def max_answer(self) -> int:
        """How many positions the decoder has."""
        return self.max_target_positions or self.max_positions

    @property
    def has_globals(self) -> bool:
        """Whether the encoder's tokens attend to sums of blocks of tokens, too."""
        return self.encoder_attention == "transient_global"

    @property
    def is_recurrent(self) -> bool:
        """Whether the decoder remembers a vector a layer, and no keys and values of its tokens."""
        return self.decoder_unit == "ssru"

    @property
    def embedding_scale(self) -> float:
        """What token embeddings are multiplied by before positions are added."""
        return self.d_model**0.5 if self.scale_embedding else 1.0

    @property
    def encoder_block(self) -> BlockConfig:
        """What the encoder's layers are made of."""
        return self._block(self.encoder_heads, self.encoder_ffn)

    @property
    def decoder_block(self) -> BlockConfig:
        """What the decoder's layers are made of; `head_width` is that of the caches."""
        return self._block(self.decoder_heads, self.decoder_ffn)

    def _block(self, heads: int, hidden: int) -> BlockConfig:
        return BlockConfig(
            width=self.d_model,
            heads=heads,
            head_width=self.head_width or self.d_model // heads,
            hidden=hidden,
            activation=self.activation,
            gated=self.gated,
            norm=self.norm,
            norm_kind=self.norm_kind,
            norm_epsilon=self.norm_epsilon,
            bias=self.bias,
            scale_attention=self.scale_attention,
            dropout=self.dropout,
        )
