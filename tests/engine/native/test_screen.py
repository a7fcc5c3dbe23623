"""Heads that are screened: the best token for certain, and nearly its log-probability."""

from pathlib import Path

import numpy as np
import pytest

from engine.export.native.screen import Screen, make_screen
from engine.native.library import NativeError
from engine.native.model import ISA_VARIABLE
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.slots import Slots
from tests.engine.native.answers import check_same, decode, random_sources
from tests.engine.native.damage import change_model
from tests.engine.native.models import SCREENED, RandomVariant, write_variant

LENGTHS = (5, 1, 40, 16, 17, 9)
LIMITS = [30] * len(LENGTHS)

Variants = tuple[RandomVariant, RandomVariant]


# ---- the estimate


@pytest.fixture(scope="module", params=[0, 24])
def states_and_columns(request: pytest.FixtureRequest) -> tuple[np.ndarray, ...]:
    """States as integers, and a head, most of which lies in some directions, or in all alike."""
    random, directions = np.random.default_rng(1), request.param

    def rows(count: int, mixing: np.ndarray | None) -> np.ndarray:
        if mixing is None:
            return random.normal(size=(count, 192))
        return random.normal(size=(count, 24)) @ mixing + 0.02 * random.normal(size=(count, 192))

    mixing = random.normal(size=(24, 192)) if directions else None
    states, columns = rows(500, mixing), rows(3000, mixing)
    integers = np.rint(columns.T / np.abs(columns).max(axis=1) * 127).astype(np.int8)
    scales = random.uniform(1e-4, 2e-4, 3000).astype(np.float32)
    return np.rint(states / np.abs(states).max() * 127), integers, scales


def off_by(screen: Screen, states: np.ndarray, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What estimates of states are off by, and the bounds of it, `[n,V]`."""
    turned = states @ screen.rotation.astype(np.float64)
    first, rest = turned[:, : screen.rank], turned[:, screen.rank :]
    rounded = np.clip(np.rint(first / screen.step), -127, 127)
    off = np.linalg.norm(first - rounded * screen.step, axis=1)
    rounding = np.linalg.norm(first, axis=1) * screen.error + off * screen.norm
    estimates = rounded @ (screen.weights.astype(np.float64) * screen.scales)
    bounds = np.outer(np.linalg.norm(rest, axis=1), screen.of_rest)
    return np.abs(estimates - logits), bounds + np.outer(rounding, screen.of_rounding)


def test_no_estimate_is_off_by_more_than_its_bound(
    states_and_columns: tuple[np.ndarray, ...],
) -> None:
    states, integers, scales = states_and_columns
    parts = [slice(0, 1000), slice(1000, 3000)]
    screen = make_screen(lambda: ((integers[:, p], scales[p]) for p in parts), states[:300])
    assert screen is not None and screen.rank == 128
    # Other states than it was made of, and some that are far larger.
    for others in (states[300:], np.clip(states[300:] * 20, -127, 127)):
        off, bounds = off_by(screen, others, others @ (integers * scales.astype(np.float64)))
        assert (off <= bounds).all()
        assert off.max() > bounds.max() / 100


def test_a_bound_is_small_where_few_directions_matter(
    states_and_columns: tuple[np.ndarray, ...],
) -> None:
    states, integers, scales = states_and_columns
    screen = make_screen(lambda: iter([(integers, scales)]), states[:300])
    assert screen is not None
    logits = states[300:] @ (integers * scales.astype(np.float64))
    _, bounds = off_by(screen, states[300:], logits)
    share = (logits + 2 * bounds >= logits.max(axis=1, keepdims=True)).mean()
    few = np.linalg.matrix_rank(states, tol=500) < 100
    assert share < 0.02 if few else share > 0.02


def test_a_narrow_head_has_none() -> None:
    ones = np.ones((64, 10), np.int8), np.ones(10, np.float32)
    assert make_screen(lambda: iter([ones]), np.eye(64)) is None


# ---- answers


@pytest.fixture(scope="module", params=SCREENED)
def variants(
    request: pytest.FixtureRequest, backends: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Variants:
    """A model whose whole head is computed, and the same with a screen."""
    kind, folder = SCREENED[request.param], tmp_path_factory.mktemp(request.param)
    whole = write_variant(folder / "whole", kind, "int8")
    return whole, write_variant(folder / "screened", kind, "int8", screened=True)


def opened(variant: RandomVariant) -> NativeSession:
    return NativeSession(variant.folder, variant.manifest)


def sources(variant: RandomVariant, seed: int = 3) -> list[list[int]]:
    return random_sources(variant.manifest, LENGTHS, seed)


def started(session: NativeSession, texts: list[list[int]]) -> Slots:
    slots = session.slots(len(texts))
    slots.admit(session.encode(texts), [len(text) for text in texts], LIMITS)
    return slots


@pytest.mark.parametrize("seed", range(4))
def test_tokens_are_those_of_the_whole_head(variants: Variants, seed: int) -> None:
    whole, screened = (decode(opened(one), sources(one, seed), LIMITS) for one in variants)
    for one, other in zip(whole, screened, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=0.1)
        assert (other.log_probs < 1e-5).all()


def test_a_row_is_the_same_alone_among_others_and_everywhere(
    variants: Variants, backends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, variant = variants
    texts = sources(variant)
    expected = decode(opened(variant), texts, LIMITS)
    for backend in backends:
        monkeypatch.setenv(ISA_VARIABLE, backend)
        for at_once in (1, 5):
            check_same(decode(opened(variant), texts, LIMITS, at_once), expected)


def test_others_have_what_they_ask_for(variants: Variants) -> None:
    """Of rows that want candidates all is as without a screen, and the rest as without them."""
    whole, screened = (opened(one) for one in variants)
    texts = sources(variants[0])
    plain = started(screened, texts)
    screened.step(plain)
    alone = plain.next_ids.copy(), plain.log_probs.copy()
    found = []
    for session in (whole, screened):
        slots = started(session, texts)
        slots.wanted[:] = (0, 8, 0, 40, 1, 0)
        session.step(slots, session.outputs & {"candidates", "suppressed_logits"})
        found.append(slots)
    asked = found[0].wanted > 0
    for name in ("next_ids", "log_probs", "candidate_ids", "candidate_logits"):
        one, other = (getattr(slots, name)[asked] for slots in found)
        np.testing.assert_array_equal(one, other, name)
    for made, before in zip((found[1].next_ids, found[1].log_probs), alone, strict=True):
        np.testing.assert_array_equal(made[~asked], before[~asked])
    for row in range(len(texts)):
        np.testing.assert_array_equal(whole.logits(row), screened.logits(row))


def test_a_head_that_is_not_int8_has_none(tmp_path: Path, backends: list[str]) -> None:
    variant = write_variant(tmp_path / "float", SCREENED["few"], "fp32", screened=True)
    assert '"screen": 0,' in (variant.folder / "model.json").read_text()
    opened(variant)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"screen": 192}, "the model's screen does not exist"),
        ({"screen": -64}, "the model's screen does not exist"),
        ({"screen": 64}, r"the tensor screen\.int8 has"),
        ({"screen": 100}, "the model's screen is of other numbers"),
    ],
)
def test_a_screen_that_cannot_be_is_refused(
    change: dict[str, int], told: str, tmp_path: Path, backends: list[str]
) -> None:
    kind = SCREENED["few"]
    variant = write_variant(tmp_path / "screened", kind, "int8", screened=True)
    change_model(variant.folder, **change)
    with pytest.raises(NativeError, match=told):
        opened(variant)
