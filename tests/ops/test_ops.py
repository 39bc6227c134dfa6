"""Every op: its value against numpy, its gradients against central differences, its corners."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from micrograd_ext import Tensor, gradcheck, ops

Array = np.ndarray[Any, np.dtype[Any]]


def numbers(*shape: int, seed: int = 0) -> Array:
    """Float64 numbers whose size is 0.1 to 2, all different: no ties, no kinks near 0."""
    random = np.random.default_rng(seed)
    sizes = np.linspace(0.1, 2, max(math.prod(shape), 2))[: math.prod(shape)]
    return (random.permutation(sizes) * random.choice([-1, 1], sizes.size)).reshape(shape)


def positive(*shape: int) -> Array:
    return abs(numbers(*shape))


def conv_reference(x: Array, w: Array, b: Array) -> Array:
    """Valid convolution by summing shifted images."""
    kh, kw, _, f = w.shape
    oh, ow = x.shape[1] - kh + 1, x.shape[2] - kw + 1
    y = np.zeros((len(x), oh, ow, f)) + b
    for u in range(kh):
        for v in range(kw):
            y += np.tensordot(x[:, u : u + oh, v : v + ow], w[u, v], 1)
    return y


def pool_reference(x: Array) -> Array:
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max((2, 4))


def mean_reference(
    x: Array, window: tuple[int, int], strides: tuple[int, int], padding: str
) -> Array:
    """The mean of each window's pixels, window by window."""
    sizes = []
    for size, wide, step in zip(x.shape[1:3], window, strides, strict=True):
        count = -(-size // step) if padding == "same" else (size - wide) // step + 1
        before = max((count - 1) * step + wide - size, 0) // 2 if padding == "same" else 0
        starts = [i * step - before for i in range(count)]
        sizes.append([slice(max(start, 0), start + wide) for start in starts])
    return np.stack(
        [np.stack([x[:, rows, cols].mean((1, 2)) for cols in sizes[1]], 1) for rows in sizes[0]], 1
    )


def softmax_reference(x: Array) -> Array:
    return np.array([[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in x])


#: op -> (how to call it, numpy's or a written-out reference, inputs)
Row = tuple[Callable[..., Any], Callable[..., Any], tuple[Array, ...]]
ROWS: dict[str, Row] = {
    "absolute": (ops.absolute, np.abs, (numbers(3, 4),)),
    "add": (ops.add, np.add, (numbers(3, 4), numbers(4, seed=1))),
    "average_pool2d": (
        lambda x: ops.average_pool2d(x, 3, 2, "same"),
        lambda x: mean_reference(x, (3, 3), (2, 2), "same"),
        (numbers(2, 6, 5, 3),),
    ),
    "batch_normalization": (
        lambda x, m, v, o, s: ops.batch_normalization(x, m, v, 1, o, s, 0.01),
        lambda x, m, v, o, s: np.stack(
            [s[i] * (x[:, i] - m[i]) / math.sqrt(v[i] + 0.01) + o[i] for i in range(3)], 1
        ),
        (numbers(4, 3, 2), numbers(3), positive(3) + 0.1, numbers(3, seed=1), numbers(3, seed=2)),
    ),
    "binary_crossentropy": (
        lambda t, x: ops.binary_crossentropy(t, x, from_logits=True),
        lambda t, x: np.log(1 + np.exp(x)) - t * x,
        (positive(3, 4), 2 * numbers(3, 4, seed=1)),
    ),
    "broadcast_to": (
        lambda x: ops.broadcast_to(x, (2, 3, 4)),
        lambda x: np.broadcast_to(x, (2, 3, 4)),
        (numbers(3, 1),),
    ),
    "cast": (lambda x: ops.cast(x, "float64"), lambda x: x, (numbers(3),)),
    "clip": (lambda x: ops.clip(x, -0.97, 0.52), lambda x: np.clip(x, -0.97, 0.52), (numbers(20),)),
    "concatenate": (
        lambda *x: ops.concatenate(x, 1),
        lambda *x: np.concatenate(x, 1),
        (numbers(2, 3), numbers(2, 1, seed=1), numbers(2, 2, seed=2)),
    ),
    "conv2d": (ops.conv2d, conv_reference, (numbers(2, 5, 4, 3), numbers(3, 2, 3, 4), numbers(4))),
    "conv2d_relu_pool": (
        ops.conv2d_relu_pool,
        lambda x, w, b: pool_reference(np.maximum(conv_reference(x, w, b), 0)),
        (numbers(2, 6, 5, 3), numbers(3, 2, 3, 4, seed=1), numbers(4, seed=2)),
    ),
    "cos": (ops.cos, np.cos, (numbers(5),)),
    "divide": (ops.divide, np.divide, (numbers(3, 4), numbers(3, 1, seed=1))),
    "exp": (ops.exp, np.exp, (numbers(5),)),
    "expand_dims": (
        lambda x: ops.expand_dims(x, (0, -1)),
        lambda x: np.expand_dims(x, (0, -1)),
        (numbers(3),),
    ),
    "getitem": (lambda x: x[1:, ::-2], lambda x: x[1:, ::-2], (numbers(3, 5),)),
    "leaky_relu": (
        lambda x: ops.leaky_relu(x, 0.1),
        lambda x: np.where(x > 0, x, 0.1 * x),
        (numbers(9),),
    ),
    "log": (ops.log, np.log, (positive(5),)),
    "log_sigmoid": (ops.log_sigmoid, lambda x: -np.log(1 + np.exp(-x)), (numbers(9),)),
    "log_softmax": (ops.log_softmax, lambda x: np.log(softmax_reference(x)), (numbers(3, 4),)),
    "matmul": (ops.matmul, lambda a, b: np.einsum("ij,jk", a, b), (numbers(3, 4), numbers(4, 5))),
    "max": (lambda x: ops.max(x, 1), lambda x: x.max(1), (numbers(3, 4, 2),)),
    "max_pool2d": (ops.max_pool2d, pool_reference, (numbers(2, 5, 4, 3),)),
    "maximum": (ops.maximum, np.maximum, (numbers(3, 4), numbers(3, 1, seed=1) + 0.01)),
    "mean": (lambda x: ops.mean(x, (0, 2)), lambda x: x.mean((0, 2)), (numbers(3, 4, 2),)),
    "min": (ops.min, np.min, (numbers(3, 4),)),
    "minimum": (ops.minimum, np.minimum, (numbers(3, 4), numbers(4, seed=1) + 0.01)),
    "moments": (
        lambda x: ops.stack(ops.moments(x, (0, 2))),
        lambda x: np.stack([x.mean((0, 2)), (x**2).mean((0, 2)) - x.mean((0, 2)) ** 2]),
        (numbers(4, 3, 2),),
    ),
    "multiply": (ops.multiply, np.multiply, (numbers(3, 4), numbers(1, 4, seed=1))),
    "negative": (ops.negative, np.negative, (numbers(3),)),
    "power": (ops.power, np.power, (positive(3, 4), numbers(4, seed=1))),
    "relu": (ops.relu, lambda x: x * (x > 0), (numbers(3, 7),)),
    "reshape": (lambda x: ops.reshape(x, (2, -1)), lambda x: x.reshape(2, -1), (numbers(4, 3),)),
    "sigmoid": (ops.sigmoid, lambda x: 1 / (1 + np.exp(-x)), (numbers(9),)),
    "sin": (ops.sin, np.sin, (numbers(5),)),
    "softmax": (ops.softmax, softmax_reference, (numbers(3, 4),)),
    "softplus": (ops.softplus, lambda x: np.log(1 + np.exp(x)), (numbers(9),)),
    "sqrt": (ops.sqrt, np.sqrt, (positive(5),)),
    "square": (ops.square, np.square, (numbers(5),)),
    "squeeze": (ops.squeeze, np.squeeze, (numbers(1, 3, 1),)),
    "stack": (
        lambda *x: ops.stack(x, -1),
        lambda *x: np.stack(x, -1),
        (numbers(2, 3), numbers(2, 3, seed=1)),
    ),
    "subtract": (ops.subtract, np.subtract, (numbers(4), numbers(3, 4, seed=1))),
    "sum": (lambda x: ops.sum(x, -1, True), lambda x: x.sum(-1, keepdims=True), (numbers(3, 4),)),
    "tanh": (ops.tanh, np.tanh, (numbers(9),)),
    "transpose": (
        lambda x: ops.transpose(x, (2, 0, 1)),
        lambda x: np.moveaxis(x, 2, 0),
        (numbers(2, 3, 4),),
    ),
    "var": (lambda x: ops.var(x, 0), lambda x: x.var(0), (numbers(4, 3),)),
    "where": (
        lambda x, y: ops.where(np.array([True, False, True]), x, y),
        lambda x, y: np.where([True, False, True], x, y),
        (numbers(2, 3), numbers(3, seed=1)),
    ),
}


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("window", [1, 2, (2, 3), (5, 1), 4])
@pytest.mark.parametrize("strides", [None, 1, (3, 2), 7])
def test_average_pooling(window: Any, strides: Any, padding: str) -> None:
    x = numbers(2, 7, 6, 3)
    pair = window if isinstance(window, tuple) else (window, window)
    step = pair if strides is None else strides if isinstance(strides, tuple) else (strides,) * 2
    y = ops.average_pool2d(x, window, strides, padding)
    np.testing.assert_allclose(y.data, mean_reference(x, pair, step, padding), rtol=1e-12)
    assert y.shape == ops.max_pool2d(x, window, strides, padding).shape


def test_average_pooling_objects_as_max_pooling_does() -> None:
    x = numbers(2, 3, 3, 1)
    for wrong in ({"pool_size": 4}, {"strides": 0}, {"padding": "full"}, {"pool_size": (2, 2, 2)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ops.average_pool2d(x, **wrong)


def test_every_op_has_a_row() -> None:
    assert set(ROWS) == set(ops.__all__)


@pytest.mark.parametrize("name", ROWS)
def test_value_and_gradients(name: str) -> None:
    call, reference, inputs = ROWS[name]
    expected = reference(*inputs)
    found = call(*[Tensor(x) for x in inputs])
    assert found.dtype == np.float64
    assert found.shape == np.shape(expected)
    np.testing.assert_allclose(found.data, expected, rtol=1e-12, atol=1e-14)
    assert gradcheck(call, *inputs)


@pytest.mark.parametrize("name", ROWS)
def test_float32_stays_float32_and_is_close(name: str) -> None:
    call, reference, inputs = ROWS[name]
    tensors = [Tensor(x.astype(np.float32)) for x in inputs]
    found = call(*tensors)
    if name != "cast":
        assert found.dtype == np.float32
    exact = [x.data.astype(np.float64) for x in tensors]
    np.testing.assert_allclose(found.data, reference(*exact), rtol=1e-5, atol=1e-5)
    found.backward(np.ones_like(found.data))
    doubles = [Tensor(x) for x in exact]
    call(*doubles).backward(np.ones(found.shape))
    for x, reference_x in zip(tensors, doubles, strict=True):
        assert x.grad.dtype == np.float32
        np.testing.assert_allclose(x.grad, reference_x.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(4,), (3, 1), (), (1, 4), (3, 4), (2, 3, 4)])
@pytest.mark.parametrize("op", [ops.add, ops.subtract, ops.multiply, ops.divide, ops.maximum])
def test_broadcasting(op: Callable[..., Tensor], shape: tuple[int, ...]) -> None:
    x, y = numbers(3, 4), numbers(*shape, seed=1) + 0.003
    assert gradcheck(op, x, y)
    assert gradcheck(op, y, x)


# ------------------------------------------------------------------ kinks, ties, extremes


def grad_of(f: Callable[[Tensor], Tensor], *at: float) -> list[float]:
    x = Tensor(np.array(at))
    f(x).backward(np.ones(f(x).shape))
    return [float(g) for g in np.ravel(x.grad)]


def test_derivatives_at_kinks() -> None:
    assert grad_of(ops.relu, 0.0, -0.0, -1.0, 1.0) == [0, 0, 0, 1]
    assert grad_of(ops.absolute, 0.0) == [0]
    assert grad_of(ops.leaky_relu, 0.0) == [0.2]
    assert grad_of(lambda x: ops.clip(x, 0, 1), -0.1, 0, 0.5, 1, 1.1) == [0, 1, 1, 1, 0]


def test_ties_go_to_the_first() -> None:
    assert grad_of(ops.max, 3.0, 1.0, 3.0) == [1, 0, 0]
    assert grad_of(ops.min, 3.0, 1.0, 1.0) == [0, 1, 0]
    assert grad_of(lambda x: ops.max(x.reshape(2, 2), (1, 0)), 5.0, 5.0, 5.0, 5.0) == [1, 0, 0, 0]
    for op in (ops.maximum, ops.minimum):
        x, y = Tensor([2.0]), Tensor([2.0])
        op(x, y).backward()
        assert (x.grad, y.grad) == (1, 0)
    x = Tensor(np.zeros((1, 2, 2, 1)))
    ops.max_pool2d(x).backward(np.ones((1, 1, 1, 1)))
    assert x.grad.ravel().tolist() == [1, 0, 0, 0]


def test_extremes_are_exact_and_silent() -> None:
    x = Tensor([1000.0, -1000.0])
    assert ops.sigmoid(x).tolist() == [1, 0]
    assert ops.tanh(x).tolist() == [1, -1]
    assert ops.softmax(x).tolist() == [1, 0]
    assert ops.log_softmax(x).tolist() == [0, -2000]
    for op in (ops.sigmoid, ops.tanh, ops.softmax, ops.log_softmax):
        x.zero_grad()
        op(x).backward(np.ones(2))
        assert np.isfinite(x.grad).all()
    tiny = ops.sigmoid(Tensor(np.array(-700.0))).item()
    assert tiny == pytest.approx(math.exp(-700), rel=1e-12)


def test_nan_stays_nan() -> None:
    nan = Tensor([math.nan, 1.0])
    for op in (ops.relu, ops.absolute, ops.sigmoid, ops.exp, ops.sqrt, ops.square):
        assert math.isnan(op(nan).data[0])
    for op in (ops.maximum, ops.minimum):
        assert math.isnan(op(nan, 0).data[0])
        assert math.isnan(op(0, nan).data[0])
    assert math.isnan(ops.max(nan).item())


def test_powers() -> None:
    def grads(x: float, y: float) -> tuple[float, float, float]:
        base, exponent = Tensor(np.array(x)), Tensor(np.array(y))
        z = base**exponent
        z.backward()
        return z.item(), float(base.grad), float(exponent.grad)

    value, base, exponent = grads(2, 3)
    assert (value, base) == (8, 12)
    assert exponent == pytest.approx(8 * math.log(2))
    assert grads(0, 2) == (0, 0, 0)
    assert grads(0, 0) == (1, 0, 0)
    value, base, exponent = grads(-2, -3)
    assert (value, base) == (-0.125, -0.1875)
    assert math.isnan(exponent)
    assert grad_of(lambda x: x**2, -3.0, 0.0) == [-6, 0]
    assert grad_of(lambda x: 2**x, 3.0) == [pytest.approx(8 * math.log(2))]


def test_division_by_zero_is_numpys() -> None:
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert (Tensor([1.0]) / 0).tolist() == [math.inf]
    with pytest.warns(RuntimeWarning, match="invalid value"):
        assert math.isnan(ops.log(Tensor([-1.0])).item())


# ------------------------------------------------------------------ types


@pytest.mark.parametrize(
    "other", [2, 2.5, True, [1.0, 2.0], np.int64(3), np.float64(3), np.array([1, 2]), np.array(2.0)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_numbers_and_lists_do_not_decide_on_the_type(other: Any, dtype: Any) -> None:
    x = Tensor(np.array([1.0, 2.0], dtype))
    for result in (x + other, other * x, x - other, other / x, x**other, ops.maximum(other, x)):
        assert isinstance(result, Tensor)
        assert result.dtype == dtype


def test_arrays_of_floats_do() -> None:
    x = Tensor([1.0, 2.0])
    y = x * np.array([3.0, 4.0])
    assert y.dtype == np.float64
    y.sum().backward()
    assert x.grad.dtype == np.float32
    w = Tensor(np.eye(2))
    z = x.reshape(1, 2) @ w
    assert z.dtype == np.float64
    z.sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (np.float32, np.float64)
    mixed = ops.conv2d(Tensor(np.ones((1, 2, 2, 1), np.float32)), np.ones((2, 2, 1, 1)))
    assert mixed.dtype == np.float64
    with pytest.raises(TypeError, match="cast: dtype: expected float32 or float64"):
        ops.cast(x, complex)


# ------------------------------------------------------------------ matrices


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((4,), (4,)),
        ((3, 4), (4,)),
        ((4,), (4, 2)),
        ((2, 3, 4), (4, 5)),
        ((3, 4), (2, 4, 5)),
        ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (2, 4, 3)),
        ((2, 3, 4), (4,)),
        ((1, 1), (1, 1)),
        ((0, 3), (3, 2)),
        ((2, 0), (0, 3)),
    ],
)
def test_matmul_has_numpys_rules(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    x, y = numbers(*a), numbers(*b, seed=1)
    found = ops.matmul(x, y)
    np.testing.assert_allclose(found.data, x @ y, rtol=1e-12, atol=1e-15)
    assert found.shape == (x @ y).shape
    assert gradcheck(ops.matmul, x, y)


def test_matmul_of_shapes_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="a has 3 columns but b has 2 rows"):
        Tensor(np.ones((2, 3))) @ np.ones((2, 3))


# ------------------------------------------------------------------ reductions and shapes


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, 1, (0, 2), (-1, 0), (2, 1, 0), ()])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
def test_reductions(name: str, axis: Any, keepdims: bool) -> None:
    x = numbers(2, 3, 4)
    call = getattr(ops, name)
    found = call(Tensor(x), axis, keepdims)
    np.testing.assert_allclose(found.data, getattr(x, name)(axis=axis, keepdims=keepdims))
    assert found.shape == getattr(x, name)(axis=axis, keepdims=keepdims).shape
    assert gradcheck(lambda v: call(v, axis, keepdims), x)
    method = getattr(Tensor(x), name)(axis, keepdims)
    np.testing.assert_array_equal(method.data, found.data)


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min"])
def test_wrong_axes(name: str) -> None:
    x = Tensor(np.ones((2, 3)))
    with pytest.raises(ValueError, match="axis 2 is out of bounds"):
        getattr(x, name)(2)
    with pytest.raises(ValueError, match="expected each axis once"):
        getattr(x, name)((0, -2))


