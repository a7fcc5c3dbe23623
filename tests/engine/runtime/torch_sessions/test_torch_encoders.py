"""Encoders with the torch session on the processor: as the checkpoint, and as its graph."""

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from engine.export.precision.recipes import Precision
from engine.model.encoders.config import HeadKind
from engine.native.weights import MODEL_FILE, WeightsError, read_weights
from engine.runtime.encoders import torch_session
from engine.runtime.encoders.session import EncoderSession, Floats
from engine.runtime.encoders.torch_session import TorchEncoderSession, row_size, width_size
from engine.runtime.encoders.windows import TokenWindow
from engine.runtime.sessions.torch.errors import TorchInputError
from engine.runtime.sessions.torch.reader import TorchReader
from engine.runtime.sessions.torch.weights import load_reader
from tests.engine.model.encoder_checkpoints import LONGEST
from tests.engine.native.answers import random_windows
from tests.engine.native.encoders import NATIVE, EncoderVariant, write_encoder

pytestmark = pytest.mark.usefixtures("one_thread")

LENGTHS = (5, 1, 40, 16, 17, LONGEST, 33, 2, 31, 64, 64)

TOLERANCE = {"fp16": 0.01, "bf16": 0.1, "int8": 0.15}
"""Largest mean difference of logits, relative to their size."""


# Each family, with the head that it has last, and the others of two.
KINDS = [*dict(NATIVE).items(), ("odd", "classification"), ("bert", "classification")]


@pytest.fixture(scope="module", params=KINDS, ids="-".join)
def kind(request: pytest.FixtureRequest) -> tuple[str, HeadKind]:
    family, head = request.param
    return family, head


@pytest.fixture(scope="module")
def fp32(kind: tuple[str, HeadKind], tmp_path_factory: pytest.TempPathFactory) -> EncoderVariant:
    return write_encoder(tmp_path_factory.mktemp("torch") / "fp32", *kind, "fp32")


@pytest.fixture(scope="module")
def spans(tmp_path_factory: pytest.TempPathFactory) -> EncoderVariant:
    return write_encoder(tmp_path_factory.mktemp("spans") / "fp32", "bert", "spans", "fp32")


def opened(variant: EncoderVariant) -> TorchEncoderSession:
    return TorchEncoderSession(variant.folder, variant.manifest, None)


def onnx(variant: EncoderVariant) -> EncoderSession:
    return EncoderSession(variant.folder, variant.manifest, threads=1)


def windows(variant: EncoderVariant, lengths: Sequence[int] = LENGTHS) -> list[TokenWindow]:
    return random_windows(variant.manifest, lengths, seed=3)


def check_close(made: Sequence[Floats], expected: Sequence[Floats]) -> None:
    for one, other in zip(made, expected, strict=True):
        assert one.dtype == np.float32 and one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_logits_are_those_of_checkpoint_and_graph(fp32: EncoderVariant) -> None:
    texts = windows(fp32)
    made = opened(fp32).run(texts)
    check_close(made, [fp32.oracle(text) for text in texts])
    check_close(made, onnx(fp32).run(texts))


def test_a_window_is_the_same_alone_and_among_others(fp32: EncoderVariant) -> None:
    session, texts = opened(fp32), windows(fp32)
    together = session.run(texts)
    check_close([session.run([text])[0] for text in texts], together)
    check_close(session.run(texts[::-1])[::-1], together)


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize(("family", "head"), [("odd", "classification"), ("bert", "spans")])
def test_other_precisions_are_close_to_the_checkpoint(
    family: str, head: HeadKind, precision: Precision, tmp_path: Path
) -> None:
    variant = write_encoder(tmp_path / precision, family, head, precision)
    texts = windows(variant)
    made = np.concatenate(opened(variant).run(texts))
    exact = np.concatenate([variant.oracle(text) for text in texts])
    distance = np.abs(made - exact).mean() / np.sqrt(np.mean(exact**2))
    assert 0 < distance <= TOLERANCE[precision]


