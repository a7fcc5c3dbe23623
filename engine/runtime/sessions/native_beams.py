"""The native code's step of beam search, for slots of a native session."""

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.native import library as native
from engine.runtime.decoding.beam_search import EndedBeam
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.slots import Slots

_BEAMS = {
    "placed": np.int64,
    "next_ids": np.int64,
    "next_log_probs": np.float32,
    "next_scores": np.float32,
}
_COPIES = {"sources": np.int64, "targets": np.int64}
_ENDED = {
    "ended_texts": np.int64,
    "ended_slots": np.int64,
    "ended_ids": np.int64,
    "ended_scores": np.float32,
    "ended_log_probs": np.float32,
}


class NativeBeamStep:
    """Chooses the next beams of texts; `suppressed` is how many tokens the model never makes."""

    def __init__(self, slots: Slots, suppressed: int) -> None:
        types = {**_BEAMS, **_COPIES, **_ENDED, "is_over": np.bool_}
        self._made: dict[str, NDArray[Any]] = {
            name: np.zeros(slots.capacity, kind) for name, kind in types.items()
        }
        self._call = native.NativeBeams(
            capacity=slots.capacity,
            most_candidates=slots.candidate_ids.shape[1],
            suppressed=suppressed,
            end=slots.manifest.eos_id,
            positions=native.address(slots.positions),
            limits=native.address(slots.limits),
            scores=native.address(slots.scores),
            log_probs=native.address(slots.log_probs),
            candidate_ids=native.address(slots.candidate_ids),
            candidate_logits=native.address(slots.candidate_logits),
            **{name: native.address(array) for name, array in self._made.items()},
        )

    def join(self, beams: Ints, suppressed: Floats | None, renormalizes: bool) -> NextBeams:
        """See `Session.join_beams`; the arrays are good until the next call."""
        call, made, size = self._call, self._made, beams.size
        call.texts, call.width = beams.shape
        call.renormalizes = renormalizes
        call.slots = native.address(beams)
        call.suppressed_logits = None if suppressed is None else native.address(suppressed)
        native.check(native.library().seqway_join(ctypes.byref(call)))
        ended = zip(*(made[name][: call.ended].tolist() for name in _ENDED), strict=True)
        return NextBeams._make(
            (
                *(made[name][:size].reshape(beams.shape) for name in _BEAMS),
                *(made[name][: call.copies] for name in _COPIES),
                [EndedBeam(*beam) for beam in ended],
                made["is_over"][: call.texts],
            )
        )
