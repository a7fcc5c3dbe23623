"""Answers of the native code that have the tokens of a shortlist alone."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from engine.export.precision.recipes import PRECISIONS, Precision
from engine.model.shortlist import Shortlist
from engine.native.library import NativeError
from engine.native.model import ISA_VARIABLE
from engine.native.weights import MODEL_FILE, read_weights
from engine.runtime.decoding.candidates import MOST_CANDIDATES
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.slots import Slots
from tests.engine.native.answers import check_same, decode, random_sources
from tests.engine.native.damage import change_model
from tests.engine.native.models import KINDS, RandomVariant, random_shortlist, write_variant

LENGTHS = (5, 1, 40, 16, 17)
LIMITS = [30] * len(LENGTHS)
CHOSEN: list[tuple[str, Precision]] = [
    *(("bart", precision) for precision in PRECISIONS),
    *((name, "int8") for name in ("m2m100", "t5", "ssru", "two_vocabularies")),
]

Variants = tuple[RandomVariant, RandomVariant, Shortlist]


@pytest.fixture(scope="module", params=CHOSEN, ids=map("_".join, CHOSEN))
def variants(
    request: pytest.FixtureRequest, backends: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Variants:
    """A model without and with a shortlist, and the list."""
    name, precision = request.param
    folder, shortlist = tmp_path_factory.mktemp(name), random_shortlist(KINDS[name], seed=5)
    whole = write_variant(folder / "whole", KINDS[name], precision)
    short = write_variant(folder / "short", KINDS[name], precision, shortlist=shortlist)
    return whole, short, shortlist


def opened(variant: RandomVariant) -> NativeSession:
    return NativeSession(variant.folder, variant.manifest)


def sources(variant: RandomVariant) -> list[list[int]]:
    vocabulary = variant.kind.config.encoder_vocab_size
    return random_sources(variant.manifest, LENGTHS, seed=3, vocabulary=vocabulary)


def started(session: NativeSession, texts: list[list[int]]) -> Slots:
    slots = session.slots(len(texts))
    slots.admit(session.encode(texts), [len(text) for text in texts], LIMITS)
    return slots


def allowed(variant: RandomVariant, shortlist: Shortlist, text: Sequence[int]) -> np.ndarray:
    return np.setdiff1d(shortlist.likely(text), variant.kind.suppressed_ids)


def test_logits_are_those_of_the_whole_head(variants: Variants) -> None:
    whole, short, shortlist = variants
    texts, sessions = sources(short), (opened(whole), opened(short))
    slots = [started(session, texts) for session in sessions]
    for one in slots:
        one.wanted[:] = (0, 1, 8, 40, MOST_CANDIDATES)
    for _ in range(8):
        for session, one in zip(sessions, slots, strict=True):
            session.step(one, frozenset({"logits", "candidates"}))
        for row, text in enumerate(texts):
            likely = allowed(short, shortlist, text)
            expected = np.full(short.manifest.vocab_size, -np.inf, np.float32)
            expected[likely] = sessions[0].extra["logits"][row, likely]
            made = sessions[1].extra["logits"][row]
            np.testing.assert_array_equal(made, expected)
            assert slots[1].next_ids[row] == expected.argmax()
            total = np.log(np.exp((expected - expected.max()).astype(np.float64)).sum())
            assert slots[1].log_probs[row] == pytest.approx(-total, abs=1e-4)
            wanted = slots[1].wanted[row]
            best = np.argsort(-expected, kind="stable")[: min(wanted, likely.size)]
            padded = np.full(wanted, -1)
            padded[: best.size] = best
            np.testing.assert_array_equal(slots[1].candidate_ids[row, :wanted], padded)
        slots[0].next_ids[:] = slots[1].next_ids
        for session, one in zip(sessions, slots, strict=True):
            session.advance(one)


def test_logits_can_be_asked_for_afterwards(variants: Variants) -> None:
    _, short, _ = variants
    session, texts = opened(short), sources(short)
    slots = started(session, texts)
    session.step(slots, frozenset({"logits"}))
    expected = session.extra["logits"].copy()
    session.step(slots)
    for row in range(len(texts)):
        np.testing.assert_array_equal(session.logits(row), expected[row])


def test_what_is_suppressed_has_no_share(variants: Variants) -> None:
    _, short, _ = variants
    session = opened(short)
    if "suppressed_logits" not in session.outputs:
        assert not short.kind.suppressed_ids
        return
    session.step(started(session, sources(short)), frozenset({"suppressed_logits"}))
    assert np.isneginf(session.extra["suppressed_logits"]).all()


def test_answers_hang_on_nothing_but_their_text(
    variants: Variants, backends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, short, shortlist = variants
    texts = sources(short)
    expected = decode(opened(short), texts, LIMITS)
    for text, trail in zip(texts, expected, strict=True):
        assert np.isin(trail.tokens, allowed(short, shortlist, text)).all()
    for backend in backends:
        monkeypatch.setenv(ISA_VARIABLE, backend)
        for at_once in (1, 2):
            check_same(decode(opened(short), texts, LIMITS, at_once), expected)


@pytest.fixture
def damaged(tmp_path: Path, backends: list[str]) -> tuple[RandomVariant, dict[str, np.ndarray]]:
    """A variant, and its shortlist's tensors, which may be changed."""
    kind = KINDS["bart"]
    shortlist = random_shortlist(kind, seed=5)
    variant = write_variant(tmp_path / "short", kind, "int8", shortlist=shortlist)
    _, tensors = read_weights(variant.folder)
    return variant, {name: tensors[f"shortlist.{name}"] for name in ("ends", "ids")}


