"""Kernels in Triton's interpreter, beside plain torch: `test_interpreted_kernels.py` starts these.

Triton decides when a kernel is defined whether it is interpreted, so these have their own process.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from triton.runtime import interpreter

from engine.runtime.sessions.torch import kernels
from engine.runtime.sessions.torch.kernels import attention, fused, plain, selection
from engine.runtime.sessions.torch.model import TorchNorm
from engine.runtime.sessions.torch.session import TorchSession
from tests.engine.native.answers import Trail, decode, random_sources
from tests.engine.native.models import KINDS, write_variant
from tests.engine.runtime.torch_sessions.kernels.drawn_beams import EOS_ID, drawn_beams

TYPES = [torch.float32, torch.float16, torch.bfloat16]
CLOSE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.6e-2}
"""Relative, and for values of about 1 absolute: some units of the type's last place."""
VOCABULARY = 997
INFINITY = float("inf")


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is not written is NaN, or a token that does not exist, and shows."""
    empty, patch_tensors = torch.empty, interpreter._patch_lang_tensor

    def poison(*size: Any, **options: Any) -> Tensor:
        made = empty(*size, **options)
        return made.fill_(torch.nan if made.is_floating_point() else -(2**40))

    def patch(tensor: Any, scope: Any) -> None:
        # Triton 3.6 takes an array of one number for a number, which NumPy 2.4 does not.
        patch_tensors(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    monkeypatch.setattr(torch, "empty", poison)
    monkeypatch.setattr(torch, "empty_like", lambda like: poison(like.shape, dtype=like.dtype))
    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patch)
    torch.manual_seed(3)
    with torch.inference_mode():
        yield


def assert_close(made: Tensor, expected: Tensor) -> None:
    assert made.dtype == expected.dtype
    tolerance = CLOSE[made.dtype]
    torch.testing.assert_close(made, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def cache(rows: int, width: int, longest: int, dtype: torch.dtype, ends: Tensor) -> Tensor:
    """A lane's memory of 2 layers and some more rows and positions; NaN from `ends` on."""
    whole = torch.randn(2, rows + 2, 3, longest + 5, width).to(dtype)
    for row, end in enumerate(ends.tolist()):
        whole[1, row, :, end:] = torch.nan
    return whole


def layer(whole: Tensor, rows: int, longest: int) -> Tensor:
    """The rows and positions of the last layer that a step reads, `[rows,3,longest,K]`."""
    return whole[1, :rows, :, :longest]


def settled(array: Tensor) -> Tensor:
    """Zeros for NaN, which plain kernels do not take behind lengths."""
    return array.nan_to_num(0.0)


def random_lengths(rows: int, longest: int) -> Tensor:
    """From 1 on; the first row is the shortest and the last the longest."""
    lengths = torch.randint(1, longest + 1, (rows,))
    lengths[0], lengths[-1] = 1, longest
    return lengths


