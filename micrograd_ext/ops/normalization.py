"""Normalization of batches."""

from __future__ import annotations

from ..common.arguments import axis_of
from ..tensor import Tensor, TensorLike
from .arithmetic import add, divide, multiply, subtract
from .elementwise import sqrt
from .shapes import reshape


def batch_normalization(
    x: TensorLike,
    mean: TensorLike,
    variance: TensorLike,
    axis: int,
    offset: TensorLike | None = None,
    scale: TensorLike | None = None,
    epsilon: float = 1e-3,
) -> Tensor:
    """scale * (x - mean) / sqrt(variance + epsilon) + offset, each along `axis` of x.

    >>> batch_normalization(Tensor([[3.0]]), [1.0], [4.0], 1, [10.0], [2.0], epsilon=0).data
    array([[12.]], dtype=float32)
    """
    x = x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)
    along = [1] * x.ndim
    along[axis_of(x.shape, axis)] = -1
    spread = sqrt(add(reshape(variance, along), float(epsilon)))
    factor = divide(1.0, spread) if scale is None else divide(reshape(scale, along), spread)
    y = multiply(subtract(x, reshape(mean, along)), factor)
    return y if offset is None else add(y, reshape(offset, along))
