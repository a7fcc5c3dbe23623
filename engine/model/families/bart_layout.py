"""The configuration and parameter names that the BART lineage shares in `transformers`.

BART, mBART, Marian, M2M100 and Pegasus differ in norms and positions; their files state how.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from engine.model.config import Activation, ModelConfig

ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_python_tanh": "gelu_tanh",
    "swish": "silu",
    "silu": "silu",
    "tanh": "tanh",
}
"""Activations of `transformers.activations`, by its names."""

LEARNED_OFFSET = 2
"""Rows of BART's position tables before that of the first token."""

_SHARED = "model.shared.weight"
_HEAD = "lm_head.weight"
_EMBEDDINGS = _SOURCE, _TARGET = (
    "model.encoder.embed_tokens.weight",
    "model.decoder.embed_tokens.weight",
)
_BIAS = "final_logits_bias"
_ATTENTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}


def read_activation(hf: dict[str, Any], field: str, default: str) -> Activation:
    """The activation that `field` names.

    Raises:
        ValueError: it is one that we do not have.

    """
    name = hf.get(field, default)
    if name not in ACTIVATIONS:
        raise ValueError(f"{field} {name!r} is not one of {', '.join(sorted(ACTIVATIONS))}.")
    return ACTIVATIONS[name]


def require(hf: dict[str, Any], **expected: Any) -> None:
    """Checks the fields that say what `transformers` builds whatever they say.

    Checkpoints of fairseq's time still carry some of these; with another value, the weights are
    of a model that the architecture's class does not compute.

    Raises:
        ValueError: a field that is there has another value than `expected`.

    """
    for field, value in expected.items():
        if hf.get(field, value) != value:
            raise ValueError(f"{field} = {hf[field]!r} is not supported for this architecture.")


def read_sizes(hf: dict[str, Any], **choices: Any) -> ModelConfig:
    """The sizes that the lineage names alike, with a family's own `choices`.

    Raises:
        KeyError: a size is missing.
        ValueError: a field has a value that we do not support.

    """
    require(hf, is_encoder_decoder=True, add_bias_logits=False, quantization_config=None)
    tied = hf.get("tie_word_embeddings", True)
    return ModelConfig(
        encoder_layers=hf["encoder_layers"],
        decoder_layers=hf["decoder_layers"],
        encoder_heads=hf["encoder_attention_heads"],
        decoder_heads=hf["decoder_attention_heads"],
        d_model=hf["d_model"],
        encoder_ffn=hf["encoder_ffn_dim"],
        decoder_ffn=hf["decoder_ffn_dim"],
        activation=read_activation(hf, "activation_function", "gelu"),
        max_positions=hf["max_position_embeddings"],
        dropout=hf.get("dropout", 0.1),
        tied_head=tied,
        **(
            {"vocab_size": hf["vocab_size"], "scale_embedding": hf.get("scale_embedding", False)}
            | read_ids(hf)
            | choices
        ),
    )


def read_ids(hf: dict[str, Any], start: int | None = None) -> dict[str, int]:
    """The ids of padding, end of sequence and the decoder's first token (default: `start`).

    Raises:
        ValueError: one of them is not a single token.

    """
    fields = {
        "pad_id": ("pad_token_id", None),
        "eos_id": ("eos_token_id", None),
        "decoder_start_id": ("decoder_start_token_id", start),
    }
    ids = {}
    for ours, (field, default) in fields.items():
        value = hf.get(field)
        value = default if value is None else value
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, int):
            raise ValueError(f"{field} has to be one token, not {value!r}.")
        ids[ours] = value
    return ids


def parameter_names(config: ModelConfig) -> dict[str, str]:
    """Maps each of our parameter names to the one in a `transformers` state dict."""
    names = {"embedding.weight": _SHARED}
    if config.source_vocab_size:
        names = {"embedding.weight": _TARGET, "source_embedding.weight": _SOURCE}
    if config.output_bias:
        names["output_bias"] = _BIAS
    if not config.tied_head:
        names["head.weight"] = _HEAD
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        modules = _layer_modules(stack)
        for layer in range(layers):
            for ours, theirs in modules.items():
                names |= _with_bias(
                    f"{stack}.{layer}.{ours}", f"model.{stack}.layers.{layer}.{theirs}"
                )
        if config.norm == "pre":
            names |= _with_bias(f"{stack}_norm", f"model.{stack}.layer_norm")
        if config.embedding_norm:
            names |= _with_bias(f"{stack}_embedding_norm", f"model.{stack}.layernorm_embedding")
        if config.positions == "learned":
            names[f"{stack}_positions.weight"] = f"model.{stack}.embed_positions.weight"
    return names


def _layer_modules(stack: str) -> dict[str, str]:
    blocks = [("attention", "self_attn")]
    if stack == "decoder":
        blocks.append(("cross_attention", "encoder_attn"))
    modules: dict[str, str] = {}
    for ours, theirs in blocks:
        modules |= {f"{ours}.sublayer.{_ATTENTION[p]}": f"{theirs}.{p}" for p in _ATTENTION}
        modules[f"{ours}.norm"] = f"{theirs}_layer_norm"
    modules |= {"ffn.sublayer.up": "fc1", "ffn.sublayer.down": "fc2"}
    return modules | {"ffn.norm": "final_layer_norm"}


def _with_bias(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs; `positions` is in it if the checkpoint brings its own sinusoids.

    A float16 checkpoint holds a rounded table, and `transformers` uses it as it is.

    Raises:
        KeyError: a parameter is missing; the name is the one in the checkpoint.
        ValueError: an embedding that should be shared is not.

    """
    state = _with_model_prefix(state)
    table = _TARGET if config.source_vocab_size else _SHARED
    shared = shared_embedding(state, table, _aliases(config))
    weights = {}
    for ours, theirs in parameter_names(config).items():
        if theirs == table:
            weights[ours] = shared
        elif theirs == _BIAS:
            bias = state.get(_BIAS, torch.zeros(config.vocab_size))
            weights[ours] = bias.float().flatten()
        elif ours.endswith("_positions.weight"):
            weights[ours] = state[theirs][LEARNED_OFFSET:].float()
        else:
            weights[ours] = state[theirs].float()
    sinusoids = state.get("model.encoder.embed_positions.weight")
    if config.positions == "sinusoidal" and sinusoids is not None:
        weights["positions"] = sinusoids.float()
    return weights


def _aliases(config: ModelConfig) -> tuple[str, ...]:
    embeddings = (_TARGET,) if config.source_vocab_size else _EMBEDDINGS
    return (*embeddings, _HEAD) if config.tied_head else embeddings


def _with_model_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Checkpoints saved without the head (facebook/bart-large) name nothing `model.`."""
    if any(name.startswith("model.") for name in state):
        return state
    unprefixed = (_HEAD, _BIAS)
    return {n if n in unprefixed else f"model.{n}": tensor for n, tensor in state.items()}


def shared_embedding(state: Mapping[str, Tensor], name: str, aliases: tuple[str, ...]) -> Tensor:
    """The matrix that stands in `state` under `name` or an alias (which of them varies).

    Raises:
        KeyError: it stands nowhere.
        ValueError: two names hold different matrices; `transformers` would not tie them.

    """
    present = [key for key in (name, *aliases) if key in state]
    if not present:
        raise KeyError(name)
    first = state[present[0]]
    for other in present[1:]:
        if state[other].shape != first.shape or not torch.equal(state[other], first):
            raise ValueError(f"{other} differs from {present[0]}: not supported for this family.")
    return first.float()
