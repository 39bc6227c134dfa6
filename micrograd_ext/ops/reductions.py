"""Sums, means, variances and extremes along axes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..common.arguments import axis_of
from ..tensor import Array, Axis, Tensor, TensorLike, op
from .arithmetic import square, subtract
from .rows import Result, silently


def axes_of(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The axes of that shape, all of them for None, none twice, counted from the front."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple | list) else [axis]
    normalized = tuple([axis_of(shape, i) for i in axes])
    if len(set(normalized)) < len(normalized):
        raise ValueError(f"axis: expected each axis once, got {axis}")
    return normalized


def _unreduce(g: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """g with an axis of size 1 in each place where one was reduced."""
    return g.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


@op("sum", integers=True)
def sum(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Sum over an axis, several, or all.

    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).data
    array([4., 6.], dtype=float32)
    """
    axes = axes_of(x.shape, axis)
    y = x.sum(axes, keepdims=keepdims)
    return y, lambda g: np.broadcast_to(_unreduce(g, x, axes), x.shape)


@op("mean")
def mean(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Mean over an axis, several, or all; of nothing nan, with numpy's warning.

    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    2.5
    """
    axes = axes_of(x.shape, axis)
    count = math.prod(x.shape[i] for i in axes)
    y = x.mean(axes, keepdims=keepdims)
    return y, lambda g: np.broadcast_to(_unreduce(g, x, axes) / count, x.shape)


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean, over an axis, several, or all (ddof 0, as numpy's).

    >>> var(Tensor([1.0, 3.0])).item()
    1.0
    """
    with silently():  # of what has inf in it, nan
        return mean(square(subtract(x, mean(x, axis, True))), axis, keepdims)


def moments(x: TensorLike, axes: Axis, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance over an axis, or several.

    >>> [found.item() for found in moments(Tensor([1.0, 3.0]), 0)]
    [2.0, 1.0]
    """
    return mean(x, axes, keepdims), var(x, axes, keepdims)


def _extreme(x: Array, axis: Axis, keepdims: bool, find: Callable[..., Any]) -> Result:
    """Max or min: all reduced axes are laid side by side, and the first argmax is found there."""
    axes = axes_of(x.shape, axis)
    kept = [i for i in range(x.ndim) if i not in axes]
    length = math.prod(x.shape[i] for i in axes)
    lines = x.transpose(*kept, *axes).reshape([x.shape[i] for i in kept] + [length])
    if length == 0:
        raise ValueError(f"max and min of no element: axis {axis} of shape {x.shape}")
    place = find(lines, axis=-1)[..., None]
    y = np.take_along_axis(lines, place, -1)
    shape = [1 if i in axes else n for i, n in enumerate(x.shape) if keepdims or i not in axes]

    def dx(g: Array) -> Array:
        sent = np.zeros(lines.shape, g.dtype)
        np.put_along_axis(sent, place, g.reshape(place.shape), -1)
        sent = sent.reshape([x.shape[i] for i in (*kept, *axes)])
        return sent.transpose(np.argsort([*kept, *axes]))

    return y.reshape(shape), dx


@op("max", integers=True)
def max(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Largest element over an axis, several, or all; the first of equals gets the gradient.

    >>> x = Tensor([3.0, 1.0, 3.0])
    >>> max(x).backward()
    >>> x.grad
    array([1., 0., 0.], dtype=float32)
    """
    return _extreme(x, axis, keepdims, np.argmax)


@op("min", integers=True)
def min(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Smallest element over an axis, several, or all; the first of equals gets the gradient.

    >>> min(Tensor([[3.0, 1.0], [2.0, 5.0]]), axis=1).data
    array([1., 2.], dtype=float32)
    """
    return _extreme(x, axis, keepdims, np.argmin)
