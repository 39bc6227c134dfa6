"""Activation functions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import kernels
from ..tensor import Array, Tensor, TensorLike, apply, op
from .reductions import axes_of
from .rows import Result, dense, silently


@op("relu")
def relu(x: TensorLike, /) -> Result:
    """max(x, 0); its derivative at 0 is 0.

    >>> relu(Tensor([-1.0, 2.0])).data
    array([0., 2.], dtype=float32)
    """
    y = kernels.relu(dense(x))
    return y, lambda g: kernels.relu_dx(dense(g), y)


@op("leaky_relu")
def leaky_relu(x: TensorLike, /, negative_slope: float = 0.2) -> Result:
    """x where it is positive, else negative_slope * x; the derivative at 0 is negative_slope.

    >>> leaky_relu(Tensor([-1.0, 2.0])).data
    array([-0.2,  2. ], dtype=float32)
    """
    slope = float(negative_slope)  # numpy's numbers would decide on the type
    return np.where(x > 0, x, x * slope), lambda g: np.where(x > 0, g, g * slope)


@op("sigmoid")
def sigmoid(x: TensorLike, /) -> Result:
    """1 / (1 + e ** -x), exact at both ends and without overflow; derivative y (1 - y).

    >>> sigmoid(Tensor([0.0, 1000.0, -1000.0])).data
    array([0.5, 1. , 0. ], dtype=float32)
    """
    z = np.exp(-np.abs(x))
    y = np.where(x < 0, z, 1) / (1 + z)
    return y, lambda g: g * z / np.square(1 + z)


@op("tanh")
def tanh(x: TensorLike, /) -> Result:
    """Hyperbolic tangent; derivative 1 - y ** 2, exact where y is 1 to rounding, too.

    >>> tanh(Tensor([0.0, 1000.0])).data
    array([0., 1.], dtype=float32)
    """

    def dx(g: Array) -> Any:
        z = np.exp(-2 * np.abs(x))
        return g * 4 * z / np.square(1 + z)

    return np.tanh(x), dx


@op("softplus")
def softplus(x: TensorLike, /) -> Result:
    """log(1 + e ** x), exact at both ends; derivative `sigmoid`.

    >>> softplus(Tensor([0.0, 1000.0, -1000.0])).data
    array([6.931472e-01, 1.000000e+03, 0.000000e+00], dtype=float32)
    """
    z = np.exp(-np.abs(x))
    return np.maximum(x, 0) + np.log1p(z), lambda g: g * np.where(x < 0, z, 1) / (1 + z)


@op("log_sigmoid")
def log_sigmoid(x: TensorLike, /) -> Result:
    """log(sigmoid(x)), exact at both ends: finite where sigmoid itself would be 0.

    >>> log_sigmoid(Tensor([0.0, 1000.0, -1000.0])).data
    array([-6.931472e-01,  0.000000e+00, -1.000000e+03], dtype=float32)
    """
    z = np.exp(-np.abs(x))
    return np.minimum(x, 0) - np.log1p(z), lambda g: g * np.where(x > 0, z, 1) / (1 + z)


def softmax(x: TensorLike, axis: int | tuple[int, ...] = -1) -> Tensor:
    """e ** x / sum of e ** x along an axis, or several; exact for any x: the largest goes first.

    >>> softmax(Tensor([1000.0, 1000.0])).data
    array([0.5, 0.5], dtype=float32)
    >>> softmax(Tensor([[0.0, 0.0], [0.0, 0.0]]), axis=(0, 1)).data
    array([[0.25, 0.25],
           [0.25, 0.25]], dtype=float32)
    """

    def row(x: Array) -> Result:
        with silently():  # of inf beside other numbers, nan
            y = np.exp(x - x.max(axes, keepdims=True))
            y /= y.sum(axes, keepdims=True)

        def dx(g: Array) -> Any:
            first = y == y.max(axes, keepdims=True)
            rest = _beside(first, y, y.max(axes, keepdims=True), axes)
            rest = np.where(first, rest, 1 - y)  # 1 - y, exact where y is about 1
            return y * (g * rest - ((g * y).sum(axes, keepdims=True) - g * y))

        return y, dx

    x = x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)
    axes = axes_of(x.shape or (1,), axis)[: x.ndim]  # a number may have an axis, as numpy has it
    if axes == (x.ndim - 1,)[: x.ndim]:
        y = apply("softmax", row, (x,))
        y.logits = x  # a cross entropy that finds them need not take logarithms of zeros
        return y
    return apply("softmax", row, (x,))


@op("log_softmax")
def log_softmax(x: TensorLike, /, axis: int | tuple[int, ...] = -1) -> Result:
    """log(softmax(x)), finite where softmax itself would be 0; -inf stays out and remains -inf.

    >>> log_softmax(Tensor([0.0, -1000.0])).data
    array([    0., -1000.], dtype=float32)
    """
    axes = axes_of(x.shape or (1,), axis)[: x.ndim]
    with silently():  # of inf beside other numbers, nan
        largest = x.max(axes, keepdims=True)
        y = x - largest
        y -= np.log1p(_beside(x == largest, np.exp(y), 1, axes))

    def dx(g: Array) -> Any:  # g - p sum(g), of which what is left of 1 - p is not rounded away
        return -g * np.expm1(y) - np.exp(y) * (g.sum(axes, keepdims=True) - g)

    return y, dx


def _beside(first: Array, y: Array, largest: Any, axes: tuple[int, ...]) -> Array:
    """The sum along axes of all but one of the largest, which are where `first` says."""
    more = first.sum(axes, y.dtype, keepdims=True) - 1
    total: Array = (y * ~first).sum(axes, keepdims=True) + more * largest
    return total
