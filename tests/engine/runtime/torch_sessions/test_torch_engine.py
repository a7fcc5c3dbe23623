"""An engine with the torch session, beside `transformers` and the session of other processors."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from engine.contract.options import Options
from engine.runtime.batch import run_texts
from engine.runtime.engine import Engine, Settings
from engine.runtime.sessions.placement import SESSION_VARIABLE
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.runtime.conftest import Served
from tests.engine.runtime.test_parity import TEXTS, Pair


@pytest.fixture(scope="module")
def torch_pair(trained: Served) -> Iterator[Pair]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SESSION_VARIABLE, "torch")
        pair = Pair(trained)
    assert type(pair.engine.lanes[0]._session) is TorchSession
    pair.engine.start()
    yield pair
    pair.engine.stop()
    torch.set_num_threads(threads)


@pytest.mark.parametrize(
    "options",
    [
        {"num_beams": 1},
        {"num_beams": 4},
        {"num_beams": 4, "num_hypotheses": 3, "length_penalty": 0.6, "no_repeat_ngram_size": 2},
        {"num_beams": 1, "repetition_penalty": 1.3, "min_new_tokens": 5},
    ],
)
def test_answers_are_those_of_transformers(torch_pair: Pair, options: dict[str, Any]) -> None:
    torch_pair.check({"max_new_tokens": 24, **options})


def test_alignment_and_samples_are_those_of_the_other_session(
    torch_pair: Pair, trained: Served
) -> None:
    other = Engine(trained.folder, Settings(1))
    other.start()
    asked = Options(
        **{"sample": True, "seed": 4, "alignment": True, "max_new_tokens": 20},
        **{"stream": False, "token_ids": True},
    )
    found = [
        [(one.end.token_ids, [link[:4] for link in one.end.alignment]) for one in answers]
        for answers in (run_texts(engine, TEXTS, asked) for engine in (torch_pair.engine, other))
    ]
    other.stop()
    assert found[0] == found[1]
