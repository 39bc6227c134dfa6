"""Making an op on Tensors of a row: its value, and what it sends back."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeAlias

import numpy as np

from .tensor import Tensor, TensorLike, as_array, computed, data_of

#: A row of `ops`: arrays in; its value and one pullback for each of them out.
Row: TypeAlias = Callable[..., tuple[Any, ...]]


P = ParamSpec("P")


def op(
    symbol: str, integers: bool = False
) -> Callable[[Callable[P, tuple[Any, ...]]], Callable[P, Tensor]]:
    """Make an op on Tensors of a row: a function of arrays that says what it sends back.

    What stands before the `/` in its signature are the arrays; they come as ndarrays of one
    float type or mixed ones, and may be given as Tensors or anything numpy takes. The row returns
    its value and, for each of the arrays, a function from the gradient of the value to the
    gradient of that array. What was broadcast is summed again afterwards, not by the row.

    integers: whether whole numbers stay what they are if no float is among the arrays; otherwise
    the row gets floats in their place.

    >>> @op("cube")
    ... def cube(x, /):
    ...     return x**3, lambda g: g * 3 * x**2
    >>> x = Tensor([2.0])
    >>> y = cube(x)
    >>> y.backward()
    >>> y.data, x.grad
    (array([8.], dtype=float32), array([12.], dtype=float32))
    """

    def decorate(row: Callable[P, tuple[Any, ...]]) -> Callable[P, Tensor]:
        kinds = [p.kind for p in inspect.signature(row).parameters.values()]
        arrays = kinds.count(inspect.Parameter.POSITIONAL_ONLY)

        @functools.wraps(row)
        def function(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            if len(args) < arrays:
                raise TypeError(
                    f"{row.__name__}: expected {arrays} array(s) to begin with, got {len(args)}"
                )
            first: Any = args[:arrays]
            rest: Any = args[arrays:]
            return apply(symbol, lambda *x: row(*x, *rest, **kwargs), first, integers)

        return function

    return decorate


def apply(symbol: str, row: Row, inputs: Sequence[TensorLike], integers: bool = False) -> Tensor:
    """Compute `row` on the inputs' data and record it under the name `symbol`; see `op`.

    Numbers, lists and integer arrays among the inputs take the type of the first Tensor of floats.
    """
    dtype = whole = None
    for x in inputs:
        if isinstance(x, Tensor):
            if x.data.dtype.kind == "f":
                dtype = x.data.dtype
                break
            whole = x.data.dtype
    if whole is not None:  # seldom
        inputs = _together(inputs, dtype, integers)
    tensors = tuple([x if isinstance(x, Tensor) else _constant(x, dtype) for x in inputs])
    data, *pullbacks = row(*[x.data for x in tensors])
    return computed(as_array(data), symbol, tensors, pullbacks)


def _together(
    inputs: Sequence[TensorLike], dtype: np.dtype[Any] | None, integers: bool
) -> list[Tensor]:
    """Tensors of whole numbers and what is beside them: as floats, unless all may stay whole."""
    if integers and all(np.asarray(data_of(x)).dtype.kind in "iub" for x in inputs):
        # Python's numbers adapt to the arrays beside them, as far as they fit
        kinds = [np.min_scalar_type(x) if isinstance(x, int) else np.asarray(x) for x in inputs]
        kind = np.result_type(*kinds)
        return [Tensor(x, dtype=kind) for x in inputs]
    return [
        x
        if isinstance(x, Tensor) and x.data.dtype.kind == "f"
        else Tensor(x, requires_grad=False, dtype=dtype or np.float32)
        for x in inputs
    ]


def _constant(x: TensorLike, dtype: np.dtype[Any] | None) -> Tensor:
    """An operand that is no Tensor. Only an array of floats has a type of its own to keep."""
    own = isinstance(x, np.ndarray) and x.ndim > 0 and x.dtype.kind == "f"
    return Tensor(x, requires_grad=False, dtype=None if own else dtype)
