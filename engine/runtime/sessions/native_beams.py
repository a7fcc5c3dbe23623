"""The native code's step of beam search, for slots of a native session."""

import ctypes

import numpy as np

from engine.native import library as native
from engine.runtime.decoding.beam_search import EndedBeam
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.slots import Slots

_INTS = ("placed", "next_ids", "sources", "targets", "ended_texts", "ended_slots", "ended_ids")
_FLOATS = ("next_log_probs", "next_scores", "ended_scores", "ended_log_probs")


class NativeBeamStep:
    """Chooses the next beams of texts; `suppressed` is how many tokens the model never makes."""

    def __init__(self, slots: Slots, suppressed: int) -> None:
        self._ints: Ints = np.zeros((len(_INTS), slots.capacity), np.int64)
        self._floats: Floats = np.zeros((len(_FLOATS), slots.capacity), np.float32)
        self._is_over = np.zeros(slots.capacity, np.bool_)
        made = (*zip(_INTS, self._ints, strict=True), *zip(_FLOATS, self._floats, strict=True))
        self._call = native.NativeBeams(
            capacity=slots.capacity,
            longest=slots.forced.shape[1],
            most_candidates=slots.candidate_ids.shape[1],
            suppressed=suppressed,
            end=slots.manifest.eos_id,
            positions=native.address(slots.positions),
            limits=native.address(slots.limits),
            forced=native.address(slots.forced),
            scores=native.address(slots.scores),
            log_probs=native.address(slots.log_probs),
            candidate_ids=native.address(slots.candidate_ids),
            candidate_logits=native.address(slots.candidate_logits),
            is_over=native.address(self._is_over),
            **{name: native.address(array) for name, array in made},
        )

    def join(self, beams: Ints, suppressed: Floats | None, renormalizes: bool) -> NextBeams:
        """See `Session.join_beams`; the arrays are good until the next call."""
        call, shape = self._call, beams.shape
        call.texts, call.width = shape
        call.renormalizes = renormalizes
        call.slots = native.address(beams)
        call.suppressed_logits = None if suppressed is None else native.address(suppressed)
        native.check(native.library().seqway_join(ctypes.byref(call)))
        slots, tokens = self._ints[:2, : beams.size].reshape(2, *shape)
        log_probs, scores = self._floats[:2, : beams.size].reshape(2, *shape)
        sources, targets = self._ints[2:4, : call.copies]
        ended = self._ints[4:, : call.ended].tolist() + self._floats[2:, : call.ended].tolist()
        return NextBeams(
            *(slots, tokens, log_probs, scores, sources, targets),
            [EndedBeam(*beam) for beam in zip(*ended, strict=True)],
            self._is_over[: call.texts],
        )
