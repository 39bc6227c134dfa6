"""Convolution, alone and fused with ReLU and max-pooling."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .. import kernels
from ..common.arguments import pair, positive
from ..tensor import Array, Tensor, TensorLike, apply, op
from .arithmetic import add, product
from .rows import Result2, dense
from .shapes import concatenate


def conv2d(
    images: TensorLike,
    kernel: TensorLike,
    bias: TensorLike | None = None,
    strides: int | tuple[int, int] = 1,
    padding: str = "valid",
    dilation_rate: int | tuple[int, int] = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution as networks mean it (cross-correlation; LeCun et al. 1998, sec. II).

    Args:
        images: (N, H, W, C).
        kernel: (KH, KW, C / groups, F).
        bias: (F,), or None.
        strides: one number, or (height, width).
        padding: 'valid' (windows stay inside) or 'same' (zeros around, OH = ceil(H / stride)).
        dilation_rate: how far a window's pixels are apart, one number or (height, width); where
            it is not 1, strides are 1.
        groups: into how many parts channels and filters are divided, each part of the filters
            seeing its part of the channels.

    Returns:
        (N, OH, OW, F); for 'valid' OH = (H - (KH - 1) dilation_rate - 1) // stride + 1.

    Raises:
        ValueError: wrong rank, channels that disagree, a kernel larger than the image.

    >>> conv2d(Tensor([[[[0.0], [1.0], [2.0], [3.0]]]]), [[[[1.0]], [[2.0]], [[3.0]]]]).data.ravel()
    array([ 8., 14.], dtype=float32)
    """
    if groups != 1:
        return _grouped_conv2d(images, kernel, bias, strides, padding, dilation_rate, groups)
    if pair("conv2d: dilation_rate", dilation_rate) != (1, 1):
        y = _dilated_conv2d(images, kernel, strides, padding, dilation_rate)
        return y if bias is None else add(y, bias)

    def row(x: Array, w: Array, *b: Array) -> tuple[Any, ...]:
        dtype = np.result_type(x, w, *b)
        x, w, *bias = (dense(array, dtype) for array in (x, w, *b))
        how: dict[str, Any] = {"strides": strides, "padding": padding}
        return (
            kernels.conv2d(x, w, *bias, **how),
            lambda g: kernels.conv2d_dx(dense(g), w, x.shape, **how),
            lambda g: kernels.conv2d_dw(x, dense(g), w.shape, **how),
            lambda g: kernels.sum_rows(dense(g).reshape(-1, w.shape[-1])),
        )[: 3 + len(bias)]

    return apply("conv2d", row, (images, kernel) if bias is None else (images, kernel, bias))


def _grouped_conv2d(
    images: TensorLike,
    kernel: TensorLike,
    bias: TensorLike | None,
    strides: int | tuple[int, int],
    padding: str,
    dilation_rate: int | tuple[int, int],
    groups: int,
) -> Tensor:
    """`conv2d` of each part of the channels with its part of the filters."""
    x, w = (
        a if isinstance(a, Tensor) else Tensor(a, requires_grad=False) for a in (images, kernel)
    )
    positive("conv2d: groups", groups)
    if x.ndim != 4 or w.ndim != 4 or w.shape[2] * groups != x.shape[3] or w.shape[3] % groups:
        raise ValueError(
            f"conv2d: groups: expected images (N, H, W, C), a kernel (KH, KW, C / {groups}, F) and "
            f"filters that {groups} divides, got shapes {x.shape} and {w.shape}"
        )
    channels, filters = w.shape[2], w.shape[3] // groups
    parts = []
    for g in range(groups):
        its = slice(g * filters, (g + 1) * filters)
        part = x[..., g * channels : (g + 1) * channels]
        parts.append(conv2d(part, w[..., its], None, strides, padding, dilation_rate))
    y = concatenate(parts, axis=-1)
    return y if bias is None else add(y, bias)


