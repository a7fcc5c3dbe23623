"""Models that are divided over 2 and 4 processes give what whole ones do."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.model.config import EncoderAttention
from engine.parallel.layout import Layout
from engine.runtime.decoding.settings import Decoding
from engine.runtime.sessions.torch.device import TorchDevice
from engine.runtime.sessions.torch.encoder import encoder_states
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import load_model
from tests.engine.native.answers import decode, random_sources
from tests.engine.native.models import KINDS, LONG_KINDS, RandomVariant, write_variant
from tests.engine.parallel.shards.long_input import long_kind
from tests.engine.parallel.shards.shard_world import (
    CAPACITY,
    CPU,
    DTYPES,
    Leader,
    ShardedVariant,
    in_double,
    led_world,
    padded_sources,
)
from tests.engine.runtime.torch_sessions.mixed_rows import Wish, decode_rows

LENGTHS = (13, 1, 2, 3, 30, 7, 16)
"""Odd ones, and below the number of ranks; padded in one batch."""
LIMITS = (12, 8, 10, 5, 14, 10, 9)

LONG = 2048

TENSOR, SEQUENCE, BOTH = "tp=2", "sp=2", "tp=2,sp=2"
FOUR = ("tp=4", "sp=4")
LIMIT = {"fp64": 1e-5, "fp32": 1e-3, "bf16": 2e-2}
"""Of differences; in BF16, which has 8 bits, it is of what is largest."""

CASES = [
    *(("fp64", layout) for layout in (TENSOR, SEQUENCE, BOTH, *FOUR)),
    *(("fp32", BOTH), ("bf16", BOTH)),
]
"""What is computed, and how it is divided."""

MODELS = {
    "marian": KINDS["marian"],
    "t5": KINDS["t5"],
    "gated": KINDS["flan_t5"],
    "bart": replace(KINDS["bart"], config=replace(KINDS["bart"].config, decoder_heads=4)),
    "separate": KINDS["two_vocabularies"],
    "recurrent": KINDS["ssru"],
    "local": LONG_KINDS["long_local"],
    "global": LONG_KINDS["long_global"],
}


DIVIDED = ["marian", "t5", "bart", "local", "global"]
"""Models that are divided in every way; radius and blocks of the last two are a few tokens."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Leader]:
    threads = torch.get_num_threads()
    with led_world(tmp_path_factory.mktemp("world")) as leader:
        yield leader
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory) -> "Variants":
    return Variants(tmp_path_factory.mktemp("variants"))