def test_the_largest_of_nothing() -> None:
    with pytest.raises(ValueError, match="of no element"):
        ops.max(Tensor(np.ones((2, 0))), 1)


@pytest.mark.parametrize(
    "index",
    [
        0,
        -1,
        (1, 2),
        slice(None, None, -1),
        (..., 0),
        (None, 1),
        [0, 2, 0],
        ([0, 1, 0], [1, 1, 1]),
        np.array([[0, 1], [2, 0]]),
        np.array([True, False, True]),
        (slice(1), [3, 3]),
    ],
)
def test_indexing(index: Any) -> None:
    x = numbers(3, 4)
    np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    assert gradcheck(lambda v: v[index], x)


def test_methods_and_functions_are_the_same() -> None:
    x = numbers(2, 3)
    for name in ("exp", "sin", "cos", "relu", "leaky_relu", "sigmoid", "tanh", "softmax"):
        np.testing.assert_array_equal(getattr(Tensor(x), name)().data, getattr(ops, name)(x).data)
    for name in ("log", "sqrt"):
        np.testing.assert_array_equal(
            getattr(Tensor(abs(x)), name)().data, getattr(np, name)(abs(x))
        )
    t = Tensor(x)
    assert t.reshape(3, 2).shape == t.reshape((3, -1)).shape == (3, 2)
    assert t.transpose().shape == t.transpose(1, 0).shape == t.transpose((1, 0)).shape == (3, 2)
    assert t.flatten().shape == (6,)
    assert t.reshape(1, 2, 3).squeeze(0).shape == (2, 3)
    np.testing.assert_array_equal(abs(t).data, t.abs().data)
    np.testing.assert_array_equal((-t).data, -x)
    np.testing.assert_array_equal(t.clip(-1, 1).data, x.clip(-1, 1))
    np.testing.assert_allclose(t.log_softmax().data, np.log(t.softmax().data))
    assert +t is t


