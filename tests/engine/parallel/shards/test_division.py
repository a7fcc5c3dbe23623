"""Which models can be divided, and that a rank takes no more than its part of the weights."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch

from engine.native.weights import read_weights
from engine.parallel.layout import Layout
from engine.parallel.shards.division import DivisionError, Portion, check_layout
from engine.parallel.shards.ranks import RankGroup, Ranks
from engine.parallel.shards.weights.shards import load_shard, shard_bytes
from engine.parallel.shards.weights.slices import shard
from engine.runtime.sessions.torch.weights import load_model, weight_bytes
from tests.engine.native.models import KINDS, RandomVariant, write_variant

MARIAN = KINDS["marian"]
WIDE = replace(
    MARIAN, config=replace(MARIAN.config, encoder_ffn=128, decoder_ffn=128, vocab_size=192)
)
CPU = torch.device("cpu")

DESCRIBED: dict[str, int] = {
    **{"decoder_layers": 2, "recurrent": False, "shortlist": 0},
    **{"vocabulary": 61, "source_vocabulary": 0, "encoder_heads": 8, "decoder_heads": 4},
    **{"encoder_hidden": 48, "decoder_hidden": 48},
}


@pytest.fixture(scope="module", params=["fp32", "bf16", "int8"])
def wide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("wide") / request.param, WIDE, request.param)


@pytest.mark.parametrize("ranks", [1, 2, 3, 4, 7])
def test_shares_are_all_of_it(ranks: int) -> None:
    shares = [Portion.of(61, rank, ranks) for rank in range(ranks)]
    assert [token for one in shares for token in range(*one)] == list(range(61))
    assert max(one.size for one in shares) - min(one.size for one in shares) <= 1


@pytest.mark.parametrize(
    ("sizes", "layout", "reason"),
    [
        ({"encoder_heads": 3}, "tp=2", "tp is 2, which does not divide the 3 heads of the encoder"),
        ({"decoder_heads": 5}, "tp=4,dp=2", "the 5 heads of the decoder: set tp to a number"),
        ({"decoder_hidden": 50}, "tp=4", "the 50 units of the decoder's feed-forward blocks"),
        ({}, "tp=4", ""),
        ({"recurrent": True}, "tp=2", "recurrent units has to be whole on each rank: set tp to 1"),
        ({"recurrent": True}, "sp=4", ""),
        ({"shortlist": 7}, "tp=2", "a lexical shortlist has to be whole"),
        ({"shortlist": 7}, "sp=2", ""),
        ({"vocabulary": 3}, "tp=4", "the vocabulary has only 3 tokens"),
        ({"source_vocabulary": 3}, "tp=4", "the source vocabulary has only 3 tokens"),
        ({"encoder_heads": 3}, "sp=5,dp=3", ""),
    ],
)
def test_what_cannot_be_divided_is_refused_with_the_reason(
    sizes: dict[str, int], layout: str, reason: str
) -> None:
    described = DESCRIBED | sizes
    if not reason:
        check_layout(described, Layout.parse(layout))
        return
    with pytest.raises(DivisionError) as error:
        check_layout(described, Layout.parse(layout))
    assert reason in str(error.value)


def test_a_model_that_only_reads_is_whole() -> None:
    check_layout({"layers": 2}, Layout(data=4))
    with pytest.raises(DivisionError, match="divides a model that only reads"):
        check_layout({"layers": 2}, Layout(sequence=2))


@pytest.mark.parametrize("ranks", [2, 4])
def test_a_rank_takes_its_part_of_the_weights_alone(wide: RandomVariant, ranks: int) -> None:
    dtype = torch.bfloat16 if wide.manifest.precision == "bf16" else torch.float32
    whole = tensors_of(load_model(wide.folder, CPU, dtype))
    layout = Layout(tensor=ranks)
    everything, replicated = size(whole), size(one for one in whole if one.dim() < 2)
    replicated += size([load_model(wide.folder, CPU, dtype).encoder.embedding.positions])  # type: ignore[attr-defined]
    replicated *= 2  # both stacks have a table
    for rank in range(ranks):
        group = Ranks(layout, rank, tensor=RankGroup(rank, ranks))
        own = size(tensors_of(load_shard(wide.folder, CPU, dtype, group)))
        assert own <= (everything - replicated) / ranks + replicated
        told = shard_bytes(wide.folder, dtype, layout, rank)
        assert told < weight_bytes(wide.folder, dtype) / ranks + replicated


def test_a_part_is_a_view_of_the_mapped_file(wide: RandomVariant) -> None:
    described, tensors = read_weights(wide.folder)
    _, cut = shard(described, tensors, 1, 2)
    matrices = {name: array for name, array in cut.items() if array.ndim > 2}
    copied = [name for name, one in matrices.items() if not np.shares_memory(one, tensors[name])]
    # Their columns lie in several places, so that what is together is a copy of the part alone.
    joined = ("qkv", "cross_projections")
    assert all(any(part in name for part in joined) for name in copied)
    assert len(copied) < len(matrices) / 2
    for name, array in matrices.items():
        assert array.nbytes == tensors[name].nbytes / 2, name


def tensors_of(value: Any) -> list[torch.Tensor]:
    """Each tensor of a model once."""
    return list({one.data_ptr(): one for one in _tensors_in(value) if one.numel()}.values())


def _tensors_in(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors_in(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from _tensors_in(getattr(value, one.name))


def size(tensors: Any) -> int:
    return sum(one.numel() * one.itemsize for one in tensors)
