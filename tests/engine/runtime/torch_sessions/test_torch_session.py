"""The torch session on the processor, where its kernels are plain torch: as all other sessions."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.contract.events import FinishReason
from engine.native.weights import WeightsError, read_weights
from engine.runtime.batching.running_batch import RunningBatch
from engine.runtime.decoding.selection import top
from engine.runtime.decoding.settings import Decoding
from engine.runtime.sessions.interrupt import Interrupt
from engine.runtime.sessions.onnx_session import OnnxSession
from engine.runtime.sessions.slots import Slots
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.graphs import Work, row_sizes, width_sizes
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import tensors as stored_tensors
from tests.engine.native.answers import decode, random_sources
from tests.engine.native.models import (
    KINDS,
    LONG_KINDS,
    LONGEST,
    REFUSED_SOURCES,
    RandomVariant,
    oracle,
    random_shortlist,
    write_variant,
)
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows, new_row

pytestmark = pytest.mark.usefixtures("one_thread")

EVERY_KIND = {**KINDS, **LONG_KINDS}
INT8_KINDS = ("bart", "flan_t5", "ssru", "two_vocabularies", "long_global")

LENGTHS = (5, 1, 40, 16, 17, LONGEST)
LIMITS = (20, 50, 40, 3, LONGEST, 33)
FEW = (20, 30, 12, 3, 18, 15)
BUNCH = 5
"""Steps without the host; one is what the session makes on a processor by itself."""

TOLERANCE = {"fp16": 0.02, "bf16": 0.15, "int8": 0.15}
"""Largest mean difference of log-probabilities, in nats, as of the gates."""


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def fp32(kind: str, tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp(kind) / "fp32", EVERY_KIND[kind], "fp32")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("learned") / "fp32", KINDS["bart"], "fp32")


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("recurrent") / "fp32", KINDS["ssru"], "fp32")


def opened(variant: RandomVariant, steps: int = 0) -> TorchSession:
    return TorchSession(variant.folder, variant.manifest, 8, None, steps=steps)


def onnx(variant: RandomVariant) -> OnnxSession:
    return OnnxSession(variant.folder, variant.manifest, threads=1)


def sources(variant: RandomVariant, lengths: tuple[int, ...] = LENGTHS) -> list[list[int]]:
    """Without padding, to which M2M100's graph gives a position, unlike the checkpoint."""
    config = variant.kind.config
    texts = random_sources(variant.manifest, lengths, seed=3, vocabulary=config.encoder_vocab_size)
    other = config.eos_id
    return [[token if token != config.pad_id else other for token in text] for text in texts]


@pytest.mark.parametrize("steps", [1, BUNCH])
def test_greedy_answers_are_those_of_the_checkpoint(fp32: RandomVariant, steps: int) -> None:
    limits = LIMITS if steps == 1 else FEW
    texts = random_sources(
        fp32.manifest, LENGTHS, seed=3, vocabulary=fp32.kind.config.encoder_vocab_size
    )
    for source, trail in zip(texts, decode(opened(fp32, steps), texts, limits), strict=True):
        expected = oracle(fp32, source, trail)
        chosen = expected[np.arange(trail.tokens.size), trail.tokens]
        np.testing.assert_allclose(trail.log_probs, chosen, rtol=0, atol=1e-4)
        np.testing.assert_allclose(chosen, expected.max(axis=1), rtol=0, atol=1e-4)


def test_answers_are_those_of_the_graph_token_for_token(fp32: RandomVariant) -> None:
    texts = sources(fp32)
    expected = decode(onnx(fp32), texts, FEW)
    for one, other in zip(decode(opened(fp32), texts, FEW), expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=1e-4)


def test_beams_are_those_of_the_graph(fp32: RandomVariant) -> None:
    decoding = Decoding(LONGEST, num_beams=4, num_hypotheses=4)
    wishes = [Wish(text, limit, decoding) for text, limit in zip(sources(fp32), FEW, strict=True)]
    made = decode_rows(opened(fp32), wishes, 12, seed=1)
    for one, other in zip(made, decode_rows(onnx(fp32), wishes, 12, seed=1), strict=True):
        assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
        scores = [score for _, score in other]
        assert [score for _, score in one] == pytest.approx(scores, abs=1e-4)


