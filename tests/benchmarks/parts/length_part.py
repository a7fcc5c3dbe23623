"""Short and long sources: our runtime beside its peers."""

import dataclasses

from tokenizers import Tokenizer

from engine.runtime.engine import Engine, Settings
from tests.benchmarks.parts.subject import PartResult, Subject
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.report.plots import spread_plot
from tests.benchmarks.speed.lengths import IN_FLIGHT, LengthSpeeds, texts_of, time_lengths
from tests.benchmarks.speed.workload import descriptions
from tests.benchmarks.systems.ctranslate2_translator import CTranslate2
from tests.benchmarks.systems.in_process import InProcess
from tests.benchmarks.systems.system import THREADS, System
from tests.benchmarks.systems.transformers_model import Transformers

LENGTHS, SHORT_LENGTHS = (8, 32, 128, 256, 512), (8, 512)
MAX_NEW_TOKENS = 32
SWEEP_ROUNDS = 2


def measure_lengths(subject: Subject) -> PartResult:
    """Sources of 8 to 512 tokens, each with at most 32 new ones."""
    short = subject.scale.short
    tokenizer = Tokenizer.from_file(str(subject.checkpoint / "tokenizer.json"))
    words = [word for text in descriptions(1000) for word in text.split()]
    lengths = SHORT_LENGTHS if short else LENGTHS
    number = IN_FLIGHT * (1 if short else 4)
    texts = {
        length: texts_of(length, number, words, lambda text: len(tokenizer.encode(text)))
        for length in lengths
    }
    engine = Engine(subject.variant, Settings(lanes=THREADS))
    engine.start()
    try:
        peer = CTranslate2(
            subject.converted, subject.checkpoint, rounds=1 if short else SWEEP_ROUNDS, short=short
        )
        systems: list[System] = [InProcess(engine), peer, Transformers(subject.checkpoint)]
        with subject.console.status("sources of several lengths"):
            results = time_lengths(systems, texts, subject.scale.rounds, MAX_NEW_TOKENS)
    finally:
        engine.stop()
    figures = {"lengths": [dataclasses.asdict(each) for each in results]}
    plot = spread_plot(
        f"{subject.name}: short and long sources",
        "tokens of the source",
        "texts a second",
        {each.name: each.texts for each in results},
    )
    return PartResult(figures, [_grid(subject.name, results)], plot)


def _grid(checkpoint: str, results: list[LengthSpeeds]) -> Grid:
    ours, peer, *_ = results
    ratios = [f"{ours.texts[each].median / peer.texts[each].median:.2f}" for each in ours.texts]
    return Grid(
        f"{checkpoint}: texts a second by tokens of the source, {IN_FLIGHT} in flight, at most "
        f"{MAX_NEW_TOKENS} new tokens",
        ["tokens of the source", *map(str, ours.texts)],
        [
            *([each.name, *map(str, each.texts.values())] for each in results),
            ["ratio: in process / CTranslate2", *ratios],
        ],
    )