def test_int8_on_a_gpu_is_computed_in_16_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = write_encoder(tmp_path / "int8", "bert", "classification", "int8")
    monkeypatch.setattr(torch_session, "computing_type", lambda *_: torch.bfloat16)
    texts = windows(variant)
    made = np.concatenate(opened(variant).run(texts))
    exact = np.concatenate([variant.oracle(text) for text in texts])
    assert np.abs(made - exact).mean() <= TOLERANCE["int8"] * np.sqrt(np.mean(exact**2))


def test_layers_that_share_parameters_share_memory(tmp_path: Path) -> None:
    variant = write_encoder(tmp_path / "albert", "albert", "classification", "fp32")
    reader = load_reader(variant.folder, torch.device("cpu"), torch.float32)
    layers = [attention.entry.weight.data_ptr() for attention, _ in reader.stack.layers]
    assert len(set(layers)) == variant.model.config.blocks < len(layers)


def test_few_shapes_occur_and_little_of_them_is_padding() -> None:
    assert sorted({row_size(rows) for rows in range(1, 30)}) == [1, 2, 3, 4, 6, 8, 12, 16, 24, 32]
    widths = sorted({width_size(length, 512) for length in range(1, 513)})
    assert widths == [16, 32, 48, 64, 96, 128, 192, 256, 384, 512]
    assert width_size(400, 400) == 400
    for rows in range(1, 500):
        assert rows <= row_size(rows) < 1.5 * rows


def test_all_shapes_that_requests_bring_have_been_warm(
    spans: EncoderVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a GPU, where the first batch of a shape takes longer."""
    session, seen = opened(spans), set[tuple[int, ...]]()
    read = TorchReader.__call__

    def noted(reader: TorchReader, ids: torch.Tensor, *rest: torch.Tensor) -> torch.Tensor:
        seen.add(tuple(ids.shape))
        return read(reader, ids, *rest)

    monkeypatch.setattr(TorchReader, "__call__", noted)
    monkeypatch.setattr(torch_session, "GPU_TOKENS", 2 * LONGEST)
    session._warm_up()
    warm, widths = set(seen), {width for _, width in seen}
    assert widths == {16, 32, 48, 64}
    session.run(windows(spans, [33, 40]))
    session.run(windows(spans, [7]))
    assert seen == warm


def test_threads_take_turns(spans: EncoderVariant) -> None:
    session = opened(spans)
    parts = [windows(spans, (length, 9, 70 - length)) for length in range(6, 65, 4)]
    expected = [session.run(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for made, wanted in zip(pool.map(session.run, parts), expected, strict=True):
            check_close(made, wanted)


@pytest.mark.parametrize(
    ("ids", "types", "message"),
    [
        ([], [], "a window has no tokens"),
        ([10**6], [0], "token that does not exist"),
        ([-1], [0], "token that does not exist"),
        ([1] * (LONGEST + 1), [0] * (LONGEST + 1), "longer than the model's positions"),
        ([1, 2], [0, 2], "of a type that does not exist"),
        ([1, 2], [-1, 0], "of a type that does not exist"),
    ],
)
def test_a_window_that_the_model_does_not_take_is_refused(
    spans: EncoderVariant, ids: list[int], types: list[int], message: str
) -> None:
    session, good = opened(spans), windows(spans, (9,))
    with pytest.raises(TorchInputError, match=message):
        session.run([*good, TokenWindow(ids, types, 0, 0, len(ids))])
    check_close(session.run(good), [spans.oracle(good[0])])


@pytest.mark.parametrize(
    "key", ["twins", "embedding_width", "head_activation", "labels", "hidden", "epsilon"]
)
def test_a_model_that_is_not_whole_is_refused(tmp_path: Path, key: str) -> None:
    variant = write_encoder(tmp_path / "bert", "bert", "classification", "fp32")
    described, _ = read_weights(variant.folder)
    del described[key]
    (variant.folder / MODEL_FILE).write_text(json.dumps(described))
    with pytest.raises(WeightsError, match="export the variant again"):
        opened(variant)
