"""What the engines tell about themselves in Triton's metrics."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

from deploy.local.ports import HOST

_POLL_SECONDS = 0.01


@dataclass(frozen=True)
class Reading:
    """One look at a variant's engine; `steps` and `tokens` only grow."""

    running: int
    waiting: int
    steps: int
    tokens: int

    @property
    def rows(self) -> int:
        """Rows that the engine has, whether they run or wait."""
        return self.running + self.waiting


@dataclass(frozen=True)
class Gauges:
    """The metrics of the Triton that tells them at `port`."""

    port: int

    def read(self, variant: str) -> Reading:
        """What the engine of the variant told last, some 20 ms ago at most."""
        with urlopen(f"http://{HOST}:{self.port}/metrics", timeout=10) as response:
            families = text_string_to_metric_families(response.read().decode())
        values = {
            sample.name.removesuffix("_total"): int(sample.value)
            for family in families
            for sample in family.samples
            if sample.labels.get("model") == variant and sample.name.startswith("seqway_")
        }
        return Reading(
            running=values["seqway_rows_running"],
            waiting=values["seqway_rows_waiting"],
            steps=values["seqway_decoder_steps"],
            tokens=values["seqway_tokens_generated"],
        )

    def wait_for(
        self, variant: str, fits: Callable[[Reading], bool], seconds: float = 10.0
    ) -> Reading:
        """The first reading that fits; fails when none comes in time."""
        deadline = time.monotonic() + seconds
        while not fits(reading := self.read(variant)):
            assert time.monotonic() < deadline, f"after {seconds} s still {reading}"
            time.sleep(_POLL_SECONDS)
        return reading

    def wait_for_rows(self, variant: str, most: int, seconds: float = 10.0) -> Reading:
        """The first reading with at most so many rows; fails when none comes in time."""
        return self.wait_for(variant, lambda reading: reading.rows <= most, seconds)
