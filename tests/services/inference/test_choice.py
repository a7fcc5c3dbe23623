from dataclasses import replace

import pytest

from engine.contract.manifest import Manifest
from services.inference.models.choice import VariantChoice
from tests.services.twin.manifests import manifest_of


def _variant(precision: str, bleu: float | None = None, **speed: float) -> Manifest:
    quality = {} if bleu is None else {"bleu": bleu}
    return replace(manifest_of(precision), quality=quality, speed=speed)


@pytest.mark.parametrize(
    ("variants", "best"),
    [
        # The fastest of those that lose little enough.
        ([("fp32", 26.0, 10), ("fp16", 26.0, 11), ("int8", 25.7, 40)], "int8"),
        ([("fp32", 26.0, 10), ("fp16", 26.0, 11), ("int8", 25.6, 40)], "fp16"),
        ([("fp32", 26.0, 10), ("fp16", 26.1, 9), ("int8", 25.6, 40)], "fp32"),
        # What was not measured is not trusted where others were; FP32 is what others lose against.
        ([("fp32", 26.0, 10), ("int8", None, 40)], "fp32"),
        ([("fp32", None, 10), ("int8", None, 40)], "int8"),
        ([("fp16", 26.0, 11), ("int8", 25.6, 40)], "fp16"),
        ([("fp32", None, 10), ("int8", 20.0, 40)], "fp32"),
    ],
)
def test_auto_is_the_fastest_within_the_limit(
    variants: list[tuple[str, float | None, float]], best: str
) -> None:
    manifests = [_variant(name, bleu, here=speed) for name, bleu, speed in variants]
    assert VariantChoice(["auto"], 0.3).best(manifests, manifests).precision == best


def test_the_limit_is_the_users() -> None:
    manifests = [_variant("fp32", 26.0, here=10), _variant("int8", 25.0, here=40)]
    assert VariantChoice(["auto"], 0.3).best(manifests, manifests).precision == "fp32"
    assert VariantChoice(["auto"], 1.0).best(manifests, manifests).precision == "int8"


def test_speeds_of_different_machines_are_not_compared() -> None:
    manifests = [_variant("fp32", 26.0, here=100), _variant("int8", 26.0, there=40)]
    assert VariantChoice(["auto"], 0.3).best(manifests, manifests).precision == "int8"


def test_a_variant_that_is_not_ready_still_tells_what_others_lose() -> None:
    fp32, int8, fp16 = _variant("fp32", 26.0), _variant("int8", 25.0), _variant("fp16", 26.0)
    assert VariantChoice(["auto"], 0.3).best([int8, fp16], [fp32, int8, fp16]).precision == "fp16"
    assert VariantChoice(["auto"], 0.3).best([int8], [fp32, int8, fp16]).precision == "int8"
    bf16 = _variant("bf16", 25.5)
    assert VariantChoice(["auto"], 0.3).best([int8, bf16], [fp32, int8, bf16]).precision == "bf16"


def test_a_fixed_order_asks_for_nothing_else() -> None:
    manifests = [_variant("fp32", 26.0, here=10), _variant("int8", 1.0, here=40)]
    assert VariantChoice(["int8", "fp32"], 0.3).best(manifests, manifests).precision == "int8"
    assert VariantChoice(["fp32"], 0.3).best(manifests, manifests).precision == "fp32"
