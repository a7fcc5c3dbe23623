"""The configuration that Triton gets with a variant."""

from pathlib import Path

import pytest
from google.protobuf import json_format, text_format
from tritonclient.grpc import model_config_pb2  # type: ignore[import-untyped]

from engine.backend.parameters import Parameters
from engine.commands.request import read_request
from engine.export.importer import ImportRequestError
from engine.export.variant_folder import Serving, write_manifest
from engine.parallel.layout import Layout
from engine.runtime.batching.scheduler import Limits
from tests.engine.native.models import KINDS, write_variant


@pytest.mark.parametrize(
    ("serving", "limits"),
    [
        (Serving(), Limits()),
        (read_request(checkpoint="a").serving, Limits()),
        (
            read_request(checkpoint="a", max_rows=1024, token_budget=200_000).serving,
            Limits(max_rows=1024, token_budget=200_000),
        ),
    ],
)
def test_an_instance_has_the_limits_of_the_import(
    serving: Serving, limits: Limits, tmp_path: Path
) -> None:
    manifest = write_variant(tmp_path / "files", KINDS["bart"], "fp32").manifest
    (tmp_path / "m" / "1").mkdir(parents=True)
    write_manifest(manifest, serving, tmp_path / "m")
    text = (tmp_path / "m" / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    told = json_format.MessageToDict(config, preserving_proto_field_name=True)
    assert Parameters(told).settings(None).limits == limits


def test_an_instance_has_the_layout_of_the_import(tmp_path: Path) -> None:
    serving = read_request(checkpoint="a", parallel="tp=2,dp=3").serving
    manifest = write_variant(tmp_path / "files", KINDS["bart"], "fp32").manifest
    (tmp_path / "m" / "1").mkdir(parents=True)
    write_manifest(manifest, serving, tmp_path / "m")
    text = (tmp_path / "m" / "config.pbtxt").read_text(encoding="utf-8")
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    told = json_format.MessageToDict(config, preserving_proto_field_name=True)
    assert Parameters(told).layout() == Layout(tensor=2, data=3)
    assert told["instance_group"] == [{"kind": "KIND_MODEL", "count": 1}]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"parallel": "gpus=2"}, '--parallel: the layout "gpus=2" is not one'),
        ({"parallel": "dp=65"}, "--parallel: the layout .* has 65 ranks"),
        ({"parallel": "dp=2", "instances": 2}, "leave --instances out"),
        ({"parallel": "tp=2", "lanes": 2}, "leave --lanes out"),
    ],
)
def test_a_layout_that_makes_no_sense_is_refused(
    options: dict[str, str | int], sentence: str
) -> None:
    with pytest.raises(ImportRequestError, match=sentence):
        read_request(checkpoint="a", **options)  # type: ignore[arg-type]


def test_plans_take_as_many_rows_as_an_instance() -> None:
    asked = read_request(checkpoint="a", tensorrt=True, compute_capability="80", max_rows=256)
    assert asked.plans is not None
    assert asked.plans.max_rows == asked.serving.max_rows == 256
