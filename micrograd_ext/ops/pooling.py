"""Pooling of images."""

from __future__ import annotations

import builtins

import numpy as np

from .. import kernels
from ..common.arguments import pair
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
    window = pair("average_pool2d: pool_size", pool_size)
    step = window if strides is None else pair("average_pool2d: strides", strides)
    places = [
        _through_window(side, x.shape[1 + i], window[i], step[i], padding)
        for i, side in enumerate(("height", "width"))
    ]
    shape = tuple(windows for windows, _ in places)

    def total(source: Array) -> Array:
        y = np.zeros((len(source), *shape, source.shape[3]), x.dtype)
        for from_rows, to_rows in places[0][1]:
            for from_cols, to_cols in places[1][1]:
                y[:, to_rows, to_cols] += source[:, from_rows, from_cols]
        return y

    count = total(np.ones((1, *x.shape[1:3], 1), x.dtype))

    def dx(g: Array) -> Array:
        share, sent = g / count, np.zeros_like(x)
        for from_rows, to_rows in places[0][1]:
            for from_cols, to_cols in places[1][1]:
                sent[:, from_rows, from_cols] += share[:, to_rows, to_cols]
        return sent

    return total(x) / count, dx


def _through_window(
    side: str, size: int, window: int, step: int, padding: str
) -> tuple[int, list[tuple[slice, slice]]]:
    """How many windows there are; for each place of one, the pixels there, and whose they are."""
    windows, before = kernels.windows_along(
        "average_pool2d", f"pool_size {side}", size, window, step, padding
    )
    places = []
    for place in range(window):
        first = builtins.max(-(-(before - place) // step), 0)  # the first window with a pixel there
        last = builtins.min((size - 1 + before - place) // step, windows - 1)
        if first <= last:
            at = first * step + place - before
            pixels = slice(at, at + (last - first) * step + 1, step)
            places.append((pixels, slice(first, last + 1)))
    return windows, places
