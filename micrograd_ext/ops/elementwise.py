"""Functions of each number: roots, powers of e, sines, and choices between two."""

from __future__ import annotations

import numpy as np

from ..tensor import Array, Tensor, TensorLike, apply, op
from ..tensor.tensor import as_array, data_of
from .rows import Result, Result2, silently


@op("exp")
def exp(x: TensorLike, /) -> Result:
    """e ** x; inf where that is too large for the type.

    >>> exp(Tensor([0.0, 1000.0])).data
    array([ 1., inf], dtype=float32)
    """
    with silently():
        y = np.exp(x)
    return y, lambda g: g * y


@op("log")
def log(x: TensorLike, /) -> Result:
    """Natural logarithm; of 0 -inf, of a negative number nan, with numpy's warning.

    >>> log(Tensor([1.0])).data
    array([0.], dtype=float32)
    """
    return np.log(x), silently()(lambda g: g / x)


@op("sqrt")
def sqrt(x: TensorLike, /) -> Result:
    """Square root; of a negative number nan, with numpy's warning. The derivative at 0 is inf.

    >>> sqrt(Tensor([9.0])).data
    array([3.], dtype=float32)
    """
    y = np.sqrt(x)
    return y, silently()(lambda g: g / (2 * y))


@op("sin")
def sin(x: TensorLike, /) -> Result:
    """Sine of x in radians.

    >>> sin(Tensor([0.0])).data
    array([0.], dtype=float32)
    """
    return np.sin(x), lambda g: g * np.cos(x)


@op("cos")
def cos(x: TensorLike, /) -> Result:
    """Cosine of x in radians.

    >>> cos(Tensor([0.0])).data
    array([1.], dtype=float32)
    """
    return np.cos(x), lambda g: -g * np.sin(x)


@op("maximum", integers=True)
def maximum(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """The larger of x1 and x2, element by element; of equals, x1 gets the gradient. NaN wins.

    >>> maximum(Tensor([1.0, 5.0]), 3).data
    array([3., 5.], dtype=float32)
    """
    first = (x1 >= x2) | np.isnan(x1)
    return np.maximum(x1, x2), lambda g: np.where(first, g, 0), lambda g: np.where(first, 0, g)


@op("minimum", integers=True)
def minimum(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """The smaller of x1 and x2, element by element; of equals, x1 gets the gradient. NaN wins.

    >>> minimum(Tensor([1.0, 5.0]), 3).data
    array([1., 3.], dtype=float32)
    """
    first = (x1 <= x2) | np.isnan(x1)
    return np.minimum(x1, x2), lambda g: np.where(first, g, 0), lambda g: np.where(first, 0, g)


@op("clip")
def clip(x: TensorLike, /, x_min: float, x_max: float) -> Result:
    """x limited to [x_min, x_max]; outside, the gradient is 0.

    >>> clip(Tensor([-2.0, 0.5, 2.0]), 0, 1).data
    array([0. , 0.5, 1. ], dtype=float32)
    """
    if not x_min <= x_max:
        raise ValueError(f"clip: expected x_min <= x_max, got {x_min} and {x_max}")
    low, high = float(x_min), float(x_max)  # numpy's numbers would decide on the type
    return np.clip(x, low, high), lambda g: np.where((x < low) | (x > high), 0, g)


def where(condition: TensorLike, x1: TensorLike, x2: TensorLike) -> Tensor:
    """x1 where the condition holds, else x2; all three broadcast. No gradient for the condition.

    >>> x = Tensor([1.0, -2.0])
    >>> where(x > 0, x, 0).data
    array([1., 0.], dtype=float32)
    """
    holds = as_array(data_of(condition)).astype(bool)

    def row(x1: Array, x2: Array) -> Result2:
        y = np.where(holds, x1, x2)
        return y, lambda g: np.where(holds, g, 0), lambda g: np.where(holds, 0, g)

    return apply("where", row, (x1, x2), integers=True)
