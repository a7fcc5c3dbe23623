"""What the encoder families' formats in `transformers` share: names, refusals, the heads."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from engine.model.config import Activation, BlockConfig
from engine.model.encoders.config import EncoderConfig, HeadKind

ACTIVATIONS: dict[str, Activation] = {
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "relu": "relu",
    "silu": "silu",
    "swish": "silu",
    "tanh": "tanh",
}

LAYER = {
    "attention.sublayer.query": "attention.self.query",
    "attention.sublayer.key": "attention.self.key",
    "attention.sublayer.value": "attention.self.value",
    "attention.sublayer.output": "attention.output.dense",
    "attention.norm": "attention.output.LayerNorm",
    "ffn.sublayer.up": "intermediate.dense",
    "ffn.sublayer.down": "output.dense",
    "ffn.norm": "output.LayerNorm",
}
"""BERT's names of the parts of a layer, which most families keep."""


def read_activation(hf: Mapping[str, Any], field: str, default: str) -> Activation:
    """The activation that `field` names.

    Raises:
        ValueError: we have none of that name.

    """
    name = hf.get(field, default)
    if name not in ACTIVATIONS:
        raise ValueError(f"{field} {name!r} is not one of {sorted(ACTIVATIONS)}")
    return ACTIVATIONS[name]


def refuse(hf: Mapping[str, Any], **wanted: Any) -> None:
    """Refuses a configuration whose fields, where it has them, are not as `wanted`.

    Raises:
        ValueError: one is not; the message names it.

    """
    for field, value in wanted.items():
        if hf.get(field, value) not in (value, None):
            raise ValueError(f"{field} {hf[field]!r} is not supported")


def refuse_decoders(hf: Mapping[str, Any]) -> None:
    """Refuses what BERT's relatives can be besides an encoder with absolute positions.

    `chunk_size_feed_forward` saves memory and changes no result, so it may be anything.

    Raises:
        ValueError: the configuration is of such a model.

    """
    refuse(hf, is_decoder=False, add_cross_attention=False, position_embedding_type="absolute")


def padding_before_positions(hf: Mapping[str, Any], default: int | None = None) -> int:
    """The padding's id in a family whose positions are counted from it.

    Raises:
        ValueError: there is none.

    """
    pad_id = hf.get("pad_token_id", default)
    if pad_id is None:
        raise ValueError("pad_token_id is missing, and positions are counted from it")
    return int(pad_id)


def block(hf: Mapping[str, Any], activation: Activation, **choices: Any) -> BlockConfig:
    """The layers' sizes by BERT's names of them.

    Raises:
        ValueError: the heads do not divide the width.

    """
    width, heads = hf["hidden_size"], hf["num_attention_heads"]
    if heads < 1 or width % heads:
        raise ValueError(f"num_attention_heads ({heads}) must divide hidden_size ({width})")
    return BlockConfig(
        width=width,
        heads=heads,
        head_width=width // heads,
        hidden=hf["intermediate_size"],
        activation=activation,
        dropout=0.0,
        **choices,
    )


@dataclass(frozen=True)
class EncoderLayout:
    """Where a family keeps the parameters: our names of modules to theirs.

    `modules` are those outside the layers; `layers[n]` is the prefix of layer n, and `layer` names
    its parts. `head_dense` is missing from a span head, `folded` is an embedding whose row 0 every
    token has.
    """

    modules: Mapping[str, str]
    layers: tuple[str, ...]
    layer: Mapping[str, str]
    head_dense: str
    head_output: str
    folded: str = ""

    def map_weights(
        self, state: Mapping[str, Tensor], config: EncoderConfig, head: HeadKind
    ) -> dict[str, Tensor]:
        """Our state dict from theirs.

        Raises:
            KeyError: a parameter is missing; the name is the one in the checkpoint.

        """
        names = dict(self.modules)
        for number, prefix in enumerate(self.layers):
            names |= {f"layers.{number}.{o}": f"{prefix}.{t}" for o, t in self.layer.items()}
        if head == "spans":
            names["head_output"] = "qa_outputs"
        else:
            names |= {"head_dense": self.head_dense, "head_output": self.head_output}
        weights = dict(_parameters(state, names.items(), config))
        if self.folded:
            row = state[f"{self.folded}.weight"][0].float()
            weights["embedding.weight"] = weights["embedding.weight"] + row
        return weights


WITHOUT_BIAS = {"embedding", "positions", "token_types", "distances"}


def _parameters(
    state: Mapping[str, Tensor], names: Iterable[tuple[str, str]], config: EncoderConfig
) -> Iterable[tuple[str, Tensor]]:
    for ours, theirs in names:
        yield f"{ours}.weight", state[f"{theirs}.weight"].float()
        if ours not in WITHOUT_BIAS and (ours, config.projection) != ("projection", "linear"):
            yield f"{ours}.bias", state[f"{theirs}.bias"].float()
