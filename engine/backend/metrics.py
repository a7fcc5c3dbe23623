"""The engine's own metrics among Triton's, at its `/metrics`."""

from collections.abc import Mapping
from typing import Any

import triton_python_backend_utils as pb_utils

from engine.parallel.groups.engine import GroupedEngine
from engine.runtime.batching.lane import Gauges
from engine.runtime.engine import Engine

UPDATE_SECONDS = 0.02

_FIRST = "Seconds from arrival to the first token"
COUNTERS: Mapping[str, str] = {
    "seqway_decoder_steps": "Decoder steps made",
    "seqway_session_calls": "Calls of the decoder, of one step or more",
    "seqway_host_seconds": "Processor seconds of lanes outside of encoder and decoder",
    "seqway_tokens_generated": "Tokens generated",
    "seqway_slots_stepped": "Slots that had rows, summed over the steps",
    "seqway_slots_offered": "Slots that could have had rows, summed over the steps",
    "seqway_row_wait_seconds": "Seconds that rows waited for a slot, summed over rows",
    "seqway_row_run_seconds": "Seconds that rows held a slot, summed over rows",
    "seqway_rows_refused": "Rows refused because too many waited",
    "seqway_first_token_seconds_sum": f"{_FIRST}, sum",
    "seqway_first_token_seconds_count": f"{_FIRST}, n",
}
GAUGES: Mapping[str, str] = {
    "seqway_rows_running": "Rows in the running batch",
    "seqway_rows_waiting": "Rows that wait for a slot or are encoded",
    "seqway_slots": "Slots for running rows",
}
GROUP_COUNTERS: Mapping[str, str] = {
    "seqway_group_restarts": "Groups of processes started anew",
    "seqway_rows_rerun": "Rows that another group runs from the beginning",
}
GROUP_GAUGES: Mapping[str, str] = {"seqway_groups_live": "Groups that take rows"}
"""Of variants that run on several devices."""


class EngineMetrics:
    """Gauges and counters of one instance of a variant.

    Triton registers a family once in a process and gives the same one to every later caller.  It
    knows no histograms, so times are told as a sum and a count.
    """

    def __init__(self, model: str, instance: str, engine: Engine | GroupedEngine) -> None:
        self._engine = engine
        counters, gauges = dict(COUNTERS), dict(GAUGES)
        if isinstance(engine, GroupedEngine):
            counters |= GROUP_COUNTERS
            gauges |= GROUP_GAUGES
        self._labels = {"model": model, "instance": instance}
        # Triton drops a metric whose family is gone, so the families are kept as long as it.
        self._families: list[Any] = []
        kinds = pb_utils.MetricFamily
        self._metrics = {
            name: self._metric(name, description, kind)
            for names, kind in ((counters, kinds.COUNTER), (gauges, kinds.GAUGE))
            for name, description in names.items()
        }
        self._told = dict.fromkeys(counters, 0.0)
        self._levels: dict[str, int] = {}
        self._first_sum, self._first_count = 0.0, 0
        self._next = 0.0

    def update(self, now: float) -> None:
        """Tells Triton what has changed, at most every `UPDATE_SECONDS`."""
        if now < self._next:
            return
        self._next = now + UPDATE_SECONDS
        gauges = self._engine.gauges
        for name, value in self._counts(gauges).items():
            if value != self._told[name]:
                self._metrics[name].increment(value - self._told[name])
                self._told[name] = value
        for name, level in _levels(self._engine, gauges).items():
            if level != self._levels.get(name):
                self._metrics[name].set(level)
                self._levels[name] = level

    def _counts(self, gauges: Gauges) -> dict[str, float]:
        engine = self._engine
        first = engine.take_first_token_seconds()
        self._first_sum += sum(first)
        self._first_count += len(first)
        counts: dict[str, float] = {
            "seqway_decoder_steps": gauges.steps,
            "seqway_session_calls": gauges.calls,
            "seqway_host_seconds": gauges.host_seconds,
            "seqway_tokens_generated": gauges.tokens,
            "seqway_slots_stepped": gauges.slots_stepped,
            "seqway_slots_offered": gauges.steps * engine.settings.limits.max_rows,
            "seqway_row_wait_seconds": gauges.wait_seconds,
            "seqway_row_run_seconds": gauges.run_seconds,
            "seqway_rows_refused": engine.refused_rows,
            "seqway_first_token_seconds_sum": self._first_sum,
            "seqway_first_token_seconds_count": self._first_count,
        }
        if isinstance(engine, GroupedEngine):
            counts["seqway_group_restarts"] = engine.restarts
            counts["seqway_rows_rerun"] = engine.rerun_rows
        return counts

    def _metric(self, name: str, description: str, kind: Any) -> Any:
        family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self._families.append(family)
        return family.Metric(labels=self._labels)


def _levels(engine: Engine | GroupedEngine, gauges: Gauges) -> dict[str, int]:
    levels = {
        "seqway_rows_running": gauges.running,
        "seqway_rows_waiting": engine.waiting_rows,
        "seqway_slots": engine.slots,
    }
    if isinstance(engine, GroupedEngine):
        levels["seqway_groups_live"] = engine.live_groups
    return levels
