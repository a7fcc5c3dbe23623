"""What builders tell about layers is read, in each of the forms that they have."""

import json

import pytest

from engine.export.tensorrt.inspection import Expected, inspect
from engine.export.tensorrt.layers import Layer, read_inspected, read_layers
from engine.runtime.sessions.tensorrt.plan import PlanError

LINE = (
    "Name: decoder.0.ffn.up_U7, LayerType: gemm, Inputs: [ { Name: x, Dimensions: [-1,256], "
    "Format/Datatype: Int8 }], Constants: [ { Name: w, Dimensions: [256,1024], Strides: [1024,1], "
    "Datatype: Int8, Format: (Linear) }, { Name: alpha, Dimensions: [1], Datatype: Float }], "
    "Outputs: [ { Name: y, Dimensions: [-1,1024], Datatype: Half }], TacticName: t, StreamId: 0, "
    "Metadata: [ONNX Layer: decoder.0.ffn.up][ONNX Layer: decoder.0.ffn.up.input]"
)


def test_a_line_of_the_listing_is_read() -> None:
    """Both the builder's form and the engine inspector's, which writes Format/Datatype."""
    (layer,) = read_layers(["nothing", f"first\n{LINE}\nlast"])
    assert layer.is_int8 and layer.types == {"Int8"}
    assert layer.sources == {"decoder.0.ffn.up", "decoder.0.ffn.up.input"}
    assert [tensor.name for tensor in layer.weights] == ["w"]
    assert layer.outputs[0].dims == (-1, 1024)


def _layer(**changes: object) -> Layer:
    (layer,) = read_layers([LINE])
    return Layer(**{**vars(layer), **changes})  # type: ignore[arg-type]


def test_weights_that_are_made_float_are_not_int8() -> None:
    """INT8 values times weights that another layer has turned into FP16."""
    (plain,) = read_layers([LINE.replace("Datatype: Int8, Format", "Datatype: Half, Format")])
    assert not plain.is_int8
    assert not _layer(constants=()).is_int8
    with pytest.raises(PlanError, match="not one product is INT8"):
        inspect("x.plan", [plain], Expected(["x"], [], [], [], ["decoder.0.ffn.up"]))


def test_an_engine_that_tells_nothing_is_not_believed() -> None:
    with pytest.raises(PlanError, match="tells no layers"):
        inspect("x.plan", [], Expected([], [], None, [], []))


def test_a_kept_product_in_16_bits_is_refused() -> None:
    (half,) = read_layers([LINE.replace("Int8", "Half")])
    with pytest.raises(PlanError, match=r"decoder\.0\.ffn\.up should be FP32"):
        inspect("x.plan", [half], Expected(["x"], [], [], ["decoder.0.ffn.up"], []))


CLASSIC = (
    "Name: head + [ElementWise] Relu_3, LayerType: CaskGemmMatrixMultiply, Inputs: [ { Name: "
    "(Unnamed Layer* 1) [Shuffle]_output, Location: Device, Dimensions: [-1,256], Format/Datatype: "
    "Row major linear FP16 format }], Outputs: [ { Name: logits, Location: Device, Dimensions: "
    "[-1,8000], Format/Datatype: Row major linear FP32 }], ParameterType: MatrixMultiply, Weights: "
    "{ Type: Half, Count: 2048000 }, Dims: [1,1], Activation: RELU, TacticName: sm80_xmma_gemm, "
    "TacticValue: 0x0000000000000013, StreamId: 0, Metadata: [ONNX Layer: head]"
)
"""A line as NVIDIA's `tensorrt` writes it: fields of the kind come before the tactic."""

REFORMAT = (
    "Name: Reformatting CopyNode for Input Tensor 0 to head, LayerType: Reformat, Inputs: [ { "
    "Name: ids, Location: Device, Dimensions: [-1,256], Format/Datatype: Row major linear FP32 }], "
    "Outputs: [ { Name: ids_copy, Location: Device, Dimensions: [-1,256], Format/Datatype: Row "
    "major linear FP16 format }], ParameterType: Reformat, Origin: REFORMAT, TacticValue: "
    "0x00000000000003e8, StreamId: 0, Metadata: "
)
"""One without a tactic's name."""


def test_lines_with_the_fields_of_a_kind_are_read() -> None:
    head, copy = read_layers([CLASSIC, REFORMAT])
    assert [one.name for one in head.inputs] == ["(Unnamed Layer* 1) [Shuffle]_output"]
    assert head.is_product and head.types == {"Half"} and head.sources == {"head"}
    assert [(one.name, one.dims, one.dtype) for one in head.outputs] == [
        ("logits", (-1, 8000), "Float")
    ]
    assert not copy.is_product
    assert [one.name for one in copy.inputs] == ["ids"] and copy.outputs[0].dtype == "Half"


def test_a_float_product_of_the_classic_form_is_found() -> None:
    (head,) = read_layers([CLASSIC.replace("Type: Half", "Type: Float")])
    expected = Expected(["(Unnamed Layer* 1) [Shuffle]_output"], [], [], [], [])
    with pytest.raises(PlanError, match=r"head .* is computed in FP32, and nobody asked"):
        inspect("x.plan", [head], expected)


def _told(name: str, **fields: object) -> dict[str, object]:
    tensor = {"Name": "x", "Location": "Device", "Dimensions": [-1, 256]}
    read = [{**tensor, "Format/Datatype": "Row major Int8 format"}]
    made = [{**tensor, "Name": "y", "Format/Datatype": "Half"}]
    return {"Name": name, "LayerType": "gemm", "Inputs": read, "Outputs": made, **fields}


def test_the_json_of_the_inspector_is_read() -> None:
    constants = [{"Name": "w", "Dimensions": [256, 1024], "Datatype": "Int8"}]
    metadata = "[ONNX Layer: up]\x1e[ONNX Layer: up.input]"
    layers = [
        _told("up", Constants=constants, TacticName="t, Outputs: [", Metadata=metadata),
        _told("down", Weights={"Type": "Int8", "Count": 9}, Metadata="[ONNX Layer: down]"),
    ]
    text = json.dumps({"Layers": layers, "Bindings": ["x"]}).replace("\\u001e", "\x1e")
    up, down = read_inspected(text)
    assert up.is_int8 and down.is_int8
    assert up.sources == {"up", "up.input"} and down.sources == {"down"}
    assert inspect("x.plan", [up, down], Expected(["x"], [], [], [], ["up", "down"])) == {"Int8": 2}


@pytest.mark.parametrize("text", ["", "no JSON", "{}", '{"Layers": ["up", "down"]}'])
def test_an_inspector_that_names_layers_alone_tells_none(text: str) -> None:
    """So it does where a plan was built without details."""
    assert read_inspected(text) == []