ROUNDED = [
    *((name, precision) for name in EVERY_KIND for precision in ("fp16", "bf16")),
    *((name, "int8") for name in INT8_KINDS),
]


@pytest.mark.parametrize(("name", "precision"), ROUNDED)
def test_other_precisions_are_as_close_as_the_gates_want(
    name: str, precision: Any, tmp_path: Path
) -> None:
    """INT8 as on a GPU: of 8 bits are its weights alone."""
    variant = write_variant(tmp_path / precision, EVERY_KIND[name], precision)
    texts = sources(variant, (5, 1, 40))
    dtype = torch.bfloat16 if precision == "int8" else None
    session = TorchSession(variant.folder, variant.manifest, 8, None, dtype=dtype)
    differences = []
    for source, trail in zip(texts, decode(session, texts, (12, 12, 12)), strict=True):
        expected = oracle(variant, source, trail)
        chosen = expected[np.arange(trail.tokens.size), trail.tokens]
        differences.append(np.abs(trail.log_probs - chosen))
    assert 0 < np.concatenate(differences).mean() <= TOLERANCE[precision]


class Both:
    """The same rows in slots of two sessions, which make the same tokens step by step."""

    def __init__(self, variant: RandomVariant, lengths: tuple[int, ...] = (5, 40, 1, 17)) -> None:
        self.sessions = opened(variant), onnx(variant)
        self.slots: list[Slots] = []
        texts = sources(variant, lengths)
        for session in self.sessions:
            slots = session.slots(len(texts))
            slots.admit(session.encode(texts), list(lengths), [LONGEST] * len(texts))
            for slot in range(1, len(texts)):
                slots.start(slot, slot + 1, {})
            self.slots.append(slots)

    def steps(self, count: int) -> Iterator[Slots]:
        own, other = self.slots
        names = self.sessions[0].outputs
        for number in range(count):
            self.sessions[0].step(own)
            plain = own.log_probs.copy()
            self.sessions[0].step(own, names)
            # A step may be made again.
            np.testing.assert_allclose(plain, own.log_probs, rtol=0, atol=1e-6)
            self.sessions[1].step(other, names)
            yield own
            other.next_ids[:] = own.next_ids
            for slots in self.slots:
                slots.advance()
                if number == 2:
                    slots.retire(int(slots.source_lengths[: slots.rows].argmax()))


def test_outputs_are_those_of_the_graph(fp32: RandomVariant) -> None:
    both = Both(fp32)
    plain = {name for name in both.sessions[1].outputs if not name.startswith("present_")}
    assert both.sessions[0].outputs == plain - {"next_ids", "log_probs"}
    for slots in both.steps(8):
        made, expected = (session.extra for session in both.sessions)
        assert set(made) == set(both.sessions[0].outputs - {"candidates"})
        for name, array in made.items():
            other = expected[name]
            if name.startswith("cross_weights_"):
                assert array.shape[3] == slots.source_lengths[: slots.rows].max()
                other = other[..., : array.shape[3]]
            np.testing.assert_allclose(array, other, rtol=1e-5, atol=1e-4, err_msg=name)


def test_candidates_are_the_best_of_the_vocabulary(fp32: RandomVariant) -> None:
    both, wanted = Both(fp32), (0, 1, 16, 40)
    slots, session = both.slots[0], both.sessions[0]
    slots.wanted[:] = wanted
    for _ in both.steps(1):
        every = session.extra["logits"].copy()
        for slot, count in enumerate(wanted):
            np.testing.assert_array_equal(session.logits(slot), every[slot])
            if not count:
                continue
            ids = slots.candidate_ids[slot, :count]
            best = top(every[slot], min(count, every.shape[1]))
            np.testing.assert_array_equal(ids[: best.size], best)
            assert (ids[best.size :] == -1).all()
            found = slots.candidates([slot], count)
            np.testing.assert_array_equal(found.logits[0, : best.size], every[slot, best])
            total = np.logaddexp.reduce(every[slot].astype(np.float64))
            np.testing.assert_allclose(found.totals, [total], rtol=0, atol=1e-4)


