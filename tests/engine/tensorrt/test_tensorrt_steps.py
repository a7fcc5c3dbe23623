"""The steps that TensorRT gets do what the graph does that ONNX Runtime runs."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from engine.export.graphs.transformer import TransformerGraphs
from engine.export.tensorrt.steps import step_graph
from engine.model.config import ModelConfig
from engine.model.transformer import Transformer
from engine.runtime.sessions.masks import mask_of

ROWS, CACHED, SOURCE, VOCABULARY = 3, 24, 10, 200
SUPPRESSED = (3, 7)

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module", params=["sinusoidal", "relative"])
def graph(request: pytest.FixtureRequest) -> onnx.ModelProto:
    """The step of a small random model of two layers."""
    torch.manual_seed(0)
    sizes = {"encoder_layers": 1, "decoder_layers": 2, "encoder_heads": 2, "decoder_heads": 2}
    widths = {"d_model": 16, "encoder_ffn": 16, "decoder_ffn": 16, "max_positions": 64}
    config = ModelConfig(VOCABULARY, **sizes, **widths, positions=request.param)
    return TransformerGraphs(Transformer(config).eval(), SUPPRESSED).decoder_step()


def _run(model: onnx.ModelProto, values: Arrays) -> Arrays:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    feed = {one.name: values[one.name] for one in session.get_inputs()}
    return dict(zip(names, session.run(None, feed), strict=True))


def _values(graph: onnx.ModelProto) -> Arrays:
    random = np.random.default_rng(1)
    values: Arrays = {
        "ids": random.integers(10, VOCABULARY, ROWS),
        "positions": np.array([0, 5, 15]),
        "source_lengths": np.array([10, 1, 4]),
    }
    values["self_mask"] = mask_of(values["positions"] + 1, CACHED)
    values["cross_mask"] = mask_of(values["source_lengths"], SOURCE)
    values["source_positions"] = np.arange(SOURCE)
    sizes = {"B": ROWS, "L": CACHED, "S": SOURCE}
    for one in graph.graph.input:
        if one.name.startswith(("past_", "cross_key", "cross_value")):
            dims = one.type.tensor_type.shape.dim
            shape = [sizes[dim.dim_param] if dim.dim_param else dim.dim_value for dim in dims]
            values[one.name] = random.normal(size=shape).astype(np.float32)
    return values


@pytest.mark.parametrize("read", [16, CACHED])
def test_a_step_reads_as_many_positions_as_it_is_told(graph: onnx.ModelProto, read: int) -> None:
    """And gives the same: what is behind a row's position is masked."""
    values = _values(graph) | {"cache_positions": np.arange(read)}
    expected = _run(graph, values)
    greedy, choice = (_run(step_graph(graph, chooses=one), values) for one in (False, True))
    layers = {f"present_{part}_{layer}" for part in ("key", "value") for layer in range(2)}
    assert greedy.keys() == {"next_ids", "log_probs"} | layers
    assert choice.keys() == expected.keys() | {"candidate_ids", "candidate_logits"}
    for found in (greedy, choice):
        for name in found.keys() & expected.keys():
            np.testing.assert_allclose(found[name], expected[name], atol=1e-5, err_msg=name)


def test_candidates_are_the_best_tokens(graph: onnx.ModelProto) -> None:
    values = _values(graph) | {"cache_positions": np.arange(CACHED)}
    found = _run(step_graph(graph, chooses=True), values)
    ids, logits = found["candidate_ids"], found["candidate_logits"]
    assert ids.shape == (ROWS, 128)
    np.testing.assert_array_equal(ids, np.argsort(-found["logits"], kind="stable")[:, :128])
    np.testing.assert_array_equal(logits, np.take_along_axis(found["logits"], ids, axis=1))
    assert not np.isin(ids, SUPPRESSED).any()


def test_what_a_step_does_not_give_is_not_computed(graph: onnx.ModelProto) -> None:
    names = {node.name for node in step_graph(graph, chooses=False).graph.node}
    assert "suppressed_logits" not in names and "candidates" not in names
    model = step_graph(graph, chooses=False)
    assert {one.name for one in graph.graph.input} - {one.name for one in model.graph.input} == {
        "self_mask",
        "cross_mask",
    }
