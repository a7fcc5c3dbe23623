"""The cases of kernels find what is wrong in one."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from engine.runtime.sessions.torch.kernels import plain
from engine.runtime.sessions.torch.selection.beams import BeamTable
from tests.gpu.phases.kernel_cases import CASES, Draw


def worst(name: str, function: Callable[..., Any]) -> float:
    """The largest error of a kernel, as a share of what it may have."""
    cases = CASES[name](function, Draw(torch.device("cpu"), 1))
    errors = [one.error() / one.bound for one in cases]
    return max(error if error == error else torch.inf for error in errors)


@pytest.mark.parametrize("name", [name for name in CASES if hasattr(plain, name)])
def test_plain_kernels_pass(name: str) -> None:
    assert worst(name, getattr(plain, name)) <= 1.0


def too_far(query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Any:
    return plain.attend(query, keys, values, (lengths + 1).clamp(max=keys.shape[2]))


def of_nothing(query: Tensor, keys: Tensor, values: Tensor, lengths: Tensor) -> Tensor:
    return torch.full((query.shape[0], query.shape[1] * query.shape[2]), torch.nan)


def last_of_equal(logits: Tensor) -> tuple[Tensor, Tensor]:
    _, log_probs = plain.choose(logits)
    return logits.shape[1] - 1 - plain.choose(logits.flip(1))[0], log_probs


def never_broken(logits: Tensor) -> tuple[Tensor, Tensor]:
    ids, log_probs = plain.choose(logits)
    return ids, log_probs.nan_to_num()


def one_more(cache: Tensor, sources: Tensor, targets: Tensor, length: int) -> None:
    plain.copy_rows(cache, sources, targets, length + 1)


def of_16_bits(out: Tensor, x: Tensor, head: Any) -> None:
    plain.logits_into(out, x, head)
    out.copy_(out.half())


def without_scores(*args: Any) -> None:
    plain.join_beams(*(_without_scores(one) for one in args))


def _without_scores(given: Any) -> Any:
    if isinstance(given, BeamTable):
        return given._replace(scores=torch.zeros_like(given.scores))
    return given


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("attend", too_far),
        ("attend", of_nothing),
        ("choose", last_of_equal),
        ("choose", never_broken),
        ("copy_rows", one_more),
        ("join_beams", without_scores),
        ("logits_into", of_16_bits),
    ],
)
def test_a_wrong_kernel_is_found(name: str, function: Callable[..., Any]) -> None:
    assert worst(name, function) > 1.0
