"""The configuration of an encoder-decoder Transformer (Vaswani et al. 2017, arXiv:1706.03762)."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["relu", "gelu", "silu"]
NormPlacement = Literal["pre", "post"]


@dataclass(frozen=True)
class ModelConfig:
    """Sizes and choices of one encoder-decoder; the defaults are the article's base model.

    `norm` says where LayerNorm stands: "post" after each residual sum, as in the article, or
    "pre" before each sub-layer with one more at the end of each stack (Xiong et al. 2020,
    arXiv:2002.04745).  `positions` are sinusoids, sines first and then cosines.
    `output_bias` adds a bias per token to the logits, whose weights are the embeddings.

    Raises:
        ValueError: a size is not positive, or `heads` does not divide `d_model`.

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
    positions: Literal["sinusoidal"] = "sinusoidal"
    max_positions: int = 512
    scale_embedding: bool = True
    output_bias: bool = False
    dropout: float = 0.1
    pad_id: int = 0
    eos_id: int = 1
    decoder_start_id: int = 0

    def __post_init__(self) -> None:
        for name in ("vocab_size", "encoder_layers", "decoder_layers", "d_model", "max_positions"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("encoder_heads", "decoder_heads"):
            heads = getattr(self, name)
            if heads < 1 or self.d_model % heads:
                raise ValueError(f"{name} ({heads}) must divide d_model ({self.d_model}).")

    @property
    def embedding_scale(self) -> float:
        """What token embeddings are multiplied by before positions are added."""
        return self.d_model**0.5 if self.scale_embedding else 1.0
