"""Reference models run in the native session, for as long as they are asked to."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.model.config import ModelConfig
from engine.parallel.processor.reference import Stored, write_reference
from engine.parallel.processor.stopwatch import stopwatch
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_session import NativeSession

SMALL = ModelConfig(
    **{"vocab_size": 203, "encoder_layers": 1, "decoder_layers": 2, "encoder_heads": 2},
    **{"decoder_heads": 2, "d_model": 32, "encoder_ffn": 48, "decoder_ffn": 64},
    max_positions=40,
)
SHAPES = {
    "marian": SMALL,
    "t5": replace(
        SMALL,
        **{"norm": "pre", "norm_kind": "rms", "positions": "relative", "gated": True},
        **{"head_width": 32, "activation": "gelu_tanh"},
    ),
    "recurrent": replace(SMALL, decoder_unit="ssru", source_vocab_size=150),
    "normed": replace(SMALL, embedding_norm=True),
}


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("stored", ["int8", "fp32"])
def test_answers_are_as_long_as_they_may_be(name: str, stored: Stored, tmp_path: Path) -> None:
    manifest = write_reference(tmp_path, SHAPES[name], stored)
    session = NativeSession(tmp_path, manifest)
    slots = session.slots(3)
    slots.admit(session.encode([[2, 3, 4]] * 3), [3] * 3, [30] * 3)
    advance = session.run(slots, 29, 60.0, Interrupt())
    assert (advance.steps, advance.ended) == (29, [])
    assert np.isfinite(slots.log_probs).all()
    assert session.run(slots, 5, 60.0, Interrupt()).ended == [0, 1, 2]


def test_lanes_of_a_model_are_timed() -> None:
    with stopwatch(SMALL, "int8") as timed:
        lanes = timed.siblings(2)
        assert len(lanes) == 2
        assert all(lane.step_seconds(2, 5, position) > 0 for lane in lanes for position in (1, 20))
        assert timed.encoder_seconds(2, 5) > 0
