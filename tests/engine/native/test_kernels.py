"""The products of the native code against NumPy, and against themselves.

INT8 sums are exact and FP32 sums have one order, so every instruction set gives the same bits, and
so does a row alone and among others.  Weights in 16 bits are exact in FP32.
"""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from engine.native import library
from engine.native.library import NativeError
from tests.engine.native.products import (
    HALF_TYPES,
    Floats,
    HalfType,
    Tensors,
    float_product,
    half_product,
    int8_product,
    multiply,
)

DEPTHS = (1, 3, 7, 63, 64, 65, 96, 250, 2048)
WIDTHS = (1, 5, 16, 40, 997)
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33)
MOST_ROWS = 40

SHAPES = pytest.mark.parametrize("depth", DEPTHS)


def exact(weight: NDArray[np.int8], x: Floats) -> Floats:
    """The integers of a product whose inputs have the scale 1, rounded once to floats."""
    rounded = np.clip(np.rint(x), -127, 127).astype(np.float64)
    return (rounded @ weight.astype(np.float64)).astype(np.float32)


def check_rows(tensors: Tensors, x: Floats, made: Floats, backends: list[str]) -> None:
    """Every backend, every number of rows and every place of a row give the bits of `made`."""
    out, order = made.shape[1], np.random.default_rng(len(x)).permutation(len(x))
    for backend in backends:
        shuffled = multiply(tensors, x[order], out, backend=backend)
        np.testing.assert_array_equal(shuffled, made[order], strict=True)
        for rows in ROWS:
            some = multiply(tensors, x[:rows], out, backend=backend)
            np.testing.assert_array_equal(some, made[:rows], strict=True)
            last = multiply(tensors, x[-1:], out, backend=backend)
            np.testing.assert_array_equal(last, made[-1:], strict=True)


@SHAPES
def test_int8_sums_are_exact(depth: int, backends: list[str]) -> None:
    random = np.random.default_rng(depth)
    x = random.normal(0, 60, (MOST_ROWS, depth)).astype(np.float32)
    for out in WIDTHS:
        weight = random.integers(-127, 128, (depth, out)).astype(np.int8)
        tensors = int8_product(weight)
        made = multiply(tensors, x, out)
        np.testing.assert_array_equal(made, exact(weight, x), strict=True)
        check_rows(tensors, x, made, backends)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("depth", [2, 64, 250, 2048])
def test_int8_sums_do_not_saturate(depth: int, sign: int, backends: list[str]) -> None:
    """Not in 16 bits, as pairs of products would, and not in the sums with 128 added."""
    rows, out = 17, 40
    weight = np.full((depth, out), 127 * sign, np.int8)
    weight[:, 1::3] *= -1
    weight[::2, 2::3] *= -1
    x = np.full((rows, depth), 127, np.float32)
    x[1::3] *= -1
    x[2::3, ::2] *= -1
    for backend in backends:
        made = multiply(int8_product(weight), x, out, backend=backend)
        np.testing.assert_array_equal(made, exact(weight, x), strict=True)


PAIRS = [(64, 64), (65, 64), (127, 1), (127, 2), (127, 127), (127, -127)]


