import json
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
import transformers
from numpy.typing import NDArray
from safetensors.torch import load_file

from engine.export.graphs.transformer import TransformerGraphs
from engine.export.precision.calibration import ValueObserver, open_model, quantizable
from engine.export.precision.quantization import quantize
from engine.export.precision.sensitivity import measure_products
from engine.model.config import ModelConfig
from engine.model.families import bart, longt5, m2m100, marian, mbart, pegasus, t5
from engine.model.transformer import Transformer
from engine.runtime.sessions.masks import MASKED
from tests.engine.model.seq2seq_checkpoints import FAMILIES

MODULES = {
    model_type: module
    for module in (bart, longt5, m2m100, marian, mbart, pegasus, t5)
    for model_type in module.MODEL_TYPES
}
ROWS, STEPS, CACHE = 4, 30, 32

Array = NDArray[Any]
Run = Callable[[dict[str, Array]], dict[str, Array]]


@dataclass
class Case:
    """A checkpoint as `transformers` computes it and as we do, and what to feed them."""

    folder: Path
    config: ModelConfig
    model: Transformer
    ids: torch.Tensor
    mask: torch.Tensor
    targets: torch.Tensor
    logits: torch.Tensor
    cross_weights: list[torch.Tensor]


def _load(folder: Path) -> Transformer:
    hf = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    module = MODULES[hf["model_type"]]
    config = module.read_config(hf)
    filled = transformers.AutoConfig.from_pretrained(folder).to_dict()
    assert module.read_config(filled) == config
    weights = module.map_weights(load_file(folder / "model.safetensors"), config)
    model = Transformer(config)
    if "positions" in weights:
        model.positions = weights.pop("positions")
    model.load_state_dict(weights)
    return model.eval()


@pytest.fixture(scope="module", params=list(FAMILIES))
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    FAMILIES[request.param](folder, 3)
    model = _load(folder)
    config = model.config
    random = torch.Generator().manual_seed(4)
    lengths = torch.tensor([[23], [5], [40], [12]])
    mask = torch.arange(40)[None] < lengths
    ids = torch.randint(4, config.vocab_size - 1, (ROWS, 40), generator=random)
    ids[~mask] = config.pad_id
    targets = torch.randint(4, config.vocab_size - 1, (ROWS, STEPS), generator=random)
    targets[:, 0] = config.decoder_start_id
    reference = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        folder, attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        answer = reference(
            input_ids=ids,
            attention_mask=mask.long(),
            decoder_input_ids=targets,
            output_attentions=True,
        )
    return Case(folder, config, model, ids, mask, targets, answer.logits, answer.cross_attentions)


def test_teacher_forced_logits_equal_those_of_transformers(case: Case) -> None:
    with torch.no_grad():
        ours = case.model(case.ids, case.mask, case.targets)
    scale = float(case.logits.abs().max())
    assert float((ours - case.logits).abs().max()) < 1e-4 * max(scale, 1)
    assert case.logits.argmax(-1).unique().numel() > ROWS


def _session(model: onnx.ModelProto) -> Run:
    session = open_model(model)
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(None, feeds), strict=True))


def _decode(case: Case, encoder: Run, step: Run) -> list[dict[str, Array]]:
    """What the step graph makes at each position, fed with `case.targets`."""
    mask = np.where(case.mask.numpy(), np.float32(0), MASKED)[:, None, None]
    cross = encoder({"input_ids": case.ids.numpy(), "mask": mask})
    block = case.config.decoder_block
    shape = (ROWS, block.heads, CACHE, block.head_width)
    caches = {
        f"past_{part}_{layer}": np.zeros(shape, np.float32)
        for part in ("key", "value")
        for layer in range(case.config.decoder_layers)
    }
    made = []
    for position in range(STEPS):
        visible = np.where(np.arange(CACHE) <= position, np.float32(0), MASKED)
        feeds = {
            "ids": np.ascontiguousarray(case.targets[:, position].numpy()),
            "positions": np.full(ROWS, position),
            "self_mask": np.ascontiguousarray(np.broadcast_to(visible, (ROWS, 1, 1, CACHE))),
            "cross_mask": mask,
        }
        made.append(step(feeds | caches | {n: a for n, a in cross.items() if n[:6] == "cross_"}))
        caches = {name: made[-1][name.replace("past", "present")] for name in caches}
    return made


def test_the_graphs_equal_transformers_step_by_step(case: Case) -> None:
    graphs = TransformerGraphs(case.model)
    made = _decode(case, _session(graphs.encoder()), _session(graphs.decoder_step()))
    scale = max(float(case.logits.abs().max()), 1)
    log_probs = torch.log_softmax(case.logits, -1)
    for position, values in enumerate(made):
        expected = case.logits[:, position].numpy()
        np.testing.assert_allclose(values["logits"], expected, rtol=0, atol=1e-3 * scale)
        best = log_probs[:, position].max(-1).values
        np.testing.assert_allclose(values["log_probs"], best, rtol=0, atol=1e-3 * scale)
        np.testing.assert_array_equal(values["next_ids"], values["logits"].argmax(-1))
        for layer, weights in enumerate(case.cross_weights):
            np.testing.assert_allclose(
                values[f"cross_weights_{layer}"],
                weights[:, :, position : position + 1],
                rtol=0,
                atol=1e-3,
            )


