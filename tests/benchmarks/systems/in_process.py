"""Our runtime in this process."""

import statistics
from collections.abc import Sequence

from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine
from tests.benchmarks.systems.system import Answer, WarmedUp, with_beams


class InProcess(WarmedUp):
    """An engine that has been started."""

    def __init__(self, engine: Engine, beams: int = 1) -> None:
        name = "Seqway in process" + (", one lane" if len(engine.lanes) == 1 else "")
        self.name = with_beams(name, beams)
        self.beams = beams
        self._engine = engine
        self._host: dict[int, list[float]] = {}
        self._timed = 0  # in flight

    def prepare(self, texts: list[str], in_flight: int, max_new_tokens: int) -> None:
        """See `System`; host time counts from here on, for so many in flight."""
        self._timed = 0
        super().prepare(texts, in_flight, max_new_tokens)
        self._timed = in_flight

    def run(self, texts: list[str], in_flight: int, max_new_tokens: int) -> list[Answer]:
        """See `System`."""
        options = Options(stream=False, max_new_tokens=max_new_tokens, num_beams=self.beams)
        before = self._engine.gauges
        answers = run_texts(self._engine, texts, options, in_flight)
        after = self._engine.gauges
        spent = after.host_seconds - before.host_seconds
        if in_flight == self._timed:
            self._host.setdefault(in_flight, []).append(spent / (after.calls - before.calls))
        return [Answer(answer.text, answer.end.output_tokens) for answer in answers]

    def host_microseconds(self, in_flight: Sequence[int]) -> dict[int, float]:
        """A call's processor time in Python, by texts in flight, where it ran: medians."""
        return {
            count: 1e6 * statistics.median(self._host[count])
            for count in in_flight
            if count in self._host
        }
