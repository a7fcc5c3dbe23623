"""The tables of the closed loop."""

from collections.abc import Mapping, Sequence

from tests.benchmarks.report.grid import Grid
from tests.benchmarks.speed.closed_loop import Speeds
from tests.benchmarks.speed.spread import Spread
from tests.benchmarks.systems.system import with_beams

NONE = "–"
OURS, PEER = "Seqway in process", "CTranslate2"


def speed_grid(checkpoint: str, results: Sequence[Speeds], limit: int) -> Grid:
    """Speeds with what the answers are worth, and the ratios that the project aims at."""
    counts = sorted({count for each in results for count in each.tokens})
    rows = [
        [
            each.name,
            *(_cell(each.tokens.get(count)) for count in counts),
            NONE if each.quality.bleu is None else f"{each.quality.bleu:.1f}",
            NONE if each.quality.as_fp32 is None else f"{each.quality.as_fp32:.0%}",
            f"{each.quality.as_alone:.0%}",
        ]
        for each in results
    ]
    for name, upper, lower in _ratios(results):
        values = [_ratio(upper.tokens.get(count), lower.tokens.get(count)) for count in counts]
        rows.append([name, *values, "", "", ""])
    return Grid(
        f"{checkpoint}: tokens a second by texts in flight, at most {limit} new tokens "
        "(median, and half the distance of the extremes in percent)",
        ["in flight", *map(str, counts), "BLEU", "as FP32", "as alone"],
        rows,
    )


def setting_grid(checkpoint: str, results: Sequence[Speeds]) -> Grid:
    """The settings that the sweeps chose."""
    chosen = [each for each in results if each.settings]
    counts = sorted({count for each in chosen for count in each.settings})
    return Grid(
        f"{checkpoint}: the fastest of the sweep, as workers x threads, parts and batches",
        ["in flight", *(each.name for each in chosen)],
        [[str(count), *(each.settings.get(count, NONE) for each in chosen)] for count in counts],
    )


def host_grid(checkpoint: str, results: Mapping[str, Mapping[int, float]]) -> Grid:
    """Python's share of our runtime."""
    counts = sorted({count for each in results.values() for count in each})
    return Grid(
        f"{checkpoint}: microseconds of processor time in Python, a call of the session",
        ["in flight", *map(str, counts)],
        [
            [name, *(f"{each[count]:,.0f}" if count in each else NONE for count in counts)]
            for name, each in results.items()
        ],
    )


def failure_grid(checkpoint: str, failures: Mapping[str, str]) -> Grid:
    """What did not run on this machine, and why."""
    return Grid(
        f"{checkpoint}: not measured",
        ["system", "reason"],
        [[name, reason] for name, reason in failures.items()],
    )


def _ratios(results: Sequence[Speeds]) -> list[tuple[str, Speeds, Speeds]]:
    named = {each.name: each for each in results}
    pairs = [
        (with_beams(f"ratio: in process / {PEER}", ours.beams), ours, peer)
        for ours in results
        for peer in results
        if ours.name == with_beams(OURS, ours.beams)
        and peer.name.startswith(PEER)
        and peer.beams == ours.beams
    ]
    return [
        *pairs,
        ("ratio: two lanes / one", named[OURS], named[f"{OURS}, one lane"]),
        ("ratio: gateway / in process", named["Seqway gateway"], named[OURS]),
    ]


def _cell(speeds: Spread | None) -> str:
    return NONE if speeds is None else str(speeds)


def _ratio(upper: Spread | None, lower: Spread | None) -> str:
    return NONE if upper is None or lower is None else f"{upper.median / lower.median:.2f}"
