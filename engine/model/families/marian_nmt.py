"""Models that Marian itself writes (https://marian-nmt.github.io), such as Firefox Translations'.

`engine.model.marian` reads them and writes a folder in the form that `transformers` gives its own:
`config.json` has the fields of Marian's configuration, the tensors have Marian's names. A row more
of the embeddings, all zeros, is what a decoder begins with. Sizes of vocabularies stand as in
`transformers`' own Marian: `vocab_size` is the sources', `decoder_vocab_size` the answers'.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, PretrainedConfig

from engine.model.config import Activation, ModelConfig
from engine.model.positions import shifted_sinusoidal_positions
from engine.model.weights import Int8Scales

MODEL_TYPES = ("marian_nmt",)

WEIGHT_MULTIPLIER, INPUT_MULTIPLIER = MULTIPLIERS = (".weight_multiplier", ".input_multiplier")
"""How the names of tensors end that hold what a matrix and its input are multiplied with."""

MAX_POSITIONS = 512
"""Sinusoids have no end; longer sentences are none that the models have seen."""

_ACTIVATIONS: dict[str, Activation] = {"relu": "relu", "swish": "silu", "gelu": "gelu"}

_SUPPORTED: dict[str, Any] = {
    "type": "transformer",
    "transformer-preprocess": "",
    "transformer-postprocess": "dan",
    "transformer-postprocess-top": "",
    "transformer-postprocess-emb": "d",
    "transformer-ffn-depth": 2,
    "transformer-tied-layers": [],
    "transformer-train-position-embeddings": False,
    "transformer-no-projection": False,
    "transformer-rnn-projection": False,
    "transformer-pool": False,
    "lemma-dim-emb": 0,
    "factors-combine": "sum",
    "input-types": [],
}
"""The only values of Marian's choices that we have; what a file does not say is as here."""


class MarianNmtConfig(PretrainedConfig):
    """What `transformers` needs to read the folder's `config.json`."""

    model_type = "marian_nmt"


AutoConfig.register(MarianNmtConfig.model_type, MarianNmtConfig)


def read_config(hf: Mapping[str, Any]) -> ModelConfig:
    """The configuration in our terms.

    Raises:
        ValueError: Marian was told to build something that is not supported; the message names it.

    """
    for name, value in _SUPPORTED.items():
        # What is empty is written in several ways.
        if (hf.get(name, value) or type(value)()) != value:
            raise ValueError(f"{name} is {hf[name]!r}: only {value!r} is supported.")
    if hf.get("transformer-decoder-ffn-depth") not in (None, 0, 2):
        raise ValueError("transformer-decoder-ffn-depth is not 2: nothing else is supported.")
    unit = hf.get("transformer-decoder-autoreg", "self-attention")
    cell = hf.get("dec-cell", "ssru")
    if unit not in ("self-attention", "rnn") or (unit == "rnn" and cell != "ssru"):
        named = unit if unit != "rnn" else f"a {cell}"
        raise ValueError(f"the decoder has {named}: self-attention and SSRUs are supported.")
    activation = hf.get("transformer-ffn-activation", "swish")
    if activation not in _ACTIVATIONS:
        raise ValueError(f"the activation {activation!r} is not one of {', '.join(_ACTIVATIONS)}.")
    hidden = hf["transformer-dim-ffn"]
    source, target = embedding_names(hf)
    return ModelConfig(
        vocab_size=hf["decoder_vocab_size"],
        source_vocab_size=0 if source == target else hf["vocab_size"],
        encoder_layers=hf["enc-depth"],
        decoder_layers=hf["dec-depth"],
        encoder_heads=hf["transformer-heads"],
        decoder_heads=hf["transformer-heads"],
        d_model=hf["dim-emb"],
        encoder_ffn=hidden,
        decoder_ffn=hf.get("transformer-decoder-dim-ffn") or hidden,
        activation=_ACTIVATIONS[activation],
        max_positions=MAX_POSITIONS,
        output_bias=True,
        norm_epsilon=1e-6,
        pad_id=hf["pad_token_id"],
        eos_id=hf["eos_token_id"],
        decoder_start_id=hf["decoder_start_token_id"],
        decoder_unit="ssru" if unit == "rnn" else "attention",
    )


