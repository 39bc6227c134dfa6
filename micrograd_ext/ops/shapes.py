"""Other shapes, parts and types of the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..common.arguments import axis_of
from ..tensor import Array, Axis, Tensor, TensorLike, apply, op
from .rows import Result


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
