"""The cost model's formulae beside what torch counts, and what a variant's file holds."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from engine.contract.manifest import MANIFEST_FILE
from engine.model.config import ModelConfig
from engine.model.transformer import Transformer
from engine.native.weights import MODEL_FILE, WEIGHTS_FILE, read_weights
from engine.parallel.capacity.dimensions import read_dimensions
from engine.parallel.capacity.memory import memory_need, product_weights, table_values
from engine.parallel.capacity.passes import Exchange, Pass, decoder_step, encoder_pass
from engine.parallel.layout import Layout
from engine.parallel.processor.reference import write_reference

MARIAN = ModelConfig(
    **{"vocab_size": 96, "encoder_layers": 2, "decoder_layers": 3, "encoder_heads": 2},
    **{"decoder_heads": 4, "d_model": 64, "encoder_ffn": 128, "decoder_ffn": 192},
)
SHAPES = {
    "marian": MARIAN,
    "t5": replace(
        MARIAN,
        **{"head_width": 48, "decoder_heads": 2, "gated": True, "norm": "pre", "bias": False},
        **{"norm_kind": "rms", "positions": "relative", "tied_head": False},
    ),
    "recurrent": replace(MARIAN, decoder_unit="ssru", source_vocab_size=80),
}


LONG = replace(SHAPES["t5"], encoder_attention="transient_global")


def counted_flops(config: ModelConfig, rows: int, source: int) -> int:
    """Of encoding sources and making the first token of each answer."""
    model = Transformer(config).eval()
    ids, start = torch.zeros(rows, source).long(), torch.zeros(rows, 1).long()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(ids, ids == 0, start)
    return counter.get_total_flops()


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize(("rows", "source"), [(1, 1), (3, 17), (16, 64)])
def test_flops_are_those_that_torch_counts(name: str, rows: int, source: int) -> None:
    config = SHAPES[name]
    both = encoder_pass(config, rows, source).flops + decoder_step(config, rows, source, 1).flops
    assert both == counted_flops(config, rows, source)


@pytest.mark.parametrize(("rows", "source"), [(3, 16), (2, 112)])
def test_flops_of_whole_blocks_are_those_that_torch_counts(rows: int, source: int) -> None:
    both = encoder_pass(LONG, rows, source).flops + decoder_step(LONG, rows, source, 1).flops
    assert both == counted_flops(LONG, rows, source)


def test_a_token_of_a_long_source_attends_to_its_window_and_to_sums() -> None:
    made = encoder_pass(LONG, 1, 16_384)
    assert made.attention_flops == 4 * 2 * 16_384 * (255 + 1024) * 2 * 48
    local = encoder_pass(replace(LONG, encoder_attention="local"), 1, 16_384)
    assert local.attention_flops == 4 * 2 * 16_384 * 255 * 2 * 48


@pytest.mark.parametrize("config", [*SHAPES.values(), LONG], ids=[*SHAPES, "long"])
def test_weights_are_as_many_as_a_file_has(config: ModelConfig, tmp_path: Path) -> None:
    write_reference(tmp_path, config, "fp32")
    _, tensors = read_weights(tmp_path)
    matrices = sum(one.size for key, one in tensors.items() if key.endswith(".float"))
    tables = sum(
        tensor.size
        for key, tensor in tensors.items()
        if "embedding" in key or key.endswith(".positions")
    )
    assert (product_weights(config), table_values(config)) == (matrices, tables)
    rest = (tmp_path / WEIGHTS_FILE).stat().st_size - 4 * (matrices + tables)
    assert 0 < rest < 64 * 1024  # norms, biases and the header


def test_a_step_reads_its_weights_once_and_caches_for_each_row() -> None:
    one, many = decoder_step(MARIAN, 1, 20, 10), decoder_step(MARIAN, 8, 20, 10)
    assert many.weights == one.weights
    assert many.cached == 8 * one.cached == 8 * 3 * 2 * 64 * 30
    assert many.flops == 8 * one.flops


def test_ranks_share_what_they_can() -> None:
    whole, parts = decoder_step(MARIAN, 8, 20, 10), decoder_step(MARIAN, 8, 20, 10, Layout(2))
    assert (parts.flops, parts.weights) == (whole.flops / 2, whole.weights / 2)
    cut = decoder_step(MARIAN, 8, 20, 10, Layout(sequence=2))
    assert cut.cached == 8 * 3 * 2 * 64 * 20  # half of the source, all of the answer
    assert cut.weights == whole.weights
    sources = encoder_pass(MARIAN, 8, 20, Layout(2, 2))
    assert sources.flops == encoder_pass(MARIAN, 8, 20).flops / 4


def kinds(work: Pass) -> set[tuple[str, int, int, float]]:
    return {(one.kind, one.ranks, one.times, one.values) for one in work.exchanges}


def test_what_ranks_send_follows_the_split() -> None:
    assert not decoder_step(MARIAN, 8, 20, 10).exchanges
    assert kinds(decoder_step(MARIAN, 8, 20, 10, Layout(2))) == {
        ("all-reduce", 2, 9, 9.0 * 8 * 64),
        ("all-gather", 2, 1, 8 * 4 * 2.0),
    }
    assert kinds(decoder_step(MARIAN, 8, 20, 10, Layout(sequence=4))) == {
        ("all-gather", 4, 3, 3 * 8 * (64 + 4) * 4.0)
    }
    [gathered] = encoder_pass(MARIAN, 2, 20, Layout(sequence=2)).exchanges
    assert gathered == Exchange("all-gather", 2, 2, 2 * 2 * 20 * 2 * 64.0)


def test_what_ranks_send_of_long_sources_is_a_halo_and_sums() -> None:
    assert kinds(encoder_pass(LONG, 3, 4096, Layout(sequence=4))) == {
        ("halo", 4, 2, 2 * 3 * 2 * 127 * 2.0 * 2 * 48),
        ("all-reduce", 4, 2, 2 * 3 * (4096 // LONG.global_block) * 64.0),
    }
    local = replace(LONG, encoder_attention="local")
    one, other = (encoder_pass(local, 1, size, Layout(sequence=4)) for size in (4096, 8192))
    assert one.exchanges == other.exchanges


def test_memory_is_that_of_the_session() -> None:
    """18.2 GiB of Marian base with 1,024 rows, of which docs/gpu/README.md has the parts."""
    base = ModelConfig(vocab_size=32_000)
    need = memory_need(base, "fp16", 1024, Layout())
    assert need.own == 6 << 30
    assert need.cross == 12 << 30
    assert need.total - need.reserve == pytest.approx(18.2 * 2**30, rel=0.02)


def test_memory_falls_with_the_ranks_that_share_it() -> None:
    whole = memory_need(MARIAN, "fp32", 64, Layout())
    tensor = memory_need(MARIAN, "fp32", 64, Layout(2))
    assert (tensor.own, tensor.cross) == (whole.own / 2, whole.cross / 2)
    assert whole.weights / 2 < tensor.weights < whole.weights  # tables are whole
    sequence = memory_need(MARIAN, "fp32", 64, Layout(sequence=4))
    assert (sequence.own, sequence.cross) == (whole.own, whole.cross / 4)
    assert memory_need(MARIAN, "bf16", 64, Layout()).own == whole.own / 2


@pytest.mark.parametrize("config", [MARIAN, LONG], ids=["marian", "long"])
def test_a_variant_has_the_sizes_of_its_checkpoint(config: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    manifest = write_reference(tmp_path / "1", config, "int8")
    (tmp_path / "1" / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")
    for folder in (tmp_path, tmp_path / "1"):
        found = read_dimensions(str(folder))
        assert encoder_pass(found, 3, 9) == encoder_pass(config, 3, 9)
        assert decoder_step(found, 3, 9, 4) == decoder_step(config, 3, 9, 4)


def test_a_variant_of_the_first_format_has_sizes_too(tmp_path: Path) -> None:
    write_reference(tmp_path, MARIAN, "int8")
    file = tmp_path / MODEL_FILE
    model = json.loads(file.read_text())
    later = ("source_vocabulary", "encoder_attention", "local_radius", "global_block")
    for name in (*later, "max_target_positions"):
        del model[name]
    file.write_text(json.dumps(model | {"format": 2}))
    found = read_dimensions(str(tmp_path))
    assert decoder_step(found, 3, 9, 4) == decoder_step(MARIAN, 3, 9, 4)