def test_suppressed_tokens_are_not_made_and_their_logits_are_kept(case: Case) -> None:
    vocab = case.config.vocab_size
    banned = tuple(case.logits[0, :3].argmax(-1).tolist())
    free = TransformerGraphs(case.model)
    bound = TransformerGraphs(case.model, banned)
    encoder = _session(free.encoder())
    pairs = zip(
        _decode(case, encoder, _session(free.decoder_step())),
        _decode(case, encoder, _session(bound.decoder_step())),
        strict=True,
    )
    others = np.setdiff1d(np.arange(vocab), banned)
    for before, after in pairs:
        assert not np.isin(after["next_ids"], banned).any()
        assert (after["logits"][:, banned] == -np.inf).all()
        np.testing.assert_allclose(
            after["logits"][:, others], before["logits"][:, others], rtol=0, atol=1e-4
        )
        np.testing.assert_allclose(
            after["suppressed_logits"], before["logits"][:, sorted(set(banned))], rtol=0, atol=1e-3
        )


def _kernels(model: onnx.ModelProto, folder: Path) -> int:
    """How many INT8 products ONNX Runtime makes of a model, opened as the runtime opens it."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    ort.InferenceSession(
        model.SerializeToString(), options, disabled_optimizers=["MatMulAddFusion"]
    )
    optimised = onnx.load(folder / "optimised.onnx")
    return sum(node.op_type == "MatMulIntegerToFloat" for node in optimised.graph.node)


def test_int8_stays_close(case: Case, tmp_path: Path) -> None:
    graphs = TransformerGraphs(case.model, (5, 7))
    floats = graphs.encoder(), graphs.decoder_step()
    watchers = [ValueObserver(model) for model in floats]
    exact = _decode(case, *(watcher.run for watcher in watchers))
    quantized = [
        quantize(model, measure_products(model, watcher.observation()))
        for model, watcher in zip(floats, watchers, strict=True)
    ]
    for before, after in zip(floats, quantized, strict=True):
        assert _kernels(after, tmp_path) == len(quantizable(before)) > 0
    rounded = _decode(case, *map(_session, quantized))
    free = np.setdiff1d(np.arange(case.config.vocab_size), (5, 7))
    differences = [
        np.abs(after["logits"] - before["logits"])[:, free].mean()
        for before, after in zip(exact, rounded, strict=True)
    ]
    assert np.isfinite(differences).all()
    assert np.mean(differences) < 0.2 * float(case.logits.std())


def _hf(case: Case, **changes: Any) -> dict[str, Any]:
    hf = json.loads((case.folder / "config.json").read_text(encoding="utf-8"))
    return hf | changes  # type: ignore[no-any-return]


REFUSED = [
    ("marian", {"decoder_vocab_size": 17}, "decoder_vocab_size is 17 and vocab_size 58101"),
    ("marian", {"normalize_before": True}, "normalize_before"),
    ("marian", {"activation_function": "mish"}, "activation_function 'mish'"),
    ("marian", {"eos_token_id": [0, 5]}, "eos_token_id"),
    ("marian", {"decoder_start_token_id": None}, "decoder_start_token_id"),
    ("bart", {"normalize_embedding": False}, "normalize_embedding"),
    ("bart", {"static_position_embeddings": True}, "static_position_embeddings"),
    ("bart", {"add_final_layer_norm": True}, "add_final_layer_norm"),
    ("bart", {"is_encoder_decoder": False}, "is_encoder_decoder"),
    ("bart", {"quantization_config": {"load_in_8bit": True}}, "quantization_config"),
    ("mbart", {"normalize_before": False}, "normalize_before"),
    ("m2m_100", {"static_position_embeddings": False}, "static_position_embeddings"),
    ("pegasus", {"decoder_attention_heads": 7}, "decoder_heads"),
    ("t5", {"feed_forward_proj": "doubly-gelu"}, "feed_forward_proj 'doubly-gelu'"),
    ("t5", {"dense_act_fn": "mish"}, "dense_act_fn 'mish'"),
    ("t5", {"relative_attention_num_buckets": 3}, "relative_buckets"),
    ("mt5", {"relative_attention_max_distance": 8}, "relative_distance"),
]


@pytest.mark.parametrize(("model_type", "changes", "named"), REFUSED)
def test_what_is_not_supported_is_refused_by_name(
    model_type: str, changes: dict[str, Any], named: str
) -> None:
    hf = transformers.CONFIG_MAPPING[model_type]().to_dict()
    MODULES[model_type].read_config(hf | {"decoder_start_token_id": 2})
    with pytest.raises(ValueError, match=named):
        MODULES[model_type].read_config(hf | {"decoder_start_token_id": 2} | changes)


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_an_embedding_that_only_should_be_shared_is_refused(tmp_path: Path, family: str) -> None:
    FAMILIES[family](tmp_path, 5)
    hf = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    module = import_module(f"engine.model.families.{family}")
    config = module.read_config(hf)
    state = load_file(tmp_path / "model.safetensors")
    prefix = "model." if family == "bart" else ""
    shared = state[f"{prefix}shared.weight"]
    state[f"{prefix}decoder.embed_tokens.weight"] = shared.clone()
    module.map_weights(state, config)
    state[f"{prefix}decoder.embed_tokens.weight"] = shared + 1
    with pytest.raises(ValueError, match=r"decoder\.embed_tokens\.weight differs"):
        module.map_weights(state, config)


def test_a_checkpoint_saved_without_its_head_loads(tmp_path: Path) -> None:
    FAMILIES["bart"](tmp_path, 6)
    config = bart.read_config(json.loads((tmp_path / "config.json").read_text(encoding="utf-8")))
    state = load_file(tmp_path / "model.safetensors")
    expected = bart.map_weights(state, config)
    bare = {n.removeprefix("model."): t for n, t in state.items() if n != "final_logits_bias"}
    weights = bart.map_weights(bare, config)
    assert not weights.pop("output_bias").any()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights.items())