def test_a_row_is_the_same_alone_and_among_others(fp32: RandomVariant) -> None:
    lengths = tuple(1 + place * 37 % 60 for place in range(11))
    limits = [1 + place * 29 % 25 for place in range(11)]
    session, texts = opened(fp32, BUNCH), sources(fp32, lengths)
    together = decode(session, texts, limits)
    made = list(zip(decode(session, texts, limits, at_once=4), together, strict=True))
    for place in (0, 3, 5, 10):
        made.append((decode(session, [texts[place]], [limits[place]])[0], together[place]))
    for one, trail in made:
        np.testing.assert_array_equal(one.tokens, trail.tokens)
        np.testing.assert_allclose(one.log_probs, trail.log_probs, rtol=1e-5, atol=1e-5)


METHODS = [
    *([{}] * 3),
    {"num_beams": 4},
    {"num_beams": 2, "no_repeat_ngram_size": 2},
    {"sample": True, "temperature": 1.3},
    {"sample": True, "top_k": 0, "top_p": 0.9},
    {"repetition_penalty": 1.2},
]


def random_wishes(
    variant: RandomVariant, chance: random.Random, count: int, longest: tuple[int, int]
) -> list[Wish]:
    """So many, whose sources and answers are not longer than `longest`."""
    lengths = tuple(chance.randint(1, longest[0]) for _ in range(count))
    return [
        Wish(text, chance.randint(1, longest[1]), Decoding(LONGEST, **chance.choice(METHODS)))
        for text in sources(variant, lengths)
    ]


@pytest.mark.parametrize("steps", [1, BUNCH])
@pytest.mark.parametrize("name", ["bart", "ssru", "t5"])
def test_rows_of_all_kinds_that_come_and_go_answer_as_each_alone(
    name: str, steps: int, tmp_path: Path
) -> None:
    variant, chance = write_variant(tmp_path / name, KINDS[name], "fp32"), random.Random(4)
    wishes = random_wishes(variant, chance, 24, (30, 18))
    session = opened(variant, steps)
    expected = decode_rows(session, wishes, 10)
    leaving = [
        Wish(wish.source, wish.limit, wish.decoding, leaves=2 if index % 5 == 0 else 0)
        for index, wish in enumerate(wishes)
    ]
    compared = 0
    for one, other in zip(decode_rows(session, leaving, 10, seed=2), expected, strict=True):
        if one:
            compared += 1
            assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
            scores = [score for _, score in other]
            assert [score for _, score in one] == pytest.approx(scores, abs=1e-4)
    assert compared > 15


def test_beams_of_several_widths_answer_as_each_alone(learned: RandomVariant) -> None:
    """The device joins those of one width, the host others, and seven in any case."""
    wishes = [
        Wish(text, 9, Decoding(LONGEST, num_beams=width))
        for text, width in zip(sources(learned), (2, 4, 2, 4, 7, 4), strict=True)
    ]
    session = opened(learned)
    found = [decode_rows(session, wishes, 23, seed) for seed in (None, 1)]
    for one, other in zip(*found, strict=True):
        assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
        assert [score for _, score in one] == pytest.approx([score for _, score in other], abs=1e-4)