def test_softmax_along_other_axes() -> None:
    x = numbers(2, 3, 4)
    for axis in (0, 1, -1):
        found = ops.softmax(Tensor(x), axis)
        np.testing.assert_allclose(found.data.sum(axis), 1)
        assert gradcheck(lambda v, axis=axis: ops.softmax(v, axis), x)
        assert gradcheck(lambda v, axis=axis: ops.log_softmax(v, axis), x)
        assert (found.logits is not None) == (axis == -1)


def test_an_op_needs_its_arrays() -> None:
    with pytest.raises(TypeError, match=r"add: expected 2 array\(s\) to begin with, got 1"):
        ops.add(Tensor([1.0]))  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="expected x_min <= x_max, got 1 and 0"):
        ops.clip(Tensor([1.0]), 1, 0)


# ------------------------------------------------------------------ known answers


def test_a_convolution_in_one_dimension() -> None:
    signal = np.array([0.0, 1, 2, 3, 0, 0]).reshape(1, 1, 6, 1)  # zeros on the right
    kernel = np.array([1.0, 2, 3]).reshape(1, 3, 1, 1)
    assert ops.conv2d(signal, kernel).data.ravel().tolist() == [8, 14, 8, 3]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("stride", [1, 2])
def test_convolution_gradients(stride: int, k: int, padding: str) -> None:
    x, w, b = numbers(2, 5, 6, 2), numbers(k, k, 2, 3, seed=1), numbers(3, seed=2)
    assert gradcheck(lambda *a: ops.conv2d(*a, strides=stride, padding=padding), x, w, b)
    assert gradcheck(lambda *a: ops.conv2d(*a, strides=stride, padding=padding), x, w)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool", "strides"), [(2, None), (3, 1), ((2, 3), (1, 2)), (2, 3)])