class Variants:
    """Random variants, each written once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: dict[tuple[str, str], RandomVariant] = {}

    def __call__(self, model: str, precision: str) -> RandomVariant:
        stored = "fp32" if precision == "fp64" else precision
        if (model, stored) not in self._written:
            folder = self._folder / f"{model}_{stored}"
            self._written[model, stored] = write_variant(folder, MODELS[model], stored)  # type: ignore[arg-type]
        return self._written[model, stored]


def whole_session(variant: RandomVariant, *, wide: bool = False) -> TorchSession:
    precision = variant.manifest.precision
    dtype = torch.float32 if precision == "int8" else DTYPES[precision]
    model = load_model(variant.folder, CPU, dtype)
    model = in_double(model) if wide else model
    return TorchSession.over(model, variant.manifest, CAPACITY, TorchDevice(None), 0)


def texts_of(variant: RandomVariant) -> list[list[int]]:
    vocabulary = variant.kind.config.encoder_vocab_size
    return random_sources(variant.manifest, LENGTHS, seed=3, vocabulary=vocabulary)


def expected_states(variant: RandomVariant, case: ShardedVariant) -> torch.Tensor:
    with torch.inference_mode():
        model = whole_session(variant, wide=case.wide)._model
        made = encoder_states(model, *padded_sources(case.sources))
        return made.view(len(case.sources), -1, model.width)


@pytest.mark.parametrize(("precision", "layout"), CASES)
@pytest.mark.parametrize("ring", [False, True])
@pytest.mark.parametrize("model", DIVIDED)
def test_encoder_states_are_those_of_the_whole_model(
    world: Leader, variants: Variants, model: str, precision: str, ring: bool, layout: str
) -> None:
    ways = Layout.parse(layout).sequence
    if ring and (ways == 1 or MODELS[model].config.encoder_attention != "full"):
        return
    variant = variants(model, precision)
    sources = tuple(map(tuple, texts_of(variant)))
    case = ShardedVariant(
        variant.folder, Layout.parse(layout), precision == "fp64", ring, sources=sources
    )
    made, whole = world.encoded(case), expected_states(variant, case)
    for row, source in enumerate(sources):
        each = -(-len(source) // ways)
        joined = made[:, row, :each].flatten(0, 1)[: len(source)]
        expected = whole[row, : len(source)]
        atol = allowed(expected.numpy(), precision)
        torch.testing.assert_close(joined, expected, rtol=0, atol=atol)


def allowed(values: np.ndarray, precision: str) -> float:
    largest = float(np.abs(values[np.isfinite(values)]).max(initial=1))
    return LIMIT[precision] * (largest if precision == "bf16" else 1)


@pytest.mark.parametrize(
    ("precision", "layout"), [("fp64", BOTH), *(("fp32", one) for one in (TENSOR, SEQUENCE, *FOUR))]
)
@pytest.mark.parametrize("model", DIVIDED)
def test_greedy_answers_are_those_of_the_whole_model(
    world: Leader, variants: Variants, model: str, precision: str, layout: str
) -> None:
    variant = variants(model, precision)
    case = ShardedVariant(variant.folder, Layout.parse(layout), precision == "fp64")
    check_greedy(world, variant, case)


@pytest.mark.parametrize(
    ("model", "precision", "layout"),
    [
        ("gated", "fp32", BOTH),
        ("separate", "fp32", BOTH),
        ("recurrent", "fp32", SEQUENCE),
        ("bart", "int8", TENSOR),
        ("gated", "int8", BOTH),
        ("marian", "fp32", "tp=1"),
    ],
)
def test_other_models_can_be_divided_too(
    world: Leader, variants: Variants, model: str, precision: str, layout: str
) -> None:
    variant = variants(model, precision)
    check_greedy(world, variant, ShardedVariant(variant.folder, Layout.parse(layout)))


def check_greedy(world: Leader, variant: RandomVariant, case: ShardedVariant) -> None:
    """Rows start at three times, so that they stand in other slots than where they began."""
    texts = texts_of(variant)
    with world.session(case) as (session, _):
        made = decode(session, texts, LIMITS, at_once=3)
    whole = decode(whole_session(variant, wide=case.wide), texts, LIMITS, at_once=3)
    for one, other in zip(made, whole, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("precision", "layout"), CASES)
@pytest.mark.parametrize("model", DIVIDED)
def test_logits_are_those_of_the_whole_model(
    world: Leader, variants: Variants, model: str, precision: str, layout: str
) -> None:
    variant = variants(model, precision)
    case = ShardedVariant(variant.folder, Layout.parse(layout), precision == "fp64")
    texts = texts_of(variant)
    with world.session(case) as (session, _):
        made = steps_of(session, texts)
    whole = steps_of(whole_session(variant, wide=case.wide), texts)
    for one, other in zip(made, whole, strict=True):
        assert one.keys() == other.keys()
        for name in other if precision != "bf16" else {"logits"} & other.keys():
            atol = allowed(other[name], precision)
            np.testing.assert_allclose(one[name], other[name], rtol=0, atol=atol, err_msg=name)


def steps_of(session: TorchSession, texts: list[list[int]]) -> list[dict[str, np.ndarray]]:
    """What a session tells of three steps whose tokens are given."""
    slots, lengths = session.slots(CAPACITY), [len(text) for text in texts]
    slots.admit(session.encode(texts), lengths, [9] * len(texts))
    for slot in range(len(texts)):
        slots.start(slot, 1, {place: 2 + (slot + place) % 7 for place in range(9)}, candidates=8)
    told = []
    for _ in range(3):
        session.step(slots, session.outputs)
        found = {name: session.extra[name].copy() for name in session.outputs - {"candidates"}}
        found["ids"] = slots.candidate_ids[: slots.rows, :8].copy()
        found["candidates"] = slots.candidate_logits[: slots.rows, :8].copy()
        found["log_probs"] = slots.log_probs[: slots.rows].copy()
        found["slot"] = session.logits(3).copy()
        told.append(found)
        session.advance(slots)
    session.step(slots, frozenset({"suppressed_logits"}) & session.outputs)
    return [*told, {name: values.copy() for name, values in session.extra.items()}]


@pytest.mark.parametrize("model", DIVIDED)
def test_rows_of_every_kind_run_together(world: Leader, variants: Variants, model: str) -> None:
    variant = variants(model, "fp32")
    beams = Decoding(140, num_beams=4, num_hypotheses=2)
    drawn = Decoding(140, sample=True, temperature=0.7, top_k=5)
    kept = Decoding(140, num_beams=3, repetition_penalty=1.3, no_repeat_ngram_size=2)
    plain = Decoding(140)
    wishes = [
        Wish(text, limit, decoding, leaves)
        for text, limit, decoding, leaves in zip(
            texts_of(variant),
            LIMITS,
            (beams, drawn, kept, plain, beams, plain, drawn),
            (0, 0, 0, 2, 0, 0, 0),
            strict=True,
        )
    ]
    with world.session(ShardedVariant(variant.folder, Layout.parse(BOTH))) as (session, _):
        made = decode_rows(session, wishes, CAPACITY, seed=1)
    for one, other in zip(
        made, decode_rows(whole_session(variant), wishes, CAPACITY, seed=1), strict=True
    ):
        assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
        np.testing.assert_allclose(
            [score for _, score in one], [score for _, score in other], rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(
    ("model", "layout"), [("marian", TENSOR), ("marian", SEQUENCE), ("global", BOTH)]
)
def test_a_row_that_is_no_number_on_one_rank_fails_alone(
    world: Leader, variants: Variants, model: str, layout: str
) -> None:
    variant = variants(model, "fp32")
    texts = [[5, 6, 7, 8, 1], [5, 60, 7, 8, 1], [9, 1]]
    case = ShardedVariant(variant.folder, Layout.parse(layout), poisoned=60)
    with world.session(case) as (session, _):
        slots = session.slots(CAPACITY)
        slots.admit(session.encode(texts), [5, 5, 2], [9] * 3)
        session.step(slots)
        made = slots.log_probs[:3].copy()
    whole = whole_session(variant)
    slots = whole.slots(CAPACITY)
    slots.admit(whole.encode(texts), [5, 5, 2], [9] * 3)
    whole.step(slots)
    assert np.isfinite(made).tolist() == [True, False, True]
    np.testing.assert_allclose(made[[0, 2]], slots.log_probs[[0, 2]], rtol=0, atol=1e-4)


@pytest.mark.parametrize("ring", [False, True])
def test_ranks_send_as_many_bytes_as_the_formula_says(
    world: Leader, variants: Variants, ring: bool
) -> None:
    variant = variants("marian", "fp32")
    layout = Layout.parse(BOTH)
    rows, length, steps, item = 3, 11, 4, 4
    heads, head, width, layers = 4 // layout.tensor, 16, 32, 2
    with world.session(ShardedVariant(variant.folder, layout, ring=ring)) as (session, model):
        slots = session.slots(CAPACITY)
        tensor, sequence = model.ranks.tensor.sent, model.ranks.sequence.sent
        tensor.clear()
        sequence.clear()
        encoded = session.encode([[5] * length] * rows)
        part = -(-length // layout.sequence)
        # Embeddings, and two sums a layer; of each, 2 (tp - 1) / tp is sent.
        assert tensor == {"all_reduce": (1 + 2 * layers) * rows * part * width * item}
        keys = layers * 2 * rows * part * heads * head * item
        assert sequence == {"pass_on" if ring else "all_gather": keys}
        tensor.clear()
        sequence.clear()
        slots.admit(encoded, [length] * rows, [9] * rows)
        for _ in range(steps):
            session.step(slots)
            session.advance(slots)
        assert tensor == {
            "all_reduce": steps * (1 + 3 * layers) * rows * width * item,
            "all_gather": steps * rows * 3 * 8,
        }
        assert sequence == {"all_gather": steps * layers * rows * heads * (head + 1) * 4}


@pytest.mark.parametrize("attention", ["full", "transient_global"])
def test_a_rank_keeps_its_part_of_long_sources_alone(
    world: Leader, tmp_path: Path, attention: EncoderAttention
) -> None:
    """See `long_input.py` for sources of 32,768 tokens."""
    variant = write_variant(tmp_path / "long", long_kind(LONG, attention), "fp32")
    (source,) = map(tuple, random_sources(variant.manifest, [LONG], seed=1))
    whole, half, quarter = (
        world.peak(
            ShardedVariant(variant.folder, Layout(sequence=ranks), ring=True, sources=(source,))
        )
        for ranks in (1, 2, 4)
    )
    assert half < 0.55 * whole
    assert quarter < 0.35 * whole


@pytest.mark.parametrize("layout", [BOTH, "sp=4"])
@pytest.mark.parametrize("model", ["local", "global"])
@pytest.mark.parametrize("length", [6, 21, 140])
def test_ranks_send_their_neighbours_no_more_than_these_need(
    world: Leader, variants: Variants, model: str, length: int, layout: str
) -> None:
    """A part of 2 positions, which is less than the radius, goes to ranks further away, too."""
    variant, divided, rows, item = variants(model, "fp32"), Layout.parse(layout), 3, 4
    config, ranks = variant.kind.config, divided.sequence
    sources = tuple(map(tuple, random_sources(variant.manifest, [length] * rows, seed=1)))
    costs = world.costs(ShardedVariant(variant.folder, divided, sources=sources))
    each, radius, padded_head = -(-length // ranks), config.local_radius, 16
    vector = 2 * config.encoder_heads // divided.tensor * padded_head * item
    blocks = length // config.global_block if config.has_globals else 0
    sums = 2 * (ranks - 1) * rows * blocks * config.d_model * item // ranks
    for rank, cost in enumerate(costs):
        positions = 0
        for distance in range(1, ranks):
            neighbours = (rank >= distance) + (rank + distance < ranks)
            positions += neighbours * max(0, min(each, radius - (distance - 1) * each))
        halo = config.encoder_layers * rows * positions * vector
        assert cost.sent == {
            **{"exchange": halo, "all_reduce": config.encoder_layers * sums},
            **{"all_gather": 0, "pass_on": 0},
        }