def embedding_names(hf: Mapping[str, Any]) -> tuple[str, str]:
    """Marian's names of the sources' embeddings and the answers', which are the head's, too.

    Raises:
        ValueError: the head has a matrix of its own.

    """
    if hf.get("tied-embeddings-all", True) or (
        hf.get("tied-embeddings-src") and hf.get("tied-embeddings")
    ):
        return "Wemb", "Wemb"
    if hf.get("tied-embeddings") and not hf.get("tied-embeddings-src"):
        return "encoder_Wemb", "decoder_Wemb"
    raise ValueError(
        "tied-embeddings-all and tied-embeddings are False: a head that has a matrix of its own "
        "is not supported."
    )


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from Marian's tensors; matrices are `[in,out]` there."""
    never = torch.full((1,), -torch.inf)
    weights = {
        **{ours: _with_start(state[theirs], config) for ours, theirs in _tables(config).items()},
        "output_bias": torch.cat([state["decoder_ff_logit_out_b"].flatten(), never]),
        "positions": shifted_sinusoidal_positions(config.max_positions, config.d_model, 0),
    }
    for ours, theirs, bias in _maps(config):
        weights[f"{ours}.weight"] = state[theirs].T.contiguous()
        if bias:
            weights[f"{ours}.bias"] = state[bias].flatten()
    for ours, theirs in _norms(config):
        weights[f"{ours}.weight"] = state[f"{theirs}_scale"].flatten()
        weights[f"{ours}.bias"] = state[f"{theirs}_bias"].flatten()
    _require_all_used(state, config)
    return weights


def _tables(config: ModelConfig) -> dict[str, str]:
    """Our names of embeddings, and Marian's."""
    if not config.source_vocab_size:
        return {"embedding.weight": "Wemb"}
    return {"source_embedding.weight": "encoder_Wemb", "embedding.weight": "decoder_Wemb"}


def _with_start(table: Tensor, config: ModelConfig) -> Tensor:
    """Embeddings with the zeros behind them that stand for no token."""
    if table.shape[1] != config.d_model:
        raise ValueError(f"dim-emb is {config.d_model}, and embeddings have {table.shape[1]}.")
    return torch.cat([table, table.new_zeros(1, config.d_model)])


def _require_all_used(state: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Refuses a network that has more than ours: its answers would be others."""
    used = {*_tables(config).values(), "decoder_ff_logit_out_b"}
    used |= {name for _, *names in _maps(config) for name in names}
    used |= {f"{theirs}_{part}" for _, theirs in _norms(config) for part in ("scale", "bias")}
    rest = [name for name in sorted(state) if name not in used and not name.endswith(MULTIPLIERS)]
    if rest:
        raise ValueError(f"it has {rest[0]!r}, which is no part of a network that is supported.")


def int8_scales(state: Mapping[str, Tensor], config: ModelConfig) -> dict[str, Int8Scales]:
    """The scales that the file brings; none where it does not bring all of them."""
    names = {ours: theirs for ours, theirs, _ in _maps(config)}
    names["head"] = _tables(config)["embedding.weight"]
    found = {}
    for ours, theirs in names.items():
        weight, given = (state.get(theirs + kind) for kind in MULTIPLIERS)
        if weight is None or given is None:
            return {}
        found[ours] = Int8Scales(1 / _positive(weight), 1 / _positive(given))
    return found


def _positive(multiplier: Tensor) -> float:
    value = float(multiplier)
    if not 0 < value < float("inf"):
        raise ValueError(f"a scale is {value}: only positive numbers are.")
    return value


def _layers(config: ModelConfig) -> Iterator[tuple[str, str]]:
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        for layer in range(layers):
            yield f"{stack}.{layer}", f"{stack}_l{layer + 1}"


def _attentions(config: ModelConfig, here: str) -> dict[str, str]:
    """Marian's word for each attention of a layer."""
    words = {"attention": "self"}
    if here.startswith("decoder"):
        words = {} if config.is_recurrent else words
        words["cross_attention"] = "context"
    return words


def _maps(config: ModelConfig) -> Iterator[tuple[str, str, str]]:
    """Our prefix of each linear map, and Marian's names of its matrix and its bias, if any."""
    for here, there in _layers(config):
        for ours, word in _attentions(config, here).items():
            for part in ("query", "key", "value", "output"):
                name = f"{there}_{word}"
                yield f"{here}.{ours}.sublayer.{part}", f"{name}_W{part[0]}", f"{name}_b{part[0]}"
        if here.startswith("decoder") and config.is_recurrent:
            unit = f"{here}.recurrence.sublayer"
            yield f"{unit}.input", f"{there}_rnn_W", ""
            yield f"{unit}.forget", f"{there}_rnn_Wf", f"{there}_rnn_bf"
        yield f"{here}.ffn.sublayer.up", f"{there}_ffn_W1", f"{there}_ffn_b1"
        yield f"{here}.ffn.sublayer.down", f"{there}_ffn_W2", f"{there}_ffn_b2"


def _norms(config: ModelConfig) -> Iterator[tuple[str, str]]:
    for here, there in _layers(config):
        for ours, word in _attentions(config, here).items():
            yield f"{here}.{ours}.norm", f"{there}_{word}_Wo_ln"
        if here.startswith("decoder") and config.is_recurrent:
            yield f"{here}.recurrence.norm", f"{there}_rnn_ffn_ln"
        yield f"{here}.ffn.norm", f"{there}_ffn_ffn_ln"
