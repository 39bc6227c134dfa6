"""How far off results may be: units in the last place, beside the same computed more precisely.

`-v` shows what was measured, beside what is promised; `--hypothesis-profile=long` measures a
million numbers of each op.

What a unit in the last place is of is said by the row:

- itself: the true result
- sizes: what the sum would be if nothing in it cancelled, the sum of the sizes of its terms
- row: the largest of the true results along the last axis
- upstream: the gradient that came from above, times the largest derivative there is
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import settings
from references import adam_reference

from micrograd_ext import Sequential, Tensor, Value, kernels, layers, losses, ops

Array = npt.NDArray[Any]
MANY = settings().max_examples > 1_000
RANDOM = np.random.default_rng(11)


class Row(NamedTuple):
    """An op, what it is given, and how many units it may be off: its value, and its gradients."""

    name: str
    f: Callable[..., Tensor]
    given: Callable[[int], Sequence[Array]]
    value: float
    of: str
    gradient: float
    gradient_of: str


def off(got: Array, true: Array, of: Array) -> float:
    """The largest error, in units in the last place (of `got`'s dtype) of `of`."""
    size = np.maximum(np.abs(of), float(np.finfo(got.dtype).smallest_normal))
    units = np.spacing(size.astype(got.dtype)).astype(true.dtype)
    return float((np.abs(got.astype(true.dtype) - true) / units).max())


def float32(x: Array) -> Array:
    """float64 numbers that float32 holds."""
    return x.astype(np.float32).astype(np.float64)


def normal(*shapes: tuple[int, ...]) -> Callable[[int], list[Array]]:
    """Normally distributed; -1 in a shape: as many as there shall be."""

    def given(many: int) -> list[Array]:
        found = []
        for shape in shapes:
            rest = int(np.prod([size for size in shape if size > 0]))
            full = tuple(max(many // rest, 2) if size < 0 else size for size in shape)
            found.append(float32(RANDOM.standard_normal(full)))
        return found

    return given


def uniform(*ends: tuple[float, float]) -> Callable[[int], list[Array]]:
    """Evenly spread between two ends, for each argument."""
    return lambda many: [float32(RANDOM.uniform(low, high, many)) for low, high in ends]


def apart(many: int) -> list[Array]:
    """Images of which no two pixels are within a rounding of each other."""
    x = RANDOM.permutation(many // 8 * 8).reshape(-1, 4, 2, 1)
    return [float32(x / 7.0)]


def probabilities(many: int) -> list[Array]:
    x = RANDOM.random((many // 10, 10)) + 1e-3
    return [float32(x / x.sum(-1, keepdims=True))]


def labels(n: int) -> Array:
    return np.eye(10)[np.arange(n) % 10]


def dtype_of(x: Tensor) -> Any:
    return x.data.dtype


def crossed(y_pred: Tensor) -> Tensor:
    y = labels(len(y_pred)).astype(dtype_of(y_pred))
    return losses.categorical_crossentropy(y, y_pred)


def crossed_logits(y_pred: Tensor) -> Tensor:
    y = labels(len(y_pred)).astype(dtype_of(y_pred))
    return losses.categorical_crossentropy(y, y_pred, from_logits=True)


def normalized(x: Tensor) -> Tensor:
    mean, variance = ops.moments(x, 0)
    gamma, beta = (np.full(x.shape[-1], number, dtype_of(x)) for number in (1.5, 0.5))
    return ops.batch_normalization(x, mean, variance, -1, beta, gamma)


ROWS = [
    Row("add", ops.add, normal((-1,), (-1,)), 0.5, "itself", 0, "itself"),
    Row("subtract", ops.subtract, normal((-1,), (-1,)), 0.5, "itself", 0, "itself"),
    Row("multiply", ops.multiply, normal((-1,), (-1,)), 0.5, "itself", 0.5, "itself"),
    Row("divide", ops.divide, normal((-1,), (-1,)), 0.5, "itself", 3, "itself"),
    Row("square", ops.square, normal((-1,)), 0.5, "itself", 1, "itself"),
    Row("sqrt", ops.sqrt, uniform((1e-3, 1e3)), 0.5, "itself", 2, "itself"),
    Row("power", ops.power, uniform((0.1, 10), (-3, 3)), 2, "itself", 8, "itself"),
    Row("exp", ops.exp, uniform((-20, 20)), 3, "itself", 4, "itself"),
    Row("log", ops.log, uniform((1e-3, 1e3)), 3, "itself", 1, "itself"),
    Row("sin", ops.sin, uniform((-10, 10)), 2, "upstream", 2, "upstream"),
    Row("cos", ops.cos, uniform((-10, 10)), 2, "upstream", 2, "upstream"),
    Row("relu", ops.relu, normal((-1,)), 0, "itself", 0, "itself"),
    Row("leaky_relu", ops.leaky_relu, normal((-1,)), 1, "itself", 1, "itself"),
    Row("sigmoid", ops.sigmoid, uniform((-20, 20)), 4, "itself", 2, "upstream"),
    Row("tanh", ops.tanh, uniform((-5, 5)), 2, "itself", 4, "upstream"),
    Row("maximum", ops.maximum, normal((-1,), (-1,)), 0, "itself", 0, "itself"),
    Row("softmax of 10", ops.softmax, normal((-1, 10)), 4, "row", 2, "upstream"),
    Row("log_softmax of 10", ops.log_softmax, normal((-1, 10)), 4, "row", 4, "upstream"),
    Row("sum of 1,000", lambda x: ops.sum(x, -1), normal((-1, 1000)), 4, "sizes", 0, "itself"),
    Row("mean of 1,000", lambda x: ops.mean(x, -1), normal((-1, 1000)), 4, "sizes", 1, "itself"),
    Row("var of 1,000", lambda x: ops.var(x, -1), normal((-1, 1000)), 8, "itself", 8, "row"),
    Row("batch_normalization of 1,000", normalized, normal((1000, -1)), 16, "row", 16, "row"),
    Row("max", lambda x: ops.max(x, -1), normal((-1, 10)), 0, "itself", 0, "itself"),
    Row("matmul, sums of 100", ops.matmul, normal((-1, 100), (100, 64)), 8, "sizes", 8, "sizes"),
    Row("matmul, sums of 1,000", ops.matmul, normal((-1, 1000), (1000, 64)), 8, "sizes", 8,
        "sizes"),
    Row("conv2d, 3x3 of 1", ops.conv2d, normal((-1, 9, 9, 1), (3, 3, 1, 32)), 8, "sizes", 8,
        "sizes"),
    Row("conv2d, 3x3 of 32", ops.conv2d, normal((-1, 9, 9, 32), (3, 3, 32, 64)), 8, "sizes", 8,
        "sizes"),
    Row("conv2d, 5x5 of 6", ops.conv2d, normal((-1, 9, 9, 6), (5, 5, 6, 16)), 8, "sizes", 8,
        "sizes"),
    Row("max_pool2d", lambda x: ops.max_pool2d(x, 2), apart, 0, "itself", 0, "itself"),
    Row("average_pool2d", lambda x: ops.average_pool2d(x, 2), normal((-1, 8, 8, 3)), 2, "sizes",
        1, "itself"),
    Row("categorical_crossentropy", crossed, probabilities, 4, "row", 4, "row"),
    Row("the same, from logits", crossed_logits, normal((-1, 10)), 4, "row", 4, "upstream"),
]  # fmt: skip


def scale(of: str, true: Array, sizes: Array, upstream: float) -> Array:
    """What a unit in the last place is of."""
    if of == "itself":
        return true
    if of == "sizes":
        return sizes
    if of == "row":
        return np.abs(true).max(-1, keepdims=True) if true.ndim > 1 else np.abs(true).max()
    return np.full_like(true, upstream)


def run(row: Row, given: Sequence[Array], upstream: Array, dtype: Any) -> list[Array]:
    """The value and the gradients."""
    inputs = [Tensor(x.astype(dtype), requires_grad=True) for x in given]
    y = row.f(*inputs)
    y.backward(upstream.astype(dtype))
    return [y.data, *(x.grad for x in inputs)]  # type: ignore[list-item]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_float32_is_as_near_to_float64_as_promised(row: Row, measured: dict[str, str]) -> None:
    given = row.given(1_000_000 if MANY else 30_000)
    shape = row.f(*(Tensor(x) for x in given)).shape
    upstream = float32(RANDOM.standard_normal(shape))
    got = run(row, given, upstream, np.float32)
    true = run(row, given, upstream, np.float64)
    sizes = run(row, [np.abs(x) for x in given], np.abs(upstream), np.float64)
    assert all(each.dtype == np.float32 for each in got)
    largest = float(np.abs(upstream).max())
    value = off(got[0], true[0], scale(row.of, true[0], sizes[0], 1.0))
    gradient = max(
        off(one, exact, scale(row.gradient_of, exact, size, largest))
        for one, exact, size in zip(got[1:], true[1:], sizes[1:], strict=True)
    )
    measured[row.name] = (
        f"{value:6.2f} of {row.value:<4g} ({row.of}), "
        f"gradients {gradient:6.2f} of {row.gradient:<4g} ({row.gradient_of})"
    )
    assert value <= row.value + 1e-3
    assert gradient <= row.gradient + 1e-3


# ------------------------------------------------------------------ programs, and their kernels


def softmax64(x: Array) -> Array:
    powers = np.exp(x - x.max(-1, keepdims=True))
    found: Array = powers / powers.sum(-1, keepdims=True)
    return found


@pytest.mark.parametrize(
    ("activation", "exact", "most"),
    [
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), 4),
        ("tanh", np.tanh, 2),
        ("softmax", softmax64, 8),
    ],
)
def test_programs_are_as_near_as_promised(
    activation: str, exact: Callable[[Array], Array], most: float, measured: dict[str, str]
) -> None:
    """`predict` runs C functions of its own."""
    x = float32(RANDOM.uniform(-9, 9, (100_000 if MANY else 3_000, 10)))
    model = Sequential([layers.Input((10,)), layers.Activation(activation)])
    y = model.predict(x.astype(np.float32), batch_size=1_000, verbose=0)
    of = "row" if activation == "softmax" else "itself"
    value = off(y, exact(x), scale(of, exact(x), x, 1.0))
    measured[f"{activation}, in a program"] = f"{value:6.2f} of {most:<4g} ({of})"
    assert value <= most


@pytest.mark.parametrize("isa", kernels.isas())
def test_adam_is_as_near_as_promised(isa: str, measured: dict[str, str]) -> None:
    given = normal((-1,), (-1,), (-1,), (-1,))(1_000_000 if MANY else 30_000)
    given[3] = np.abs(given[3])
    how = {"rate": 1e-3, "beta_1": 0.9, "beta_2": 0.999, "epsilon": 1e-7}
    true = adam_reference(*given, **how)
    got = [x.astype(np.float32) for x in given]
    kernels.adam(*got, **how, isa=isa)
    x, dx, m, _v = given
    step = np.abs(true[0] - x)
    for name, one, exact, size in (
        ("x", got[0], true[0], np.abs(x) + step),
        ("m", got[2], true[1], 0.9 * np.abs(m) + 0.1 * np.abs(dx)),
        ("v", got[3], true[2], true[2]),
    ):
        value = off(one, exact, size)
        measured[f"adam, {name}, {isa}"] = f"{value:6.2f} of 4    (sizes)"
        assert value <= 4


# ------------------------------------------------------------------ Values, which are float64

LONGER = np.finfo(np.longdouble).eps < np.finfo(np.float64).eps / 100


@pytest.mark.skipif(not LONGER, reason="numpy has nothing more precise than float64 here")
@pytest.mark.parametrize(
    ("name", "exact", "ends"),
    [
        ("exp", np.exp, (-20, 20)),
        ("log", np.log, (1e-3, 1e3)),
        ("tanh", np.tanh, (-5, 5)),
        ("sigmoid", lambda x: 1 / (1 + np.exp(-x)), (-20, 20)),
        ("sin", np.sin, (-10, 10)),
        ("cos", np.cos, (-10, 10)),
        ("sqrt", np.sqrt, (1e-3, 1e3)),
    ],
)
def test_values_are_as_near_as_promised(
    name: str,
    exact: Callable[[Array], Array],
    ends: tuple[float, float],
    measured: dict[str, str],
) -> None:
    x = RANDOM.uniform(*ends, 100_000 if MANY else 3_000)
    got = np.array([getattr(Value(each), name)().data for each in x])
    true = exact(x.astype(np.longdouble))
    value = off(got, true, true)
    measured[f"Value.{name}"] = f"{value:6.2f} of 3    (itself, float64)"
    assert value <= 3
