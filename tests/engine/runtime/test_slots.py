"""Slots against a plain model of them: whatever is admitted, moved and resized, no row mixes."""

import random
from pathlib import Path

import numpy as np

from engine.contract.manifest import read_manifest
from engine.runtime.decoding.beam_step import place_beams
from engine.runtime.decoding.selection import Floats
from engine.runtime.sessions.caches import Caches, padded
from engine.runtime.sessions.memory import ArrayMemory
from engine.runtime.sessions.slots import Slots


def test_rows_keep_their_own_state_through_admissions_and_retirements(repository: Path) -> None:
    manifest = read_manifest(repository / "pegasus_fp32" / "1")
    slots = Slots(manifest, 6, ArrayMemory(Caches(manifest, 6), Caches(manifest, 6)))
    heads, width = manifest.decoder_heads, manifest.head_width
    chance = random.Random(4)
    tags: list[tuple[float, int, int]] = []  # per live slot: its mark, source length, position
    for mark in range(1, 400):
        if slots.rows < 6 and chance.random() < 0.6:
            length = chance.choice([1, 7, 16, 17, 40])
            shape = (1, heads, padded(length), width)
            cross = [np.full(shape, mark, np.float32) for _ in range(2 * manifest.decoder_layers)]
            slots.admit(cross, [length], [39])
            tags.append((mark, length, 0))
        if slots.rows:
            _write_marks(slots, tags)
            slots.next_ids[: slots.rows] = 7
            done = set(slots.advance().ended)
            tags = [(mark, length, position + 1) for mark, length, position in tags]
            leavers = done | {s for s in range(slots.rows) if chance.random() < 0.1}
            for slot in sorted(leavers, reverse=True):
                last = slots.retire(slot)
                tags[slot] = tags[last]
                tags.pop()
            slots.shrink()
        _check(slots, tags)


def _write_marks(slots: Slots, tags: list[tuple[float, int, int]]) -> None:
    """What the decoder step does: a row's own mark at its position of each cache."""
    for slot, (mark, _, position) in enumerate(tags):
        for cache in _arrays(slots, "caches"):
            cache[slot, :, position] = mark


def _arrays(slots: Slots, kind: str) -> list[Floats]:
    caches = getattr(slots.memory, kind)
    assert isinstance(caches, Caches)
    return caches.arrays


def _check(slots: Slots, tags: list[tuple[float, int, int]]) -> None:
    assert slots.rows == len(tags)
    for slot, (mark, length, position) in enumerate(tags):
        for array in _arrays(slots, "cross"):
            assert (array[slot, :, :length] == mark).all()
        for array in _arrays(slots, "caches"):
            assert (array[slot, :, :position] == mark).all()
            assert np.isfinite(array).all()
        assert slots.source_lengths[slot] == length
        assert slots.positions[slot] == position


def test_beams_are_copied_over_those_that_died(repository: Path) -> None:
    """Each beam keeps the marks of the beams it descends from, whatever leaves in between."""
    manifest = read_manifest(repository / "pegasus_fp32" / "1")
    slots = Slots(manifest, 7, ArrayMemory(Caches(manifest, 7), Caches(manifest, 7)))
    shape = (2, manifest.decoder_heads, 16, manifest.head_width)
    cross = [np.ones(shape, np.float32) for _ in range(2 * manifest.decoder_layers)]
    alone, beams = slots.admit_beams(cross, [1, 4], [9, 9], [39, 39])
    assert (alone, beams) == ([0], [1, 2, 3, 4])
    chance = random.Random(1)
    lines: list[list[int]] = [[] for _ in beams]
    for step in range(30):
        for beam, slot in enumerate(beams):
            for cache in _arrays(slots, "caches"):
                cache[slot, :, step] = lines[beam][-1] if lines[beam] else -1
        parents = np.array([chance.randrange(4) for _ in beams])
        placed, sources, targets = place_beams(np.array([beams]), parents[None])
        beams = placed[0].tolist()
        assert not {*sources.tolist()} & {*targets.tolist()}
        if sources.size:
            slots.copy_beams(sources, targets)
            slots.copy_caches(sources, targets)
        lines = [[*lines[parent], 100 * step + beam] for beam, parent in enumerate(parents)]
        slots.next_ids[beams] = [line[-1] + 2 for line in lines]
        slots.advance()
        if step == 10:
            last = slots.retire(0)
            beams = [0 if slot == last else slot for slot in beams]
        for beam, slot in enumerate(beams):
            assert slots.trail(slot).tokens.tolist() == [mark + 2 for mark in lines[beam]]
            for cache in _arrays(slots, "caches"):
                assert cache[slot, 0, 1 : step + 1, 0].tolist() == lines[beam][:-1]


def test_some_slots_advance_as_all_do(repository: Path) -> None:
    """One after the other, in two parts, as in one call."""
    manifest = read_manifest(repository / "pegasus_fp32" / "1")
    chance, both = np.random.default_rng(3), []
    for _ in range(2):
        slots = Slots(manifest, 5, ArrayMemory(Caches(manifest, 5), Caches(manifest, 5)))
        shape = (5, manifest.decoder_heads, 16, manifest.head_width)
        cross = [np.zeros(shape, np.float32) for _ in range(2 * manifest.decoder_layers)]
        slots.admit(cross, [3] * 5, [9, 60, 60, 60, 60])
        slots.start(1, 0, {2: 7, 5: 7}, watched=True)
        slots.watched[2] = True
        both.append(slots)
    for step in range(60):
        tokens = np.where(np.arange(5) < 3, 4, chance.integers(2, 9, 5))
        for slots in both:
            slots.next_ids[:] = tokens
            slots.log_probs[:] = -step
        whole = both[0].advance()
        parts = [both[1].advance_some(np.array(some)) for some in ([0, 2], [1, 3, 4])]
        assert whole.ended == sorted(slot for part in parts for slot in part.ended)
        assert whole.looping == sorted(slot for part in parts for slot in part.looping)
        for name in ("ids", "positions", "history", "token_log_probs", "runs"):
            np.testing.assert_array_equal(getattr(both[0], name), getattr(both[1], name))
        if step == 8:
            assert whole.ended[0] == 0
            for slots in both:
                slots.positions[0] = 0  # it would go on for ever
    assert whole.looping == [1, 2]