def test_pooling_gradients(pool: Any, strides: Any, padding: str) -> None:
    assert gradcheck(lambda x: ops.max_pool2d(x, pool, strides, padding), numbers(2, 5, 6, 2))


def test_the_texts_max_pooling() -> None:
    image = np.array([[10.0, 6, 4, 6], [8, 2, 12, 5], [1, 3, 0, 7], [2, 9, 4, 4]])
    pooled = ops.max_pool2d(image.reshape(1, 4, 4, 1)).data
    assert pooled[0, :, :, 0].tolist() == [[10, 12], [9, 7]]


def test_minitorchs_long_expression() -> None:
    def f(a: Tensor) -> Tensor:
        return ops.log(ops.sigmoid(ops.relu(ops.relu(10 * a + 7) * 6 + 5) * 10)) / 50

    assert gradcheck(f, [-2.0, -1.2, -0.75], atol=1e-6)


def test_a_small_network_by_gradcheck() -> None:
    def loss(x: Tensor, k: Tensor, b: Tensor, w: Tensor) -> Tensor:
        h = ops.max_pool2d(ops.relu(ops.conv2d(x, k, b)))
        return -ops.mean(ops.log_softmax(h.reshape(2, -1) @ w)[:, 0])

    inputs = numbers(2, 6, 6, 1), numbers(3, 3, 1, 2), numbers(2), numbers(8, 3)
    assert gradcheck(loss, *inputs)


