"""Encoders with the native code: as PyTorch and ONNX Runtime, on every instruction set."""

import functools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.export.native.encoder import runs_natively
from engine.export.precision.recipes import PRECISIONS, Precision
from engine.model.encoders.config import HeadKind
from engine.native.library import NativeError
from engine.native.model import ISA_VARIABLE
from engine.native.weights import WEIGHTS_FILE, have_weights
from engine.runtime.encoders.native_session import NativeEncoderSession
from engine.runtime.encoders.session import EncoderSession, Floats
from engine.runtime.encoders.windows import TokenWindow
from tests.engine.model.encoder_checkpoints import LONGEST
from tests.engine.native.answers import random_windows
from tests.engine.native.encoders import (
    EVERY,
    NATIVE,
    EncoderVariant,
    int8_products,
    random_encoder,
    write_encoder,
)

LENGTHS = (5, 1, 40, 16, 17, LONGEST, 33, 2, 31, 64, 64, 64)

SAME_CHOICES = 0.95
"""The share of labels, or of starts and ends, that native and ONNX's INT8 agree on at least."""

NEAR_TIE = 0.05
"""Logits that are so close, relative to their size, may change places."""


@pytest.fixture(scope="module", params=NATIVE, ids="-".join)
def kind(request: pytest.FixtureRequest) -> tuple[str, HeadKind]:
    family, head = request.param
    return family, head


Write = Callable[[Precision], EncoderVariant]


