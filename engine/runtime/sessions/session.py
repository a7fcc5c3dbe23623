"""The contract between a lane and whatever runs its model: native code, ONNX Runtime, TensorRT."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

from engine.contract.manifest import Manifest
from engine.runtime.decoding.beam_step import NextBeams
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.slots import Advance, Slots


class DeviceLostError(Exception):
    """A GPU that this process can't use any more, whatever it does: only another process may.

    CUDA says so of what corrupts a context, such as an illegal address, and of a card with a fault.
    """


class Session(Protocol):
    """The encoder and the decoder step of one variant on some hardware, for one thread.

    A lane calls `slots` once, and again after a step that failed.  Then, over and over: `encode`
    for rows that start, whose result goes to the slots' `admit_beams`; and either `run`, where
    every row takes the most probable token, or `step`, after which the lane may change the slots'
    `next_ids` and `log_probs`, and `advance`.

    The lane owns the state of the running rows (`Slots`: tokens, positions) and moves slots; the
    session owns the memory of keys and values behind `Slots.memory`, and reads the rest.  A slot's
    outputs depend on that slot alone: the same row gives the same tokens in any batch and any slot.

    Any call may raise `DeviceLostError`: after it none makes sense.

    A strategy that is told of no candidates leaves the choice of the token to the session; the
    lane sees whole vocabularies only where candidates do not decide.
    """

    manifest: Manifest
    extra: Mapping[str, Floats]
    """The outputs that the last step was asked for, one row a slot, good until the next step."""

    @property
    def outputs(self) -> frozenset[str]:
        """The names that `step` takes as `extra`."""
        ...

    def sibling(self) -> "Session":
        """A session for another thread, with the same weights and with state of its own."""
        ...

    def slots(self, capacity: int) -> Slots:
        """Empty slots for this session, in place of those before."""
        ...

    def encode(self, sources: list[list[int]], /) -> Any:
        """Encodes sources: what `Slots.admit_beams` takes, until the next call."""
        ...

    def step(self, slots: Slots, extra: frozenset[str] = frozenset()) -> None:
        """One decoder step of the live slots: fills their `next_ids`, `log_probs`, and `extra`.

        `next_ids` are the most probable tokens.  A slot whose values are no numbers has a
        log-probability that is not finite, and the others are as without it.  The candidates that
        slots want are filled where "candidates" is in `extra`.  An error leaves the slots in an
        unknown state.
        """
        ...

    def logits(self, slot: int, /) -> Floats:
        """All logits `[V]` of a slot of the last step, which gave candidates, until `advance`."""
        logits: Floats = self.extra["logits"][slot]
        return logits

    def expect_beams(self, _beams: Ints, _renormalizes: bool, /) -> None:
        """Says of which beams `join_beams` will be asked after the next step; see there.

        They may be joined with the step, where `join_beams` is then given the same array.
        """
        return

    def join_beams(self, _slots: Slots, _beams: Ints, _renormalizes: bool, /) -> NextBeams | None:
        """What `beam_step.join_beams` gives for slots `[n,k]` without constraints; None: that does.

        Where the model `renormalizes`, the tokens that it suppresses have no share in scores.
        """
        return None

    def advance(self, slots: Slots, /) -> Advance:
        """Takes the step's tokens, or those that are forced, as next inputs."""
        return slots.advance()

    def run(self, slots: Slots, _most: int, _seconds: float, _interrupt: Interrupt, /) -> Advance:
        """At least one step, and at most so many, that take the most probable tokens.

        It comes back when a slot has ended, loops, or has no finite log-probability, when so many
        seconds have passed, and when something waits for the lane.
        """
        self.step(slots)
        return self.advance(slots)


def with_candidates(outputs: Iterable[str]) -> frozenset[str]:
    """The outputs of a graph, and candidates where they can be found in its logits."""
    names = frozenset(outputs)
    return names | {"candidates"} if "logits" in names else names


def without_candidates(extra: frozenset[str]) -> frozenset[str]:
    """The outputs that a graph must give for `extra`."""
    return extra - {"candidates"} | {"logits"} if "candidates" in extra else extra
