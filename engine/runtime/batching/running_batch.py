"""The rows that run: their slots, and a decoder step for all of them.

`Slots` holds tensors, each row's strategy says which token comes next; this puts both together.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np

from engine.contract.events import FinishReason
from engine.runtime.batching.beam_batch import BeamBatch, beam_batches
from engine.runtime.batching.clock import ThreadClock
from engine.runtime.decoding.alignment import alignment_outputs, mean_attention
from engine.runtime.decoding.beam_step import join_beams
from engine.runtime.decoding.repetition import settled
from engine.runtime.decoding.selection import Ints
from engine.runtime.decoding.strategy import StepView
from engine.runtime.decoding.trail import ScoredTrail
from engine.runtime.request import Row
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.session import Session
from engine.runtime.sessions.slots import Advance


class RunningBatch:
    """Runs rows in at most `capacity` slots of a session; `streaming` are those that stream.

    `session_clock` is of the time in the session, `tokens` counts what rows took: one that ends
    within several steps takes fewer than these.
    """

    def __init__(self, session: Session, capacity: int) -> None:
        self.rows: list[Row] = []
        self.streaming: list[Row] = []
        self.tokens = 0
        self._choosing: list[Row] = []
        self._needs = frozenset[str]()
        self._single: list[Row] = []
        self._batches: list[BeamBatch] | None = None
        self._session = session
        self._slots = session.slots(capacity)
        self._owners: list[Row] = []
        self._alignment = alignment_outputs(session.manifest)
        self.session_clock = ThreadClock()
        slots = self._slots
        self._view = StepView(
            *(lambda: session.extra, slots.next_forced, slots.is_last, slots.scores),
            *(slots.past, slots.candidates, session.logits, slots.trail_with),
        )

    def start(self, group: list[Row]) -> None:
        """Encodes rows and gives them slots; when it fails, none of them has any."""
        sources = [row.plan.source for row in group]
        lengths = [len(source) for source in sources]
        with self.session_clock:
            cross = self._session.encode(sources)
        widths, limits = [row.width for row in group], [row.plan.limit for row in group]
        places = self._slots.admit_beams(cross, widths, lengths, limits)
        for row, slots in zip(group, places, strict=True):
            row.slots[:] = slots
            for slot in slots:
                self._slots.start(
                    slot,
                    row.plan.start_id,
                    row.plan.forced,
                    watched=row.options.stop_repetition,
                    candidates=row.strategy.candidates,
                )
                self._owners.append(row)
        self.rows += group
        self.streaming += [row for row in group if row.options.stream]
        if choosing := [row for row in group if row.plan.needs]:
            self._choosing += choosing
            self._regroup()

    def step(
        self, most: int = 1, seconds: float = 0.0, interrupt: Interrupt | None = None
    ) -> tuple[list[tuple[Row, FinishReason]], int]:
        """Makes a token for every slot, and more where all rows take the most probable one.

        Args:
            most: how many tokens, at most.
            seconds: after which no other step is begun.
            interrupt: likewise, once it is set.

        Returns:
            The rows that are done, which keep their slots, and how many steps were made.

        """
        slots, session = self._slots, self._session
        if not self._choosing:
            before = int(slots.positions[: slots.rows].sum())
            with self.session_clock:
                advance = session.run(slots, most, seconds, interrupt or Interrupt())
            self.tokens += int(slots.positions[: slots.rows].sum()) - before
            return list(self._ended(advance, [], self._failed())), advance.steps
        batches = self._beam_batches()
        for batch in batches:
            if not batch.constrained:
                session.expect_beams(batch.slots, batch.renormalizes)
        with self.session_clock:
            session.step(slots, self._needs)
        failed = self._failed()
        for row in self._single:
            if row not in failed:
                self._choose(row)
        if failed:
            batches = [rest for batch in batches if (rest := batch.without(failed)).rows]
        complete = [row for batch in batches for row in self._search(batch)]
        with self.session_clock:
            advance = session.advance(slots)
        self.tokens += len(self.rows)
        return list(self._ended(advance, complete, failed)), advance.steps

    def certain(self, rows: Sequence[Row]) -> list[Ints]:
        """The tokens that the answer of each row surely begins with; they only grow."""
        slots, live = self._slots, self._slots.rows
        lengths = slots.positions[:live].tolist()
        kept = settled(slots.runs[:live], slots.positions[:live]).tolist()
        found = []
        for row in rows:
            sequences: list[Ints] = [slots.tokens[slot, : lengths[slot]] for slot in row.slots]
            count = row.strategy.certain(sequences)
            if row.options.stop_repetition:
                count = min(count, *(kept[slot] for slot in row.slots))
            found.append(sequences[0][:count])
        return found

    def finish(self, row: Row, reason: FinishReason) -> Sequence[ScoredTrail]:
        """Ends a row for `reason` and frees its slots; its answers, best first, if it has any."""
        if reason is FinishReason.ERROR:
            self._slots.memory.clear(row.slots)
            self._free(row)
            return []
        slot, is_looping = row.slots[0], reason is FinishReason.REPETITION
        trail = self._slots.trail(slot)
        if is_looping:
            kept = settled(self._slots.runs[slot : slot + 1], np.array([trail.tokens.size]))
            trail = trail.cut(int(kept[0]))
        self._free(row)
        return row.strategy.results(trail, is_looping)

    def shrink(self) -> None:
        """Gives up memory that is traversed but not needed, after rows have ended."""
        self._slots.shrink()

    def _beam_batches(self) -> list[BeamBatch]:
        """The beams that take a step: those of rows behind their prompts."""
        if self._batches is None:
            positions = self._slots.positions[: self._slots.rows].tolist()
            searching = [row for row in self._choosing if row.strategy.search]
            ready = [row for row in searching if positions[row.slots[0]] >= row.plan.prompt]
            batches = beam_batches(ready)
            if len(ready) < len(searching):  # they will be others soon
                return batches
            self._batches = batches
        return self._batches

    def _regroup(self) -> None:
        """Notes what all rows together need that choose, and which are looked at one by one."""
        self._batches = None
        choosing = self._choosing
        self._needs = frozenset[str]().union(*{row.plan.needs for row in choosing})
        self._single = [row for row in choosing if row.options.alignment or not row.strategy.search]

    def _choose(self, row: Row) -> None:
        """Notes the alignment of a row, and lets a strategy of one slot choose its next token."""
        slots, step = self._slots, self._view
        if row.options.alignment:
            outputs, textual = step.outputs(), row.plan.textual
            weights = mean_attention(outputs, self._alignment, row.slots, textual)
            slots.align(row.slots, weights)
        if row.strategy.search:
            return
        slot = row.slots[0]
        forced = row.plan.forced
        if forced and int(slots.positions[slot]) in forced:
            return
        if chosen := row.strategy.choose(step, slot):
            slots.next_ids[slot], slots.log_probs[slot] = chosen

    def _search(self, batch: BeamBatch) -> list[Row]:
        """Takes a step of beams; returns the rows whose search is complete."""
        slots, searches = self._slots, batch.searches
        made = None
        if not batch.constrained:
            made = self._session.join_beams(slots, batch.slots, batch.renormalizes)
        made = made or join_beams(searches, self._view, batch.slots)
        for beam in made.ended:
            searches[beam.text].end_beam(self._view, beam)
        if made.sources.size:
            slots.copy_beams(made.sources, made.targets)
            with self.session_clock:
                slots.copy_caches(made.sources, made.targets)
        slots.next_ids[made.slots] = made.tokens
        slots.log_probs[made.slots] = made.log_probs
        slots.scores[made.slots] = made.scores
        batch.slots = made.slots.copy()  # the session's may change
        lists = made.slots.tolist(), made.scores[:, 0].tolist(), made.is_over.tolist()
        complete = []
        for row, search, beams, open_score, is_over in zip(
            batch.rows, searches, *lists, strict=True
        ):
            row.slots[:] = beams
            if search.go_on(open_score, is_over=is_over):
                complete.append(row)
        return complete

    def _failed(self) -> list[Row]:
        """The rows of which the session's last step made no probabilities."""
        log_probs = self._slots.log_probs[: self._slots.rows].tolist()
        if math.isfinite(sum(log_probs)):
            return []
        bad = (
            row
            for row, value in zip(self._owners, log_probs, strict=True)
            if not math.isfinite(value)
        )
        return list(dict.fromkeys(bad))

    def _ended(
        self, advance: Advance, complete: list[Row], failed: list[Row]
    ) -> Iterable[tuple[Row, FinishReason]]:
        """The rows that end: of slots that have ended or loop, or `complete` for their strategy."""
        for row in failed:
            yield row, FinishReason.ERROR
        touched = [self._owners[slot] for slot in (*advance.ended, *advance.looping)]
        for row in dict.fromkeys([*touched, *complete]):
            if row in failed:
                continue
            first = row.slots[0]
            reason = row.strategy.finish_reason(
                int(self._slots.ids[first]) if first in advance.ended else None,
                first in advance.looping,
            )
            if reason is not None:
                yield row, reason

    def _free(self, row: Row) -> None:
        """Gives back the slots of a row."""
        for slot in sorted(row.slots, reverse=True):
            last = self._slots.retire(slot)
            moved = self._owners.pop()
            if last != slot:
                moved.slots[moved.slots.index(last)] = slot
                self._owners[slot] = moved
        for rows in (self.rows, self.streaming, self._choosing):
            if row in rows:
                rows.remove(row)
        row.slots.clear()
        self._regroup()
