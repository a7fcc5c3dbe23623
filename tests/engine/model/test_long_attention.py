"""Attention to windows and to sums of blocks, beside what `transformers` computes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LongT5ForConditionalGeneration

from engine.model.checkpoint import CheckpointError, load_checkpoint
from engine.model.config import ModelConfig
from engine.model.encoders.long_attention import global_sums
from engine.model.transformer import Transformer
from tests.engine.model.seq2seq_checkpoints import write_longt5_global, write_longt5_local

LENGTHS = (1, 3, 4, 5, 7, 8, 9, 13, 41, 300)
"""Below a block of 4 and at its ends, below a window of 11, and over the queries of one group."""


@pytest.fixture(scope="module", params=[write_longt5_local, write_longt5_global])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place: Path = tmp_path_factory.mktemp("longt5")
    request.param(place, 5)
    return place


Encode = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@pytest.fixture(scope="module")
def ours(folder: Path) -> Transformer:
    return load_checkpoint(folder, "translation").transformer


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Encode:
    model: Any = LongT5ForConditionalGeneration.from_pretrained(folder).eval().encoder
    return lambda ids, mask: model(input_ids=ids, attention_mask=mask.long()).last_hidden_state


def _sources() -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(1)
    mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
    ids = torch.randint(3, 300, mask.shape, generator=random)
    return ids.masked_fill(~mask, 0), mask


@torch.no_grad()
def test_states_are_those_of_transformers(ours: Transformer, theirs: Encode) -> None:
    ids, mask = _sources()
    made, expected = ours.encode(ids, mask), theirs(ids, mask)
    size = float(expected[mask].abs().max())
    assert float((made - expected)[mask].abs().max()) < 1e-5 * size


@torch.no_grad()
def test_padding_changes_no_state(ours: Transformer) -> None:
    ids, mask = _sources()
    together = ours.encode(ids, mask)
    for row, length in enumerate(LENGTHS):
        alone = ours.encode(ids[row : row + 1, :length], mask[row : row + 1, :length])
        torch.testing.assert_close(together[row, :length], alone[0], rtol=1e-5, atol=1e-5)


def test_the_last_full_block_has_the_tokens_behind_it() -> None:
    x = torch.tensor([1.0, 2.0, 4.0, 8.0, 16.0]).view(1, 5, 1).expand(4, 5, 1)
    real = torch.arange(5) < torch.tensor([[1], [2], [4], [5]])
    sums = global_sums(x, real, 2)[..., 0]
    assert sums.tolist() == [[0, 0, 0], [3, 0, 0], [3, 12, 0], [3, 28, 0]]


def test_sources_may_have_16384_tokens(folder: Path) -> None:
    checkpoint = load_checkpoint(folder, "translation")
    assert checkpoint.max_source_tokens == 16_384
    assert checkpoint.max_target_tokens == 1024


def test_an_unknown_attention_is_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = (tmp_path / "config.json").read_text(encoding="utf-8")
    for known in ("local", "transient-global"):
        config = config.replace(f'"{known}"', '"banded"')
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(CheckpointError, match="'banded' is not one of local, transient-global"):
        load_checkpoint(tmp_path, "translation")


@pytest.mark.parametrize(
    ("choices", "rule"),
    [
        ({"positions": "learned"}, "takes relative positions and norms before"),
        ({"norm": "post"}, "not positions that are relative, and post-norm"),
        ({"local_radius": 0}, "local_radius must be at least 1"),
        ({"global_block": 0}, "global_block must be at least 1"),
    ],
)
def test_what_does_not_go_together_is_refused(choices: dict[str, Any], rule: str) -> None:
    config = ModelConfig(
        vocab_size=9, norm="pre", positions="relative", encoder_attention="transient_global"
    )
    with pytest.raises(ValueError, match=rule):
        replace(config, **choices)