@pytest.fixture(scope="module")
def write(
    kind: tuple[str, HeadKind], backends: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Write:
    """Exports a precision of the kind, once."""
    folder = tmp_path_factory.mktemp("encoder")
    return functools.cache(lambda precision: write_encoder(folder / precision, *kind, precision))


@pytest.fixture
def fp32(write: Write) -> EncoderVariant:
    return write("fp32")


@pytest.fixture
def int8(write: Write) -> EncoderVariant:
    return write("int8")


@pytest.fixture(params=PRECISIONS)
def variant(request: pytest.FixtureRequest, write: Write) -> EncoderVariant:
    return write(request.param)


def native(variant: EncoderVariant) -> NativeEncoderSession:
    return NativeEncoderSession(variant.folder, variant.manifest)


def onnx(variant: EncoderVariant) -> EncoderSession:
    return EncoderSession(variant.folder, variant.manifest, threads=1)


def windows(variant: EncoderVariant, lengths: tuple[int, ...] = LENGTHS) -> list[TokenWindow]:
    return random_windows(variant.manifest, lengths, seed=3)


def check_same(made: Sequence[Floats], expected: Sequence[Floats]) -> None:
    for one, other in zip(made, expected, strict=True):
        np.testing.assert_array_equal(one, other, strict=True)


def test_logits_are_those_of_the_checkpoint(fp32: EncoderVariant) -> None:
    texts = windows(fp32)
    for text, made in zip(texts, native(fp32).run(texts), strict=True):
        np.testing.assert_allclose(made, fp32.oracle(text), rtol=0, atol=1e-4)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_weights_in_16_bits_are_those_of_the_graph(precision: Precision, write: Write) -> None:
    variant = write(precision)
    texts = windows(variant)
    for made, expected in zip(native(variant).run(texts), onnx(variant).run(texts), strict=True):
        np.testing.assert_allclose(made, expected, rtol=0, atol=1e-4)


def test_int8_is_close_to_the_graph(int8: EncoderVariant) -> None:
    """Much closer than both are to the checkpoint, with the same choices but for near ties."""
    texts = windows(int8, tuple(1 + place * 37 % LONGEST for place in range(60)))
    made, expected = native(int8).run(texts), onnx(int8).run(texts)
    exact = [int8.oracle(text) for text in texts]
    assert distance(made, expected) <= max(0.01, 0.4 * distance(expected, exact))
    assert distance(made, exact) <= 1.1 * distance(expected, exact)
    size = np.sqrt(np.mean(np.concatenate(expected) ** 2))
    lost = [
        other.max(axis=0) - np.take_along_axis(other, one.argmax(axis=0)[None], 0)[0]
        for one, other in zip(made, expected, strict=True)
    ]
    assert np.mean(np.array(lost) <= NEAR_TIE * size) >= SAME_CHOICES


def distance(made: Sequence[Floats], expected: Sequence[Floats]) -> float:
    """The mean difference of logits, relative to their size."""
    wanted = np.concatenate(expected)
    difference = np.abs(np.concatenate(made) - wanted).mean()
    return float(difference / np.sqrt(np.mean(wanted**2)))


@pytest.mark.parametrize("family", ["odd", "albert"])
def test_each_int8_product_is_that_of_the_graph(
    family: str, tmp_path: Path, backends: list[str]
) -> None:
    """But for texts with a value on the edge of a rounding, or so low that ONNX makes it -128."""
    products = int8_products(family, "classification")
    assert len(products) > 10 and "projection" in products
    for product in products:
        variant = write_encoder(tmp_path / product, family, "classification", "int8", product)
        texts = windows(variant, tuple(range(1, 25)))
        differences = [
            np.abs(one - other).max()
            for one, other in zip(native(variant).run(texts), onnx(variant).run(texts), strict=True)
        ]
        assert np.quantile(differences, 0.1) <= 1e-5, product
        assert np.mean(differences) <= 0.01, product


def test_a_text_is_the_same_alone_among_others_and_everywhere(
    variant: EncoderVariant, backends: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the bit: whoever else is served, wherever the text stands, whatever processor it is."""
    texts = windows(variant)
    together = native(variant).run(texts)
    session = native(variant)
    check_same([session.run([text])[0] for text in texts], together)
    check_same(session.run(texts[::-1])[::-1], together)
    for backend in backends:
        monkeypatch.setenv(ISA_VARIABLE, backend)
        check_same(native(variant).run(texts), together)


@pytest.mark.parametrize(("family", "head"), EVERY)
def test_what_native_code_does_not_have_stays_with_the_graph(
    family: str, head: HeadKind, tmp_path: Path
) -> None:
    """Positions that attention knows, and embeddings that hang on other tokens."""
    served = runs_natively(random_encoder(family, head).config)
    assert served == (family not in ("esm2", "deberta-v2", "deberta-v3"))
    folder = write_encoder(tmp_path / family, family, head, "fp32").folder
    assert have_weights(folder) == served


def test_layers_that_share_parameters_have_them_once_on_disk(
    backends: list[str], tmp_path: Path
) -> None:
    """The four blocks of two groups, for six layers, with all else that such a model has."""
    variant = write_encoder(tmp_path / "albert", "albert", "classification", "fp32")
    layers = len(variant.model.config.order)
    assert layers > variant.model.config.blocks
    parameters = 4 * sum(one.numel() for one in variant.model.parameters())
    # Heads of 8 are padded to 16, and so are labels.
    per_block = 4 * 4 * 32 * 32
    room = variant.model.config.blocks * per_block + 20_000
    assert (variant.folder / WEIGHTS_FILE).stat().st_size < parameters + room


@pytest.fixture(scope="module")
def bert(backends: list[str], tmp_path_factory: pytest.TempPathFactory) -> EncoderVariant:
    return write_encoder(tmp_path_factory.mktemp("bert") / "int8", "bert", "spans", "int8")


def test_threads_do_not_disturb_each_other(bert: EncoderVariant) -> None:
    session = native(bert)
    parts = [windows(bert, (length, 9, 70 - length)) for length in range(6, 65)]
    expected = [session.run(part) for part in parts]
    with ThreadPoolExecutor(6) as pool:
        for _ in range(3):
            for made, wanted in zip(pool.map(session.run, parts), expected, strict=True):
                check_same(made, wanted)


@pytest.mark.parametrize(
    ("ids", "types", "message"),
    [
        ([], [], "a source has no tokens"),
        ([10**6], [0], "token that does not exist"),
        ([-1], [0], "token that does not exist"),
        ([1] * (LONGEST + 1), [0] * (LONGEST + 1), "longer than the model's positions"),
        ([1, 2], [0, 2], "of a type that does not exist"),
        ([1, 2], [-1, 0], "of a type that does not exist"),
    ],
)
def test_a_text_that_the_model_does_not_take_is_refused(
    bert: EncoderVariant, ids: list[int], types: list[int], message: str
) -> None:
    session, good = native(bert), windows(bert, (9,))
    expected = session.run(good)
    with pytest.raises(NativeError, match=message):
        session.run([*good, TokenWindow(ids, types, 0, 0, len(ids))])
    check_same(session.run(good), expected)