@pytest.mark.parametrize("variant", ["learned", "recurrent"])
def test_copied_beams_go_on_like_their_source(variant: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue(variant)
    session, text = opened(model), sources(model, (9,))[0]
    slots = session.slots(2)
    slots.admit_beams(session.encode([text]), [2], [9], [LONGEST])
    for position in range(60):
        session.step(slots)
        if position % 13 == 12:
            slots.copy_caches(np.array([0]), np.array([1]))
            slots.next_ids[1] = slots.next_ids[0]
        elif position % 13 == 0:
            assert position == 0 or slots.log_probs[1] == pytest.approx(
                slots.log_probs[0], abs=1e-6
            )
            slots.next_ids[1] = slots.next_ids[0] % 9 + 1
        slots.advance()


def test_moves_that_wait_are_as_if_done_at_once(learned: RandomVariant) -> None:
    """Also a move of what itself waits to be moved, and of a slot that was moved over."""
    session = opened(learned)
    slots = session.slots(8)
    texts = sources(learned, (3, 4, 5, 6, 7, 8, 9, 10))
    slots.admit(session.encode(texts), [len(text) for text in texts], [9] * 8)
    for _ in range(3):
        session.step(slots)
        slots.advance()
    memory = session._used.memory
    own, cross = memory.own.clone(), memory.cross.clone()
    order, chance = list(range(8)), random.Random(1)
    for _ in range(6):
        slot = chance.randrange(slots.rows)
        order[slot] = order[slots.rows - 1]
        slots.retire(slot)
    order = order[: slots.rows]
    with session._device.use():
        memory.settle()
    assert torch.equal(memory.own[:, : slots.rows], own[:, order])
    assert torch.equal(memory.cross[:, : slots.rows], cross[:, order])


def poisoned(folder: Path) -> Any:
    """What `read_weights` gives, but that token 5 makes values that are not finite."""
    described, tensors = read_weights(folder)
    embedding = tensors["embedding"].copy()
    embedding[5] = np.nan
    return described, {**tensors, "embedding": embedding}


@pytest.mark.parametrize("steps", [1, BUNCH])
def test_a_row_whose_values_are_not_finite_ends_alone(
    learned: RandomVariant, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [[5, 1], [6, 7, 1]]

    def run() -> tuple[TorchSession, Slots]:
        session = opened(learned, steps)
        slots = session.slots(2)
        slots.admit(session.encode(texts), [2, 3], [9, 9])
        session.run(slots, steps, 60, Interrupt())
        return session, slots

    _, expected = run()

    monkeypatch.setattr(stored_tensors, "read_weights", poisoned)
    session, slots = run()
    assert slots.positions.tolist() == [1, expected.positions[1]]
    assert not np.isfinite(slots.log_probs[0])
    np.testing.assert_allclose(slots.token_log_probs[1], expected.token_log_probs[1], atol=1e-6)
    # Who comes after it finds nothing of it.
    slots.memory.clear([0])
    slots.retire(0)
    slots.admit(session.encode([[8, 1]]), [2], [9])
    session.step(slots)
    assert np.isfinite(slots.log_probs[:2]).all()


def test_beams_whose_values_are_not_finite_end_alone(
    learned: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoding = Decoding(LONGEST, num_beams=4)
    wishes = Wish([6, 7, 1], 9, decoding), Wish([5, 1], 9, decoding)
    [expected] = decode_rows(opened(learned), wishes[:1], 4)

    monkeypatch.setattr(stored_tensors, "read_weights", poisoned)
    session = opened(learned)
    running = RunningBatch(session, 8)
    running.start([new_row(session, index, wish) for index, wish in enumerate(wishes)])
    reasons: dict[int, FinishReason] = {}
    answers: dict[int, list[list[int]]] = {}
    while running.rows:
        for row, reason in running.step()[0]:
            reasons[row.index] = reason
            found = running.finish(row, reason)
            answers[row.index] = [one.trail.tokens.tolist() for one in found]
    assert reasons[1] is FinishReason.ERROR
    assert answers[0] == [tokens for tokens, _ in expected]


def test_forced_tokens_are_taken_without_the_host(learned: RandomVariant) -> None:
    made = []
    for steps in (1, BUNCH):
        session = opened(learned, steps)
        slots = session.slots(1)
        slots.admit(session.encode([[5, 9, 1]]), [3], [20])
        slots.start(0, 3, {0: 7, 2: 8, 3: 9})
        advance = session.run(slots, 5, 60, Interrupt())
        assert advance.steps <= 5
        while slots.positions[0] < 5:
            session.run(slots, 5 - int(slots.positions[0]), 60, Interrupt())
        made.append((slots.tokens[0, :5].tolist(), slots.token_log_probs[0, :5].copy()))
    assert made[0][0] == made[1][0]
    assert [made[0][0][place] for place in (0, 2, 3)] == [7, 8, 9]
    np.testing.assert_allclose(made[0][1], made[1][1], rtol=0, atol=1e-6)


def test_what_follows_a_loop_is_dropped(learned: RandomVariant) -> None:
    """A loop ends an answer at the same token however many steps are made together."""
    found = []
    for steps in (1, 100):
        session = opened(learned, steps)
        slots = session.slots(1)
        slots.admit(session.encode([[5, 9, 1]]), [3], [LONGEST])
        slots.start(0, 3, {}, watched=True)
        with session._device.use():
            session._model.decoder.last.bias[11] = 1e4  # the only token that is made
        advance = session.run(slots, LONGEST, 60, Interrupt())
        while not advance.looping:
            advance = session.run(slots, LONGEST, 60, Interrupt())
        found.append((advance.looping, int(slots.positions[0]), set(slots.tokens[0, :40].tolist())))
    assert found[0] == found[1]
    assert found[0][2] == {11}


def test_tokens_of_rows_that_end_among_others_are_counted_once(learned: RandomVariant) -> None:
    session, decoding = opened(learned, BUNCH), Decoding(LONGEST)
    running = RunningBatch(session, 2)
    wishes = Wish([5, 9, 1], 2, decoding), Wish([5, 9, 1], 30, decoding)
    running.start([new_row(session, index, wish) for index, wish in enumerate(wishes)])
    slots = running._slots
    done, steps = running.step(BUNCH, seconds=60)
    assert [row.index for row, _ in done][:1] == [0] and steps == BUNCH
    assert running.tokens == slots.positions[:2].sum() < 2 * BUNCH


def test_a_run_comes_back_when_something_waits(learned: RandomVariant) -> None:
    session, interrupt = opened(learned), Interrupt()
    slots = session.slots(1)
    slots.admit(session.encode([[5, 9, 1]]), [3], [LONGEST])
    interrupt.set()
    assert session.run(slots, 50, 60, interrupt).steps == 1
    interrupt.clear()
    assert session.run(slots, 50, 0.0, interrupt).steps == 1


def test_a_shortlist_bounds_the_answers(tmp_path: Path) -> None:
    kind = KINDS["bart"]
    shortlist = random_shortlist(kind, seed=5)
    variant = write_variant(tmp_path / "short", kind, "fp32", shortlist=shortlist)
    texts, session = sources(variant, (5, 9, 17)), opened(variant)
    slots = session.slots(3)
    slots.admit(session.encode(texts), [5, 9, 17], [30] * 3)
    for step in range(4):
        session.step(slots, frozenset({"logits", "suppressed_logits"}))
        for slot in range(slots.rows):
            text = texts[[0, 1, 2][slot] if step < 2 else [2, 1][slot]]
            likely = np.setdiff1d(shortlist.likely(text), kind.suppressed_ids)
            finite = np.flatnonzero(np.isfinite(session.extra["logits"][slot]))
            np.testing.assert_array_equal(finite, likely)
            assert np.isneginf(session.extra["suppressed_logits"][slot]).all()
        slots.advance()
        if step == 1:
            slots.retire(0)


def test_lanes_share_weights_and_nothing_else(learned: RandomVariant) -> None:
    first = opened(learned)
    second, texts = first.sibling(), sources(learned)
    expected = decode(first, texts, FEW)
    slots = second.slots(2)
    slots.admit(second.encode(texts[:2]), [5, 1], [9, 9])
    second.step(slots)
    before = slots.log_probs.copy()
    for one, other in zip(decode(first, texts, FEW), expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
    second.step(slots)
    np.testing.assert_array_equal(slots.log_probs, before)
    assert second._model is first._model


@pytest.mark.parametrize(("source", "message"), REFUSED_SOURCES)
def test_a_source_that_the_model_does_not_take_is_refused(
    learned: RandomVariant, source: list[int], message: str
) -> None:
    session = opened(learned)
    with pytest.raises(TorchInputError, match=message):
        session.encode([[5, 1], source])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("ids", 997, "token that does not exist"),
        ("ids", -1, "token that does not exist"),
        ("positions", LONGEST, "longer than the model's positions"),
    ],
)
def test_a_step_that_the_model_does_not_take_is_refused(
    learned: RandomVariant, field: str, value: int, message: str
) -> None:
    session = opened(learned)
    slots = session.slots(2)
    slots.admit(session.encode([[5, 1], [6, 1]]), [2, 2], [9, 9])
    getattr(slots, field)[1] = value
    with pytest.raises(TorchInputError, match=message):
        session.step(slots)


def test_damaged_weights_are_told(learned: RandomVariant, monkeypatch: pytest.MonkeyPatch) -> None:
    read: Callable[[Path], Any] = read_weights

    def without(folder: Path) -> Any:
        described, tensors = read(folder)
        return described, {name: one for name, one in tensors.items() if name != "head.bias"}

    monkeypatch.setattr(stored_tensors, "read_weights", without)
    with pytest.raises(WeightsError, match="describes no model"):
        opened(learned)


class GraphTwin:
    """A CUDA graph that makes the calls again that were made while it was captured."""

    recording: "GraphTwin | None" = None

    def __init__(self) -> None:
        self.replay: Callable[[], None] = lambda: None

    def capture_begin(self, **_: Any) -> None:
        GraphTwin.recording = self

    def capture_end(self) -> None:
        GraphTwin.recording = None


def with_graphs(lane: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, set[tuple[int, int]]]:
    """Has work be replayed as on a GPU; returns the sizes that are, as they are made."""
    made: dict[str, set[tuple[int, int]]] = {"step": set(), "select": set(), "join": set()}

    def recorded(name: str, work: Work) -> Work:
        def run(first: int, second: int) -> None:
            def replay() -> None:
                made[name].add((first, second))
                work(first, second)

            if GraphTwin.recording is None:
                work(first, second)
            else:  # a capture computes nothing
                GraphTwin.recording.replay = replay

        return run

    monkeypatch.setattr(torch.cuda, "CUDAGraph", GraphTwin)
    monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 0))
    monkeypatch.setattr(lane, "_work", recorded("step", lane._work))
    for name in ("select", "join"):
        monkeypatch.setattr(lane.choices, name, recorded(name, getattr(lane.choices, name)))
    with lane._device.use():
        lane.capture()
    rows, widths = row_sizes(lane.capacity), width_sizes(lane._longest)
    assert len(lane._step) == len(rows) * len(widths)
    return made


