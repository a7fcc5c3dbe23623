"""How long a GPU takes for a pass: the larger of reading and computing, and what is launched.

The roofline: Williams et al. 2009, doi:10.1145/1498765.1498785.  Collectives are those of a ring
(Patarasuk and Yuan 2009, doi:10.1016/j.jpdc.2008.09.002): of n ranks each sends `2 (n-1)/n` of the
bytes in an all-reduce, `(n-1)/n` of what is joined in an all-gather.
"""

from dataclasses import dataclass
from typing import Protocol

from engine.export.precision.recipes import Precision
from engine.model.config import ModelConfig
from engine.parallel.capacity.accelerators import (
    ASSUMED,
    Accelerator,
    Efficiency,
    Link,
    stored_bytes,
    value_bytes,
)
from engine.parallel.capacity.memory import LARGE, product_weights
from engine.parallel.capacity.passes import Exchange, Pass, decoder_step, encoder_pass
from engine.parallel.layout import Layout


class PassTimes(Protocol):
    """How long a group takes, in seconds."""

    def encoder_seconds(self, texts: float, source: float) -> float:
        """To encode `texts` of `source` tokens together."""
        ...

    def step_seconds(self, rows: float, source: float, position: float) -> float:
        """For a step of so many rows, whose answers have `position` tokens."""
        ...


def exchange_seconds(exchange: Exchange, link: Link, value: int) -> float:
    """The time of collectives whose values have `value` bytes each."""
    ranks = exchange.ranks
    if exchange.kind == "halo":
        return exchange.times * link.latency + exchange.values * value / link.bandwidth
    rounds = 2 if exchange.kind == "all-reduce" else 1
    sent = rounds * (ranks - 1) / ranks * exchange.values * value
    return exchange.times * (link.latency + (ranks - 2) * link.hop) + sent / link.bandwidth


@dataclass(frozen=True)
class RooflineTimes:
    """See `PassTimes`: of a group of GPUs; a rank's values are those of the precision."""

    config: ModelConfig
    precision: Precision
    device: Accelerator
    layout: Layout
    efficiency: Efficiency = ASSUMED

    def encoder_seconds(self, texts: float, source: float) -> float:
        """See `PassTimes`."""
        work = encoder_pass(self.config, texts, source, self.layout)
        return self._seconds(work, self.efficiency.encoder_kernels)

    def step_seconds(self, rows: float, source: float, position: float) -> float:
        """See `PassTimes`."""
        work = decoder_step(self.config, rows, source, position, self.layout)
        return self.efficiency.step + self._seconds(work, self.efficiency.decoder_kernels)

    def _seconds(self, work: Pass, kernels: int) -> float:
        value = value_bytes(self.precision)
        large = product_weights(self.config) >= LARGE
        weights = work.weights * stored_bytes(self.precision, large=large)
        device, reached = self.device, self.efficiency
        peak = device.float_flops if self.precision == "fp32" else device.half_flops
        # Products read weights, and attention reads caches, one behind the other.
        products = max(
            weights / (device.bandwidth * reached.memory),
            (work.flops - work.attention_flops) / (peak * reached.products),
        )
        attention = max(
            work.cached * value / (device.bandwidth * reached.memory),
            work.attention_flops / (peak * reached.products),
        )
        sent = sum(exchange_seconds(one, device.link, value) for one in work.exchanges)
        return products + attention + kernels * work.layers * reached.kernel + sent
