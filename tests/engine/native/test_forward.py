"""Whole decodings with the native code: as PyTorch and ONNX Runtime, on every instruction set."""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.export.precision.recipes import PRECISIONS, Precision
from engine.native import model
from engine.native.library import NativeError
from engine.native.model import ISA_VARIABLE
from engine.native.weights import read_weights
from engine.runtime.decoding.candidates import MOST_CANDIDATES
from engine.runtime.decoding.selection import top
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.native_session import NativeSession
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.slots import Advance, Slots
from tests.engine.native.answers import check_same, decode, random_sources
from tests.engine.native.damage import change_model
from tests.engine.native.models import (
    KINDS,
    LONG_KINDS,
    LONGEST,
    REFUSED_SOURCES,
    RandomVariant,
    int8_products,
    oracle,
    write_variant,
)

LENGTHS = (5, 1, 40, 16, 17, LONGEST)
LIMITS = (20, LONGEST, 40, 3, 70, 33)

INT8_DIFFERENCE = 0.03
"""Largest mean difference from ONNX's INT8, in nats.

Sums are the same, floats between are not: what falls to the other side of a rounding is an INT8
step away, and changes what comes after it.
"""
EACH_DIFFERENCE = 0.003
"""Likewise where one product alone is INT8."""
HALF_CACHES_DIFFERENCE = 0.001
"""Likewise of keys and values in 16 bits beside ONNX's in 32."""


EVERY_KIND = {**KINDS, **LONG_KINDS}


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


Write = Callable[[Precision], RandomVariant]


