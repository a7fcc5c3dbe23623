"""What a configuration, and what a variant's description, say of how a model can be shared."""

from dataclasses import replace

import pytest

from engine.model.config import ModelConfig
from engine.native.weights import read_weights
from engine.parallel.division import DividedSizes
from tests.engine.native.models import KINDS, RandomVariant, random_shortlist, write_variant

BASE = ModelConfig(vocab_size=32_001)


@pytest.fixture(scope="module", params=["flan_t5", "two_vocabularies", "ssru"])
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> RandomVariant:
    kind = KINDS[request.param]
    return write_variant(
        tmp_path_factory.mktemp("sizes") / "fp32", kind, "fp32", shortlist=random_shortlist(kind, 1)
    )


@pytest.mark.parametrize(
    ("change", "ranks", "said"),
    [
        ({"encoder_heads": 4}, 8, "tp is 8, which does not divide the 4 heads of the encoder"),
        ({"decoder_heads": 4}, 8, "the 4 heads of the decoder: set tp to a number that does"),
        ({"head_width": 4, "encoder_heads": 3, "decoder_heads": 3}, 3, "2048 units of the enc"),
        ({"decoder_unit": "ssru"}, 2, "recurrent units has to be whole on each rank: set tp to 1"),
        ({"vocab_size": 4}, 8, "the vocabulary has only 4 tokens: set tp to no more"),
        ({"decoder_unit": "ssru"}, 1, ""),
        # Units are stored padded.
        ({"decoder_ffn": 2050}, 4, ""),
        ({}, 8, ""),
    ],
)
def test_a_configuration_is_refused_with_the_reason(
    change: dict[str, object], ranks: int, said: str
) -> None:
    problem = DividedSizes.of(replace(BASE, **change)).problem(ranks)  # type: ignore[arg-type]
    assert said in problem
    assert bool(problem) is bool(said)


def test_a_configuration_says_what_its_variant_says(stored: RandomVariant) -> None:
    described, _ = read_weights(stored.folder)
    sizes = DividedSizes.of(stored.kind.config, shortlist=True)
    assert sizes == DividedSizes.stored(described)
