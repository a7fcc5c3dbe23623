"""Products whose weights stay INT8: in plain torch, interpreted, compiled, and in a session."""

from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from engine.runtime.sessions.torch.kernels import plain
from engine.runtime.sessions.torch.model import TorchModel, TorchProduct, TorchSublayer
from engine.runtime.sessions.torch.session import TorchSession
from engine.runtime.sessions.torch.weights import load_model, products, weight_bytes
from engine.runtime.sessions.torch.weights.products import TorchInt8Product
from tests.engine.native.answers import decode, random_sources
from tests.engine.native.models import KINDS, RandomVariant, write_variant
from tests.engine.runtime.torch_sessions.kernels.conftest import (
    assert_interpreted,
    require_language,
)
from tests.engine.runtime.torch_sessions.product_parts import random_parts

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_product_is_that_of_the_matrix(dtype: torch.dtype) -> None:
    x, inputs, weight, scales, bias = random_parts(7, 70, 33)
    matrix = (weight.double() * inputs * scales[:, None]).t()
    made = plain.int8_product(x, inputs, weight, scales, bias, dtype)
    assert made.dtype == dtype
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    exact = x.double() @ matrix + bias
    torch.testing.assert_close(made.double(), exact, rtol=tolerance, atol=tolerance)


def test_the_kernel_equals_plain_torch() -> None:
    assert_interpreted(Path(__file__).with_name("interpreted_products.py"), "--noconftest")


@pytest.mark.parametrize(("rows", "capability"), [(1, 80), (256, 80), (256, 90)])
def test_the_kernel_compiles(
    rows: int, capability: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    require_language()
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    from engine.runtime.sessions.torch.kernels import products as module

    made: list[Any] = []
    compiling = CompilingKernel(module.int8_kernel, capability, made)
    monkeypatch.setattr(module, "int8_kernel", compiling)
    x, *rest = random_parts(rows, 1024, 512)
    module.int8_product(x, *rest, torch.bfloat16)
    (one,) = made
    assert one.asm["cubin"]
    assert "mma" in one.asm["ptx"], "tensor cores make the sums"
    assert one.metadata.shared <= 100 << 10


class CompilingKernel:
    """Stands for a kernel that is compiled with what it is launched with, and not launched."""

    def __init__(self, kernel: Any, capability: int, made: list[Any]) -> None:
        self._kernel, self._capability, self._made = kernel, capability, made

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        assert all(0 < size < 2**16 for size in grid)
        return self._compile

    def _compile(self, *values: Any, **options: int) -> None:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource

        types = {torch.float32: "*fp32", torch.bfloat16: "*bf16", torch.int8: "*i8"}
        signature, constants, attributes = {}, {}, {}
        for place, (parameter, value) in enumerate(zip(self._kernel.params, values, strict=True)):
            if parameter.is_constexpr or (isinstance(value, int) and value == 1):
                signature[parameter.name], constants[place,] = "constexpr", value
                continue
            signature[parameter.name] = types[value.dtype] if isinstance(value, Tensor) else "i32"
            attributes[place,] = [["tt.divisibility", 16]]
        source = ASTSource(self._kernel, signature, constants, attributes)
        target = GPUTarget("cuda", self._capability, 32)
        self._made.append(triton.compile(source, target=target, options=options))


@pytest.fixture(scope="module")
def variant(tmp_path_factory: pytest.TempPathFactory) -> RandomVariant:
    return write_variant(tmp_path_factory.mktemp("int8") / "bart", KINDS["bart"], "int8")


def _sublayers(model: TorchModel) -> list[TorchSublayer]:
    return [*chain.from_iterable(model.encoder.layers + model.decoder.layers)]


def test_the_products_of_large_models_stay_int8(
    variant: RandomVariant, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = load_model(variant.folder, CPU, torch.float32)
    texts = random_sources(variant.manifest, (5, 1, 17), seed=3)
    session = TorchSession(variant.folder, variant.manifest, 3, None)
    expected, size = decode(session, texts, (9, 9, 9)), weight_bytes(variant.folder, torch.float32)
    assert not isinstance(small.decoder.layers[0][0].entry, TorchInt8Product)

    monkeypatch.setattr(products, "LARGE", 1)
    large = load_model(variant.folder, CPU, torch.float32)
    stay = 0
    for one, other in zip(_sublayers(small), _sublayers(large), strict=True):
        for plainly, product in ((one.entry, other.entry), (one.exit, other.exit)):
            assert isinstance(plainly, TorchProduct)
            if isinstance(product, TorchInt8Product):
                stay += product.weight.numel()
                assert product.dtype == plainly.dtype and product.width == plainly.width
                x = torch.randn(3, plainly.weight.shape[0])
                torch.testing.assert_close(product(x), plainly(x), rtol=1e-4, atol=1e-4)
    assert stay > 0
    assert weight_bytes(variant.folder, torch.float32) <= size - 3 * stay
    session = TorchSession(variant.folder, variant.manifest, 3, None)
    for made, wanted in zip(decode(session, texts, (9, 9, 9)), expected, strict=True):
        np.testing.assert_array_equal(made.tokens, wanted.tokens)
        np.testing.assert_allclose(made.log_probs, wanted.log_probs, rtol=0, atol=1e-4)
