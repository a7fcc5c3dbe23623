"""Two groups of two real ranks, which share each model over gloo, behind one front."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.parallel.groups import process, rank
from engine.runtime.engine import Engine
from tests.engine.caller import Caller, ends_of
from tests.engine.parallel.groups.crew import BOUNDS, SETTINGS, Crew, answers, open_crew
from tests.engine.parallel.groups.test_grouped_engine import texts

OPTIONS = [
    {"stream": True, "token_ids": True},
    {"stream": False, "num_beams": 3, "token_ids": True},
    {"stream": False, "sample": True, "seed": 7},
]


@pytest.fixture(scope="module")
def together(served: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crew]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(process, "MODULE", rank.__name__)  # ranks that obey no test
        bounds = replace(BOUNDS, silence=20.0, round=30.0)  # four processes import PyTorch
        crew = open_crew(served, tmp_path_factory.mktemp("none"), "tp=2,dp=2", bounds)
        yield crew
        crew.engine.stop()


def test_they_answer_as_one_engine_also_when_one_dies(served: Path, together: Crew) -> None:
    single = Engine(served, SETTINGS)
    single.start()
    wanted = [answers(Caller(single).send(texts(8), **each).finish()) for each in OPTIONS]
    single.stop()
    made = [answers(together.send(texts(8), **each).finish()) for each in OPTIONS]
    assert made == wanted
    restarts = together.engine.restarts
    callers = [together.send(texts(8), f"call {place}", **OPTIONS[0]) for place in range(3)]
    callers[0].next()
    together.hurt(0, rank=1)
    for caller in callers:
        assert answers(caller.finish()) == wanted[0]
    together.wait_for_restarts(restarts + 1)
    assert len(ends_of(together.send(texts(3), "later").finish())) == 3
