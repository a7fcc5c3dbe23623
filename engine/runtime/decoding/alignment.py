"""Which source token each token of an answer attends to most."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from engine.contract.manifest import Manifest
from engine.runtime.decoding.selection import Floats


def alignment_outputs(manifest: Manifest) -> list[str]:
    """The graph's outputs that alignment needs.

    By default of the upper half of the decoder, or of both layers where there are only two:
    `tests/benchmarks/markup_placement.py` found 80 % against 74 % of the words so.
    """
    count = manifest.decoder_layers
    layers = manifest.alignment_layers or range(count // 2 if count > 2 else 0, count)
    return [f"cross_weights_{layer}" for layer in layers]


def mean_attention(
    outputs: Mapping[str, Floats],
    names: Sequence[str],
    slots: Sequence[int],
    textual: NDArray[np.bool_],
) -> Floats:
    """The attention `[n,source]` of `slots`, averaged over layers and heads.

    Args:
        outputs: `cross_weights_i [B,H,1,S]` of the step.
        names: of those to average.
        slots: which rows.
        textual: `[source]`, false at tokens that stand for no text (codes, end of sequence, which
            draw much attention): their weights become 0.

    """
    length = len(textual)
    total: Floats = sum(
        (outputs[name][slots, :, 0, :length].mean(axis=1) for name in names),
        start=np.zeros((len(slots), length), np.float32),
    )
    weights: Floats = total / np.float32(len(names)) * textual
    return weights
