"""Callers that wait for their answers: runtime, service and peers by texts in flight."""

import dataclasses
from contextlib import ExitStack

import torch

from deploy.local.assembly import running_stack
from deploy.local.settings import StackSettings
from engine.runtime.engine import Engine, Settings
from tests.benchmarks.parts.subject import PartResult, Subject
from tests.benchmarks.report.closed_loop_tables import (
    failure_grid,
    host_grid,
    setting_grid,
    speed_grid,
)
from tests.benchmarks.report.plots import spread_plot
from tests.benchmarks.speed.closed_loop import ClosedLoop, time_systems
from tests.benchmarks.speed.workload import sentences
from tests.benchmarks.systems.ctranslate2_translator import CTranslate2
from tests.benchmarks.systems.gateway import Gateway
from tests.benchmarks.systems.in_process import InProcess
from tests.benchmarks.systems.system import THREADS, System
from tests.benchmarks.systems.transformers_model import CompiledTransformers, Transformers

BEAMS = 4
SWEEP_ROUNDS = 2


def measure_closed_loop(subject: Subject) -> PartResult:
    """All systems, greedy and with beams."""
    loop = closed_loop_of(subject)
    with ExitStack() as stack:
        settings = StackSettings(model_repository=subject.repository)
        started = stack.enter_context(running_stack(settings))
        engines = [Engine(subject.variant, Settings(lanes=lanes)) for lanes in (THREADS, 1)]
        for engine in engines:
            engine.start()
            stack.callback(engine.stop)
        ours = [InProcess(engines[0]), InProcess(engines[1]), InProcess(engines[0], BEAMS)]
        address = started.gateway_address
        oracle = Transformers(subject.checkpoint)
        more, failures = more_transformers(subject)
        systems: list[System] = [
            *ours,
            *(Gateway(address, subject.model, stream=stream) for stream in (False, True)),
            *(_ctranslate2(subject, beams) for beams in (1, BEAMS)),
            oracle,
            *more,
        ]
        results = time_systems(systems, oracle, sentences(), loop, subject.console)
        host = {each.name: each.host_microseconds(loop.in_flight) for each in ours}
    return PartResult(
        {
            "speeds": [dataclasses.asdict(each) for each in results],
            "host": host,
            "failures": failures,
        },
        [
            speed_grid(subject.name, results, loop.max_new_tokens),
            setting_grid(subject.name, results),
            host_grid(subject.name, host),
            *([failure_grid(subject.name, failures)] if failures else []),
        ],
        spread_plot(
            f"{subject.name}: callers that wait for their answers",
            "texts in flight",
            "tokens a second",
            {each.name: each.tokens for each in results if each.beams == 1},
        ),
    )


def more_transformers(subject: Subject) -> tuple[list[System], dict[str, str]]:
    """BF16 and compiled, in the long form; and why one of them does not run here, by name."""
    if subject.scale.short:
        return [], {}
    systems: list[System] = [Transformers(subject.checkpoint, torch.bfloat16)]
    compiled, failures = CompiledTransformers(subject.checkpoint), {}
    try:
        compiled.run([sentences()[0].source], 1, 4)
    except Exception as error:  # torch.compile needs a C++ compiler, and fails in many ways
        failures[compiled.name] = f"{type(error).__name__}: {error}".splitlines()[0]
    else:
        systems.append(compiled)
    return systems, failures


def _ctranslate2(subject: Subject, beams: int) -> CTranslate2:
    return CTranslate2(
        *(subject.converted, subject.checkpoint, beams),
        rounds=1 if subject.scale.short else SWEEP_ROUNDS,
        short=subject.scale.short,
    )


def closed_loop_of(subject: Subject) -> ClosedLoop:
    """How much is timed; the random checkpoint never ends an answer by itself."""
    short, is_trained = subject.scale.short, subject.is_trained
    return ClosedLoop(
        rounds=subject.scale.rounds,
        in_flight=subject.scale.in_flight or ((1, 8) if short else (1, 8, 32, 64, 256)),
        texts_each=1 if short else 4,
        max_new_tokens=32,
        judged=(16 if is_trained else 4) if short else (121 if is_trained else 48),
        judged_tokens=128 if is_trained else 32,
        is_trained=is_trained,
    )
