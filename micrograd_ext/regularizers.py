"""What is added to the loss for the sake of small weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from . import ops
from .common.arguments import finite
from .common.naming import snake
from .common.serialization import Configured, custom_object_scope, make, public_classes
from .common.serialization import serialize as _serialize
from .tensor import Tensor, TensorLike

__all__ = [
    "L1",
    "L1L2",
    "L2",
    "OrthogonalRegularizer",
    "Regularizer",
    "deserialize",
    "get",
    "serialize",
]


class Regularizer(Configured):
    """A penalty for a weight: subclass it and write `__call__`.

    >>> class Cubes(Regularizer):
    ...     def __call__(self, x):
    ...         return 0.5 * ops.sum(ops.absolute(x) ** 3)
    >>> Cubes()(Tensor([2.0])).item()
    4.0
    """

    def __call__(self, x: Any) -> Any:
        """The penalty for a weight, one number."""
        return 0.0


def _factor(what: str, value: Any, default: float = 0.0) -> float:
    number = default if value is None else finite(what, value)
    if number < 0:
        raise ValueError(f"{what}: expected a number >= 0, got {value!r}")
    return number


def _weight(x: TensorLike) -> Tensor:
    return x if isinstance(x, Tensor) else Tensor(x, requires_grad=False, dtype=np.float32)


class L1L2(Regularizer):
    """l1 * sum of |w| + l2 * sum of w**2.

    Raises ValueError for a factor that is negative, infinite or no number; None is the default.

    >>> L1L2(l1=0.5, l2=0.25)(Tensor([2.0, -2.0])).item()
    4.0
    """

    def __init__(self, l1: float | None = 0.0, l2: float | None = 0.0) -> None:
        self.l1, self.l2 = _factor("l1", l1), _factor("l2", l2)

    def __call__(self, x: TensorLike) -> Tensor:
        """The penalty for a weight, one number."""
        x = _weight(x)
        penalty = Tensor(0.0, dtype=x.dtype, requires_grad=False)
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty


class L1(L1L2):
    """l1 * sum of |w|: many weights become 0.

    >>> L1(0.5)(Tensor([2.0, -1.0])).item()
    1.5
    """

    def __init__(self, l1: float | None = 0.01) -> None:
        super().__init__(l1=0.01 if l1 is None else l1)


class L2(L1L2):
    """l2 * sum of w**2: large weights become smaller.

    >>> L2(0.5)(Tensor([2.0, -1.0])).item()
    2.5
    """

    def __init__(self, l2: float | None = 0.01) -> None:
        super().__init__(l2=0.01 if l2 is None else l2)


class OrthogonalRegularizer(Regularizer):
    """factor * mean over pairs of rows (or columns) of |cosine of their angle|.

    Args:
        factor: how much it counts.
        mode: 'rows' or 'columns'.

    Raises ValueError for another mode, or for a weight that is no matrix.

    >>> OrthogonalRegularizer(0.5)([[1.0, 0.0], [3.0, 4.0]]).item()
    0.30000001192092896
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = _factor("factor", factor)
        if not isinstance(mode, str) or mode not in ("rows", "columns"):
            raise ValueError(f"mode: expected 'rows' or 'columns', got {mode!r}")
        self.mode = mode

    def __call__(self, x: TensorLike) -> Tensor:
        """The penalty for a weight, one number."""
        x = _weight(x)
        if x.ndim != 2:
            raise ValueError(f"OrthogonalRegularizer: expected a matrix, got shape {x.shape}")
        rows = x if self.mode == "rows" else x.T
        squares = ops.sum(ops.square(rows), axis=1, keepdims=True)
        rows = rows / ops.sqrt(ops.maximum(squares, 1e-12))
        apart = 1 - np.eye(len(rows), dtype=x.dtype)
        pairs = max(len(rows) * (len(rows) - 1), 1)
        return self.factor * ops.sum(ops.absolute((rows @ rows.T) * apart)) / pairs


_NAMES = {snake(name): kind for name, kind in public_classes(globals(), Regularizer).items()}
_NAMES["l1_l2"] = L1L2


def get(identifier: Any) -> Any:
    """The regularizer of that name; a callable weight -> penalty is returned as it is.

    Of a class, an object is made; None is None. Raises ValueError for a name that is none.

    >>> get("l2").l2
    0.01
    """
    if isinstance(identifier, type) and issubclass(identifier, Regularizer):
        return identifier()
    if identifier is None or callable(identifier):
        return identifier
    return make("regularizer", _NAMES, identifier)


def serialize(regularizer: Any) -> Any:
    """A regularizer as JSON can hold it, by class and configuration.

    >>> serialize(L1(0.5))
    {'class_name': 'L1', 'config': {'l1': 0.5}}
    """
    return _serialize(regularizer)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The regularizer of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it may be.

    >>> deserialize({"class_name": "L2", "config": {"l2": 0.5}}).l2
    0.5
    """
    with custom_object_scope(custom_objects):
        return get(config)
