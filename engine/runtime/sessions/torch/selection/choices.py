"""The best tokens of a lane's slots, and how beams go on with them: made and told together."""

import numpy as np
import torch

from engine.runtime.decoding.beam_search import EndedBeam
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.candidates import MOST_CANDIDATES
from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.selection.beams import FLOATS, INTS
from engine.runtime.sessions.torch.selection.records import Records, ToldRecords
from engine.runtime.sessions.torch.state import LaneState

FEW, MANY = 16, MOST_CANDIDATES
COUNTS = (FEW, MANY)
"""How many tokens a slot may be told of: all slots get what the most demanding one wants."""
JOINED_WIDTHS = (2, 3, 4, 5, 6, 8)
"""How many beams of a text the device joins: the usual ones, of which twice as many are `FEW`."""


class LaneChoices:
    """What follows a step of `state` where the host, or a beam search, chooses the tokens.

    `select` and `join` are the device's work, which can be captured.
    """

    def __init__(self, state: LaneState, capacity: int, eos_id: int, device: TorchDevice) -> None:
        self._state, self._eos_id, self._device = state, eos_id, device
        fields = {
            "ids": (torch.int64, FEW),
            "beams": (torch.int64, len(INTS)),
            "logits": (torch.float32, FEW),
            "totals": (torch.float32, 1),
            "suppressed": (torch.float32, state.suppressed.shape[1]),
            "beam_values": (torch.float32, len(FLOATS)),
        }
        more = {"ids": (torch.int64, MANY), "logits": (torch.float32, MANY)}
        self._few, self._many = (Records(each, capacity, device) for each in (fields, more))
        self._told = [ToldRecords(records, device) for records in (self._few, self._many)]
        for records in (self._few, self._many):
            records["ids"].fill_(-1)  # where the vocabulary ends
            records["logits"].fill_(-torch.inf)

    def select(self, rows: int, count: int) -> None:
        """Finds so many tokens, one of `COUNTS`, of each of the first rows."""
        state, few = self._state, self._few
        some = min(count, state.vocabulary)
        ids, logits, totals = state.select(rows, some)
        for records, most in ((few, FEW), (self._many, MANY))[: 1 + (count > FEW)]:
            records["ids"][:rows, :some] = ids[:, :most]
            records["logits"][:rows, :some] = logits[:, :most]
        few["totals"][:rows, 0] = totals
        if state.suppressed.shape[1]:
            few["suppressed"][:rows] = state.suppressed[:rows]

    def join(self, width: int, texts: int) -> None:
        """Joins the beams that the state was told of, after tokens of each were found."""
        few, size = self._few, texts * width
        ids, logits = (few[name][:, : 2 * width] for name in ("ids", "logits"))
        kernels.join_beams(
            *(few["beams"][:size], few["beam_values"][:size], ids, logits, few["totals"][:, 0]),
            *(few["suppressed"], self._state.beams(texts, width), self._eos_id),
        )

    def download(self, slots: Slots, count: int) -> Floats:
        """Waits for the device, and fills the best tokens, next ones and log-probabilities.

        Returns:
            The logits of suppressed tokens `[rows,n]`, good until the next call.

        """
        rows, few = slots.rows, self._told[0]
        told = self._told[: 1 + (count > FEW)]
        for records in told:
            records.download(rows)
        self._device.wait()
        slots.candidate_ids[:rows, :count] = told[-1]["ids"][:rows]
        slots.candidate_logits[:rows, :count] = told[-1]["logits"][:rows]
        slots.next_ids[:rows] = few["ids"][:rows, 0]
        np.subtract(few["logits"][:rows, 0], few["totals"][:rows, 0], out=slots.log_probs[:rows])
        suppressed: Floats = few["suppressed"][:rows]
        return suppressed

    def next_beams(self, texts: int, width: int) -> NextBeams:
        """Those that were joined, once they are downloaded; good until the next step."""
        told, size, shape = self._told[0], texts * width, (texts, width)
        ints = told["beams"][:size].T.reshape(-1, *shape)
        floats = told["beam_values"][:size].T.reshape(-1, *shape)
        slots, parents, tokens, ended_slots, ended_tokens, ends, is_over = ints
        log_probs, scores, ended_scores, ended_log_probs = floats
        ended: list[EndedBeam] = []
        places = ends.nonzero()
        if places[0].size:
            values = ended_slots, ended_tokens, ended_scores, ended_log_probs
            columns = places[0], *(one[places] for one in values)
            beams = zip(*(one.tolist() for one in columns), strict=True)
            ended = [EndedBeam(*beam) for beam in beams]
        is_moved = (slots != parents).nonzero()
        copies = parents[is_moved], slots[is_moved]
        return NextBeams(slots, tokens, log_probs, scores, *copies, ended, is_over[:, 0] != 0)