@pytest.mark.parametrize("name", ["bart", "ssru", "t5"])
def test_steps_of_fixed_sizes_give_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a graph computes beyond the live rows, and beyond their positions, touches nothing."""
    variant, chance = write_variant(tmp_path / name, KINDS[name], "fp32"), random.Random(6)
    wishes = random_wishes(variant, chance, 14, (80, 12))
    session = opened(variant, BUNCH)
    expected = decode_rows(session, wishes, 11)
    session.slots(11)
    lane: Any = session._used
    made = with_graphs(lane, monkeypatch)
    for one, other in zip(decode_rows(session, wishes, 11, seed=3), expected, strict=True):
        assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
    assert session._used is lane
    assert {width for _, width in made["step"]} == {64, 128}
    assert {rows for rows, _ in made["step"]} >= {4, 8, 11}
    beams = [place for place, wish in enumerate(wishes) if wish.decoding.num_beams == 4]
    alone = decode_rows(session, [wishes[place] for place in beams], 11)
    assert [[tokens for tokens, _ in one] for one in alone] == [
        [tokens for tokens, _ in expected[place]] for place in beams
    ]
    assert {count for _, count in made["select"]} == {16, 128}
    assert {width for width, _ in made["join"]} == {4}


def test_sizes_of_graphs_reach_all_rows_and_positions() -> None:
    assert row_sizes(64) == [1, 2, 4, 8, 16, 24, 32, 48, 64]
    assert row_sizes(1) == [1]
    assert row_sizes(1100)[-2:] == [1024, 1100]
    assert width_sizes(512) == [64, 128, 256, 512]
    assert width_sizes(48) == [48]
    assert width_sizes(144) == [64, 128, 144]