@pytest.fixture(scope="module")
def write(kind: str, backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> Write:
    """Exports a precision of the kind, once."""
    folder = tmp_path_factory.mktemp(kind)
    return functools.cache(
        lambda precision: write_variant(folder / precision, EVERY_KIND[kind], precision)
    )


@pytest.fixture
def fp32(write: Write) -> RandomVariant:
    return write("fp32")


@pytest.fixture
def int8(write: Write) -> RandomVariant:
    return write("int8")


@pytest.fixture(params=PRECISIONS)
def variant(request: pytest.FixtureRequest, write: Write) -> RandomVariant:
    return write(request.param)


def native(variant: RandomVariant) -> NativeSession:
    return NativeSession(variant.folder, variant.manifest)


def onnx(variant: RandomVariant) -> OnnxSession:
    return OnnxSession(variant.folder, variant.manifest, threads=1)


def sources(variant: RandomVariant, lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    vocabulary = variant.kind.config.encoder_vocab_size
    return random_sources(variant.manifest, lengths, seed=3, vocabulary=vocabulary)


def test_answers_are_those_of_the_checkpoint(fp32: RandomVariant) -> None:
    texts = sources(fp32)
    trails = decode(native(fp32), texts, LIMITS)
    for source, trail in zip(texts, trails, strict=True):
        expected = oracle(fp32, source, trail)
        chosen = expected[np.arange(trail.tokens.size), trail.tokens]
        np.testing.assert_allclose(trail.log_probs, chosen, rtol=0, atol=1e-4)
        np.testing.assert_allclose(chosen, expected.max(axis=1), rtol=0, atol=1e-4)


def without_padding(variant: RandomVariant, texts: list[list[int]]) -> list[list[int]]:
    """To padding inside of a source M2M100's graph gives a position, unlike the checkpoint."""
    config = variant.kind.config
    return [
        [token if token != config.pad_id else config.eos_id for token in text] for text in texts
    ]


class Pair:
    """Native and ONNX sessions that go on with the same tokens, step by step.

    Answers start with different tokens: no value is the same in all rows.
    """

    def __init__(self, variant: RandomVariant, lengths: tuple[int, ...] = (5, 40, 1, 17)) -> None:
        self.native, self.onnx = native(variant), onnx(variant)
        self.slots: list[Slots] = []
        texts = without_padding(variant, sources(variant, lengths))
        for session in (self.native, self.onnx):
            slots = session.slots(len(texts))
            slots.admit(session.encode(texts), list(lengths), [LONGEST] * len(texts))
            for slot in range(1, len(texts)):
                slots.start(slot, slot + 1, {})
            self.slots.append(slots)

    def steps(self, count: int) -> Iterator[Slots]:
        """Runs steps with all outputs; the longest row leaves after the third."""
        own, other = self.slots
        for number in range(count):
            self.native.step(own)
            plain = own.next_ids.copy(), own.log_probs.copy()
            self.native.step(own, self.native.outputs)
            for before, after in zip(plain, (own.next_ids, own.log_probs), strict=True):
                np.testing.assert_array_equal(before, after)
            self.onnx.step(other, self.native.outputs)
            yield own
            other.next_ids[:] = own.next_ids
            for slots in self.slots:
                slots.advance()
                if number == 2:
                    slots.retire(int(slots.source_lengths[: slots.rows].argmax()))


def test_outputs_are_those_of_the_graph(fp32: RandomVariant) -> None:
    pair = Pair(fp32)
    plain = {name for name in pair.onnx.outputs if not name.startswith("present_")}
    assert pair.native.outputs == plain - {"next_ids", "log_probs"}
    for slots in pair.steps(8):
        for name, made in pair.native.extra.items():
            expected = pair.onnx.extra[name]
            if name.startswith("cross_weights_"):
                lengths = slots.source_lengths[: slots.rows]
                assert made.shape[3] == lengths.max()
                assert not expected[..., made.shape[3] :].any()
                expected = expected[..., : made.shape[3]]
            np.testing.assert_allclose(made, expected, rtol=1e-5, atol=1e-4, err_msg=name)


def test_an_output_alone_is_what_it_is_among_others(fp32: RandomVariant) -> None:
    pair = Pair(fp32)
    for slots in pair.steps(1):
        every = {name: array.copy() for name, array in pair.native.extra.items()}
        for name in sorted(every):
            pair.native.step(slots, frozenset({name}))
            np.testing.assert_array_equal(pair.native.extra[name], every[name])


WANTED = (0, 1, 16, 40)


def test_candidates_are_the_best_of_the_vocabulary(fp32: RandomVariant) -> None:
    pair = Pair(fp32)
    (slots, _), session = pair.slots, pair.native
    slots.wanted[: len(WANTED)] = WANTED
    for _ in pair.steps(1):
        every = session.extra["logits"].copy()
        session.step(slots, frozenset({"candidates"}))
        for slot, wanted in enumerate(WANTED):
            np.testing.assert_array_equal(session.logits(slot), every[slot])
            if not wanted:
                continue
            found = slots.candidates([slot], wanted)
            ids = found.ids[0, : every.shape[1]]
            np.testing.assert_array_equal(ids, top(every[slot], wanted))
            np.testing.assert_array_equal(found.logits[0, : ids.size], every[slot, ids])
            total = np.logaddexp.reduce(every[slot].astype(np.float64))
            np.testing.assert_allclose(found.totals, [total], rtol=0, atol=1e-4)


def test_a_vocabulary_may_have_fewer_tokens_than_are_wanted(fp32: RandomVariant) -> None:
    session, size = native(fp32), fp32.kind.config.vocab_size
    slots = session.slots(1)
    slots.admit(session.encode([[5, 1]]), [2], [9])
    slots.wanted[0] = MOST_CANDIDATES
    session.step(slots, frozenset({"candidates"}))
    ids, logits, _ = (array[0] for array in slots.candidates([0], MOST_CANDIDATES))
    expected = top(session.logits(0), min(size, MOST_CANDIDATES))
    np.testing.assert_array_equal(ids[:size], expected)
    assert (ids[size:] == -1).all() and (logits[size:] == -np.inf).all()


def test_logits_are_gone_once_sources_were_encoded(learned: RandomVariant) -> None:
    session = native(learned)
    slots = session.slots(2)
    slots.admit(session.encode([[5, 1]]), [2], [9])
    session.step(slots)
    session.logits(0)
    with pytest.raises(NativeError, match="the last step had no such row"):
        session.logits(1)
    session.encode([[5, 1]])
    with pytest.raises(NativeError, match="the last step had no such row"):
        session.logits(0)


def test_a_row_whose_values_are_not_finite_ends_alone(
    fp32: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [[5, 1], [6, 7, 1]]

    def run() -> tuple[Slots, Advance]:
        session = native(fp32)
        slots = session.slots(2)
        slots.admit(session.encode(texts), [2, 3], [9, 9])
        return slots, session.run(slots, 9, 60, Interrupt())

    expected, _ = run()

    def poisoned(folder: Path) -> Any:
        described, tensors = read_weights(folder)
        name = "source_embedding" if "source_embedding" in tensors else "embedding"
        embedding = tensors[name].copy()
        embedding[5] = np.nan
        return described, {**tensors, name: embedding}

    monkeypatch.setattr(model, "read_weights", poisoned)
    slots, advance = run()
    assert (advance.ended, advance.steps) == ([0], 1)
    assert not np.isfinite(slots.log_probs[0])
    assert slots.log_probs[1] == expected.token_log_probs[1, 0]
    assert slots.ids[1] == expected.tokens[1, 0]


def test_a_step_writes_no_outputs_that_are_not_wanted(learned: RandomVariant) -> None:
    session = native(learned)
    slots = session.slots(9)
    slots.admit(session.encode([[5, 1]]), [2], [9])
    session.step(slots, session.outputs)
    before = {name: (array, array.copy()) for name, array in session.extra.items()}
    slots.admit(session.encode([[6, 7, 1]] * 8), [3] * 8, [9] * 8)
    slots.retire(0)
    session.step(slots)
    assert not session.extra
    for array, copy in before.values():
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_weights_in_16_bits_are_those_of_the_graph(
    precision: Precision, write: Write, tmp_path: Path
) -> None:
    """The same answers, but for the order of sums; with keys and values in FP32, as there."""
    variant = write(precision)
    folder = shutil.copytree(variant.folder, tmp_path / precision)
    change_model(folder, half_caches=False)
    texts = without_padding(variant, sources(variant))
    made = decode(NativeSession(folder, variant.manifest), texts, LIMITS)
    for one, other in zip(made, decode(onnx(variant), texts, LIMITS), strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=1e-4)


def test_fp16_keeps_keys_and_values_in_16_bits(write: Write) -> None:
    """And BF16, whose numbers FP16 may not hold, in 32."""
    halves = {one: read_weights(write(one).folder)[0]["half_caches"] for one in PRECISIONS}
    assert halves == {"fp32": False, "fp16": True, "bf16": False, "int8": True}
    differences = all_differences(write("fp16"), 40)
    assert 1e-6 < differences.mean() <= HALF_CACHES_DIFFERENCE


def all_differences(variant: RandomVariant, count: int) -> np.ndarray:
    """How far log-probabilities are from the graph's, of tokens of `count` steps."""
    pair, differences = Pair(variant), []
    for slots in pair.steps(count):
        live = np.arange(slots.rows)
        logits = pair.onnx.extra["logits"]
        totals = np.logaddexp.reduce(logits, axis=1)
        expected = logits[live, slots.next_ids[: slots.rows]] - totals
        differences.append(np.abs(slots.log_probs[: slots.rows] - expected))
    return np.concatenate(differences)


def test_int8_is_close_to_the_graph(int8: RandomVariant) -> None:
    assert all_differences(int8, 40).mean() <= INT8_DIFFERENCE


@pytest.mark.parametrize("name", ["bart", "flan_t5", "long_global"])
def test_each_int8_product_is_that_of_the_graph(
    name: str, tmp_path: Path, backends: list[str]
) -> None:
    """With divisors, too: but for rows in which a value on the edge of a rounding fell off it."""
    products = int8_products(EVERY_KIND[name])
    assert len(products) > 20
    for product in products:
        variant = write_variant(
            tmp_path / product, EVERY_KIND[name], "int8", migrated=True, only=product
        )
        # Keys and values as in the graph: 16 bits would change more than the products do.
        change_model(variant.folder, half_caches=False)
        differences = all_differences(variant, 4)
        assert np.quantile(differences, 0.25) <= 1e-5, product
        assert differences.mean() <= EACH_DIFFERENCE, product


def test_a_row_is_the_same_alone_among_others_and_everywhere(
    variant: RandomVariant, backends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: whoever else is served, wherever the row stands, whatever processor it is."""
    lengths = tuple(1 + place * 37 % LONGEST for place in range(41))
    limits = [LONGEST if place == 3 else 1 + place * 29 % 40 for place in range(41)]
    texts, session = sources(variant, lengths), native(variant)
    together = decode(session, texts, limits)
    check_same(decode(session, texts, limits, at_once=7), together)
    for place in (0, 5, 20, 40):
        check_same(
            decode(session, texts[place : place + 1], limits[place : place + 1]),
            together[place : place + 1],
        )
    for backend in backends:
        monkeypatch.setenv(ISA_VARIABLE, backend)
        check_same(decode(session.sibling(), texts, limits), together)


def test_copied_beams_go_on_like_their_source(variant: RandomVariant) -> None:
    """Also when the source has grown since; the other beam goes its own way in between."""
    session, text = native(variant), sources(variant, (9,))[0]
    slots = session.slots(2)
    slots.admit_beams(session.encode([text]), [2], [9], [LONGEST])
    for position in range(LONGEST - 1):
        session.step(slots)
        if position % 13 == 12:
            slots.copy_caches(np.array([0]), np.array([1]))
            slots.next_ids[1] = slots.next_ids[0]
        elif position % 13 == 0:
            assert position == 0 or slots.log_probs[1] == slots.log_probs[0]
            slots.next_ids[1] = slots.next_ids[0] % 9 + 1
        slots.advance()


def test_lanes_of_one_model_do_not_disturb_each_other(fp32: RandomVariant) -> None:
    first = native(fp32)
    second, texts = first.sibling(), sources(fp32)
    expected = decode(first, texts, LIMITS)
    slots = second.slots(2)
    slots.admit(second.encode(texts[:2]), [5, 1], [9, 9])
    second.step(slots)
    before = slots.log_probs.copy()
    check_same(decode(first, texts, LIMITS), expected)
    del first
    second.step(slots)
    np.testing.assert_array_equal(slots.log_probs, before)


@pytest.fixture(scope="module")
def learned(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("learned") / "fp32", KINDS["bart"], "fp32")


@pytest.mark.parametrize(("source", "message"), REFUSED_SOURCES)
def test_a_source_that_the_model_does_not_take_is_refused(
    learned: RandomVariant, source: list[int], message: str
) -> None:
    session = native(learned)
    with pytest.raises(NativeError, match=message):
        session.encode([[5, 1], source])
    check_same(*(decode(each, [[5, 1]], [4]) for each in (session, native(learned))))


@pytest.fixture(scope="module")
def two(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    folder = tmp_path_factory.mktemp("two") / "fp32"
    return write_variant(folder, KINDS["two_vocabularies"], "fp32")


def test_sources_and_answers_have_the_tokens_of_their_own_vocabulary(two: RandomVariant) -> None:
    config = two.kind.config
    assert config.source_vocab_size > config.vocab_size
    session, last = native(two), config.source_vocab_size - 1
    trails = decode(session, [[last, 1], [config.vocab_size, 1]], [9, 9])
    for source, trail in zip(([last, 1], [config.vocab_size, 1]), trails, strict=True):
        expected = oracle(two, source, trail)[np.arange(trail.tokens.size), trail.tokens]
        np.testing.assert_allclose(trail.log_probs, expected, rtol=0, atol=1e-4)
    assert not np.array_equal(trails[0].log_probs, trails[1].log_probs)
    with pytest.raises(NativeError, match="a source holds a token that does not exist"):
        session.encode([[last + 1, 1]])
    slots = session.slots(1)
    slots.admit(session.encode([[last, 1]]), [2], [9])
    slots.ids[0] = config.vocab_size
    with pytest.raises(NativeError, match="goes on from a token that does not exist"):
        session.step(slots)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ids", 997, "token that does not exist"),
        ("ids", -1, "token that does not exist"),
        ("positions", LONGEST, "longer than the model's positions"),
        ("positions", -1, "longer than the model's positions"),
    ],
)
def test_a_step_that_the_model_does_not_take_is_refused(
    learned: RandomVariant, field: str, value: int, message: str
) -> None:
    session = native(learned)
    slots = session.slots(2)
    slots.admit(session.encode([[5, 1], [6, 1]]), [2, 2], [9, 9])
    getattr(slots, field)[1] = value
    with pytest.raises(NativeError, match=message):
        session.step(slots)


def test_an_instruction_set_that_is_not_there_is_named(
    learned: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ISA_VARIABLE, "avx7")
    with pytest.raises(NativeError, match="avx7 does not run on this processor"):
        native(learned).slots(1)
