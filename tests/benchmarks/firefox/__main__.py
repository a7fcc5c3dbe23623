"""`make bench-firefox`: a model of Firefox on one core, beside Bergamot and fxtranslate."""

import argparse
import dataclasses
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from rich.console import Console
from sentencepiece import SentencePieceProcessor

from deploy.local.interrupts import exit_on_sigterm
from engine.runtime.engine import Engine, Settings
from tests.benchmarks import SHORT_HELP
from tests.benchmarks.__main__ import DOCUMENT, machine, positive, show
from tests.benchmarks.firefox.bergamot import REQUIREMENT, Bergamot, NoBergamotError, fetch
from tests.benchmarks.firefox.fx_translate import FxTranslate
from tests.benchmarks.firefox.model_files import SHORTLIST, ModelFiles
from tests.benchmarks.parts.subject import PartResult
from tests.benchmarks.report.grid import Grid
from tests.benchmarks.report.publication import with_blocks
from tests.benchmarks.speed.quality import answers_of, share_of_equal
from tests.benchmarks.speed.spread import Spread, spread
from tests.benchmarks.speed.workload import BUILD, ROOT, descriptions
from tests.benchmarks.systems.in_process import InProcess
from tests.benchmarks.systems.system import System, in_turn, tokens_per_second

FIREFOX = ROOT / ".firefox"
PAIR = "en-pt"
BLOCK = f"firefox {PAIR}"
LIMIT = 256
_TEXTS = {1: 64, 64: 256}


def main() -> None:
    """Measures on the first core that this process may use."""
    parser = argparse.ArgumentParser(prog="make bench-firefox", description=__doc__)
    parser.add_argument("--rounds", type=positive, default=5, help="timed rounds (default 5)")
    parser.add_argument("--short", action="store_true", help=SHORT_HELP)
    parser.add_argument("--publish", action="store_true", help="write to docs/benchmarks.md, too")
    arguments = parser.parse_args()
    exit_on_sigterm()
    if arguments.publish:
        with_blocks(DOCUMENT.read_text(encoding="utf-8"), {BLOCK: ""})
    console = Console()
    if not (FIREFOX / PAIR).is_dir():
        console.print("Firefox's models are not there: `make firefox-models` fetches them")
        return
    place = machine(["fxtranslate"], used=1)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # what is started inherits it
    BUILD.mkdir(parents=True, exist_ok=True)
    variants = [
        FIREFOX / "models" / f"{PAIR}_int8",
        BUILD / "models" / f"{PAIR}-shortlist_int8",
    ]
    with systems_of(FIREFOX / PAIR, variants, console) as systems:
        result = measure(systems, 1 if arguments.short else arguments.rounds, arguments.short)
    show(BLOCK, result, f"{place}; {REQUIREMENT}", console, publish=arguments.publish)


@contextmanager
def systems_of(folder: Path, variants: Sequence[Path], console: Console) -> Iterator[list[System]]:
    """Ours with one lane and all peers that run here, each without and with its shortlist."""
    files = ModelFiles.of(folder)
    vocabulary = SentencePieceProcessor(model_file=str(files.vocabulary))

    def count(text: str) -> int:
        return len(vocabulary.encode(text)) + 1  # the end of sequence

    with ExitStack() as stack:
        systems: list[System] = []
        for variant, end in zip(variants, ("", SHORTLIST), strict=True):
            engine = Engine(variant / "1", Settings(lanes=1))
            engine.start()
            stack.callback(engine.stop)
            systems.append(InProcess(engine))
            systems[-1].name += end
        try:
            wheel = fetch(BUILD)
            for shortlist in (False, True):
                peer = Bergamot(files, wheel, count, shortlist=shortlist)
                stack.callback(peer.close)
                systems.append(peer)
        except NoBergamotError as error:
            console.print(str(error))
        systems += [FxTranslate(files, count, shortlist=each) for each in (False, True)]
        yield systems


def measure(systems: list[System], rounds: int, short: bool) -> PartResult:
    """Tokens a second of all systems in turn, and whose answers they give."""
    speeds: dict[str, dict[int, Spread]] = {system.name: {} for system in systems}
    for in_flight, number in _TEXTS.items():
        texts = descriptions(number // 8 if short else number, single=True)
        for system in systems:
            system.prepare(texts[: 2 * in_flight], in_flight, LIMIT)
        values: dict[str, list[float]] = {system.name: [] for system in systems}
        for system in in_turn(systems, rounds):
            values[system.name].append(tokens_per_second(system, texts, in_flight, LIMIT))
        for name, found in values.items():
            speeds[name][in_flight] = spread(found)
    texts = descriptions(32 if short else 256, single=True)
    answers = {system.name: answers_of(system, texts, 64, LIMIT) for system in systems}
    ours = systems[0].name
    same = {name: share_of_equal(answers[ours], found) for name, found in answers.items()}
    figures = {
        name: {count: dataclasses.asdict(each) for count, each in found.items()}
        for name, found in speeds.items()
    }
    return PartResult({"speeds": figures, "same": same}, [_grid(ours, speeds, same)])


def _grid(ours: str, speeds: dict[str, dict[int, Spread]], same: dict[str, float]) -> Grid:
    rows = [
        [name, *(str(found[count]) for count in _TEXTS), f"{same[name]:.0%}"]
        for name, found in speeds.items()
    ]
    for name, found in speeds.items():
        like = ours + (SHORTLIST if name.endswith(SHORTLIST) else "")
        if name != like:
            ratios = [speeds[like][count].median / found[count].median for count in _TEXTS]
            rows.append([f"ours likewise / {name}", *(f"{ratio:.2f}" for ratio in ratios), ""])
    return Grid(
        f"{PAIR}: tokens a second on one core by sentences in flight (median, and half the distance"
        " of the extremes in percent), and how many answers are ours",
        ["in flight", *map(str, _TEXTS), "same text"],
        rows,
    )


if __name__ == "__main__":
    main()
