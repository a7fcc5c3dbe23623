"""A page of what the check found: `python -m tests.gpu.report build/gpu/out docs/gpu`.

It writes `measured.md` with its plots, and beside them the JSON and the list of kernels.
"""

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.report.grid import Grid
from tests.benchmarks.report.publication import save_plot
from tests.gpu.check import RESULT_FILE
from tests.gpu.plots import speed_plot, step_plot
from tests.gpu.schedule import KERNELS_FILE
from tests.gpu.verdict import PEERS

PAGE = "measured.md"
Result = Mapping[str, Any]


def write_report(out: Path, folder: Path) -> None:
    """Makes the page of what lies in `out`."""
    result = json.loads((out / RESULT_FILE).read_text(encoding="utf-8"))
    folder.mkdir(parents=True, exist_ok=True)
    for name in (RESULT_FILE, KERNELS_FILE):
        if (out / name).exists():
            shutil.copy(out / name, folder)
    parts = [_head(result), _gates(result)]
    for shape, steps in _steps(result).items():
        save_plot(step_plot(shape, steps), folder / f"steps-{shape}.svg")
        parts += [_step_grid(shape, steps).as_markdown(), f"![A step](steps-{shape}.svg)"]
    systems = _systems(result)
    if systems:
        save_plot(speed_plot(systems), folder / "tokens.svg")
        parts += [_speed_grid(systems).as_markdown(), "![Tokens a second](tokens.svg)"]
    if "bart_large" in result:
        parts.append(_bart_grid(result["bart_large"]).as_markdown())
    (folder / PAGE).write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _head(result: Result) -> str:
    found = result.get("environment", {})
    packages = found.get("packages", {})
    versions = ", ".join(f"{name} {version}" for name, version in packages.items() if version)
    where = found.get("card", "a processor, which is no measurement of a GPU")
    lines = [
        "# What the check found",
        f"{found.get('date', 'No date')} on {where}; {versions}. [All of it]({RESULT_FILE}).",
    ]
    if "copy_bytes_per_second" in found:
        copied, made = found["copy_bytes_per_second"] / 1e12, found["product_flops"] / 1e12
        lines.append(f"A copy reaches {copied:.2f} TB/s, a product {made:.0f} TFLOP/s.")
    return "\n\n".join(lines)


def _gates(result: Result) -> str:
    gates = [gate for part in _parts(result).values() for gate in part.get("gates", {}).values()]
    passed = sum(gate["passed"] for gate in gates)
    lines = [f"{passed} of {len(gates)} gates are passed."]
    lines += [f"- {failure}" for failure in result.get("failures", [])]
    return "\n".join(lines)


def _parts(result: Result) -> dict[str, dict[str, Any]]:
    return {name: part for name, part in result.items() if isinstance(part, dict)}


def _counted(part: Mapping[str, Any]) -> dict[int, dict[str, Any]]:
    """What a part says of so many rows, texts or the like."""
    return {int(name): one for name, one in part.items() if name.isdecimal()}


def _steps(result: Result) -> dict[str, dict[int, dict[str, Any]]]:
    shapes = {
        name: _counted(one)
        for name, one in result.get("speed", {}).items()
        if isinstance(one, dict)
    }
    return {name: steps for name, steps in shapes.items() if steps}


def _systems(result: Result) -> dict[str, dict[int, float]]:
    """Tokens a second by texts: an engine's by how it decodes, and those of peers."""
    engine = result.get("saturation", {})
    parts = {f"Seqway, {name}": one for name, one in engine.items() if isinstance(one, dict)}
    parts |= {name: result[name] for name in PEERS if name in result}
    speeds = {
        name: {count: one["tokens_per_second"] for count, one in _counted(part).items()}
        for name, part in parts.items()
    }
    return {name: dict(sorted(found.items())) for name, found in speeds.items() if found}


def _step_grid(shape: str, steps: Mapping[int, Mapping[str, Any]]) -> Grid:
    every = list(steps.values())
    names = {"step": "step_us", "on the device": "device_us", "host": "host_us"}
    names |= {"floor": "floor_us", "tokens a second": "tokens_per_second"}
    rows = [[name, *(f"{one[field]:,.0f}" for one in every)] for name, field in names.items()]
    rows.append(["share of the floor", *(f"{one['share_of_floor']:.1%}" for one in every)])
    if any("share_of_target" in one for one in every):
        rows.append(["share of the target", *map(_target, every)])
    return Grid(
        f"{shape}: microseconds of a decoder step, by rows (medians)",
        ["rows", *map(str, steps)],
        rows,
    )


def _target(step: Mapping[str, Any]) -> str:
    shares: Sequence[float] = step.get("share_of_target", ())
    return " to ".join(f"{share:.0%}" for share in shares)


def _speed_grid(systems: Mapping[str, Mapping[int, float]]) -> Grid:
    counts = sorted({count for speeds in systems.values() for count in speeds})
    return Grid(
        "Tokens a second by texts, in flight or in a batch",
        ["texts", *map(str, counts)],
        [
            [name, *(f"{speeds[count]:,.0f}" if count in speeds else "–" for count in counts)]
            for name, speeds in systems.items()
        ],
    )


def _bart_grid(part: Mapping[str, Any]) -> Grid:
    batches = _counted(part)

    def lines() -> Iterator[list[str]]:
        yield ["Seqway", *(f"{one['tokens_per_second']:,.0f}" for one in batches.values())]
        names = {name for one in batches.values() for name in one if name.startswith("TensorRT")}
        for name in sorted(names):
            yield [f"{name}, published", *(f"{one[name]:,.0f}" for one in batches.values())]

    title = "BART-large's load: tokens a second by batch, BF16, greedy, 128 tokens out"
    return Grid(title, ["batch", *map(str, batches)], list(lines()))


def main() -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="what the check wrote")
    parser.add_argument("folder", type=Path)
    asked = parser.parse_args()
    write_report(asked.out, asked.folder)


if __name__ == "__main__":
    main()