@pytest.mark.parametrize("share", [0.0, 0.003, 0.5], ids=["none", "few", "half"])
def test_pairs_of_weights_that_fit_in_16_bits_or_do_not(share: float, backends: list[str]) -> None:
    """Among small ones, with inputs that make the sums of pairs the largest and the smallest."""
    random = np.random.default_rng(7)
    depth, out = 512, 80
    weight = random.integers(-50, 51, (depth, out)).astype(np.int8)
    pairs = np.array(PAIRS + [(-first, -second) for first, second in PAIRS])
    chosen = np.argwhere(random.random((depth // 2, out)) < share)
    for place, (row, column) in enumerate(chosen):
        weight[2 * row : 2 * row + 2, column] = pairs[place % len(pairs)]
    x = random.normal(0, 60, (MOST_ROWS, depth)).astype(np.float32)
    x[:2] = [[127], [-127]]
    tensors = int8_product(weight)
    made = multiply(tensors, x, out)
    np.testing.assert_array_equal(made, exact(weight, x), strict=True)
    check_rows(tensors, x, made, backends)


def test_inputs_are_rounded_to_even_and_bounded(backends: list[str]) -> None:
    halves = np.arange(-130, 130, 0.5)
    beside = np.nextafter(*np.meshgrid(np.float32(halves), np.float32([-999, 999]))).ravel()
    large = [sign * size for sign in (1, -1) for size in (1e3, 2e9, 2.2e9, 1e20, 3e38, np.inf)]
    x = np.array([*halves, *beside, *large], np.float32)[:, None]
    weight = np.array([[1, -1, 127]], np.int8)
    for backend in backends:
        made = multiply(int8_product(weight), x, 3, backend=backend)
        np.testing.assert_array_equal(made, exact(weight, x), strict=True)


def test_what_is_no_number_is_the_same_everywhere(backends: list[str]) -> None:
    tensors, x = int8_product(np.ones((1, 1), np.int8)), np.full((1, 1), np.nan, np.float32)
    assert len({float(multiply(tensors, x, 1, backend=name)[0, 0]) for name in backends}) == 1


def test_channels_scales_and_bias_are_those_of_the_product(backends: list[str]) -> None:
    random = np.random.default_rng(3)
    depth, out = 250, 40
    weight = random.integers(-127, 128, (depth, out)).astype(np.int8)
    inputs = random.uniform(10, 50, depth).astype(np.float32)
    scales, bias = random.normal(0, 1, (2, out)).astype(np.float32)
    x = random.standard_normal((MOST_ROWS, depth)).astype(np.float32)
    sums = exact(weight, x * inputs).astype(np.float64)
    for backend in backends:
        tensors = int8_product(weight, inputs, scales, bias)
        made = multiply(tensors, x, out, backend=backend)
        np.testing.assert_array_equal(made, (sums * scales + bias).astype(np.float32), strict=True)


@SHAPES
def test_float_sums_are_close_and_have_one_order(depth: int, backends: list[str]) -> None:
    random = np.random.default_rng(depth)
    x = random.standard_normal((MOST_ROWS, depth)).astype(np.float32)
    for out in WIDTHS:
        weight = random.standard_normal((depth, out)).astype(np.float32)
        bias = random.standard_normal(out).astype(np.float32)
        tensors = float_product(weight, bias)
        made = multiply(tensors, x, out)
        wide, columns = x.astype(np.float64), weight.astype(np.float64)
        size = np.abs(wide) @ np.abs(columns) + np.abs(bias)
        assert (np.abs(made - (wide @ columns + bias)) <= 1e-5 * size).all()
        check_rows(tensors, x, made, backends)


@pytest.mark.parametrize("kind", HALF_TYPES)
@SHAPES
def test_weights_in_16_bits_give_what_they_give_in_32(
    depth: int, kind: HalfType, backends: list[str]
) -> None:
    random = np.random.default_rng(depth)
    x = random.standard_normal((MOST_ROWS, depth)).astype(np.float32)
    for out in WIDTHS:
        weight = random.standard_normal((depth, out)).astype(np.float32)
        bias = random.standard_normal(out).astype(np.float32)
        rounded = weight.astype(HALF_TYPES[kind]).astype(np.float32)
        made = multiply(half_product(weight, kind, bias), x, out)
        expected = multiply(float_product(rounded, bias), x, out)
        np.testing.assert_array_equal(made, expected, strict=True)
        check_rows(half_product(weight, kind, bias), x, made, backends)


@pytest.mark.parametrize("kind", HALF_TYPES)
def test_every_number_of_16_bits_is_exact(kind: HalfType, backends: list[str]) -> None:
    """Also those that are infinite, none, or below the smallest normal one."""
    numbers = np.arange(1 << 16, dtype=np.uint16).view(HALF_TYPES[kind])
    with np.errstate(invalid="ignore"):
        weight = numbers.astype(np.float32)[None]
    tensors = half_product(weight, kind)
    for backend in backends:
        made = multiply(tensors, np.ones((1, 1), np.float32), weight.size, backend=backend)
        np.testing.assert_array_equal(made, weight, strict=True)


def gelu_tanh(x: float) -> float:
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


EXACT_ACTIVATIONS: dict[str, Callable[[float], float]] = {
    "none": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "gelu": lambda x: x / 2 * math.erfc(-x / math.sqrt(2)),
    "gelu_tanh": gelu_tanh,
    "silu": lambda x: x / (1 + math.exp(-x)) if x > -700 else 0.0,
    "tanh": math.tanh,
}


def test_there_is_a_formula_for_each_activation() -> None:
    assert tuple(EXACT_ACTIVATIONS) == library.ACTIVATIONS


@pytest.mark.parametrize("name", library.ACTIVATIONS)
def test_activations_are_those_of_mathematics(name: str, backends: list[str]) -> None:
    sizes = np.concatenate([np.linspace(0, 100, 20_001), np.logspace(-40, 30, 701)])
    x = np.concatenate([sizes, -sizes]).astype(np.float32)
    identity = float_product(np.ones((1, 1), np.float32))
    first = multiply(identity, x[:, None], 1, name)[:, 0]
    expected = np.array([EXACT_ACTIVATIONS[name](value) for value in x.astype(np.float64)])
    np.testing.assert_allclose(first, expected, rtol=1e-6, atol=1e-6)
    for backend in backends:
        made = multiply(identity, x[:, None], 1, name, backend)[:, 0]
        np.testing.assert_array_equal(made, first, strict=True)


def test_an_unknown_instruction_set_is_named(backends: list[str]) -> None:
    tensors = float_product(np.ones((1, 1), np.float32))
    with pytest.raises(NativeError, match=f"avx7 does not run .* has {','.join(backends)}$"):
        multiply(tensors, np.ones((1, 1), np.float32), 1, backend="avx7")


@pytest.mark.parametrize("part", ["sums", "inputs", "scales", "bias", "int8"])
def test_a_tensor_that_is_missing_or_of_another_size_is_named(
    part: str, backends: list[str]
) -> None:
    tensors = int8_product(np.ones((65, 17), np.int8))
    x, name = np.ones((1, 65), np.float32), f"product.{part}"
    shorter = tensors | {name: tensors[name].ravel()[:-16]}
    size, right = shorter[name].nbytes, tensors[name].nbytes
    if part != "bias":  # its size says how wide a product is here
        with pytest.raises(NativeError, match=f"{name} has {size} bytes, not {right}"):
            multiply(shorter, x, 17)
        missing = "product.float" if part == "int8" else name
        del tensors[name]
        with pytest.raises(NativeError, match=f"{missing} is missing"):
            multiply(tensors, x, 17)
