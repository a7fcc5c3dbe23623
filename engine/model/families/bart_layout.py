"""The parameter names that BART, Marian and Pegasus share in `transformers`."""

from torch import Tensor

from engine.model.config import ModelConfig

_POSITIONS = "model.encoder.embed_positions.weight"
_ATTENTION = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}


def parameter_names(config: ModelConfig) -> dict[str, str]:
    """Maps each of our parameter names to the one in a `transformers` state dict."""
    names = {"embedding.weight": "model.shared.weight"}
    if config.output_bias:
        names["output_bias"] = "final_logits_bias"
    for stack, layers in (("encoder", config.encoder_layers), ("decoder", config.decoder_layers)):
        blocks = [("attention", "self_attn")]
        if stack == "decoder":
            blocks.append(("cross_attention", "encoder_attn"))
        modules: dict[str, str] = {}
        for ours, theirs in blocks:
            modules |= {f"{ours}.sublayer.{_ATTENTION[p]}": f"{theirs}.{p}" for p in _ATTENTION}
            modules[f"{ours}.norm"] = f"{theirs}_layer_norm"
        modules |= {"ffn.sublayer.up": "fc1", "ffn.sublayer.down": "fc2"}
        modules["ffn.norm"] = "final_layer_norm"
        for layer in range(layers):
            for ours, theirs in modules.items():
                names |= _with_bias(
                    f"{stack}.{layer}.{ours}", f"model.{stack}.layers.{layer}.{theirs}"
                )
        if config.norm == "pre":
            names |= _with_bias(f"{stack}_norm", f"model.{stack}.layer_norm")
    return names


def _with_bias(ours: str, theirs: str) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for part in ("weight", "bias")}


def map_weights(state: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """Our state dict from theirs; `positions` is in it if the checkpoint brings its own table.

    A float16 checkpoint holds a rounded table, and `transformers` uses it as it is.

    Raises:
        KeyError: a parameter is missing; the name is the one in the checkpoint.

    """
    weights = {}
    for ours, theirs in parameter_names(config).items():
        if theirs == "model.shared.weight" and theirs not in state:
            theirs = "lm_head.weight"  # how some versions of transformers save tied weights
        weights[ours] = state[theirs].float()
    if config.output_bias:
        weights["output_bias"] = weights["output_bias"].flatten()
    if _POSITIONS in state:
        weights["positions"] = state[_POSITIONS].float()
    return weights
