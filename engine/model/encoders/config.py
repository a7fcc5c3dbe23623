"""The configuration of an encoder with a head: what the families differ in."""

from dataclasses import dataclass
from typing import Literal

from engine.model.config import Activation, BlockConfig, check_token

HeadKind = Literal["classification", "spans"]


@dataclass(frozen=True)
class TokenDropout:
    """Embeddings scaled as if tokens had been masked in training (ESM, Rives et al. 2021).

    `mask_id` tokens count as dropped: their embeddings are zero.
    """

    mask_id: int
    training_ratio: float = 0.15 * 0.8


@dataclass(frozen=True)
class Disentangled:
    """Attention between contents and relative positions (He et al. 2021, arXiv:2006.03654).

    A distance q - k becomes one of 2 `span` rows of a table; with `buckets`, those beyond half of
    them grow logarithmically up to `max_distance`.  `c2p` adds content to position, `p2c` position
    to content.  With `shared` projections positions use the content's; `norm` is a LayerNorm over
    the table.
    """

    span: int
    buckets: int
    max_distance: int
    c2p: bool
    p2c: bool
    shared: bool
    norm: bool


@dataclass(frozen=True)
class EncoderConfig:
    """Sizes and choices of one encoder, whose layers are as `block` says.

    Embeddings have `embedding_width`; with `projection` they are mapped to the layers' width. Their
    norm is "before" the projection, "after" it, or "none". Learned positions begin at row
    `position_offset` of a table of `max_positions` rows. `token_types` 0 means that there are none.
    `order` names the parameters that each layer uses: ALBERT's layers share them.
    The classification head is dense, `head_activation`, projection, on the first token.

    Raises:
        ValueError: the sizes do not fit together.

    """

    block: BlockConfig
    vocab_size: int
    order: tuple[int, ...]
    max_positions: int
    pad_id: int
    embedding_width: int
    projection: Literal["none", "linear", "biased"] = "none"
    embedding_norm: Literal["none", "before", "after"] = "before"
    positions: Literal["learned", "rotary", "none"] = "learned"
    position_offset: int = 0
    rotary_base: float = 10000.0
    token_types: int = 0
    token_dropout: TokenDropout | None = None
    disentangled: Disentangled | None = None
    head_activation: Activation = "tanh"

    def __post_init__(self) -> None:
        block = self.block
        check_token("the padding's id", self.pad_id, self.vocab_size)
        for name, size in (
            ("the vocabulary", self.vocab_size),
            ("the number of layers", len(self.order)),
            ("the number of heads", block.heads),
            ("the model's width", block.width),
            ("the width of feed-forward blocks", block.hidden),
            ("the embeddings' width", self.embedding_width),
            ("the number of positions", self.max_tokens),
        ):
            if size < 1:
                raise ValueError(f"{name} must be at least 1, not {size}.")
        if block.heads * block.head_width != block.width:
            raise ValueError(f"{block.heads} heads do not divide the width {block.width}.")
        if self.positions == "rotary" and block.head_width % 2:
            raise ValueError(f"rotary positions need an even head width, not {block.head_width}.")

    @property
    def blocks(self) -> int:
        """How many layers with parameters of their own there are."""
        return max(self.order) + 1

    @property
    def max_tokens(self) -> int:
        """The longest input, special tokens included."""
        return self.max_positions - self.position_offset

    @property
    def attention_scale(self) -> float:
        """What scores of attention are multiplied by: 1/sqrt(K), K times the kinds of score."""
        kinds = 1
        if self.disentangled is not None:
            kinds += self.disentangled.c2p + self.disentangled.p2c
        return float((self.block.head_width * kinds) ** -0.5)
