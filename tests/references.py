"""The kernels in float64 numpy, each another way than the C code goes, and how far off C may be.

Below, what tests of files and of processes share.
"""

from __future__ import annotations

import itertools
import os
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from micrograd_ext import kernels
from micrograd_ext.kernels import _kernels

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(7)
NOT_KERNELS = {"isas", "get_num_threads", "set_num_threads", "config", "windows_along"}


def public_functions() -> dict[str, Any]:
    return {
        name: value
        for name, value in vars(_kernels).items()
        if callable(value) and getattr(value, "__module__", "") == _kernels.__name__
    }


def numbers(*shape: int) -> Array:
    """Normally distributed float64 numbers that float32 holds exactly."""
    return RANDOM.standard_normal(shape, dtype=np.float32).astype(np.float64)


def tolerance(dtype: npt.DTypeLike, length: int) -> float:
    """How far off a sum of `length` products may be, as a share of the sum of their sizes.

    Each addition errs by half an eps at most, up or down: a random walk. Nothing added, no error.
    """
    return float(np.finfo(dtype).eps * (2 + np.sqrt(length))) if length else 0.0


def fenced(x: Array, dtype: npt.DTypeLike) -> Array:
    """x (if real, as dtype), read-only, with NaN around it, begun one number off a 64-byte line."""
    dtype = dtype if x.dtype.kind == "f" else x.dtype
    line = 64 // np.dtype(dtype).itemsize
    outside = np.nan if x.dtype.kind == "f" else np.iinfo(x.dtype).max
    room = np.full(x.size + 4 * line, outside, dtype)
    begin = line + -room.ctypes.data % 64 // room.itemsize + 1
    inside = room[begin : begin + x.size].reshape(x.shape)
    inside[...] = x
    inside.flags.writeable = False
    return inside


def results(value: Any) -> tuple[Array, ...]:
    """What a kernel returned, as a tuple."""
    return value if isinstance(value, tuple) else (value,)


class Geometry(NamedTuple):
    """Shapes and settings of a convolution or of a pooling."""

    n: int
    h: int
    w: int
    c: int
    kh: int
    kw: int
    f: int
    strides: tuple[int, int]
    padding: str

    @property
    def settings(self) -> dict[str, Any]:
        return {"strides": self.strides, "padding": self.padding}

    @property
    def output(self) -> tuple[int, int, int, int]:
        rows, cols = (len(starts) for starts in self.starts())
        return self.n, rows, cols, self.f

    def starts(self) -> tuple[range, range]:
        """Where the windows begin, in rows and in columns of the image; below 0: in the padding."""
        return tuple(
            window_starts(size, window, stride, self.padding)
            for size, window, stride in zip(
                (self.h, self.w), (self.kh, self.kw), self.strides, strict=True
            )
        )


