"""The share of the processor's peak that a decoder step reaches."""

import dataclasses

from tokenizers import Tokenizer

from tests.benchmarks.parts.subject import PartResult, Subject
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.report.plots import roof_plot
from tests.benchmarks.roofline.decoder_step import seconds_of_step, step_cost
from tests.benchmarks.roofline.probe import Probe, ProbeError
from tests.benchmarks.roofline.roof import Peaks, StepRoof, step_roof
from tests.benchmarks.speed.workload import repeated, sentences
from tests.benchmarks.systems.system import THREADS

ROWS = (1, 8, 32, 64)
MEMORY_BYTES, SHORT_MEMORY_BYTES = 1 << 29, 1 << 27  # far more than a cache holds for one of us


def measure_roofline(subject: Subject) -> PartResult:
    """Peaks, then steps of one lane at 1, 8, 32 and 64 rows; or why there are none."""
    try:
        probe = Probe()
    except ProbeError as error:
        reason = Grid("no roofline", ["reason"], [[str(error)]])
        return PartResult({"failed": str(error)}, [reason])
    products = step_cost(subject.variant).products
    tokenizer = Tokenizer.from_file(str(subject.checkpoint / "tokenizer.json"))
    texts = repeated([pair.source for pair in sentences()], max(ROWS))
    sources = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    repetitions = 5 if subject.scale.short else 15
    with subject.console.status("roofline"):
        peaks = _peaks(probe, products, short=subject.scale.short)
        roofs = [
            step_roof(
                *(rows, seconds_of_step(subject.variant, sources[:rows], repetitions)),
                *(products, peaks),
            )
            for rows in ROWS
        ]
    figures = {
        "peaks": dataclasses.asdict(peaks),
        "products": products,
        "steps": [dataclasses.asdict(roof) for roof in roofs],
    }
    grids = [_peak_grid(subject.name, peaks, products), _grid(subject.name, roofs, products)]
    return PartResult(figures, grids, roof_plot(subject.name, roofs))


def _peaks(probe: Probe, products: int, *, short: bool) -> Peaks:
    memory = SHORT_MEMORY_BYTES if short else MEMORY_BYTES
    return Peaks(
        isa=probe.isa,
        cores=THREADS,
        products=probe.int8_products(1),
        products_of_all=probe.int8_products(THREADS),
        weights=probe.bytes_read(products, 1),
        memory=probe.bytes_read(memory, 1),
        memory_of_all=probe.bytes_read(memory, THREADS),
    )


def _peak_grid(checkpoint: str, peaks: Peaks, products: int) -> Grid:
    return Grid(
        f"{checkpoint}: what the processor does at most ({peaks.isa})",
        ["peak", "one core", f"{peaks.cores} cores"],
        [
            ["INT8 products, G/s", _giga(peaks.products), _giga(peaks.products_of_all)],
            [f"reading the decoder's {products / 1e6:.1f} MB, GB/s", _giga(peaks.weights), "–"],
            ["reading main memory, GB/s", _giga(peaks.memory), _giga(peaks.memory_of_all)],
        ],
    )


def _grid(checkpoint: str, roofs: list[StepRoof], products: int) -> Grid:
    return Grid(
        f"{checkpoint}: a decoder step of one lane, and the share of the roof that it reaches",
        ["rows", *(str(roof.rows) for roof in roofs)],
        [
            ["milliseconds", *(f"{1000 * roof.seconds:.2f}" for roof in roofs)],
            [
                "INT8 products, G/s",
                *(f"{roof.rows * products / roof.seconds / 1e9:.0f}" for roof in roofs),
            ],
            ["bound by", *(roof.bound for roof in roofs)],
            ["share of the roof", *(f"{roof.share:.0%}" for roof in roofs)],
        ],
    )


def _giga(rate: float) -> str:
    return f"{rate / 1e9:,.1f}"
