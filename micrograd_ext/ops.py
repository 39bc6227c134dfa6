"""Every op on Tensors: its value, and next to it what it sends back.

An op is a row: a function of arrays that returns its value and, for each of the arrays before the
`/` in its signature, a function from the gradient `g` of the value to that array's gradient.
`@op` makes of it a function that takes and returns Tensors. Names and arguments are those of
`keras.ops`; anything numpy takes may stand for a Tensor. To add an op, write one more row.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import _kernels
from ._lookup import axis_of, pair, positive
from .tensor import Array, Axis, Tensor, TensorLike, apply, op

Pullback = Callable[[Array], Array]
Result = tuple[Any, Pullback]
Result2 = tuple[Any, Pullback, Pullback]


__all__ = [
    "absolute",
    "add",
    "average_pool2d",
    "batch_normalization",
    "binary_crossentropy",
    "broadcast_to",
    "cast",
    "clip",
    "concatenate",
    "conv2d",
    "conv2d_relu_pool",
    "cos",
    "divide",
    "exp",
    "expand_dims",
    "getitem",
    "leaky_relu",
    "log",
    "log_sigmoid",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "maximum",
    "mean",
    "min",
    "minimum",
    "moments",
    "multiply",
    "negative",
    "power",
    "relu",
    "reshape",
    "sigmoid",
    "sin",
    "softmax",
    "softplus",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "subtract",
    "sum",
    "tanh",
    "transpose",
    "var",
    "where",
]


def _silently() -> np.errstate:
    """Without numpy's warnings: what is infinite or no number there has to be."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


# ---------------------------------------------------------------------------- arithmetic


