"""Tracing: what a function of arrays computes, written down instead of computed.

A `Traced` stands for an array of which only shape and type are known. It takes part in numpy's
functions by numpy's own protocols, and in this package's kernels by `__kernel__`, so that ops,
their pullbacks, and what users write with arrays go through it unchanged. What happens to it is a
graph of `Node`s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import graph
from ..common.arguments import axis_of
from ..tensor import Array, Tensor
from ..tensor.recording import enable_grad

__all__ = ["Node", "NotTracedError", "Traced", "as_node", "vector_jacobian_product"]


class NotTracedError(Exception):
    """What cannot be written down without numbers, in a few words."""


class Node:
    """What an array is computed by, in a trace.

    Attributes:
        op: numpy's name of a ufunc; 'sum' or 'max' over axes; 'where', 'cast', 'broadcast',
            'reshape'; 'input' or 'constant'.
        inputs: the nodes it is computed of.
        shape, dtype: of the array.
        about: axes, and whether they are kept; a constant's number or array.
    """

    __slots__ = ("about", "dtype", "inputs", "op", "shape")

    def __init__(
        self, op: str, inputs: Sequence[Node], shape: Sequence[int], dtype: Any, about: Any = None
    ) -> None:
        self.op, self.inputs, self.about = op, tuple(inputs), about
        self.shape, self.dtype = tuple(shape), np.dtype(dtype)

    def __repr__(self) -> str:
        return f"<{self.op} of {len(self.inputs)}, {self.shape}>"


def as_node(x: Any) -> Node:
    """What x is computed by; an array or a number is a constant."""
    if isinstance(x, Traced):
        return x.node
    array = np.asarray(x)
    if array.dtype.kind not in "fiub":
        raise NotTracedError(f"of {type(x).__name__}")
    return Node("constant", (), array.shape, array.dtype, x if array.ndim else array[()])


FUNCTIONS: dict[Any, Callable[..., Any]] = {}


def stands_for(function: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: what numpy's function does with Traced arrays."""

    def register(substitute: Callable[..., Any]) -> Callable[..., Any]:
        FUNCTIONS[function] = substitute
        return substitute

    return register


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """Stands for an array of that shape and type while a function is traced."""

    __slots__ = ("node",)

    def __init__(self, node: Node) -> None:
        self.node = node

    # ------------------------------------------------------------------ what is known

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.node.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the numbers."""
        dtype: np.dtype[Any] = self.node.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.node.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return int(np.prod(self.node.shape))

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of an array without axes")
        return self.shape[0]

    # ------------------------------------------------------------------ what is not

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise NotTracedError("asks for the numbers of what is traced")

    def __bool__(self) -> bool:
        raise NotTracedError("asks whether what is traced is true")

    def __float__(self) -> float:
        raise NotTracedError("asks for the number of what is traced")

    __int__ = __index__ = item = tolist = __float__

    def __iter__(self) -> Any:
        raise NotTracedError("goes through what is traced")

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # numpy looks for these to learn what it has before it
            raise AttributeError(name)
        raise NotTracedError(f"asks for .{name} of what is traced")

    __hash__ = object.__hash__

    # ------------------------------------------------------------------ numpy

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        out = kwargs.pop("out", (None,))[0]
        if method != "__call__" or kwargs or ufunc.nout != 1:
            how = f" with {', '.join(kwargs)}" if kwargs else ""
            raise NotTracedError(f"calls {ufunc.__name__}.{method}{how}")
        nodes = [as_node(x) for x in inputs]
        shape = np.broadcast_shapes(*[node.shape for node in nodes])
        with np.errstate(all="ignore"):
            dtype = ufunc(*[_like(x) for x in inputs]).dtype
        made = Traced(Node(ufunc.__name__, nodes, shape, dtype))
        if out is None:
            return made
        if not isinstance(out, Traced) or out.shape != made.shape:
            raise NotTracedError("writes into an array")
        out.node = made.node
        return out

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in FUNCTIONS:
            raise NotTracedError(f"calls numpy.{function.__name__}")
        return FUNCTIONS[function](*args, **kwargs)

    def __kernel__(self, name: str, *args: Any) -> Any:
        if name == "relu":
            return np.maximum(self, 0)
        if name == "relu_dx":
            dy, y = args
            return np.where(y <= 0, 0, dy)
        raise NotTracedError(f"calls the kernel {name}")

    def astype(self, dtype: Any, copy: bool = True) -> Traced:
        """Of another type."""
        dtype = np.dtype(dtype)
        return self if dtype == self.dtype else Traced(Node("cast", [self.node], self.shape, dtype))

    def sum(self, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
        """Over some axes, or all."""
        x = self if dtype is None else self.astype(dtype)
        return x._reduce("sum", axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Over some axes, or all."""
        return self._reduce("max", axis, keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Any:
        """Over some axes, or all."""
        total = self.sum(axis, None, keepdims)
        return total / max(self.size // max(total.size, 1), 1)

    def _reduce(self, op: str, axis: Any, keepdims: bool) -> Traced:
        axes = range(self.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
        axes = tuple(axis_of(self.shape, each) for each in axes)
        if not axes:
            return self
        shape = [
            1 if i in axes else n for i, n in enumerate(self.shape) if keepdims or i not in axes
        ]
        return Traced(Node(op, [self.node], shape, self.dtype, (axes, keepdims)))

    def reshape(self, *shape: Any, **kwargs: Any) -> Traced:
        """The same numbers in another shape."""
        sizes = np.broadcast_to(np.float32(0), self.shape).reshape(*shape, **kwargs).shape
        return (
            self if sizes == self.shape else Traced(Node("reshape", [self.node], sizes, self.dtype))
        )


def _like(x: Any) -> Any:
    """What numpy finds the same type for."""
    if isinstance(x, Traced) or (isinstance(x, np.ndarray) and x.ndim):
        return np.empty(0, x.dtype)
    return x


@stands_for(np.where)
def where(condition: Any, x1: Any, x2: Any) -> Traced:
    """numpy.where, of three arguments."""
    nodes = [as_node(x) for x in (condition, x1, x2)]
    shape = np.broadcast_shapes(*[node.shape for node in nodes])
    return Traced(
        Node("where", nodes, shape, np.where(np.empty(0, bool), _like(x1), _like(x2)).dtype)
    )


@stands_for(np.clip)
def clip(x: Any, low: Any, high: Any) -> Any:
    """numpy.clip."""
    return np.minimum(np.maximum(x, low), high)


@stands_for(np.broadcast_to)
def broadcast_to(x: Any, shape: Any) -> Any:
    """numpy.broadcast_to."""
    if tuple(shape) == x.shape:
        return x
    return Traced(Node("broadcast", [as_node(x)], np.broadcast_shapes(x.shape, shape), x.dtype))


@stands_for(np.zeros_like)
def zeros_like(x: Any, dtype: Any = None) -> Any:
    """numpy.zeros_like."""
    zero = np.zeros((), dtype or x.dtype)[()]
    return Traced(Node("broadcast", [as_node(zero)], x.shape, dtype or x.dtype))


@stands_for(np.ones_like)
def ones_like(x: Any, dtype: Any = None) -> Any:
    """numpy.ones_like."""
    one = np.ones((), dtype or x.dtype)[()]
    return Traced(Node("broadcast", [as_node(one)], x.shape, dtype or x.dtype))


@stands_for(np.sum)
def total(x: Any, axis: Any = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """numpy.sum."""
    return x.sum(axis, dtype, keepdims)


@stands_for(np.mean)
def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.mean."""
    return x.mean(axis, keepdims)


@stands_for(np.max)
@stands_for(np.amax)
def largest(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """numpy.max."""
    return x.max(axis, keepdims)


def vector_jacobian_product(function: Callable[..., Any], *inputs: Node) -> tuple[Any, Any]:
    """(node of the function's value, function of a node): what it sends back to its first input.

    The function is one of Tensors; the second one wants the node of the gradient of the value, and
    returns that of the first input, or None if none gets there. Raises NotTracedError where numbers
    are asked for.
    """
    tensors = [Tensor(Traced(node), requires_grad=i == 0) for i, node in enumerate(inputs)]
    with enable_grad():
        y = function(*tensors)
    if not isinstance(y, Tensor) or not isinstance(y.data, Traced):
        raise NotTracedError("does not depend on what it is given")
    value = y.data.node
    for tensor in graph.topological_order(y):
        if not tensor.inputs and tensor.requires_grad and tensor is not tensors[0]:
            raise NotTracedError(f"has a weight in it, {tensor.name or 'of no name'}")

    def pullback(gradient: Node) -> Node | None:
        if y is tensors[0]:
            return gradient
        tensors[0].grad = None
        y.backward(Traced(gradient))
        grad = tensors[0].grad
        return None if grad is None else as_node(grad)

    return value, pullback
