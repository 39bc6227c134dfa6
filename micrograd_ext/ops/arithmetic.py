"""Arithmetic: what the operators of Tensors do, and the matrix product."""

from __future__ import annotations

import numpy as np

from .. import kernels
from ..tensor import Array, TensorLike, op
from .rows import Result, Result2, silently


@op("+", integers=True)
def add(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 + x2, broadcast.

    >>> from micrograd_ext import Tensor
    >>> add(Tensor([1.0, 2.0]), 3).data
    array([4., 5.], dtype=float32)
    """
    return x1 + x2, lambda g: g, lambda g: g


@op("-", integers=True)
def subtract(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 - x2, broadcast.

    >>> from micrograd_ext import Tensor
    >>> subtract(1, Tensor([1.0, 2.0])).data
    array([ 0., -1.], dtype=float32)
    """
    return x1 - x2, lambda g: g, lambda g: -g


@op("*", integers=True)
def multiply(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 * x2, broadcast.

    >>> from micrograd_ext import Tensor
    >>> multiply(Tensor([1.0, 2.0]), [3, 4]).data
    array([3., 8.], dtype=float32)
    """
    return x1 * x2, lambda g: g * x2, lambda g: g * x1


@op("/")
def divide(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 / x2, broadcast; by zero as IEEE has it (inf or nan, with numpy's warning).

    >>> from micrograd_ext import Tensor
    >>> divide(Tensor([1.0, 3.0]), 2).data
    array([0.5, 1.5], dtype=float32)
    """
    y = x1 / x2
    return y, silently()(lambda g: g / x2), silently()(lambda g: -g * y / x2)


@op("**")
def power(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 ** x2, broadcast. The gradient of the exponent is y log(x1): nan for a negative base.

    At x1 = 0 the exponent's gradient is 0, and x2 = 0 makes the base's gradient 0.

    >>> from micrograd_ext import Tensor
    >>> x = Tensor([2.0, 3.0])
    >>> power(x, 2).sum().backward()
    >>> x.grad
    array([4., 6.], dtype=float32)
    """
    y = x1**x2

    @silently()
    def dx1(g: Array) -> Array:  # 0 ** -1 where x2 is 0
        return np.where(x2 == 0, 0, g * x2 * x1 ** (x2 - 1))

    @silently()
    def dx2(g: Array) -> Array:  # log of 0 and of negative numbers
        return np.where((x1 == 0) & (x2 >= 0), 0, g * y * np.log(x1))

    return y, dx1, dx2


@op("-", integers=True)
def negative(x: TensorLike, /) -> Result:
    """-x.

    >>> from micrograd_ext import Tensor
    >>> negative(Tensor([1.0])).data
    array([-1.], dtype=float32)
    """
    return -x, lambda g: -g


@op("abs", integers=True)
def absolute(x: TensorLike, /) -> Result:
    """|x|; its derivative at 0 is taken as 0.

    >>> from micrograd_ext import Tensor
    >>> absolute(Tensor([-1.0, 2.0])).data
    array([1., 2.], dtype=float32)
    """
    return np.abs(x), lambda g: g * np.sign(x)


@op("square", integers=True)
def square(x: TensorLike, /) -> Result:
    """x * x.

    >>> from micrograd_ext import Tensor
    >>> square(Tensor([-3.0])).data
    array([9.], dtype=float32)
    """
    with silently():
        return x * x, silently()(lambda g: g * 2 * x)


@op("matmul")
def matmul(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """Matrix product, with numpy's rules for vectors and for stacks of matrices.

    Two matrices (M, K) and (K, N) go through this package's own kernel.

    >>> from micrograd_ext import Tensor
    >>> matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])).data
    array([[11.]], dtype=float32)
    """
    a = x1[None, :] if x1.ndim == 1 else x1
    b = x2[:, None] if x2.ndim == 1 else x2
    y = product(a, b)
    shape = y.shape[: y.ndim - 2] + y.shape[-2:-1] * (x1.ndim > 1) + y.shape[-1:] * (x2.ndim > 1)

    def dx1(g: Array) -> Array:
        dx = product(g.reshape(y.shape), np.swapaxes(b, -1, -2))
        return dx.sum(axis=tuple(range(dx.ndim - 1))) if x1.ndim == 1 else dx

    def dx2(g: Array) -> Array:
        dx = product(np.swapaxes(a, -1, -2), g.reshape(y.shape))
        return dx[..., 0].sum(axis=tuple(range(dx.ndim - 2))) if x2.ndim == 1 else dx

    return y.reshape(shape), dx1, dx2


def product(a: Array, b: Array) -> Array:
    """The matrix product of arrays, by our kernel where it has one."""
    if a.ndim == b.ndim == 2:
        dtype = np.result_type(a, b)
        a, b = (np.require(x, dtype, "A") for x in (a, b))
        return kernels.matmul(a, b)
    return np.asarray(np.matmul(a, b))