@op("+", integers=True)
def add(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 + x2, broadcast.

    >>> add(Tensor([1.0, 2.0]), 3).data
    array([4., 5.], dtype=float32)
    """
    return x1 + x2, lambda g: g, lambda g: g


@op("-", integers=True)
def subtract(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 - x2, broadcast.

    >>> subtract(1, Tensor([1.0, 2.0])).data
    array([ 0., -1.], dtype=float32)
    """
    return x1 - x2, lambda g: g, lambda g: -g


@op("*", integers=True)
def multiply(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 * x2, broadcast.

    >>> multiply(Tensor([1.0, 2.0]), [3, 4]).data
    array([3., 8.], dtype=float32)
    """
    return x1 * x2, lambda g: g * x2, lambda g: g * x1


@op("/")
def divide(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 / x2, broadcast; by zero as IEEE has it (inf or nan, with numpy's warning).

    >>> divide(Tensor([1.0, 3.0]), 2).data
    array([0.5, 1.5], dtype=float32)
    """
    y = x1 / x2
    return y, _silently()(lambda g: g / x2), _silently()(lambda g: -g * y / x2)


@op("**")
def power(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """x1 ** x2, broadcast. The gradient of the exponent is y log(x1): nan for a negative base.

    At x1 = 0 the exponent's gradient is 0, and x2 = 0 makes the base's gradient 0.

    >>> x = Tensor([2.0, 3.0])
    >>> power(x, 2).sum().backward()
    >>> x.grad
    array([4., 6.], dtype=float32)
    """
    y = x1**x2

    @_silently()
    def dx1(g: Array) -> Array:  # 0 ** -1 where x2 is 0
        return np.where(x2 == 0, 0, g * x2 * x1 ** (x2 - 1))

    @_silently()
    def dx2(g: Array) -> Array:  # log of 0 and of negative numbers
        return np.where((x1 == 0) & (x2 >= 0), 0, g * y * np.log(x1))

    return y, dx1, dx2


@op("-", integers=True)
def negative(x: TensorLike, /) -> Result:
    """-x.

    >>> negative(Tensor([1.0])).data
    array([-1.], dtype=float32)
    """
    return -x, lambda g: -g


@op("abs", integers=True)
def absolute(x: TensorLike, /) -> Result:
    """|x|; its derivative at 0 is taken as 0.

    >>> absolute(Tensor([-1.0, 2.0])).data
    array([1., 2.], dtype=float32)
    """
    return np.abs(x), lambda g: g * np.sign(x)


@op("square", integers=True)
def square(x: TensorLike, /) -> Result:
    """x * x.

    >>> square(Tensor([-3.0])).data
    array([9.], dtype=float32)
    """
    with _silently():
        return x * x, _silently()(lambda g: g * 2 * x)


@op("matmul")
def matmul(x1: TensorLike, x2: TensorLike, /) -> Result2:
    """Matrix product, with numpy's rules for vectors and for stacks of matrices.

    Two matrices (M, K) and (K, N) go through this package's own kernel.

    >>> matmul(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]])).data
    array([[11.]], dtype=float32)
    """
    a = x1[None, :] if x1.ndim == 1 else x1
    b = x2[:, None] if x2.ndim == 1 else x2
    y = _product(a, b)
    shape = y.shape[: y.ndim - 2] + y.shape[-2:-1] * (x1.ndim > 1) + y.shape[-1:] * (x2.ndim > 1)

    def dx1(g: Array) -> Array:
        dx = _product(g.reshape(y.shape), np.swapaxes(b, -1, -2))
        return dx.sum(axis=tuple(range(dx.ndim - 1))) if x1.ndim == 1 else dx

    def dx2(g: Array) -> Array:
        dx = _product(np.swapaxes(a, -1, -2), g.reshape(y.shape))
        return dx[..., 0].sum(axis=tuple(range(dx.ndim - 2))) if x2.ndim == 1 else dx

    return y.reshape(shape), dx1, dx2


def _product(a: Array, b: Array) -> Array:
    if a.ndim == b.ndim == 2:
        dtype = np.result_type(a, b)
        a, b = (np.require(x, dtype, "A") for x in (a, b))
        return _kernels.matmul(a, b)
    return np.asarray(np.matmul(a, b))


# ---------------------------------------------------------------------------- functions


@op("exp")
def exp(x: TensorLike, /) -> Result:
    """e ** x; inf where that is too large for the type.

    >>> exp(Tensor([0.0, 1000.0])).data
    array([ 1., inf], dtype=float32)
    """
    with _silently():
        y = np.exp(x)
    return y, lambda g: g * y


@op("log")
def log(x: TensorLike, /) -> Result:
    """Natural logarithm; of 0 -inf, of a negative number nan, with numpy's warning.

    >>> log(Tensor([1.0])).data
    array([0.], dtype=float32)
    """
    return np.log(x), _silently()(lambda g: g / x)


@op("sqrt")
def sqrt(x: TensorLike, /) -> Result:
    """Square root; of a negative number nan, with numpy's warning. The derivative at 0 is inf.

    >>> sqrt(Tensor([9.0])).data
    array([3.], dtype=float32)
    """
    y = np.sqrt(x)
    return y, _silently()(lambda g: g / (2 * y))


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
    holds = np.asarray(condition).astype(bool)

    def row(x1: Array, x2: Array) -> Result2:
        y = np.where(holds, x1, x2)
        return y, lambda g: np.where(holds, g, 0), lambda g: np.where(holds, 0, g)

    return apply("where", row, (x1, x2), integers=True)


# ---------------------------------------------------------------------------- activations


@op("relu")
def relu(x: TensorLike, /) -> Result:
    """max(x, 0); its derivative at 0 is 0.

    >>> relu(Tensor([-1.0, 2.0])).data
    array([0., 2.], dtype=float32)
    """
    y = _kernels.relu(_dense(x))
    return y, lambda g: _kernels.relu_dx(_dense(g), y)


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
        with _silently():  # of inf beside other numbers, nan
            y = np.exp(x - x.max(axes, keepdims=True))
            y /= y.sum(axes, keepdims=True)

        def dx(g: Array) -> Any:
            first = y == y.max(axes, keepdims=True)
            rest = _beside(first, y, y.max(axes, keepdims=True), axes)
            rest = np.where(first, rest, 1 - y)  # 1 - y, exact where y is about 1
            return y * (g * rest - ((g * y).sum(axes, keepdims=True) - g * y))

        return y, dx

    x = x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)
    axes = _axes(x.shape or (1,), axis)[: x.ndim]  # a number may have an axis, as numpy has it
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
    axes = _axes(x.shape or (1,), axis)[: x.ndim]
    with _silently():  # of inf beside other numbers, nan
        largest = x.max(axes, keepdims=True)
        y = x - largest
        y -= np.log1p(_beside(x == largest, np.exp(y), 1, axes))

    def dx(g: Array) -> Any:  # g - p sum(g), of which what is left of 1 - p is not rounded away
        return -g * np.expm1(y) - np.exp(y) * (g.sum(axes, keepdims=True) - g)

    return y, dx


def _beside(first: Array, y: Array, largest: Any, axes: tuple[int, ...]) -> Array:
    """The sum along axes of all but one of the largest, which are where `first` says."""
    more = first.sum(axes, y.dtype, keepdims=True) - 1
    found: Array = (y * ~first).sum(axes, keepdims=True) + more * largest
    return found


# ---------------------------------------------------------------------------- losses

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
    with _silently():
        y = np.where((slope == 0) & np.isinf(x), 0, slope * size) + np.log1p(z)

    def dx(g: Array) -> Any:
        near = 0.5 * np.tanh(0.5 * x) + (0.5 - t)  # sigmoid is 0.5 + tanh(x / 2) / 2
        tail = z / (1 + z)
        return g * np.where(size < 1, near, np.where(x < 0, tail - t, 1 - t - tail))

    return y, lambda g: -g * x, dx


# ---------------------------------------------------------------------------- reductions


def _axes(shape: tuple[int, ...], axis: Axis) -> tuple[int, ...]:
    """The axes of that shape, all of them for None, none twice, counted from the front."""
    axes = range(len(shape)) if axis is None else axis if isinstance(axis, tuple | list) else [axis]
    found = tuple([axis_of(shape, i) for i in axes])
    if len(set(found)) < len(found):
        raise ValueError(f"axis: expected each axis once, got {axis}")
    return found


def _unreduce(g: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """g with an axis of size 1 in each place where one was reduced."""
    return g.reshape([1 if i in axes else n for i, n in enumerate(x.shape)])


@op("sum", integers=True)
def sum(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Sum over an axis, several, or all.

    >>> sum(Tensor([[1.0, 2.0], [3.0, 4.0]]), axis=0).data
    array([4., 6.], dtype=float32)
    """
    axes = _axes(x.shape, axis)
    y = x.sum(axes, keepdims=keepdims)
    return y, lambda g: np.broadcast_to(_unreduce(g, x, axes), x.shape)


@op("mean")
def mean(x: TensorLike, /, axis: Axis = None, keepdims: bool = False) -> Result:
    """Mean over an axis, several, or all; of nothing nan, with numpy's warning.

    >>> mean(Tensor([[1.0, 2.0], [3.0, 4.0]])).item()
    2.5
    """
    axes = _axes(x.shape, axis)
    count = math.prod(x.shape[i] for i in axes)
    y = x.mean(axes, keepdims=keepdims)
    return y, lambda g: np.broadcast_to(_unreduce(g, x, axes) / count, x.shape)


def var(x: TensorLike, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean, over an axis, several, or all (ddof 0, as numpy's).

    >>> var(Tensor([1.0, 3.0])).item()
    1.0
    """
    with _silently():  # of what has inf in it, nan
        return mean(square(subtract(x, mean(x, axis, True))), axis, keepdims)


def moments(x: TensorLike, axes: Axis, keepdims: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and variance over an axis, or several.

    >>> [found.item() for found in moments(Tensor([1.0, 3.0]), 0)]
    [2.0, 1.0]
    """
    return mean(x, axes, keepdims), var(x, axes, keepdims)


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


def _extreme(x: Array, axis: Axis, keepdims: bool, find: Callable[..., Any]) -> Result:
    """Max or min: all reduced axes are laid side by side, and the first winner is found there."""
    axes = _axes(x.shape, axis)
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


# ---------------------------------------------------------------------------- shapes


@op("reshape", integers=True)
def reshape(x: TensorLike, /, newshape: int | Sequence[int]) -> Result:
    """The same elements in another shape; one size may be -1.

    >>> reshape(Tensor([[1.0, 2.0], [3.0, 4.0]]), (4,)).data
    array([1., 2., 3., 4.], dtype=float32)
    """
    return x.reshape(newshape), lambda g: g.reshape(x.shape)


@op("transpose", integers=True)
def transpose(x: TensorLike, /, axes: Sequence[int] | None = None) -> Result:
    """The axes in another order, reversed by default.

    >>> transpose(Tensor([[1.0, 2.0], [3.0, 4.0]])).data
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """
    order = None
    if axes is not None:
        axes = [axis_of(x.shape, i) for i in axes]
        order = np.argsort(axes)
    return x.transpose(axes), lambda g: g.transpose(order)


@op("expand_dims", integers=True)
def expand_dims(x: TensorLike, /, axis: int | tuple[int, ...]) -> Result:
    """With an axis of size 1 put in at each of the given places.

    >>> expand_dims(Tensor([1.0, 2.0]), 0).shape
    (1, 2)
    """
    return np.expand_dims(x, axis), lambda g: g.reshape(x.shape)


@op("squeeze", integers=True)
def squeeze(x: TensorLike, /, axis: Axis = None) -> Result:
    """Without the given axes, or any, of size 1.

    >>> squeeze(Tensor([[1.0, 2.0]])).shape
    (2,)
    """
    return np.squeeze(x, axis), lambda g: g.reshape(x.shape)


@op("broadcast_to", integers=True)
def broadcast_to(x: TensorLike, /, shape: Sequence[int]) -> Result:
    """Repeated to a larger shape by numpy's rules (a read-only view).

    >>> broadcast_to(Tensor([1.0, 2.0]), (2, 2)).data
    array([[1., 2.],
           [1., 2.]], dtype=float32)
    """
    return np.broadcast_to(x, shape), lambda g: g


@op("cast", integers=True)
def cast(x: TensorLike, /, dtype: npt.DTypeLike) -> Result:
    """As another type; between float32 and float64 the gradient comes back in the type of x.

    Through whole numbers and bool, which are cut off as numpy cuts, none flows.

    >>> cast(Tensor([1.0]), "float64").dtype, cast(Tensor([1.5]), "int32").data
    (dtype('float64'), array([1], dtype=int32))
    """
    wanted = np.dtype(dtype)
    if wanted not in (np.float32, np.float64) and wanted.kind not in "iub":
        raise TypeError(
            "cast: dtype: expected float32 or float64, or a type of whole numbers or bool, "
            f"got {wanted}"
        )
    return x.astype(wanted), lambda g: g


@op("getitem", integers=True)
def getitem(x: TensorLike, /, index: Any) -> Result:
    """x[index] with any index numpy knows; elements picked twice get both gradients.

    >>> x = Tensor([1.0, 2.0, 3.0])
    >>> getitem(x, [0, 0, 2]).sum().backward()
    >>> x.grad
    array([2., 0., 1.], dtype=float32)
    """
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(part.data if isinstance(part, Tensor) else part for part in parts)
    basic = all(part is None or part is ... or isinstance(part, int | slice) for part in parts)

    def dx(g: Array) -> Array:
        sent = np.zeros(x.shape, g.dtype)
        if basic:
            sent[parts] = g
        else:
            np.add.at(sent, parts, g)
        return sent

    return x[parts], dx


def concatenate(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors one after the other along an axis that they have.

    >>> concatenate([Tensor([1.0]), Tensor([2.0, 3.0])]).data
    array([1., 2., 3.], dtype=float32)
    """

    def row(*arrays: Array) -> tuple[Any, ...]:
        y = np.concatenate(arrays, axis)
        ends = np.cumsum([x.shape[axis] for x in arrays])

        def part(i: int) -> Callable[[Array], Array]:
            places = range(ends[i] - arrays[i].shape[axis], ends[i])
            return lambda g: g.take(places, axis)

        return y, *(part(i) for i in range(len(arrays)))

    return apply("concatenate", row, xs, integers=True)


def stack(xs: Sequence[TensorLike], axis: int = 0) -> Tensor:
    """Tensors of one shape side by side along a new axis.

    >>> stack([Tensor([1.0, 2.0]), Tensor([3.0, 4.0])], axis=1).data
    array([[1., 3.],
           [2., 4.]], dtype=float32)
    """

    def row(*arrays: Array) -> tuple[Any, ...]:
        def part(i: int) -> Callable[[Array], Array]:
            return lambda g: g.take(i, axis)

        return np.stack(arrays, axis), *(part(i) for i in range(len(arrays)))

    return apply("stack", row, xs, integers=True)


# ---------------------------------------------------------------------------- images


def _dense(x: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """As the kernels want it: aligned and C-contiguous. No copy where it is so already."""
    return np.require(x, dtype, ["A", "C"])


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
        x, w, *bias = (_dense(array, dtype) for array in (x, w, *b))
        how: dict[str, Any] = {"strides": strides, "padding": padding}
        return (
            _kernels.conv2d(x, w, *bias, **how),
            lambda g: _kernels.conv2d_dx(_dense(g), w, x.shape, **how),
            lambda g: _kernels.conv2d_dw(x, _dense(g), w.shape, **how),
            lambda g: _kernels.sum_rows(_dense(g).reshape(-1, w.shape[-1])),
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

    y: Any = builtins.sum(_product(seen(at), kernel[i, j]) for i, j, at in places)

    def dx(g: Array) -> Array:
        sent = np.zeros(padded.shape, g.dtype)
        rows = g.reshape(n * oh * ow, -1)
        for i, j, at in places:
            sent[at] += _product(rows, kernel[i, j].T).reshape(n, oh, ow, -1)
        inside = tuple(
            slice(b, b + size) for (b, _), size in zip(around, images.shape, strict=True)
        )
        found: Array = sent[inside]
        return found

    def dw(g: Array) -> Array:
        sent: Array = np.empty_like(kernel)
        for i, j, at in places:
            sent[i, j] = _product(seen(at).T, g.reshape(n * oh * ow, -1))
        return sent

    return y.reshape(n, oh, ow, kernel.shape[3]), dx, dw


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
        x, w, *bias = (_dense(array, dtype) for array in (x, w, *b))
        how: dict[str, Any] = {"strides": strides, "padding": padding}
        y, winner = _kernels.conv2d_relu_pool(x, w, bias[0] if bias else None, pool_size, **how)
        last: list[Any] = [None, None]  # a gradient, and what it sends to kernel and bias

        def both(g: Array) -> tuple[Array, Array]:
            if last[0] is not g:
                last[:] = (
                    g,
                    _kernels.conv2d_relu_pool_dw(x, _dense(g), winner, w.shape, pool_size, **how),
                )
            return last[1]  # type: ignore[no-any-return]

        return (
            y,
            lambda g: _kernels.conv2d_relu_pool_dx(_dense(g), winner, w, x.shape, pool_size, **how),
            lambda g: both(g)[0],
            lambda g: both(g)[1],
        )[: 3 + len(bias)]

    inputs = (images, kernel) if bias is None else (images, kernel, bias)
    return apply("conv2d_relu_pool", row, inputs)


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

    >>> images = Tensor([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> max_pool2d(images).data.ravel()
    array([10., 12.], dtype=float32)
    """
    x = _dense(images)
    y, winner = _kernels.max_pool2d(x, pool_size, strides=strides, padding=padding)
    return y, lambda g: _kernels.max_pool2d_dx(
        _dense(g), winner, x.shape, pool_size, strides=strides, padding=padding
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

    >>> images = Tensor([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> average_pool2d(images).data.ravel()
    array([6.5 , 6.75], dtype=float32)
    """
    x = _dense(images)
    if x.ndim != 4:
        raise ValueError(f"average_pool2d: images: expected 4 dimensions, got shape {x.shape}")
    one = np.ones((1, *x.shape[1:3], 1), x.dtype)
    # the winner is of no use here, but windows are checked and laid out as for the maximum
    shape = _kernels.max_pool2d(one, pool_size, strides=strides, padding=padding)[0].shape[1:3]
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
