"""The masks that graphs add to scores of attention; they follow from positions and lengths."""

import numpy as np

from engine.runtime.decoding.selection import Floats, Ints

MASKED = np.float32(-1e9)
"""What a mask holds where nothing is attended to; finite, so that no row is all NaN."""


def fill_mask(mask: Floats, visible: Ints) -> None:
    """Makes row i of `mask [N,1,1,L]` show its first `visible[i]` positions."""
    seen = np.arange(mask.shape[3]) < visible[:, None]
    mask[:, 0, 0] = np.where(seen, np.float32(0), MASKED)


def mask_of(visible: Ints, length: int) -> Floats:
    """A mask `[N,1,1,length]`, see `fill_mask`."""
    mask = np.empty((len(visible), 1, 1, length), np.float32)
    fill_mask(mask, visible)
    return mask
