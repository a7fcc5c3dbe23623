"""INT8 products in Triton's interpreter, beside plain torch: `test_int8_products.py` starts these.

Triton decides when a kernel is defined whether it is interpreted, so these have their own process.
"""

from typing import Any

import pytest
import torch
from triton.runtime import interpreter

from engine.runtime.sessions.torch.kernels import plain
from engine.runtime.sessions.torch.kernels.products import int8_product
from tests.engine.runtime.torch_sessions.product_parts import random_parts


@pytest.fixture(autouse=True)
def numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Triton 3.6 takes an array of one number for a number, which NumPy 2.4 does not."""
    patch_tensors = interpreter._patch_lang_tensor

    def patch(tensor: Any, scope: Any) -> None:
        patch_tensors(tensor, scope)
        scope.set_attr(tensor, "__index__", lambda self: self.handle.data.item())

    monkeypatch.setattr(interpreter, "_patch_lang_tensor", patch)


@pytest.mark.parametrize(
    ("rows", "depth", "width"),
    [(1, 64, 16), (3, 129, 37), (16, 40, 1), (17, 70, 130), (97, 65, 33)],
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_products_of_any_shape(rows: int, depth: int, width: int, dtype: torch.dtype) -> None:
    """In FP16 for BF16, whose products the interpreter makes of bits."""
    parts = random_parts(rows, depth, width)
    made, expected = int8_product(*parts, dtype), plain.int8_product(*parts, torch.float32)
    assert made.dtype == dtype and made.shape == (rows, width)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-3
    torch.testing.assert_close(made.float(), expected, rtol=tolerance, atol=tolerance)


def test_a_row_that_is_not_finite_stays_alone() -> None:
    x, *rest = random_parts(5, 70, 33)
    x[2, 69] = torch.nan
    made = int8_product(x, *rest, torch.float16)
    assert made[2].isnan().all()
    assert made[[0, 1, 3, 4]].isfinite().all()
