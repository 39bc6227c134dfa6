"""Pooling of images."""

from __future__ import annotations

import builtins

import numpy as np

from .. import kernels
from ..tensor import Array, TensorLike, op
from .rows import Result, dense


@op("max_pool2d")
def max_pool2d(
    images: TensorLike,
    /,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: str = "valid",
) -> Result:
    """The largest number of each window, channel by channel: (N, H, W, C) to (N, OH, OW, C).

    The first of equals in row-major order gets the gradient; NaN wins. `strides` None means
    pool_size; with padding 'same', windows may hang over the edge, where nothing is.

    >>> from micrograd_ext import Tensor
    >>> images = Tensor([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> max_pool2d(images).data.ravel()
    array([10., 12.], dtype=float32)
    """
    x = dense(images)
    y, argmax = kernels.max_pool2d(x, pool_size, strides=strides, padding=padding)
    return y, lambda g: kernels.max_pool2d_dx(
        dense(g), argmax, x.shape, pool_size, strides=strides, padding=padding
    )


@op("average_pool2d")
def average_pool2d(
    images: TensorLike,
    /,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] | None = None,
    padding: str = "valid",
) -> Result:
    """The mean of each window, channel by channel: (N, H, W, C) to (N, OH, OW, C).

    `strides` None means pool_size; with padding 'same', windows may hang over the edge: the mean is
    that of the pixels inside.

    >>> from micrograd_ext import Tensor
    >>> images = Tensor([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> average_pool2d(images).data.ravel()
    array([6.5 , 6.75], dtype=float32)
    """
    x = dense(images)
    if x.ndim != 4:
        raise ValueError(f"average_pool2d: images: expected 4 dimensions, got shape {x.shape}")
    one = np.ones((1, *x.shape[1:3], 1), x.dtype)
    # the argmax is of no use here, but windows are checked and laid out as for the maximum
    shape = kernels.max_pool2d(one, pool_size, strides=strides, padding=padding)[0].shape[1:3]
    window = (pool_size,) * 2 if isinstance(pool_size, int | np.integer) else tuple(pool_size)
    step = window if strides is None else strides
    step = (step,) * 2 if isinstance(step, int | np.integer) else tuple(step)
    places = [_through_window(x.shape[1 + i], shape[i], window[i], step[i]) for i in (0, 1)]

    def total(source: Array) -> Array:
        y = np.zeros((len(source), *shape, source.shape[3]), x.dtype)
        for from_rows, to_rows in places[0]:
            for from_cols, to_cols in places[1]:
                y[:, to_rows, to_cols] += source[:, from_rows, from_cols]
        return y

    count = total(one)

    def dx(g: Array) -> Array:
        share, sent = g / count, np.zeros_like(x)
        for from_rows, to_rows in places[0]:
            for from_cols, to_cols in places[1]:
                sent[:, from_rows, from_cols] += share[:, to_rows, to_cols]
        return sent

    return total(x) / count, dx


def _through_window(size: int, windows: int, window: int, step: int) -> list[tuple[slice, slice]]:
    """For each place of a window: the pixels that are there, and the windows whose they are.

    Windows hang over the edge by as much before as after, or one less.
    """
    before = builtins.max((windows - 1) * step + window - size, 0) // 2
    found = []
    for place in range(window):
        first = builtins.max(-(-(before - place) // step), 0)  # the first window with a pixel there
        last = builtins.min((size - 1 + before - place) // step, windows - 1)
        if first <= last:
            at = first * step + place - before
            pixels = slice(at, at + (last - first) * step + 1, step)
            found.append((pixels, slice(first, last + 1)))
    return found
