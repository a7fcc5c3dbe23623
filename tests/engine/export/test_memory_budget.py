"""How much is computed at once: by length, and its square, not by how many texts there are."""

import pytest

from engine.export import memory_budget
from engine.export.memory_budget import Budget
from engine.model.config import BlockConfig

SMALL = Budget(BlockConfig(width=32, heads=4, head_width=8, hidden=48), layers=3)
WIDE = Budget(BlockConfig(width=768, heads=12, head_width=64, hidden=3072), layers=12)
DECODER = Budget(WIDE.block, layers=6, token=6 * 2 * 4 * 768, logits=4 * 250_000)


@pytest.mark.parametrize("one", [SMALL, WIDE, DECODER])
@pytest.mark.parametrize("observed", [False, True])
def test_every_group_is_within_the_room_or_a_single_text(one: Budget, observed: bool) -> None:
    lengths = [3, 5, *[512] * 149, 40, 1024]
    groups = one.groups(lengths, observed=observed)
    assert sorted(index for group in groups for index in group) == list(range(len(lengths)))
    for group in groups:
        longest = max(lengths[index] for index in group)
        cost = len(group) * one.encoding(longest, observed=observed)
        assert len(group) == 1 or cost <= memory_budget.ROOM


def test_short_texts_are_computed_together_as_before() -> None:
    assert len(SMALL.groups([20] * 100, observed=True)) == 1
    assert len(SMALL.groups([20] * 100, most=16)) == 7


def test_scores_of_attention_count_by_the_square_of_the_length() -> None:
    block = WIDE.block
    one, twice = WIDE.encoding(4096), WIDE.encoding(8192)
    assert twice > 3.8 * one
    assert one > 4 * block.heads * 4096**2


def test_a_large_vocabulary_leaves_room_for_few_answers_at_once() -> None:
    groups = DECODER.groups([20] * 64, positions=24, at_once=24)
    assert max(map(len, groups)) <= memory_budget.ROOM // (24 * DECODER.logits)


def test_the_longest_observed_text_is_within_the_room() -> None:
    for one in (SMALL, WIDE):
        assert one.encoding(one.longest(), observed=True) <= memory_budget.ROOM
        assert one.encoding(2 * one.longest(), observed=True) > memory_budget.ROOM
