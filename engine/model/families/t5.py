"""T5, T5 v1.1, Flan-T5 and mT5 (https://huggingface.co/docs/transformers/model_doc/t5).

RMSNorm, no biases, attention without scale, a bias by relative position that all layers of a
stack share.  The head is always a matrix of its own here: whether it is the embedding is up to the
weights file, since `transformers` 5 says that it is, whatever the file holds.
"""

from typing import Any

from torch import Tensor

from engine.model.config import ModelConfig
from engine.model.families import bart_layout

MODEL_TYPES = ("t5", "mt5")

_MAX_POSITIONS = 512
"""Where `n_positions` is not given: relative positions have no end, but training's texts had."""

_ATTENTION = {"query": "q", "key": "k", "value": "v", "output": "o"}


def read_config(hf: dict[str, Any]) -> ModelConfig:
    """The configuration in our terms.

    Raises:
        KeyError: a size is missing.
        ValueError: a field has a value that we do not support.

    """
    return read_sizes(hf, max_positions=hf.get("n_positions") or _MAX_POSITIONS)


def read_sizes(hf: dict[str, Any], **choices: Any) -> ModelConfig:
    """What T5 and families made of it name alike, with a family's own `choices`.

    Raises:
        KeyError: a size is missing.
        ValueError: a field has a value that we do not support.

    """
    bart_layout.require(hf, is_encoder_decoder=True, quantization_config=None)
    multilingual = hf.get("model_type") == "mt5"
    form = hf.get("feed_forward_proj", "gated-gelu" if multilingual else "relu")
    gate, _, name = form.rpartition("-")
    if gate not in ("", "gated"):
        raise ValueError(f"feed_forward_proj {form!r} is neither an activation nor 'gated-' one.")
    hf = {"dense_act_fn": "gelu_new" if form == "gated-gelu" else name} | hf
    tied = hf.get("tie_word_embeddings") is not False
    ids: dict[str, Any] = bart_layout.read_ids({"pad_token_id": 0, "eos_token_id": 1} | hf, start=0)
    return ModelConfig(
        vocab_size=hf["vocab_size"],
        encoder_layers=hf["num_layers"],
        decoder_layers=hf.get("num_decoder_layers") or hf["num_layers"],
        encoder_heads=hf["num_heads"],
        decoder_heads=hf["num_heads"],
        head_width=hf["d_kv"],
        d_model=hf["d_model"],
        encoder_ffn=hf["d_ff"],
        decoder_ffn=hf["d_ff"],
        activation=bart_layout.read_activation(hf, "dense_act_fn", name),
        gated=hf.get("is_gated_act", gate == "gated"),
        norm="pre",
        norm_kind="rms",
        norm_epsilon=hf.get("layer_norm_epsilon", 1e-6),
        bias=False,
        scale_attention=False,
        scale_embedding=False,
        positions="relative",
        relative_buckets=hf.get("relative_attention_num_buckets", 32),
        relative_distance=hf.get("relative_attention_max_distance", 128),
        tied_head=False,
        scale_head=not multilingual and hf.get("scale_decoder_outputs", tied),
        dropout=hf.get("dropout_rate", 0.1),
        **ids,
        **choices,
    )


def map_weights(
    state: dict[str, Tensor], config: ModelConfig, encoder_attention: str = "SelfAttention"
) -> dict[str, Tensor]:
    """Our state dict from theirs; `encoder_attention` is what they call that of the encoder.

    Raises:
        KeyError: a parameter is missing; the name is the one in the checkpoint.
        ValueError: the stacks' embeddings are not the same.

    """
    stacks = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    inputs = any(name in state for name in ("shared.weight", *stacks))
    shared = bart_layout.shared_embedding(
        state, "shared.weight", stacks if inputs else ("lm_head.weight",)
    )
    head = state.get("lm_head.weight", shared)
    weights = {"embedding.weight": shared, "head.weight": head.float()}
    for ours, theirs in _parameter_names(config, encoder_attention).items():
        weights[ours] = state[theirs].float()
    return weights


def _parameter_names(config: ModelConfig, encoder_attention: str) -> dict[str, str]:
    names = {}
    for stack, layers, own in (
        ("encoder", config.encoder_layers, encoder_attention),
        ("decoder", config.decoder_layers, "SelfAttention"),
    ):
        bias = f"{stack}.block.0.layer.0.{own}.relative_attention_bias.weight"
        names[f"{stack}_bias.bias.weight"] = bias
        names[f"{stack}_norm.weight"] = f"{stack}.final_layer_norm.weight"
        modules = _layer_modules(stack, config.gated, own)
        for layer in range(layers):
            for ours, theirs in modules.items():
                names[f"{stack}.{layer}.{ours}.weight"] = (
                    f"{stack}.block.{layer}.layer.{theirs}.weight"
                )
    return names


def _layer_modules(stack: str, gated: bool, own_attention: str) -> dict[str, str]:
    blocks = [("attention", own_attention)]
    if stack == "decoder":
        blocks.append(("cross_attention", "EncDecAttention"))
    modules = {}
    for index, (ours, theirs) in enumerate(blocks):
        modules[f"{ours}.norm"] = f"{index}.layer_norm"
        for part, name in _ATTENTION.items():
            modules[f"{ours}.sublayer.{part}"] = f"{index}.{theirs}.{name}"
    ffn = {"gate": "wi_0", "up": "wi_1"} if gated else {"up": "wi"}
    for part, name in (ffn | {"down": "wo"}).items():
        modules[f"ffn.sublayer.{part}"] = f"{len(blocks)}.DenseReluDense.{name}"
    return modules | {"ffn.norm": f"{len(blocks)}.layer_norm"}
