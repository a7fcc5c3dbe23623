"""The groups of devices: texts wait, get rows, and leave when their answers are made.

All groups go in ticks of the same length. Texts that start in a tick in a group are a cohort; of
one length they end together, when the group has made as many steps: so a tick costs some operations
on arrays, whatever the number of texts.
"""

from dataclasses import dataclass

import numpy as np

from engine.parallel.capacity.lengths import LengthDistribution
from engine.parallel.capacity.load import SteadyGroup
from engine.parallel.simulation.distribution import SecondsDistribution
from engine.parallel.simulation.stage import Counts, Floats

KINDS = 8
"""Lengths of answers that are told apart: quantiles, of which each has its mean."""
ENCODER_SHARE = 0.9
"""Of a tick that may go to encoding while rows wait for their steps."""


@dataclass(frozen=True)
class GroupTimes:
    """What a group takes: `steps [rows+1]` for a step of so many rows, `encoder` for a text."""

    steps: Floats
    encoder: float

    @classmethod
    def of(cls, load: SteadyGroup) -> "GroupTimes":
        """Of the group whose load it is."""
        rows = np.arange(1, load.rows + 1)
        some = np.unique(np.geomspace(1, load.rows, 48).round()).astype(int)
        steps = np.interp(rows, some, [load.step_seconds(float(one)) for one in some])
        return cls(np.concatenate([[steps[0]], steps]), load.encoder_seconds)

    @property
    def rows(self) -> int:
        """That run at most."""
        return self.steps.size - 1


class Cohorts:
    """Texts that started together in each of `groups`, by length: `needed [K]` tokens.

    They are kept in a ring of ticks, which is longer than any answer takes.
    """

    def __init__(self, groups: int, needed: Floats, ring: int) -> None:
        self._ring, self._lengths = ring, needed.size
        self._needed = np.tile(needed, groups)
        self._group = np.repeat(np.arange(groups), needed.size)
        self._counts = np.zeros((ring, groups * needed.size), np.int32)
        self._begun = np.zeros((ring, groups))
        self._delays = np.zeros((ring, groups))
        self._oldest: Counts = np.zeros(groups * needed.size, np.int64)
        self._numbers = np.arange(groups * needed.size)

    def start(
        self, now: int, started: Counts, lengths: Counts, steps: Floats, delays: Floats
    ) -> None:
        """`started [G]` texts, the length of each in `lengths`, when groups had made `steps [G]`.

        `delays [G]` are what these have behind them, in seconds.
        """
        assert now - int(self._oldest.min()) < self._ring, "a cohort outlives the ring"
        place = now % self._ring
        cells = np.repeat(np.arange(started.size), started) * self._lengths + lengths
        self._counts[place] = np.bincount(cells, minlength=self._numbers.size)
        self._begun[place], self._delays[place] = steps, delays

    def end(self, now: int, steps: Floats) -> "list[Ended]":
        """Those whose answers are complete when groups have made `steps [G]`."""
        found = []
        cells = self._numbers
        while cells.size:
            oldest, group = self._oldest[cells], self._group[cells]
            place = oldest % self._ring
            late = steps[group] - self._begun[place, group] - self._needed[cells]
            over = (late >= 0) & (oldest <= now)
            cells, place, late, group = cells[over], place[over], late[over], group[over]
            self._oldest[cells] += 1
            counts = self._counts[place, cells]
            some = counts > 0
            if some.any():
                ended = Ended(
                    *(group[some], counts[some].astype(np.int64), self._needed[cells][some]),
                    *(oldest[over][some], late[some], self._delays[place, group][some]),
                )
                found.append(ended)
        return found


@dataclass(frozen=True)
class Ended:
    """Cohorts that ended, `[N]` each: their group, texts, tokens of each, and the tick they began.

    `late` are the steps that their group has made since they ended, `delays` as in `Cohorts.start`.
    """

    group: Counts
    texts: Counts
    tokens: Floats
    began: Counts
    late: Floats
    delays: Floats


