"""The report as one page: a table, plots, the layers kept high, and answers side by side."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from engine.export.precision.recipes import MAX_ERROR
from engine.export.report.quality import FIGURES, PRIMARY
from engine.export.report.variants import VariantReport
from engine.runtime.sessions.tensorrt.plan import PlanManifest

COLOURS = {"fp32": "#64748b", "fp16": "#0284c7", "bf16": "#7c3aed", "int8": "#ea580c"}
REFERENCE = "fp32"
SAMPLES = 6
MOST_PRODUCTS = 48


@dataclass(frozen=True)
class Setting:
    """What the figures were measured with, and whose answers are compared."""

    model: str
    machine: str
    date: str
    command: str
    versions: str
    oracle: str


def write_page(
    reports: Sequence[VariantReport],
    sources: Sequence[str],
    references: Sequence[str],
    setting: Setting,
    path: Path,
) -> None:
    """Writes the page to `path`; `sources` and `references` are the test set."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("engine.export.report", "."), autoescape=True
    )
    page = environment.get_template("page.html").render(
        setting=setting,
        texts=reports[0].texts,
        headings=_headings(reports, setting.oracle),
        rows=[_row(report, reports) for report in reports],
        overview=_svg(_overview(reports)),
        errors=_errors(reports),
        kept=[(report.manifest.name, *one) for report in reports for one in report.kept],
        plans=[_plan(report.manifest.name, *one) for report in reports for one in report.plans],
        reliability=_reliability(reports),
        samples=_samples(reports, sources, references),
        names=[report.manifest.name for report in reports],
        limit=f"{MAX_ERROR:.0%}",
        emulated=any(report.manifest.precision in ("fp16", "bf16") for report in reports),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _headings(reports: Sequence[VariantReport], oracle: str) -> list[str]:
    task = reports[0].manifest.task
    return [
        "variant",
        *FIGURES[task].values(),
        f"{FIGURES[task][PRIMARY[task]]} against fp32",
        f"{FIGURES[task][PRIMARY[task]]} at export",
        "files, MB",
        "memory, MB",
        "latency p50, ms",
        "latency p95, ms",
        "texts / s",
        "speed-up",
        f"equal to {oracle}",
        "changed by batching",
        "kept high",
    ]


def _row(report: VariantReport, reports: Sequence[VariantReport]) -> list[str]:
    task = report.manifest.task
    reference = _reference(reports)
    figure = PRIMARY[task]
    loss = speed_up = "–"
    if reference and report is not reference:
        loss = f"{report.quality[figure] - reference.quality[figure]:+.2f}"
        speed_up = f"{report.speed.texts_per_second / reference.speed.texts_per_second:.2f} ×"
    return [
        report.manifest.name,
        *(f"{report.quality[key]:.2f}" for key in FIGURES[task]),
        loss,
        _measured(report, figure),
        f"{report.megabytes:.1f}",
        f"{report.speed.megabytes:.0f}",
        f"{report.speed.p50_ms:.1f}",
        f"{report.speed.p95_ms:.1f}",
        f"{report.speed.texts_per_second:.1f}",
        speed_up,
        f"{report.equal} of {report.compared}",
        f"{report.changed_by_batching} of {report.texts}",
        str(len(report.kept)),
    ]


def _plan(variant: str, plan: PlanManifest, megabytes: float) -> list[str]:
    products = [
        f"{Path(name).stem}: {', '.join(f'{count} {kind}' for kind, count in counts.items())}"
        for name, counts in plan.matmuls.items()
    ]
    built = f"{plan.flavour} {plan.version}"
    return [variant, plan.compute_capability, built, f"{megabytes:.1f}", "; ".join(products)]


def _measured(report: VariantReport, figure: str) -> str:
    quality = report.manifest.quality
    return f"{quality[figure]:.2f}" if figure in quality else "–"


def _reference(reports: Sequence[VariantReport]) -> VariantReport | None:
    return next((one for one in reports if one.manifest.precision == REFERENCE), None)


def _overview(reports: Sequence[VariantReport]) -> Figure:
    """Quality, throughput, latency, and what is kept on disk and in memory."""
    figure = Figure(figsize=(11, 6.2), layout="constrained")
    quality, rate, latency, space = figure.subplots(2, 2).ravel()
    task = reports[0].manifest.task
    key = PRIMARY[task]
    bottom = max(0, int(min(one.quality[key] for one in reports)) - 2)
    title = FIGURES[task][key] + (f" (the axis begins at {bottom})" if bottom else "")
    _bars(quality, title, reports, [one.quality[key] for one in reports], "{:.2f}")
    quality.set_ylim(bottom=bottom)
    rates = [one.speed.texts_per_second for one in reports]
    _bars(rate, "texts a second, 64 in flight", reports, rates, "{:.0f}")
    halves = [one.speed.p50_ms for one in reports]
    _bars(latency, "ms for one text alone, p50 (line: p95)", reports, halves, "{:.1f}")
    for place, one in enumerate(reports):
        latency.plot([place, place], [one.speed.p50_ms, one.speed.p95_ms], color="#0f172a")
    sizes = [one.megabytes for one in reports]
    _bars(space, "MB of files (outline: memory)", reports, sizes, "{:.0f}")
    for place, one in enumerate(reports):
        space.bar(place, one.speed.megabytes, 0.72, fill=False, edgecolor="#0f172a")
    return figure


def _bars(
    axes: Axes, title: str, reports: Sequence[VariantReport], values: Sequence[float], form: str
) -> None:
    colours = [COLOURS[one.manifest.precision] for one in reports]
    bars = axes.bar(range(len(values)), values, 0.6, color=colours)
    axes.bar_label(bars, [form.format(value) for value in values], label_type="center", color="w")
    axes.set_xticks(range(len(reports)), [one.manifest.precision for one in reports])
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)


