"""`Tensor`: a numpy array that remembers how it was computed."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from .. import graph
from .recording import is_grad_enabled

if TYPE_CHECKING:
    from ..graph.stepper import Stepper


__all__ = ["Array", "Axis", "Tensor", "TensorLike", "operations"]


Array: TypeAlias = npt.NDArray[Any]


#: A Tensor, or what numpy makes an array of: a number, a nested list, an ndarray.
TensorLike: TypeAlias = Any


Axis: TypeAlias = int | tuple[int, ...] | None


class Operations:
    """The ops by their names, which the operators and methods of Tensors are.

    `micrograd_ext.ops`, whose rows are written with Tensors, puts them in here when it is imported.
    """

    def __getattr__(self, name: str) -> Callable[..., Tensor]:
        raise AttributeError(f"there is no op called {name!r}")


operations = Operations()


class LinearMap(NamedTuple):
    """The derivative of an op with respect to one input: it turns upstream into what is sent.

    Its matrix, the Jacobian, is never formed: `pull` applies its transpose to an array.
    """

    op: str
    slot: int
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    pull: Callable[[Array], Array]

    def __repr__(self) -> str:
        return f"d({self.op})/d(input {self.slot}): {self.output_shape} -> {self.input_shape}"


class Tensor:
    """An array of float32 or float64 with a graph behind it.

    Arithmetic, comparisons, indexing and broadcasting are numpy's; what has a derivative is
    recorded, and `backward()` fills in `grad`. More functions are in `micrograd_ext.ops`.
    `==`, `<` and the like compare element by element and give plain boolean arrays; `hash` goes by
    identity.

    Args:
        data: number, nested sequence, array or Tensor (whose data are shared, not its graph).
            Python numbers, integers and booleans become float32; float arrays keep their type.
        requires_grad: whether `backward` should compute a gradient for it; of floats only.
        name: what to call it when the graph is shown.
        dtype: what to convert to: 'float32' or 'float64', or a type of whole numbers or 'bool' for
            class numbers, places, masks and the like, through which no gradient flows.

    Attributes:
        data: the ndarray.
        grad: ndarray of the same shape and dtype, or None before a backward pass reached it.
        inputs: the Tensors it was computed from, in order; () for a leaf.
        op: what computed it, e.g. '*'; '' for a leaf.
        logits: what `ops.softmax` was given, if that computed it along the last axis, else None.

    Raises:
        TypeError: data that are not real numbers, or a dtype that is none of these.

    >>> a, b = Tensor([2.0, 3.0], name="a"), Tensor([-1.0, 4.0], name="b")
    >>> loss = (a * b + b).sum()
    >>> loss.backward()
    >>> a.grad, b.grad
    (array([-1.,  4.], dtype=float32), array([3., 4.], dtype=float32))
    """

    __slots__ = (
        "__weakref__",
        "_grad",
        "data",
        "inputs",
        "logits",
        "name",
        "op",
        "pullbacks",
        "requires_grad",
    )
    __array_ufunc__ = None  # numpy_array * tensor is ours to compute: numpy would lose the graph
    unset = None

    def __init__(
        self,
        data: TensorLike,
        requires_grad: bool = True,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.data: Array = _as_array(data, dtype)
        self._grad: Array | None = None
        self.inputs: tuple[Tensor, ...] = ()
        self.op = ""
        self.pullbacks: tuple[Callable[[Array], Array] | None, ...] = ()
        self.name = name
        self.requires_grad = bool(requires_grad) and self.data.dtype.kind == "f"
        self.logits: Tensor | None = None

    # ------------------------------------------------------------------ the graph

    @property
    def grad(self) -> Array | None:
        """The gradient; whatever is assigned becomes an array of this tensor's type."""
        return self._grad

    @grad.setter
    def grad(self, gradient: TensorLike | None) -> None:
        self._grad = None if gradient is None else as_array(gradient, self.data.dtype)

    def sends(self, upstream: Array) -> Iterator[tuple[LinearMap, Array] | None]:
        """What goes to each input for a given gradient of this tensor; see `graph.Node`."""
        if type(upstream) is not type(self.data) or upstream.shape != self.data.shape:
            upstream = np.broadcast_to(_as_array(upstream, self.dtype), self.shape)
        for slot, (source, pull) in enumerate(zip(self.inputs, self.pullbacks, strict=True)):
            if pull is None:
                yield None
            else:
                local = LinearMap(self.op, slot, source.shape, self.shape, pull)
                yield local, _fit(pull(upstream), source.data)

    def backward(self, gradient: TensorLike | None = None) -> None:
        """Compute the gradient of this tensor with respect to all that it depends on.

        Leaves add to the `grad` they have, other tensors' `grad` is assigned afresh.

        Args:
            gradient: what to start from, of this tensor's shape; 1 for a scalar.

        Raises:
            ValueError: no gradient given for a tensor of several elements, or one of another
                shape, or a tensor that depends on nothing that requires a gradient.
        """
        for _ in self.backward_steps(gradient):
            pass

    def backward_steps(self, gradient: TensorLike | None = None) -> Iterator[graph.Edge]:
        """`backward`, one edge of the graph at a time; see `graph.Edge` for what comes.

        >>> x = Tensor([3.0], name="x")
        >>> for step in (x * x).backward_steps():
        ...     print(step.local, step.before, "->", step.after)
        d(*)/d(input 0): (1,) -> (1,) None -> [3.]
        d(*)/d(input 1): (1,) -> (1,) [3.] -> [6.]
        """
        return graph.backward_steps(self, self.start(gradient))

    def start(self, gradient: TensorLike | None = None) -> Array:
        """What `backward` starts from: the gradient if one is given, 1 for a scalar.

        Raises ValueError as `backward` does.
        """
        if not self.requires_grad:
            raise ValueError(
                "backward: nothing to differentiate: this tensor depends on no tensor with "
                "requires_grad=True (or was computed under no_grad())"
            )
        if gradient is None:
            if self.data.size != 1:
                raise ValueError(
                    f"backward: a tensor of shape {self.shape} needs gradient=, an array of that "
                    "shape; only a scalar can do without: take .sum() or .mean() first"
                )
            return np.ones_like(self.data)
        start = _as_array(gradient, self.dtype)
        if start.shape != self.shape:
            raise ValueError(f"backward: gradient: expected shape {self.shape}, got {start.shape}")
        return start

    def stepper(self, gradient: TensorLike | None = None) -> Stepper:
        """Walk through the backward pass by hand; see `stepper.Stepper`."""
        from ..graph.stepper import Stepper  # noqa: PLC0415 - it is written with Tensors and Values

        return Stepper(self, gradient)

    def zero_grad(self) -> None:
        """Forget the gradient."""
        self.grad = None

    def detach(self) -> Tensor:
        """The same data without the graph; no gradient flows through it."""
        return Tensor(self.data, requires_grad=False, name=self.name)

    # ------------------------------------------------------------------ numpy's attributes

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of the axes."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32 or float64, or a type of whole numbers or bool if that was asked for."""
        return self.data.dtype

    @property
    def T(self) -> Tensor:  # noqa: N802 - numpy's name
        """With its axes reversed."""
        return operations.transpose(self)

    def numpy(self) -> Array:
        """The data, not a copy."""
        return self.data

    def item(self) -> float:
        """The only element as a Python number; ValueError if there are several."""
        value: float = self.data.item()
        return value

    def tolist(self) -> Any:
        """The data as nested lists of Python numbers."""
        return self.data.tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        return np.array(self.data, dtype=dtype) if copy else np.asarray(self.data, dtype=dtype)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of a tensor without axes")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.data.item() if self.data.ndim == 0 else self.data)

    def __format__(self, spec: str) -> str:
        return format(self.item() if spec and self.data.ndim == 0 else str(self), spec)

    def __bool__(self) -> bool:
        return bool(self.data)

    def __repr__(self) -> str:
        data = np.array2string(self.data, separator=", ", prefix="Tensor(")
        parts = [data, f"shape={self.shape}", f"dtype={self.dtype}"]
        if self.op:
            parts.append(f"op={self.op!r}")
        if self.name:
            parts.append(f"name={self.name!r}")
        return f"Tensor({', '.join(parts)})"

    # ------------------------------------------------------------------ operators

    def __add__(self, other: TensorLike) -> Tensor:
        return operations.add(self, other)

    def __radd__(self, other: TensorLike) -> Tensor:
        return operations.add(other, self)

    def __sub__(self, other: TensorLike) -> Tensor:
        return operations.subtract(self, other)

    def __rsub__(self, other: TensorLike) -> Tensor:
        return operations.subtract(other, self)

    def __mul__(self, other: TensorLike) -> Tensor:
        return operations.multiply(self, other)

    def __rmul__(self, other: TensorLike) -> Tensor:
        return operations.multiply(other, self)

    def __truediv__(self, other: TensorLike) -> Tensor:
        return operations.divide(self, other)

    def __rtruediv__(self, other: TensorLike) -> Tensor:
        return operations.divide(other, self)

    def __pow__(self, other: TensorLike) -> Tensor:
        return operations.power(self, other)

    def __rpow__(self, other: TensorLike) -> Tensor:
        return operations.power(other, self)

    def __matmul__(self, other: TensorLike) -> Tensor:
        return operations.matmul(self, other)

    def __rmatmul__(self, other: TensorLike) -> Tensor:
        return operations.matmul(other, self)

    def __neg__(self) -> Tensor:
        return operations.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return operations.absolute(self)

    def __getitem__(self, index: Any) -> Tensor:
        return operations.getitem(self, index)

    def __eq__(self, other: object) -> Any:
        with_other = _numbers_of(other)
        return NotImplemented if with_other is None else as_array(self.data == with_other)

    def __ne__(self, other: object) -> Any:
        with_other = _numbers_of(other)
        return NotImplemented if with_other is None else as_array(self.data != with_other)

    __hash__ = object.__hash__

    def __lt__(self, other: TensorLike) -> Array:
        return as_array(self.data < _comparable(other))

    def __le__(self, other: TensorLike) -> Array:
        return as_array(self.data <= _comparable(other))

    def __gt__(self, other: TensorLike) -> Array:
        return as_array(self.data > _comparable(other))

    def __ge__(self, other: TensorLike) -> Array:
        return as_array(self.data >= _comparable(other))

    # ------------------------------------------------------------------ methods: see `ops`

    def sum(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `ops.sum`."""
        return operations.sum(self, axis, keepdims)

    def mean(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `ops.mean`."""
        return operations.mean(self, axis, keepdims)

    def var(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `ops.var`."""
        return operations.var(self, axis, keepdims)

    def max(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `ops.max`."""
        return operations.max(self, axis, keepdims)

    def min(self, axis: Axis = None, keepdims: bool = False) -> Tensor:
        """See `ops.min`."""
        return operations.min(self, axis, keepdims)

    def argmax(self, axis: int | None = None) -> Any:
        """Index of the first largest element (plain numpy integers)."""
        return self.data.argmax(axis)

    def argmin(self, axis: int | None = None) -> Any:
        """Index of the first smallest element (plain numpy integers)."""
        return self.data.argmin(axis)

    def reshape(self, *shape: Any) -> Tensor:
        """See `ops.reshape`; `x.reshape(2, -1)` or `x.reshape((2, -1))`."""
        return operations.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Tensor:
        """See `ops.transpose`; `x.transpose(1, 0)` or `x.transpose((1, 0))`."""
        return operations.transpose(self, (axes[0] if len(axes) == 1 else axes) or None)

    def flatten(self) -> Tensor:
        """All elements in one axis, row by row."""
        return operations.reshape(self, -1)

    def squeeze(self, axis: Axis = None) -> Tensor:
        """See `ops.squeeze`."""
        return operations.squeeze(self, axis)

    def astype(self, dtype: npt.DTypeLike) -> Tensor:
        """See `ops.cast`."""
        return operations.cast(self, dtype)

    def clip(self, x_min: float, x_max: float) -> Tensor:
        """See `ops.clip`."""
        return operations.clip(self, x_min, x_max)

    def exp(self) -> Tensor:
        """See `ops.exp`."""
        return operations.exp(self)

    def log(self) -> Tensor:
        """See `ops.log`."""
        return operations.log(self)

    def sqrt(self) -> Tensor:
        """See `ops.sqrt`."""
        return operations.sqrt(self)

    def abs(self) -> Tensor:
        """See `ops.absolute`."""
        return operations.absolute(self)

    def sin(self) -> Tensor:
        """See `ops.sin`."""
        return operations.sin(self)

    def cos(self) -> Tensor:
        """See `ops.cos`."""
        return operations.cos(self)

    def relu(self) -> Tensor:
        """See `ops.relu`."""
        return operations.relu(self)

    def leaky_relu(self, negative_slope: float = 0.2) -> Tensor:
        """See `ops.leaky_relu`."""
        return operations.leaky_relu(self, negative_slope)

    def sigmoid(self) -> Tensor:
        """See `ops.sigmoid`."""
        return operations.sigmoid(self)

    def tanh(self) -> Tensor:
        """See `ops.tanh`."""
        return operations.tanh(self)

    def softmax(self, axis: int = -1) -> Tensor:
        """See `ops.softmax`."""
        return operations.softmax(self, axis)

    def log_softmax(self, axis: int = -1) -> Tensor:
        """See `ops.log_softmax`."""
        return operations.log_softmax(self, axis)


def computed(
    data: Array,
    op: str,
    inputs: Sequence[Tensor],
    pullbacks: Sequence[Callable[[Array], Array]],
) -> Tensor:
    """What an op made of its inputs, recorded if that is asked for; see `op.apply`."""
    out = Tensor.__new__(Tensor)  # the row made floats of floats: nothing to check
    out.data = data
    out._grad = out.name = out.logits = None
    wanted = [x.requires_grad for x in inputs]
    out.requires_grad = (
        True in wanted and is_grad_enabled() and data.dtype.kind == "f"
    )  # a cast may have made whole numbers
    if out.requires_grad:
        out.op = op
        out.inputs = tuple(inputs)
        out.pullbacks = tuple(
            [pull if want else None for pull, want in zip(pullbacks, wanted, strict=True)]
        )
    else:
        out.op, out.inputs, out.pullbacks = "", (), ()
    return out


def as_array(x: Any, dtype: npt.DTypeLike | None = None) -> Array:
    """numpy.asarray, but for what takes part in numpy's functions without being an array.

    Such a thing stands for an array while a program is traced, and stays what it is.
    """
    if isinstance(x, np.ndarray) or not hasattr(type(x), "__array_function__"):
        return np.asarray(x, dtype)
    traced: Array = x if dtype is None else x.astype(dtype, copy=False)
    return traced


def data_of(x: TensorLike) -> Any:
    """What a Tensor holds, or x itself if it is none."""
    return x.data if isinstance(x, Tensor) else x


def _comparable(x: TensorLike) -> Any:
    """What numpy can compare with: whole numbers beyond float64 are beyond all numbers in it."""
    if isinstance(x, int) and x.bit_length() > 1023:
        return math.inf if x > 0 else -math.inf
    return data_of(x)


def _numbers_of(other: object) -> Any:
    """What a Tensor can be equal to, number by number; None for what holds no numbers."""
    if isinstance(other, Tensor):
        return other.data
    try:
        array = np.asarray(_comparable(other))
    except ValueError:  # lists of different lengths
        return None
    return array if array.dtype.kind in "fiubc" else None


def _as_array(data: TensorLike, dtype: npt.DTypeLike | None = None) -> Array:
    """Data as an array of `dtype`, of floats if it is None, in native byte order.

    No copy is made where none is needed.
    """
    given = data_of(data)
    try:
        array = as_array(given)
    except ValueError as error:
        raise ValueError(
            f"Tensor: cannot make an array of {type(data).__name__}: {error}"
        ) from None
    if array.dtype.kind not in "fiub":
        raise TypeError(
            f"Tensor: expected real numbers, got {given!r} of type {array.dtype}"
            + ("; a Value and a Tensor have no graph in common" if hasattr(given, "sends") else "")
        )
    if dtype is None:
        if isinstance(data, Tensor):
            return array
        own = isinstance(given, np.ndarray | np.generic) or not isinstance(array, np.ndarray)
        keep = array.dtype.kind == "f" and own
        dtype = np.float64 if keep and array.dtype.itemsize > 4 else np.float32
    wanted = np.dtype(dtype)
    if wanted not in (np.float32, np.float64) and wanted.kind not in "iub":
        raise TypeError(
            "Tensor: dtype: expected float32 or float64, or a type of whole numbers or bool, "
            f"got {wanted}"
        )
    return array.astype(wanted, copy=False)


def _fit(sent: Array, like: Array) -> Array:
    """Sum over the axes along which `like` was broadcast; give it like's shape and type."""
    if sent.shape != like.shape:
        sent = sent.sum(axis=tuple(range(sent.ndim - like.ndim)))
        stretched = tuple(i for i, n in enumerate(like.shape) if n == 1 != sent.shape[i])
        if stretched:
            sent = sent.sum(axis=stretched, keepdims=True)
    return as_array(sent, like.dtype)