@op("conv2d")
def _dilated_conv2d(
    images: TensorLike,
    kernel: TensorLike,
    /,
    strides: int | tuple[int, int],
    padding: str,
    dilation_rate: int | tuple[int, int],
) -> Result2:
    """`conv2d` with holes in the window: a matrix product for each place of it, added up."""
    rate = pair("conv2d: dilation_rate", dilation_rate)
    if pair("conv2d: strides", strides) != (1, 1):
        raise ValueError(
            f"conv2d: strides: expected 1 where dilation_rate is {rate}, got {strides}"
        )
    if images.ndim != 4 or kernel.ndim != 4 or images.shape[3] != kernel.shape[2]:
        raise ValueError(
            "conv2d: expected images (N, H, W, C) and a kernel (KH, KW, C, F), got shapes "
            f"{images.shape} and {kernel.shape}"
        )
    if not isinstance(padding, str) or padding not in ("valid", "same"):
        raise ValueError(f"conv2d: padding: expected 'valid' or 'same', got {padding!r}")
    reach = [(size - 1) * r for size, r in zip(kernel.shape[:2], rate, strict=True)]
    before = [0 if padding == "valid" else r // 2 for r in reach]
    after = [0 if padding == "valid" else r - r // 2 for r in reach]
    around = [(0, 0), *zip(before, after, strict=True), (0, 0)]
    padded = np.pad(images, around)
    n, (oh, ow) = len(images), (padded.shape[1] - reach[0], padded.shape[2] - reach[1])
    if oh < 1 or ow < 1:
        raise ValueError(
            f"conv2d: a window of {reach[0] + 1}x{reach[1] + 1}, with its holes, does not fit "
            f"images of {images.shape[1]}x{images.shape[2]} with padding 'valid'"
        )
    places = [
        (
            i,
            j,
            (
                slice(None),
                slice(i * rate[0], i * rate[0] + oh),
                slice(j * rate[1], j * rate[1] + ow),
            ),
        )
        for i, j in np.ndindex(*kernel.shape[:2])
    ]

    def seen(at: tuple[slice, ...]) -> Array:
        return padded[at].reshape(n * oh * ow, -1)

    y: Any = builtins.sum(product(seen(at), kernel[i, j]) for i, j, at in places)

    def to_images(g: Array) -> Array:
        sent = np.zeros(padded.shape, g.dtype)
        rows = g.reshape(n * oh * ow, -1)
        for i, j, at in places:
            sent[at] += product(rows, kernel[i, j].T).reshape(n, oh, ow, -1)
        inside = tuple(
            slice(b, b + size) for (b, _), size in zip(around, images.shape, strict=True)
        )
        dx: Array = sent[inside]
        return dx

    def to_kernel(g: Array) -> Array:
        sent: Array = np.empty_like(kernel)
        for i, j, at in places:
            sent[i, j] = product(seen(at).T, g.reshape(n * oh * ow, -1))
        return sent

    return y.reshape(n, oh, ow, kernel.shape[3]), to_images, to_kernel


def conv2d_relu_pool(
    images: TensorLike,
    kernel: TensorLike,
    bias: TensorLike | None = None,
    pool_size: int | tuple[int, int] = 2,
    strides: int | tuple[int, int] = 1,
    padding: str = "valid",
) -> Tensor:
    """max_pool2d(relu(conv2d(...)), pool_size), computed at once: the same numbers, sooner.

    Only one place of a window has a gradient, and none where ReLU gave 0: the backward pass goes
    through those alone.

    Arguments are those of `conv2d`, and pool_size, the pooling's window: one number or (height,
    width), of 255 pixels at most; windows stand side by side. Returns (N, OH // PH, OW // PW, F),
    for OH and OW as in `conv2d`.

    >>> image = Tensor([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> conv2d_relu_pool(image, [[[[1.0]]]], [-11.0]).data.ravel()
    array([0., 1.], dtype=float32)
    """

    def row(x: Array, w: Array, *b: Array) -> tuple[Any, ...]:
        dtype = np.result_type(x, w, *b)
        x, w, *bias = (dense(array, dtype) for array in (x, w, *b))
        how: dict[str, Any] = {"strides": strides, "padding": padding}
        y, argmax = kernels.conv2d_relu_pool(x, w, bias[0] if bias else None, pool_size, **how)
        last: list[Any] = [None, None]  # a gradient, and what it sends to kernel and bias

        def both(g: Array) -> tuple[Array, Array]:
            if last[0] is not g:
                last[:] = (
                    g,
                    kernels.conv2d_relu_pool_dw(x, dense(g), argmax, w.shape, pool_size, **how),
                )
            return last[1]  # type: ignore[no-any-return]

        return (
            y,
            lambda g: kernels.conv2d_relu_pool_dx(dense(g), argmax, w, x.shape, pool_size, **how),
            lambda g: both(g)[0],
            lambda g: both(g)[1],
        )[: 3 + len(bias)]

    inputs = (images, kernel) if bias is None else (images, kernel, bias)
    return apply("conv2d_relu_pool", row, inputs)