# ------------------------------------------------------------------ awkward shapes

BINARY = [ops.add, ops.subtract, ops.multiply, ops.divide, ops.power, ops.maximum, ops.minimum]


@pytest.mark.parametrize("op", BINARY)
@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((), ()),
        ((3, 1), (1, 4)),
        ((4,), (2, 3, 4)),
        ((2, 1, 3), (4, 1)),
        ((1, 1), (2,)),
        ((0, 3), (3,)),
        ((0,), (1,)),
    ],
)
def test_broadcasting_of_both_sides(op: Callable[..., Tensor], one: Any, other: Any) -> None:
    x, y = positive(*one), 0.97 * positive(*other)
    expected = getattr(np, op.__name__)(x, y)
    found = op(x, y).data
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert gradcheck(op, x, y)


@pytest.mark.parametrize("mask", [True, [True, False, True], [[True], [False]], [0, 2, -1]])
@pytest.mark.parametrize("shapes", [((), ()), ((2, 3), ()), ((3,), (2, 1)), ((2, 3), (2, 3))])
def test_where_broadcasts_all_three(mask: Any, shapes: Any) -> None:
    x, y = numbers(*shapes[0]), numbers(*shapes[1], seed=1)
    np.testing.assert_array_equal(ops.where(mask, x, y).data, np.where(mask, x, y), strict=True)
    assert gradcheck(lambda x, y: ops.where(mask, x, y), x, y)


