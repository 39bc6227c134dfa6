"""Losses that are exact far out, which a sum of other ops is not."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Array, TensorLike, op
from .rows import Result2, silently

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as in Keras


@op("binary_crossentropy")
def binary_crossentropy(
    target: TensorLike, output: TensorLike, /, from_logits: bool = False
) -> Result2:
    """-(t log(p) + (1 - t) log(1 - p)), element by element, t the target, p the probability.

    target: of any shape, usually from 0 to 1. output: of the same shape, p, which is kept within
    1e-7 of 0 and 1; with from_logits what one would give to `sigmoid` to have p, and then the
    value, and the gradient sigmoid(output) - target, are exact for any number. Raises ValueError
    if the shapes disagree.

    >>> from micrograd_ext import Tensor
    >>> binary_crossentropy([1.0, 0.0], Tensor([0.5, 0.5])).data
    array([0.6931472, 0.6931472], dtype=float32)
    >>> binary_crossentropy([1.0, 0.0], Tensor([20.0, 1000.0]), from_logits=True).data
    array([2.0611537e-09, 1.0000000e+03], dtype=float32)
    """
    t = target
    if t.shape != output.shape:
        raise ValueError(
            f"binary_crossentropy: target: expected the shape of output {output.shape}, "
            f"got {t.shape}"
        )
    if not from_logits:
        low, high = EPSILON, 1 - EPSILON
        p = np.clip(output, low, high)
        outside = (output < low) | (output > high)
        y = -(t * np.log(p) + (1 - t) * np.log1p(-p))
        return (
            y,
            lambda g: g * (np.log1p(-p) - np.log(p)),
            lambda g: np.where(outside, 0, g * ((1 - t) / (1 - p) - t / p)),
        )
    x = output
    size = np.abs(x)
    z = np.exp(-size)
    slope = np.where(x < 0, t, 1 - t)  # far out it is slope |x|, which is 0 for a slope of 0
    with silently():
        y = np.where((slope == 0) & np.isinf(x), 0, slope * size) + np.log1p(z)

    def dx(g: Array) -> Any:
        near = 0.5 * np.tanh(0.5 * x) + (0.5 - t)  # sigmoid is 0.5 + tanh(x / 2) / 2
        tail = z / (1 + z)
        return g * np.where(size < 1, near, np.where(x < 0, tail - t, 1 - t - tail))

    return y, lambda g: -g * x, dx