@pytest.mark.parametrize(
    ("rows", "width", "longest", "dtype"),
    [
        *((1, 64, 70, dtype) for dtype in TYPES),
        (9, 24, 20, torch.float16),
        (2, 24, 131, torch.float32),
        (3, 48, 3, torch.bfloat16),
    ],
)
def test_rows_attend_to_their_sources(
    rows: int, width: int, longest: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some positions at a time, so that there are many such steps."""
    monkeypatch.setattr(attention, "_ELEMENTS", 1024)
    lengths = random_lengths(rows, longest)
    caches = [cache(rows, width, longest, dtype, lengths) for _ in range(2)]
    keys, values = (layer(one, rows, longest) for one in caches)
    query = torch.randn(rows, 3, width).to(dtype) / 4
    expected = plain.attend(query, settled(keys), settled(values), lengths)
    assert_close(fused.attend(query, keys, values, lengths), expected)


@pytest.mark.parametrize(
    ("rows", "width", "longest", "furthest", "dtype"),
    [
        *((2, 48, 67, 6, dtype) for dtype in TYPES),
        (1, 24, 140, None, torch.float32),
        (4, 64, 9, None, torch.float16),
        (3, 8, 5, 200, torch.float32),
    ],
)
def test_rows_attend_to_what_they_said_and_write_it(
    rows: int, width: int, longest: int, furthest: int | None, dtype: torch.dtype
) -> None:
    """Other positions, and the other rows of the cache, stay as they are."""
    positions = random_lengths(rows, longest) - 1
    caches = [cache(rows, width, longest, dtype, positions) for _ in range(2)]
    both = [layer(one, rows, longest) for one in caches]
    parts = (torch.randn(rows, 3, 3, width) / 4).to(dtype).unbind(1)
    table = None if furthest is None else torch.randn(3, 2 * furthest + 1)
    contexts = plain.attend_own(*parts, *map(settled, both), positions, table)
    expected = [one.clone() for one in caches]
    for one, part in zip(expected, parts[1:], strict=True):
        for row, position in enumerate(positions.tolist()):
            one[1, row, :, position] = part[row]
    assert_close(fused.attend_own(*parts, *both, positions, table), contexts)
    for one, other in zip(caches, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def test_a_row_that_is_not_finite_attends_alone() -> None:
    lengths = torch.tensor([5, 3])
    keys, values = (torch.randn(2, 3, 8, 16) for _ in range(2))
    query = torch.randn(2, 3, 16)
    keys[0, 1, 2, 3] = torch.nan
    made = fused.attend(query, keys, values, lengths).view(2, 3, 16)
    assert made[0, 1].isnan().all()
    assert made[0, ::2].isfinite().all() and made[1].isfinite().all()


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("pre_norm", [True, False])
@pytest.mark.parametrize(
    ("rows", "width", "rms", "biased"), [(1, 40, True, False), (5, 517, False, True), (3, 64, 0, 0)]
)
def test_residual_sums_and_their_norms(
    rows: int, width: int, rms: bool, biased: bool, pre_norm: bool, dtype: torch.dtype
) -> None:
    x, update = torch.randn(rows, width) * 3 + 5, torch.randn(rows, width).to(dtype)
    if rows > 1:
        x[1, 3] = torch.nan
    bias = torch.randn(width) if biased else None
    norm = TorchNorm(torch.randn(width), bias, 1e-5, bool(rms))
    made = fused.residual(x, update, norm, pre_norm=pre_norm, dtype=dtype)
    expected = plain.residual(x, update, norm, pre_norm=pre_norm, dtype=dtype)
    for one, other in zip(made, expected, strict=True):
        assert_close(one, other)


def random_logits(rows: int) -> Tensor:
    """Many are equal, 0 and -0 among them, and a whole stretch is forbidden, as by a shortlist."""
    logits = (torch.randn(rows + 1, VOCABULARY + 2) * 4).round()[:rows, :VOCABULARY]
    logits[:, 250:800:3] = -0.0
    logits[:, 512:790] = -INFINITY
    return logits


@pytest.mark.parametrize(
    ("rows", "count", "block"),
    [(1, 1, 256), (9, 3, 4096), (2, 8, 256), (1, 16, 256), (3, 16, 4096), (2, 40, 256)],
)
def test_the_best_tokens_are_found(
    rows: int, count: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "BLOCK", block)
    logits = random_logits(rows)
    logits[0, : VOCABULARY - 6] = -INFINITY  # fewer are allowed than are looked for
    ids, values, totals = fused.select(logits, count)
    expected = plain.select(logits, count)
    torch.testing.assert_close(ids, expected[0], rtol=0, atol=0)
    torch.testing.assert_close(values, expected[1], rtol=0, atol=0)
    assert_close(totals, expected[2])


@pytest.mark.parametrize("value", [torch.nan, -torch.nan, INFINITY])
def test_a_row_whose_logits_are_not_finite_has_no_log_probability(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(selection, "BLOCK", 256)
    logits = random_logits(4)
    logits[1, 600], logits[3, 996] = value, value
    logits[2] = -INFINITY
    ids, log_probs = fused.choose(logits)
    expected, others = plain.choose(logits)
    assert log_probs[1:].isnan().all() and others[1:].isnan().all()
    assert ((ids >= 0) & (ids < VOCABULARY)).all()
    assert torch.equal(ids[0], expected[0])
    assert_close(log_probs[0], others[0])
    ids, _, totals = fused.select(logits, 2)
    assert ((ids >= 0) & (ids < VOCABULARY)).all()
    assert not totals[1:].isfinite().any() and totals[0].isfinite().all()


@pytest.mark.parametrize(
    ("length", "dtype"),
    [(0, torch.float32), (1, torch.bfloat16), (27, torch.float16), (90, torch.float32)],
)
def test_rows_are_copied_up_to_a_length(length: int, dtype: torch.dtype) -> None:
    whole = torch.randn(2, 9, 3, 90, 24).to(dtype)
    expected = whole.clone()
    places = torch.tensor([8, 1, 8]), torch.tensor([0, 7, 3])
    fused.copy_rows(whole, *places, length)
    plain.copy_rows(expected, *places, length)
    torch.testing.assert_close(whole, expected, rtol=0, atol=0, equal_nan=True)
    nobody = torch.tensor([], dtype=torch.int64)
    fused.copy_rows(whole, nobody, nobody, length)
    torch.testing.assert_close(whole, expected, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(
    ("texts", "width", "vocabulary", "suppressed"),
    [(8, 4, 40, 0), (7, 2, 40, 70), (6, 3, 5, 1), (4, 5, 40, 2), (3, 8, 40, 0)],
)
def test_beams_are_joined(texts: int, width: int, vocabulary: int, suppressed: int) -> None:
    given = drawn_beams(texts, width, vocabulary, suppressed)
    size = texts * width
    made = [(torch.full((size, 7), -9), torch.full((size, 4), -torch.inf)) for _ in range(2)]
    fused.join_beams(*made[0], *given, EOS_ID)
    plain.join_beams(*made[1], *given, EOS_ID)
    torch.testing.assert_close(made[0][0], made[1][0], rtol=0, atol=0)
    assert_close(made[0][1], made[1][1])
    ends, is_over = made[1][0][:, 5], made[1][0][:, 6]
    assert ends.any() and not is_over.all()


@pytest.mark.parametrize("name", ["bart", "flan_t5"])
def test_a_session_answers_the_same(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variant = write_variant(tmp_path / name, KINDS[name], "fp32")
    texts = random_sources(variant.manifest, (3, 1, 5), seed=3, vocabulary=VOCABULARY)

    def answers() -> list[Trail]:
        session = TorchSession(variant.folder, variant.manifest, 3, None)
        return decode(session, texts, (2, 4, 2), at_once=2)

    expected = answers()
    monkeypatch.setattr(kernels, "kernels_for", lambda _device: fused)
    monkeypatch.setattr(plain, "attend", None)  # nobody falls back to it
    for one, other in zip(answers(), expected, strict=True):
        np.testing.assert_array_equal(one.tokens, other.tokens)
        np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=0, atol=1e-5)