class Fleet:
    """`groups` with the same times; `bulk_rows` bounds the rows of jobs in each, 0: none come.

    `first` and `whole` are the seconds to the first token and to the end of interactive texts that
    started from `since` on. `done`, `lines` and `tokens` count texts, those of jobs among them, and
    the tokens of all.
    """

    def __init__(
        self,
        groups: int,
        times: GroupTimes,
        lengths: LengthDistribution,
        tick: float,
        ticks: int,
        bulk_rows: int,
        chance: np.random.Generator,
    ) -> None:
        self._times, self._tick, self._chance, self._bulk_rows = times, tick, chance, bulk_rows
        needed = _quantiles(lengths)
        longest = needed[-1] * times.steps[-1] / (1 - ENCODER_SHARE)
        ring = int((longest + times.rows * times.encoder) / tick) + 64
        self._interactive = Cohorts(groups, needed, ring)
        self._bulk = Cohorts(groups, needed, ring)
        self._came = np.zeros((ticks, groups), np.int32)
        self._before = np.zeros(ticks)
        self._front, self._taken = _zeros(groups), _zeros(groups)
        self._now = 0
        self._steps, self._owed = np.zeros(groups), np.zeros(groups)
        self.waiting, self.bulk_waiting = _zeros(groups), _zeros(groups)
        self.running, self.bulk_running = _zeros(groups), _zeros(groups)
        self.done, self.lines, self.tokens, self.since = 0, 0, 0.0, 0.0
        self.first, self.whole = SecondsDistribution(), SecondsDistribution()

    @property
    def load(self) -> Floats:
        """Interactive texts that run and wait in each group, and what runs of jobs, `[G]`."""
        return (self.running + self.waiting).astype(float)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not (self.running.any() or self.waiting.any() or self.bulk_waiting.any())

    def advance(self, arrived: Counts, lines: Counts, before: float) -> None:
        """A tick: texts come, `[G]` each, which were `before` seconds on their way till here."""
        times = self._times
        self._came[self._now], self._before[self._now] = arrived, before
        self.waiting += arrived
        self.bulk_waiting += lines
        started = self._start()
        encoding = started * times.encoder + self._owed
        self._owed = np.maximum(0.0, encoding - self._tick)
        step = times.steps[self.running]
        made = np.maximum(0.0, self._tick - encoding) / step
        self._steps += made
        self._end(made)
        self._now += 1

    def _start(self) -> Counts:
        """Gives rows to texts that wait, interactive ones first; how many, `[G]`."""
        times, now = self._times, self._now
        most = max(1, int(ENCODER_SHARE * self._tick / max(times.encoder, 1e-12)))
        may = np.where(self._owed > 0, 0, np.minimum(times.rows - self.running, most))
        started = np.minimum(self.waiting, may)
        delays = self._waited(started)
        self._interactive.start(now, started, self._lengths(started), self._steps, delays)
        self._note_first(started, delays)
        self.waiting -= started
        self.running += started
        if not self._bulk_rows:
            return started
        room = np.minimum(may - started, self._bulk_rows - self.bulk_running)
        lines = np.minimum(self.bulk_waiting, np.maximum(0, room))
        self._bulk.start(now, lines, self._lengths(lines), self._steps, delays)
        self.bulk_waiting -= lines
        self.running += lines
        self.bulk_running += lines
        both: Counts = started + lines
        return both

    def _lengths(self, started: Counts) -> Counts:
        lengths: Counts = self._chance.integers(0, KINDS, int(started.sum()))
        return lengths

    def _waited(self, started: Counts) -> Floats:
        """The mean seconds behind those who start, first come first served, `[G]`."""
        groups, left = np.flatnonzero(started), started[started > 0]
        waited = np.zeros(started.size)
        while groups.size:
            front = self._front[groups]
            came = self._came[front, groups]
            some = np.minimum(left, came - self._taken[groups])
            waited[groups] += some * ((self._now - front) * self._tick + self._before[front])
            left -= some
            self._taken[groups] += some
            passed = (self._taken[groups] >= came) & (front < self._now)
            self._front[groups] += passed
            self._taken[groups[passed]] = 0
            groups, left = groups[left > 0], left[left > 0]
        waited /= np.maximum(started, 1)
        return waited

    def _note_first(self, started: Counts, delays: Floats) -> None:
        some = started > 0
        if self._now * self._tick >= self.since and some.any():
            encoding = started[some] * self._times.encoder + self._owed[some]
            step = self._times.steps[self.running[some] + started[some]]
            self.first.add(delays[some] + encoding + step, started[some])

    def _end(self, made: Floats) -> None:
        """Ends the cohorts whose answers are complete; groups have just `made [G]` steps."""
        for ended in self._interactive.end(self._now, self._steps):
            self._leave(ended)
            # What was made in this tick behind an end tells when in the tick that was.
            behind = np.minimum(1.0, ended.late / np.maximum(made[ended.group], 1e-12))
            seconds = (self._now + 1 - behind - ended.began) * self._tick + ended.delays
            counted = ended.began * self._tick >= self.since
            self.whole.add(seconds[counted], ended.texts[counted])
        if self._bulk_rows:
            for ended in self._bulk.end(self._now, self._steps):
                self._leave(ended)
                self.bulk_running -= np.bincount(
                    ended.group, ended.texts, self.bulk_running.size
                ).astype(np.int64)
                self.lines += int(ended.texts.sum())

    def _leave(self, ended: Ended) -> None:
        of_groups = np.bincount(ended.group, ended.texts, self.running.size)
        self.running -= of_groups.astype(np.int64)
        self.done += int(ended.texts.sum())
        self.tokens += float((ended.texts * ended.tokens).sum())


def _zeros(size: int) -> Counts:
    return np.zeros(size, np.int64)


def _quantiles(lengths: LengthDistribution) -> Floats:
    """The mean of each of `KINDS` quantiles of the answers' lengths, ascending."""
    ordered = np.sort(np.repeat(lengths.targets, KINDS))
    means: Floats = ordered.reshape(KINDS, -1).mean(axis=1)
    return means
