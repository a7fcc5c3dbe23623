"""Masks show what there is, and nothing else."""

import numpy as np

from engine.runtime.sessions.masks import MASKED, mask_of


def test_a_mask_shows_the_first_positions() -> None:
    mask = mask_of(np.array([1, 3, 5]), 5)
    assert mask.shape == (3, 1, 1, 5)
    assert (mask[:, 0, 0] == MASKED).tolist() == [
        [False, True, True, True, True],
        [False, False, False, True, True],
        [False] * 5,
    ]
    assert (mask[mask != MASKED] == 0).all()