@pytest.mark.parametrize(
    ("name", "place", "value", "told"),
    [
        ("ids", 7, 997, "the shortlist holds a token that does not exist"),
        ("ids", 7, -1, "the shortlist holds a token that does not exist"),
        ("ends", 0, 0, "the shortlist has no token that every answer may hold"),
        ("ends", 5, 2, "the shortlist's ends do not ascend"),
        ("ends", -1, 1 << 30, "a list ends behind the shortlist"),
    ],
)
def test_a_list_that_cannot_be_is_refused(
    damaged: tuple[RandomVariant, dict[str, np.ndarray]],
    name: str,
    place: int,
    value: int,
    told: str,
) -> None:
    variant, arrays = damaged
    array = arrays[name]
    path = variant.folder / "weights.safetensors"
    content, changed = path.read_bytes(), array.copy()
    changed[place] = value
    assert content.count(array.tobytes()) == 1
    path.write_bytes(content.replace(array.tobytes(), changed.tobytes()))
    with pytest.raises(NativeError, match=told):
        opened(variant)


def test_a_list_of_another_length_is_refused(
    damaged: tuple[RandomVariant, dict[str, np.ndarray]],
) -> None:
    variant, arrays = damaged
    change_model(variant.folder, shortlist=arrays["ids"].size + 1)
    with pytest.raises(NativeError, match=r"the tensor shortlist\.ids has"):
        opened(variant)


def test_a_variant_of_earlier_versions_has_none(tmp_path: Path, backends: list[str]) -> None:
    variant = write_variant(tmp_path / "whole", KINDS["bart"], "int8")
    path = variant.folder / MODEL_FILE
    described = json.loads(path.read_text())
    for name in ("shortlist", "screen", "screen_error", "screen_norm"):
        assert described.pop(name) == 0
    path.write_text(json.dumps(described))
    opened(variant)


def test_a_list_of_what_is_suppressed_alone_leaves_no_answer(
    tmp_path: Path, backends: list[str]
) -> None:
    kind = KINDS["m2m100"]
    ends = np.ones(kind.config.vocab_size + 1, np.int32)
    only = Shortlist(ends, np.array([kind.suppressed_ids[1]], np.int32))
    session = opened(write_variant(tmp_path / "none", kind, "int8", shortlist=only))
    with pytest.raises(NativeError, match="the shortlist leaves an answer no token"):
        session.encode([[5, kind.config.eos_id]])