def window_starts(size: int, window: int, stride: int, padding: str) -> range:
    """Where the windows begin along an axis, by TensorFlow's notes on padding."""
    if padding == "valid":
        return range(0, size - window + 1, stride)
    total = max(window - (size % stride or stride), 0)
    return range(-(total // 2), size - total // 2, stride)


def padded(x: Array, starts: tuple[range, range], kh: int, kw: int) -> Array:
    """Images (N, H, W, C) with all the zeros that windows reach."""
    around = [
        (-begin[0], max(begin[-1] + window - size, 0))
        for begin, window, size in zip(starts, (kh, kw), x.shape[1:3], strict=True)
    ]
    return np.pad(x, [(0, 0), *around, (0, 0)])


def geometry(x: Sequence[int], w: Sequence[int], strides: Any, padding: str) -> Geometry:
    n, height, width, c = x
    return Geometry(n, height, width, c, w[0], w[1], w[3], strides, padding)


def conv2d_reference(x: Array, w: Array, bias: Any = None, *, strides: Any, padding: str) -> Array:
    """np.pad, a view of all windows, einsum."""
    kh, kw = w.shape[:2]
    starts = geometry(x.shape, w.shape, strides, padding).starts()
    windows = sliding_window_view(padded(x, starts, kh, kw), (kh, kw), axis=(1, 2))
    windows = windows[:, :: strides[0], :: strides[1]]
    y = np.einsum("nijcuv,uvcf->nijf", windows, w, optimize=True)
    return y if bias is None else y + bias


def taps(starts: tuple[range, range], kh: int, kw: int) -> Iterator[tuple[int, int, slice, slice]]:
    """Each place (u, v) in the window with the padded image's rows and columns that it meets."""
    for u, v in np.ndindex(kh, kw):
        rows, cols = (
            slice(place, place + begin[-1] - begin[0] + 1, begin.step)
            for place, begin in zip((u, v), starts, strict=True)
        )
        yield u, v, rows, cols


def conv2d_dx_reference(
    dy: Array, w: Array, images_shape: Any, *, strides: Any, padding: str
) -> Array:
    """Each tap scatters its product with dy over a padded image, which is then cropped."""
    kh, kw = w.shape[:2]
    starts = geometry(images_shape, w.shape, strides, padding).starts()
    top, left = -starts[0][0], -starts[1][0]
    dx = padded(np.zeros(images_shape), starts, kh, kw)
    for u, v, rows, cols in taps(starts, kh, kw):
        dx[:, rows, cols] += dy @ w[u, v].T
    return dx[:, top : top + images_shape[1], left : left + images_shape[2]]


def conv2d_dw_reference(
    x: Array, dy: Array, kernel_shape: Any, *, strides: Any, padding: str
) -> Array:
    """Each tap gathers the pixels that it met."""
    kh, kw, c, f = kernel_shape
    starts = geometry(x.shape, kernel_shape, strides, padding).starts()
    images = padded(x, starts, kh, kw)
    dw = np.empty(kernel_shape)
    for u, v, rows, cols in taps(starts, kh, kw):
        dw[u, v] = images[:, rows, cols].reshape(-1, c).T @ dy.reshape(-1, f)
    return dw


def pool2d_geometry(shape: Sequence[int], pool_size: Any, strides: Any, padding: str) -> Geometry:
    return geometry(shape, (*pool_size, shape[3], shape[3]), strides, padding)


def max_pool2d_reference(
    x: Array, pool_size: Any, *, strides: Any, padding: str
) -> tuple[Array, Array]:
    """A window at a time: np.argmax, which takes the first NaN, else the first of the largest."""
    s = pool2d_geometry(x.shape, pool_size, strides, padding)
    maxima, argmax = np.empty(s.output), np.empty(s.output, np.int32)
    for n, (i, row), (j, col) in itertools.product(range(s.n), *map(enumerate, s.starts())):
        rows, cols = (
            np.arange(max(start, 0), min(start + window, size))
            for start, window, size in ((row, s.kh, s.h), (col, s.kw, s.w))
        )
        window = x[n][np.ix_(rows, cols)].reshape(-1, s.c)
        places = ((rows - row)[:, None] * s.kw + (cols - col)).ravel()
        best = np.argmax(window, axis=0)
        maxima[n, i, j] = window[best, np.arange(s.c)]
        argmax[n, i, j] = places[best]
    return maxima, argmax


def max_pool2d_dx_reference(
    dy: Array, argmax: Array, images_shape: Any, pool_size: Any, *, strides: Any, padding: str
) -> Array:
    """np.add.at, where the argmax is a pixel of its window and of the image."""
    s = pool2d_geometry(images_shape, pool_size, strides, padding)
    rows, cols = (np.array(starts) for starts in s.starts())
    n, i, j, q = np.indices(dy.shape)
    p = rows[i] + argmax // s.kw
    r = cols[j] + argmax % s.kw
    real = (argmax >= 0) & (argmax < s.kh * s.kw) & (p >= 0) & (p < s.h) & (r >= 0) & (r < s.w)
    dx = np.zeros(images_shape)
    np.add.at(dx, (n[real], p[real], r[real], q[real]), dy[real])
    return dx


def relu_reference(x: Array) -> Array:
    return np.where(x <= 0, 0, x)


def conv2d_relu_pool_reference(
    x: Array, w: Array, bias: Any = None, *, pool_size: Any, strides: Any, padding: str
) -> tuple[Array, Array]:
    """One after the other, each by its own reference."""
    z = relu_reference(conv2d_reference(x, w, bias, strides=strides, padding=padding))
    y, argmax = max_pool2d_reference(z, pool_size, strides=pool_size, padding="valid")
    return y, np.where(y == 0, 255, argmax).astype(np.uint8)


def unpooled(dy: Array, argmax: Array, s: Geometry, pool_size: Any) -> Array:
    """The gradient of the convolution's output."""
    return max_pool2d_dx_reference(
        dy, argmax.astype(int), s.output, pool_size, strides=pool_size, padding="valid"
    )


def conv2d_relu_pool_dx_reference(
    dy: Array, argmax: Array, w: Array, images_shape: Any, pool_size: Any, **how: Any
) -> Array:
    s = geometry(images_shape, w.shape, how["strides"], how["padding"])
    return conv2d_dx_reference(unpooled(dy, argmax, s, pool_size), w, images_shape, **how)


def conv2d_relu_pool_dw_reference(
    x: Array, dy: Array, argmax: Array, kernel_shape: Any, pool_size: Any, **how: Any
) -> tuple[Array, Array]:
    dz = unpooled(dy, argmax, geometry(x.shape, kernel_shape, **how), pool_size)
    return conv2d_dw_reference(x, dz, kernel_shape, **how), dz.sum(axis=(0, 1, 2))


def adam(x: Array, dx: Array, m: Array, v: Array, **how: Any) -> tuple[Array, ...]:
    """The kernel changes its arguments: give it copies."""
    x, m, v = x.copy(), m.copy(), v.copy()
    assert kernels.adam(x, dx, m, v, **how) is None
    return x, m, v


def adam_reference(
    x: Array, dx: Array, m: Array, v: Array, rate: float, epsilon: float, **betas: float
) -> tuple[Array, ...]:
    """Kingma and Ba's moving averages."""
    m = betas["beta_1"] * m + (1 - betas["beta_1"]) * dx
    v = betas["beta_2"] * v + (1 - betas["beta_2"]) * dx**2
    return x - rate * m / (np.sqrt(v) + epsilon), m, v


def environment(**more: str) -> dict[str, str]:
    """That of a new interpreter, which shall find the package we test."""
    package = Path(kernels.__file__).parents[2]
    path = os.pathsep.join(filter(None, [str(package), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, **more}


def run_python(code: str, *options: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run code in a new interpreter."""
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env=environment(**environ),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def kill_python(code: str, wait: float, *arguments: str) -> None:
    """Run code in a new interpreter, and kill it `wait` seconds after its first line."""
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(wait)
        process.kill()


def encode(array: Array, code: int = 8) -> bytes:
    """An IDX file, written with struct, not with numpy as the package would."""
    head = struct.pack(f">HBB{array.ndim}I", 0, code, array.ndim, *array.shape)
    return head + bytes(int(x) for x in array.flat)
