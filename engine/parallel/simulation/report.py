"""What a simulation found."""

from dataclasses import dataclass


@dataclass(frozen=True)
class StageReport:
    """A part of the service: the texts a second that it carries at most, in the mix that came.

    `busy` is its share of the time, `waiting` are texts that wait there at the end.
    """

    name: str
    texts_per_second: float
    busy: float
    waiting: int = 0


@dataclass(frozen=True)
class SimulationReport:
    """Seconds are of interactive texts: to the first token, and to the whole answer.

    `answered` are texts a second, `lines` those of them that are of batch jobs; `seconds` is the
    time that is counted.
    """

    offered: float
    answered: float
    lines: float
    tokens: float
    first_p50: float
    first_p95: float
    whole_p50: float
    whole_p95: float
    whole_mean: float
    seconds: float
    stages: tuple[StageReport, ...]

    @property
    def narrowest(self) -> StageReport:
        """The part that breaks first as more texts come."""
        return min(self.stages, key=lambda stage: stage.texts_per_second)