def _errors(reports: Sequence[VariantReport]) -> Markup | None:
    """The INT8 error of the products that suffer most."""
    errors: dict[str, float] = {}
    for report in reports:
        for graph, recipe in report.recipes.items():
            stem = Path(graph).stem
            errors |= {f"{stem}: {name}": error for name, error in recipe["errors"].items()}
    if not errors:
        return None
    worst = sorted(errors.items(), key=lambda item: -item[1])[:MOST_PRODUCTS]
    figure = Figure(figsize=(11, 1 + 0.19 * len(worst)), layout="constrained")
    axes = figure.subplots()
    names, values = zip(*reversed(worst), strict=True)
    colours = ["#b91c1c" if value > MAX_ERROR else COLOURS["int8"] for value in values]
    axes.barh(range(len(names)), [100 * value for value in values], color=colours)
    axes.set_yticks(range(len(names)), names, fontsize=7)
    axes.margins(y=0.01)
    axes.set_xlabel("relative error of the product's result, %")
    axes.spines[["top", "right"]].set_visible(False)
    return _svg(figure)


def _reliability(reports: Sequence[VariantReport]) -> dict[str, Any] | None:
    """Mean chrF over mean estimate, and what damaged answers are taken for."""
    found = [(one.manifest, one.reliability) for one in reports if one.reliability]
    if not found:
        return None
    figure = Figure(figsize=(5.5, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#94a3b8", linewidth=1)
    for manifest, one in found:
        places = [part.estimate for part in one.bins], [part.chrf for part in one.bins]
        axes.plot(*places, "o-", color=COLOURS[manifest.precision], label=manifest.precision)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.set(xlabel="estimated quality, mean of a tenth", ylabel="sentence chrF, mean")
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    names = [check.damage for check in found[0][1].damages]
    rows = [
        [manifest.name, str(one.held_out), f"{one.spearman:.3f}", f"{one.error:.3f}"]
        + [f"{check.lower} of {check.cases}" for check in one.damages]
        for manifest, one in found
    ]
    bins = [(manifest.name, one.bins) for manifest, one in found]
    return {"names": names, "rows": rows, "bins": bins, "plot": _svg(figure)}


def _samples(
    reports: Sequence[VariantReport], sources: Sequence[str], references: Sequence[str]
) -> list[dict[str, Any]]:
    """Texts whose answers differ between variants first, then others."""
    answers = [report.answers for report in reports]
    order = sorted(range(len(sources)), key=lambda i: len({column[i] for column in answers}) < 2)
    first = answers[0]
    return [
        {
            "source": sources[index],
            "reference": references[index],
            "answers": [(column[index], column[index] != first[index]) for column in answers],
        }
        for index in order[:SAMPLES]
    ]


def _svg(figure: Figure) -> Markup:
    content = io.StringIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    text = content.getvalue()
    return Markup(text[text.index("<svg") :])
