"""What `--parallel` asks of a checkpoint that it can't be split into."""

from dataclasses import replace
from pathlib import Path

import pytest

from engine.export.layout_check import check_layout
from engine.model.checkpoint import Checkpoint, CheckpointError, load_checkpoint
from engine.parallel.layout import Layout
from tests.engine.native.models import KINDS, random_shortlist


@pytest.fixture(scope="module")
def pegasus(checkpoints: dict[str, Path]) -> Checkpoint:
    return load_checkpoint(checkpoints["pegasus"])


def test_what_divides_it_is_taken(pegasus: Checkpoint) -> None:
    for layout in (Layout(), Layout(data=64), Layout(tensor=2, sequence=3, data=2)):
        check_layout(layout, pegasus, plans=False)
    check_layout(Layout(data=2), pegasus, plans=True)


def test_heads_are_not_split(pegasus: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match=r"tp=4.* does not divide the 2 heads of the dec"):
        check_layout(Layout(tensor=4), pegasus, plans=False)


def test_a_shortlist_is_whole(pegasus: Checkpoint) -> None:
    listed = replace(pegasus, shortlist=random_shortlist(KINDS["bart"], seed=1))
    check_layout(Layout(sequence=2), listed, plans=False)
    with pytest.raises(CheckpointError, match=r"a lexical shortlist has to be whole .*set tp to 1"):
        check_layout(Layout(tensor=2), listed, plans=False)


def test_plans_are_of_whole_models(pegasus: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="leave --tensorrt out, or give dp alone"):
        check_layout(Layout(sequence=2), pegasus, plans=True)
