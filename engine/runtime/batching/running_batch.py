"""The rows that run: their slots, and a decoder step for all of them.

`Slots` holds tensors, `decoding` says which token comes next; this puts both together.
"""

from collections.abc import Iterable

import numpy as np

from engine.contract.events import FinishReason
from engine.runtime.batching.row import Row
from engine.runtime.decoding.alignment import alignment_outputs, mean_attention
from engine.runtime.decoding.beam_search import BeamHypothesis, BeamSearch, place_beams
from engine.runtime.decoding.choice import Choice
from engine.runtime.decoding.repetition import looping, settled
from engine.runtime.decoding.selection import Floats, Ints
from engine.runtime.decoding.trail import Trail, common_prefix
from engine.runtime.sessions.caches import padded
from engine.runtime.sessions.session import Session


class RunningBatch:
    """Runs rows in at most `capacity` slots of a session."""

    def __init__(self, session: Session, capacity: int) -> None:
        self.rows: list[Row] = []
        self._session = session
        self._slots = session.slots(capacity)
        self._owners: list[Row] = []
        self._alignment = alignment_outputs(session.manifest)

    def start(self, group: list[Row]) -> None:
        """Encodes rows and gives them slots; when it fails, none of them has any."""
        lengths = [len(row.source) for row in group]
        cross = self._session.encode([row.source for row in group], padded(max(lengths)))
        widths, limits = [row.width for row in group], [row.limit for row in group]
        places = self._slots.admit_beams(cross, widths, lengths, limits)
        for row, slots in zip(group, places, strict=True):
            row.slots = slots
            for slot in slots:
                self._slots.start(slot, row.start_id, row.forced)
                self._owners.append(row)
        self.rows += group

    def step(self) -> list[tuple[Row, FinishReason]]:
        """Makes a token for every slot. Returns the rows that are done; they keep their slots."""
        slots = self._slots
        needs = frozenset[str]().union(*(row.needs for row in self.rows))
        self._session.step(slots, needs)
        for row in self.rows:
            if row.options.alignment:
                slots.align(row.slots, self._attention(row))
            if row.decoder is not None:
                self._decode(row, int(slots.positions[row.slots[0]]))
        done = slots.advance()
        return [*self._complete(done), *self._loops({int(slot) for slot in done})]

    def certain(self, row: Row) -> Ints:
        """The tokens of a row that its answer surely begins with; they only grow."""
        slots = self._slots
        length = int(slots.positions[row.slots[0]])
        sequences: list[Ints] = [slots.tokens[slot, :length] for slot in row.slots]
        count = length
        if row.options.stop_repetition:
            runs = slots.runs[row.slots]
            count = int(settled(runs, np.full(len(runs), length)).min())
        if isinstance(row.decoder, BeamSearch):
            best = row.decoder.hypotheses[:1]
            sequences += [hypothesis.trail.tokens for hypothesis in best]
            count = min(count, common_prefix(sequences))
        return sequences[0][:count]

    def answers(self, row: Row, reason: FinishReason) -> list[BeamHypothesis]:
        """What a row has to say if it ends now for `reason`, best first; at least one."""
        slot = row.slots[0]
        trail = self._slots.trail(slot)
        if reason is FinishReason.REPETITION:
            kept = settled(self._slots.runs[slot : slot + 1], np.array([trail.tokens.size]))
            trail = trail.cut(int(kept[0]))
        if not isinstance(row.decoder, BeamSearch):
            return [BeamHypothesis(trail.log_prob, trail)]
        search = row.decoder
        if reason is FinishReason.REPETITION or not search.hypotheses:
            return [BeamHypothesis(search.ranked(), trail), *search.hypotheses]
        return search.hypotheses

    def free(self, row: Row) -> None:
        """Gives back the slots of a row."""
        for slot in sorted(row.slots, reverse=True):
            last = self._slots.retire(slot)
            moved = self._owners.pop()
            if last != slot:
                moved.slots[moved.slots.index(last)] = slot
                self._owners[slot] = moved
        self.rows.remove(row)
        row.slots = []

    def shrink(self) -> None:
        """Gives up memory that is traversed but not needed, after rows have ended."""
        self._slots.shrink()

    def _attention(self, row: Row) -> Floats:
        return mean_attention(self._session.extra, self._alignment, row.slots, row.textual)

    def _decode(self, row: Row, position: int) -> None:
        """Lets a row's decoder choose its next tokens, and moves its beams to where they belong."""
        if position < row.prompt:
            return
        if isinstance(row.decoder, Choice):
            if position not in row.forced:
                self._choose(row.decoder, row.slots[0], position)
        elif isinstance(row.decoder, BeamSearch):
            self._search(row, row.decoder, position)

    def _choose(self, choice: Choice, slot: int, position: int) -> None:
        slots, extra = self._slots, self._session.extra
        token = choice.choose(extra["logits"][slot], slots.history[slot, : position + 1])
        slots.next_ids[slot] = token
        slots.log_probs[slot] = extra["all_log_probs"][slot, token]

    def _search(self, row: Row, search: BeamSearch, position: int) -> None:
        slots, forced = self._slots, row.forced.get(position)
        log_probs = [] if forced is not None else [self._log_probs(slot) for slot in row.slots]

        def log_prob(beam: int, token: int) -> float:
            return 0.0 if forced is not None else float(log_probs[beam][token])

        def record(beam: int, token: int) -> Trail:
            return slots.trail_with(row.slots[beam], token, log_prob(beam, token))

        if forced is not None:
            chosen = search.force(forced, record)
        else:
            histories = [slots.history[slot, : position + 1] for slot in row.slots]
            chosen = search.advance(log_probs, histories, record)
        made = zip(chosen.parents.tolist(), chosen.tokens.tolist(), strict=True)
        chosen_log_probs = [log_prob(beam, token) for beam, token in made]
        row.slots, copies = place_beams(row.slots, chosen.parents)
        slots.copy_beams(copies)
        slots.next_ids[row.slots] = chosen.tokens
        slots.log_probs[row.slots] = chosen_log_probs

    def _log_probs(self, slot: int) -> Floats:
        """A slot's log-probabilities `[V]`, over the whole vocabulary as `transformers` has them.

        Where the graph suppresses tokens its own leave them out; theirs are put back.
        """
        extra = self._session.extra
        log_probs: Floats = extra["all_log_probs"][slot]
        if "suppressed_logits" not in extra:
            return log_probs
        best = int(self._slots.next_ids[slot])
        total = extra["logits"][slot, best] - log_probs[best]
        missing = np.log1p(np.exp(extra["suppressed_logits"][slot] - total).sum())
        whole: Floats = log_probs - np.float32(missing)
        return whole

    def _complete(self, done: Ints) -> Iterable[tuple[Row, FinishReason]]:
        """The rows whose answer is whole, the beam searches among them."""
        ended = [(self._owners[slot], int(slot)) for slot in done]
        eos = self._slots.manifest.eos_id
        for row, slot in ended:
            if not isinstance(row.decoder, BeamSearch):
                reached = self._slots.ids[slot] == eos
                yield row, FinishReason.EOS if reached else FinishReason.LENGTH
        for row in self.rows:
            if isinstance(row.decoder, BeamSearch) and row.decoder.done:
                last = row.decoder.hypotheses[0].trail.tokens[-1] if row.decoder.hypotheses else -1
                yield row, FinishReason.EOS if last == eos else FinishReason.LENGTH

    def _loops(self, done: set[int]) -> Iterable[tuple[Row, FinishReason]]:
        """The rows whose answer, or whose best beam, runs in a loop."""
        found = np.flatnonzero(looping(self._slots.runs[: self._slots.rows])).tolist()
        for slot in found:
            row = self._owners[slot]
            if not row.options.stop_repetition or slot != row.slots[0] or slot in done:
                continue
            if isinstance(row.decoder, BeamSearch):
                if row.decoder.done:
                    continue
                best = row.decoder.hypotheses
                if best and best[0].score >= row.decoder.ranked():
                    yield row, FinishReason.EOS
                    continue
            yield row, FinishReason.REPETITION