@pytest.mark.parametrize(
    ("name", "shape", "args"),
    [
        ("reshape", (2, 6), (-1,)),
        ("reshape", (1,), ((),)),
        ("reshape", (), ((1, 1),)),
        ("transpose", (), ()),
        ("transpose", (2, 3, 4), ()),
        ("transpose", (2, 3, 4), ((1, 2, 0),)),
        ("transpose", (2, 3, 4), ((-1, 0, -2),)),
        ("expand_dims", (), (0,)),
        ("expand_dims", (2, 3), (-1,)),
        ("squeeze", (1, 3, 1), (-1,)),
        ("squeeze", (1, 3, 1), ((0, 2),)),
        ("broadcast_to", (), ((2, 3),)),
        ("broadcast_to", (1, 2), ((3, 2),)),
        ("broadcast_to", (3,), ((3,),)),
    ],
)
def test_shapes(name: str, shape: tuple[int, ...], args: Any) -> None:
    x, op = numbers(*shape), getattr(ops, name)
    np.testing.assert_array_equal(op(x, *args).data, getattr(np, name)(x, *args), strict=True)
    assert gradcheck(lambda v: op(v, *args), x)


@pytest.mark.parametrize(
    ("name", "axis", "shapes"),
    [
        ("concatenate", 0, [(3,)]),
        ("concatenate", 0, [(1, 3), (2, 3)]),
        ("concatenate", -1, [(2, 2, 1), (2, 2, 3)]),
        ("concatenate", 0, [(0, 3), (2, 3), (0, 3)]),
        ("stack", 0, [(), (), ()]),
        ("stack", 0, [(3,)]),
        ("stack", -2, [(2, 3), (2, 3)]),
    ],
)
def test_joining(name: str, axis: int, shapes: list[tuple[int, ...]]) -> None:
    xs = [numbers(*shape, seed=i) for i, shape in enumerate(shapes)]
    joined = getattr(ops, name)(xs, axis)
    np.testing.assert_array_equal(joined.data, getattr(np, name)(xs, axis), strict=True)
    assert gradcheck(lambda *vs: getattr(ops, name)(vs, axis), *xs)


@pytest.mark.parametrize(
    "index",
    [
        np.int64(1),
        (1, np.int64(-1)),
        (np.array([2, 2]), slice(1, 3)),
        ([], slice(None)),
        np.arange(12).reshape(3, 4) % 3 == 0,
        ...,
        (0, None, slice(None)),
    ],
    ids=str,
)
def test_indexing_with_what_numpy_takes(index: Any) -> None:
    x = numbers(3, 4)
    np.testing.assert_array_equal(Tensor(x)[index].data, x[index])
    assert gradcheck(lambda v: v[index], x)


def test_repeated_indices_get_every_gradient() -> None:
    x = Tensor(np.arange(4.0))
    x[[1, 1, 3, 1]].backward(np.array([1.0, 10.0, 100.0, 1000.0]))
    np.testing.assert_array_equal(x.grad, [0, 1011, 0, 100])


def test_indexing_with_tensors() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3))
    np.testing.assert_array_equal(x[x > 2].data, [3, 4, 5])
    with pytest.raises(IndexError):
        x[Tensor([0.0, 1.0])]  # floats are no indices


def test_gradients_of_overlapping_views_add_up() -> None:
    x = Tensor(np.arange(6.0).reshape(2, 3))
    (x[0] + x.T[:, 1] + ops.broadcast_to(x[:1, :1], (1, 3))[0]).sum().backward()
    np.testing.assert_array_equal(x.grad, [[4, 1, 1], [1, 1, 1]])


@pytest.mark.parametrize("name", ["sum", "mean", "var", "max", "min"])
def test_axes_may_be_numpys_integers(name: str) -> None:
    x = numbers(2, 3)
    for axis in ((np.int32(0), np.int64(1)), np.int64(1)):
        expected = getattr(np, name)(x, axis=axis)
        np.testing.assert_allclose(getattr(ops, name)(Tensor(x), axis=axis).data, expected)


@pytest.mark.parametrize("name", ["max", "min"])
def test_the_largest_of_each_of_no_lines(name: str) -> None:
    x = Tensor(np.zeros((0, 3)))
    y = getattr(ops, name)(x, 1)  # as in numpy: no line, so no empty line
    assert y.shape == (0,)
    y.backward(np.zeros(0))
    assert x.grad.shape == (0, 3)


# ------------------------------------------------------------------ corners of functions


