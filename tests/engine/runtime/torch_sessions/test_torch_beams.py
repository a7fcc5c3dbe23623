"""What PyTorch makes of the beams of a step, as `join_beams` does, and of its best tokens."""

from typing import Any

import numpy as np
import pytest
import torch

from engine.runtime.decoding.selection import top
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.selection.choices import FEW, JOINED_WIDTHS, LaneChoices
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.state import ExpectedBeams, LaneState
from tests.engine.native.models import KINDS, write_variant
from tests.engine.native.test_beams import CAPACITY, assert_same, expected, fill


class Joined:
    """The torch session's join over candidates and scores that a test makes up."""

    def __init__(self, session: TorchSession, suppressed: int) -> None:
        self.slots = session.slots(CAPACITY)
        state: LaneState = session._used.state
        state.suppressed = torch.zeros(CAPACITY, suppressed)
        self.state, self.device = state, session._device
        self.choices = LaneChoices(state, CAPACITY, session.manifest.eos_id, session._device)

    def join(self, beams: Any, suppressed: Any, renormalizes: bool) -> Any:
        """Also of more texts than there are, as a graph of a fixed size does."""
        slots, few = self.slots, self.choices._few
        texts, width = beams.shape
        with self.device.use():
            few["ids"].copy_(torch.from_numpy(slots.candidate_ids[:, :FEW]))
            few["logits"].copy_(torch.from_numpy(slots.candidate_logits[:, :FEW]))
            few["totals"][:, 0] = few["logits"][:, 0] - torch.from_numpy(slots.log_probs)
            if suppressed is not None:
                few["suppressed"].copy_(torch.from_numpy(suppressed))
            self.state.upload(slots, 1, ExpectedBeams(beams, renormalizes))
            self.choices.join(width, CAPACITY // width)
            told = self.choices._told[0]
            told.download(CAPACITY)
        logits, totals = told["logits"][:, 0], told["totals"][:, 0]
        slots.log_probs[:] = logits - totals
        return self.choices.next_beams(texts, width)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> TorchSession:
    variant = write_variant(tmp_path_factory.mktemp("beams") / "fp32", KINDS["marian"], "fp32")
    return TorchSession(variant.folder, variant.manifest, CAPACITY, None)


@pytest.mark.parametrize("renormalizes", [False, True])
@pytest.mark.parametrize("count", [0, 3])
@pytest.mark.parametrize("width", JOINED_WIDTHS)
def test_beams_go_on_as_on_the_host(
    session: TorchSession, width: int, count: int, renormalizes: bool
) -> None:
    random, joined = np.random.default_rng(width), Joined(session, count)
    slots: Slots = joined.slots
    ended = copied = over = 0
    for vocabulary in [width, 2 * width - 1, *[128] * 12]:
        fill(slots, random, width, vocabulary)
        texts = int(random.integers(1, CAPACITY // width + 1))
        beams = random.permutation(CAPACITY)[: texts * width].reshape(-1, width)
        slots.scores[beams] = -np.sort(-slots.scores[beams], axis=1)
        shape = CAPACITY, count
        suppressed = random.normal(-3, 1, shape).astype(np.float32) if count else None
        made = joined.join(beams, suppressed, renormalizes)
        outputs = {} if suppressed is None else {"suppressed_logits": suppressed}
        wanted = expected(slots, beams, outputs, renormalizes)
        assert_same(made, wanted, exactly=not count)
        ended, copied = ended + len(made.ended), copied + made.sources.size
        over += int(made.is_over.sum())
    assert ended and copied and over


@pytest.mark.parametrize("count", [1, 16, 40])
def test_best_tokens_are_in_order_and_equal_ones_by_id(count: int) -> None:
    random = np.random.default_rng(count)
    logits = (random.integers(-9, 9, (8, 40)) / 4).astype(np.float32)
    logits[1, ::3], logits[2] = -np.inf, 0.0
    logits[2, ::2] = -0.0
    logits[3, 7] = np.nan
    logits[4] = -np.inf
    ids, values, totals = kernels.select(torch.from_numpy(logits), count)
    for row in (0, 1, 2, 4, 5, 6, 7):
        best = top(logits[row], count)
        np.testing.assert_array_equal(ids[row], best)
        np.testing.assert_array_equal(values[row], logits[row, best])
        exact = np.logaddexp.reduce(logits[row].astype(np.float64))
        np.testing.assert_allclose(totals[row], exact, rtol=1e-6, atol=1e-6)
    assert totals[3].isnan() and 0 <= ids[3].min() <= ids[3].max() < 40
