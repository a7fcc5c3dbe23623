"""The engine's own metrics among Triton's, at its `/metrics`."""

from typing import Any

import triton_python_backend_utils as pb_utils

from engine.runtime.engine import Engine

UPDATE_SECONDS = 0.02


class EngineMetrics:
    """Gauges and counters of one instance of a variant.

    Triton registers a family once in a process and gives the same one to every later caller.
    """

    def __init__(self, model: str, instance: str) -> None:
        self._labels = {"model": model, "instance": instance}
        # Triton drops a metric whose family is gone, so the families are kept as long as it.
        self._families: list[Any] = []
        gauge, counter = pb_utils.MetricFamily.GAUGE, pb_utils.MetricFamily.COUNTER
        self._running = self._metric("seqway_rows_running", "Rows in the running batch", gauge)
        self._waiting = self._metric("seqway_rows_waiting", "Rows waiting for a slot", gauge)
        self._steps = self._metric("seqway_decoder_steps", "Decoder steps made", counter)
        self._tokens = self._metric("seqway_tokens_generated", "Tokens generated", counter)
        first = "Seconds from arrival to the first token"
        self._first_sum = self._metric("seqway_first_token_seconds_sum", f"{first}, sum", counter)
        self._first_count = self._metric("seqway_first_token_seconds_count", f"{first}, n", counter)
        self._steps_told = 0
        self._tokens_told = 0
        self._last = (-1, -1)
        self._next = 0.0

    def update(self, engine: Engine, now: float) -> None:
        """Tells Triton what has changed, at most every `UPDATE_SECONDS`."""
        if now < self._next:
            return
        self._next = now + UPDATE_SECONDS
        gauges = engine.gauges
        levels = (gauges.running, gauges.waiting)
        if levels != self._last:
            self._last = levels
            self._running.set(levels[0])
            self._waiting.set(levels[1])
        steps, tokens = gauges.steps, gauges.tokens
        if steps != self._steps_told:
            self._steps.increment(steps - self._steps_told)
            self._tokens.increment(tokens - self._tokens_told)
            self._steps_told, self._tokens_told = steps, tokens
        for seconds in engine.take_first_token_seconds():
            self._first_sum.increment(seconds)
            self._first_count.increment(1)

    def _metric(self, name: str, description: str, kind: Any) -> Any:
        family = pb_utils.MetricFamily(name=name, description=description, kind=kind)
        self._families.append(family)
        return family.Metric(labels=self._labels)