@pytest.mark.parametrize(
    ("base", "exponent", "value", "dbase", "dexponent"),
    [
        (0, 1, 0, 1, 0),
        (0, 0.5, 0, np.inf, 0),
        (5, 0, 1, 0, math.log(5)),
        (-2, 2, 4, -4, np.nan),
        (-2, 0, 1, 0, np.nan),
        (4, -0.5, 0.5, -0.0625, 0.5 * math.log(4)),
        (np.nan, 2, np.nan, np.nan, np.nan),
        (np.inf, 2, np.inf, np.inf, np.inf),
    ],
)
def test_more_powers(base: float, exponent: float, value: Any, dbase: Any, dexponent: Any) -> None:
    x, y = Tensor(np.array([float(base)])), Tensor(np.array([float(exponent)]))
    z = x**y
    z.backward()
    np.testing.assert_allclose([z.data, x.grad, y.grad], [[value], [dbase], [dexponent]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("op", "x", "value", "gradient"),
    [
        (ops.sigmoid, [1000, -1000, 0], [1, 0, 0.5], [0, 0, 0.25]),
        (ops.tanh, [1000, -1000, 0], [1, -1, 0], [0, 0, 1]),
        (ops.relu, [np.inf, -np.inf], [np.inf, 0], [1, 0]),
        (ops.softmax, [-1000, -1000], [0.5, 0.5], [0, 0]),
        (ops.softmax, [0, -np.inf], [1, 0], [0, 0]),
        (ops.log_softmax, [1000, -1000], [0, -2000], [-1, 1]),
        (ops.log_softmax, [-1e30, 1e30], [-2e30, 0], [1, -1]),
        (ops.log_softmax, [0, -np.inf], [0, -np.inf], [-1, 1]),
    ],
)
def test_more_extremes(op: Any, x: Any, value: Any, gradient: Any, dtype: Any) -> None:
    given = Tensor(np.array(x, dtype))
    y = op(given)
    y.backward(np.ones_like(y.data))
    np.testing.assert_allclose(y.data, np.array(value, dtype), rtol=1e-6)
    np.testing.assert_allclose(given.grad, gradient, atol=1e-6)


def test_the_gradient_of_sigmoid_in_its_tails() -> None:
    found = grad_of(ops.sigmoid, -700.0, -40.0, 40.0, 700.0)
    np.testing.assert_allclose(found, np.exp([-700.0, -40.0, -40.0, -700.0]), rtol=1e-12)


def test_nan_gets_the_gradient_of_what_it_won() -> None:
    nan = math.nan
    for op in (ops.maximum, ops.minimum):
        x, y = Tensor([nan, 1, nan]), Tensor([1, nan, nan])
        op(x, y).sum().backward()
        assert (x.grad.tolist(), y.grad.tolist()) == ([1, 0, 1], [0, 1, 0])
    for op in (ops.max, ops.min):
        assert grad_of(op, 5.0, nan, nan) == [0, 1, 0]
    assert grad_of(ops.relu, nan) == [1]


# ------------------------------------------------------------------ types, order, memory


@pytest.mark.parametrize("op", BINARY)
def test_each_gradient_has_its_inputs_type(op: Callable[..., Tensor]) -> None:
    for types in ((np.float32, np.float64), (np.float64, np.float32)):
        x, y = (Tensor([1.5, 2.0], dtype=dtype) for dtype in types)
        op(x, y).sum().backward()
        assert (x.grad.dtype, y.grad.dtype) == types
    for other in (2, True, [1, 2], np.float64(2), np.array(2.0), np.array([1, 2], np.float16)):
        for flip in (False, True):
            x = Tensor([1.0, 2.0])
            y = op(other, x) if flip else op(x, other)
            assert y.dtype == np.float32
            y.sum().backward()
            assert x.grad.dtype == np.float32


@pytest.mark.parametrize("number", [0.5, np.float32(0.5), np.float64(0.5)], ids=repr)
def test_settings_do_not_decide_on_the_type(number: Any) -> None:
    x = Tensor([-1.0, 2.0])
    assert ops.leaky_relu(x, number).dtype == np.float32
    assert ops.clip(x, -number, number).dtype == np.float32


@pytest.mark.parametrize(
    "name",
    ["cos", "exp", "leaky_relu", "log_softmax", "max", "relu", "sigmoid", "softmax", "sum", "var"],
)
def test_a_single_number_stays_float32(name: str) -> None:
    x = Tensor(2.0)
    y = getattr(ops, name)(x)
    assert y.dtype == np.float32
    y.backward()
    assert x.grad.dtype == np.float32


def test_mixed_types_in_kernels() -> None:
    for op, shapes in (
        (ops.matmul, [(3, 4), (4, 2)]),
        (ops.conv2d, [(1, 3, 3, 2), (2, 2, 2, 1), (1,)]),
    ):
        for types in itertools.product([np.float32, np.float64], repeat=len(shapes)):
            xs = [Tensor(numbers(*s), dtype=t) for s, t in zip(shapes, types, strict=True)]
            y = op(*xs)
            assert y.dtype == np.result_type(*types)
            y.sum().backward()
            assert [x.grad.dtype for x in xs] == list(types)


@pytest.mark.parametrize("f", [operator.add, operator.sub, operator.mul, operator.truediv, pow])
def test_an_array_may_come_first(f: Any) -> None:
    array = np.array([[1.0, 2.0], [3.0, 4.0]])
    x = Tensor(np.array([0.5, 1.5]))
    for other in (array, array.tolist(), 2, np.float64(2), np.int64(2), np.array(2.0)):
        for found, expected in ((f(other, x), f(other, x.data)), (f(x, other), f(x.data, other))):
            assert isinstance(found, Tensor)
            np.testing.assert_allclose(found.data, expected)
    assert gradcheck(lambda v: f(array, v), x)


def test_a_matrix_may_come_first() -> None:
    a, x = np.array([[1.0, 2.0], [3.0, 4.0]]), Tensor(np.array([[5.0], [6.0]]))
    for first in (a, a.tolist()):
        y = first @ x
        assert isinstance(y, Tensor)
        np.testing.assert_array_equal(y.data, [[17], [39]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [[4], [6]])


@pytest.mark.parametrize(
    "layout",
    [
        np.asfortranarray,
        lambda x: np.ascontiguousarray(x[::-1])[::-1],
        lambda x: np.repeat(x, 2, axis=-1)[..., ::2],
        lambda x: x.astype(x.dtype.newbyteorder()),
    ],
    ids=["Fortran", "backwards", "strided", "other byte order"],
)
@pytest.mark.parametrize("name", ROWS)
def test_data_may_lie_anyhow(name: str, layout: Any) -> None:
    """And may be read-only, and so may the gradient that backward is given."""
    call, _, inputs = ROWS[name]
    frozen = [np.broadcast_to(layout(x), x.shape) for x in inputs]
    assert not any(x.flags.writeable for x in frozen)
    results = []
    for arrays in (inputs, frozen):
        xs = [Tensor(x) for x in arrays]
        y = call(*xs)
        upstream = np.cos(np.arange(y.size)).reshape(y.shape)
        y.backward(np.broadcast_to(upstream, y.shape))
        results.append([y.data, *(x.grad for x in xs)])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_unaligned_data() -> None:
    array = np.zeros(12 * 8 + 1, np.uint8)[1:].view(np.float64).reshape(1, 3, 4, 1)
    array[...] = numbers(1, 3, 4, 1)
    assert not array.flags.aligned
    kernel = np.ones((2, 2, 1, 1))
    for f in (
        ops.relu,
        ops.max_pool2d,
        lambda v: ops.conv2d(v, kernel),
        lambda v: v.reshape(3, 4) @ v.reshape(4, 3),
    ):
        np.testing.assert_array_equal(f(Tensor(array)).data, f(Tensor(array.copy())).data)


# ------------------------------------------------------------------ float32 kernels, bad arguments


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(
    ("size", "c", "f", "stride"), [(8, 8, 16, 1), (32, 8, 16, 2), (32, 16, 8, 1), (14, 8, 16, 2)]
)
def test_convolution_in_float32(
    size: int, c: int, f: int, stride: int, k: int, padding: str
) -> None:
    arrays = [numbers(*s, seed=k) for s in ((2, size, size, c), (k, k, c, f), (f,))]
    results = []
    for dtype in (np.float32, np.float64):
        xs = [Tensor(x.astype(np.float32), dtype=dtype) for x in arrays]
        y = ops.conv2d(*xs, strides=stride, padding=padding)
        y.backward(np.cos(np.arange(y.size)).astype(np.float32).reshape(y.shape))
        results.append([y.data, *(x.grad for x in xs)])
    for found, expected in zip(*results, strict=True):
        assert found.dtype == np.float32
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 * scale)


def test_matmul_in_float32() -> None:
    results = []
    for dtype in (np.float32, np.float64):
        x, y = (
            Tensor(numbers(*s, seed=1).astype(np.float32), dtype=dtype)
            for s in ((37, 300), (300, 21))
        )
        z = x @ y
        ops.square(z).sum().backward()
        results.append([z.data, x.grad, y.grad])
    for found, expected in zip(*results, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6 * scale)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: ops.relu(), TypeError, r"relu: expected 1 array\(s\) .* got 0"),
        (lambda x: ops.relu(x, 1), TypeError, "positional argument"),
        (lambda x: ops.clip(x, np.nan, 1), ValueError, "clip: expected x_min <= x_max, got nan"),
        (lambda x: x + None, TypeError, "expected real numbers, got None"),
        (lambda x: "a" * x, TypeError, "expected real numbers, got 'a'"),
        (lambda x: x + 1j, TypeError, "expected real numbers, got 1j"),
        (lambda x: x + np.ones(2), ValueError, "broadcast"),
        (lambda x: x @ 2.0, ValueError, "matmul"),
        (lambda x: x[2], IndexError, "out of bounds"),
        (lambda x: x.reshape(4), ValueError, "cannot reshape"),
        (lambda x: x.squeeze(0), ValueError, "squeeze"),
        (lambda x: ops.concatenate([]), ValueError, "at least one array"),
        (lambda x: ops.stack([x, x[0]]), ValueError, "same shape"),
        (lambda x: ops.conv2d(x, x), ValueError, "conv2d: images: expected 4 dimensions"),
        (ops.max_pool2d, ValueError, "max_pool2d: images: expected 4 dimensions"),
        (
            lambda x: ops.max_pool2d(x[None, ..., None], 3),
            ValueError,
            "pool_size height of 3 does not fit images of 2",
        ),
        (
            lambda x: ops.conv2d(x[None, ..., None], np.ones((3, 3, 1, 1))),
            ValueError,
            "kernel height of 3 does not fit images of 2",
        ),
    ],
)
def test_bad_arguments(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(Tensor(np.zeros((2, 3))))
