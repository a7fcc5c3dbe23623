"""Which layout is best, and why, in a sentence."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.parallel.capacity.layouts import LayoutForecast
from engine.parallel.capacity.numerals import digits

ROOM = 0.8
"""Of its most texts a second that a layout may be asked for, so that queues stay short."""

ALIKE = 1.1
"""Latencies that differ by less are the same: then fewer ranks a group win."""


@dataclass(frozen=True)
class Choice:
    """The best forecast, and why."""

    forecast: LayoutForecast
    reason: str


def best(forecasts: Sequence[LayoutForecast], rate: float) -> Choice:
    """For so many texts a second the one of the least latency, for 0 of the most texts a second."""
    fastest = max(forecasts, key=lambda one: one.texts_per_second)
    if not rate:
        return Choice(
            fastest, f"{_texts(fastest)} is the most of all layouts{_quickest(forecasts)}."
        )
    enough = [
        one
        for one in forecasts
        if rate <= ROOM * one.texts_per_second and math.isfinite(one.loaded_latency)
    ]
    if not enough:
        share = rate / fastest.texts_per_second
        return Choice(
            fastest,
            f"no layout carries {digits(rate)} texts/s with a fifth to spare: {_texts(fastest)} "
            f"is the most, and {math.ceil(share / ROOM)} times as many devices would do.",
        )
    least = min(one.loaded_latency for one in enough)
    alike = [one for one in enough if one.loaded_latency <= ALIKE * least]
    chosen = min(alike, key=lambda one: (one.layout.group, -one.texts_per_second))
    return Choice(
        chosen,
        f"of the {len(enough)} layouts that carry {digits(rate)} texts/s with a fifth to spare it "
        f"has the least latency, {1000 * chosen.loaded_latency:,.3g} ms a text, with the fewest "
        f"ranks a group; it is busy to {rate / chosen.texts_per_second:.0%}.",
    )


def _texts(one: LayoutForecast) -> str:
    return f"{digits(one.texts_per_second)} texts/s with {one.layout}"


def _quickest(forecasts: Sequence[LayoutForecast]) -> str:
    """The layout in which a text alone is answered soonest, if that is another one."""
    quickest = min(forecasts, key=lambda one: one.latency)
    if quickest.latency * ALIKE > forecasts[0].latency:
        return ""
    return f"; {quickest.layout} answers a text alone soonest, in {1000 * quickest.latency:,.3g} ms"
