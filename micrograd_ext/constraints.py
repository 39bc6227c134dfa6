"""What weights are held to: functions of a weight that are applied after each step of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from . import ops
from .common.arguments import at_least_0, finite
from .common.naming import snake
from .common.serialization import Configured, custom_object_scope, make, public_classes
from .common.serialization import serialize as _serialize
from .tensor import Axis, Tensor, TensorLike

__all__ = [
    "Constraint",
    "MaxNorm",
    "MinMaxNorm",
    "NonNeg",
    "UnitNorm",
    "deserialize",
    "get",
    "max_norm",
    "min_max_norm",
    "non_neg",
    "serialize",
    "unit_norm",
]

#: A `Constraint`, or any function of a weight that returns numbers of its shape.
ConstraintLike: TypeAlias = Callable[[Any], TensorLike]

EPSILON = 1e-7  # added to norms that are divided by, as in Keras


class Constraint(Configured):
    """A function of a weight that returns what it becomes: subclass it and write `__call__`.

    >>> class Whole(Constraint):
    ...     def __call__(self, w):
    ...         return w.data.round()
    >>> Whole()(Tensor([0.75]))
    array([1.], dtype=float32)
    """

    def __call__(self, w: TensorLike) -> TensorLike:
        """What the weight becomes: what it was."""
        return w


class _Norm(Constraint):
    """What constraints of norms share: along which axes the norms are."""

    def __init__(self, axis: Axis | Sequence[int] = 0) -> None:
        self.axis = axis

    def _with_norms(self, w: TensorLike) -> tuple[Tensor, Tensor]:
        """The weight, and its norms."""
        x = w if isinstance(w, Tensor) else Tensor(w, requires_grad=False)
        axis = tuple(self.axis) if isinstance(self.axis, Sequence) else self.axis
        return x, ops.sqrt(ops.sum(ops.square(x), axis=axis, keepdims=True))


class MaxNorm(_Norm):
    """Norms above max_value become that: w * min(|w|, max_value) / (|w| + 1e-7).

    Args:
        max_value: the largest norm.
        axis: along which norms are taken: 0 for the inputs of each output of a `Dense` kernel,
            (0, 1, 2) for each filter of a `Conv2D` kernel.

    >>> MaxNorm(1.0)(Tensor([[3.0, 0.3], [4.0, 0.4]])).data.round(3)
    array([[0.6, 0.3],
           [0.8, 0.4]], dtype=float32)
    """

    def __init__(self, max_value: float = 2, axis: Axis | Sequence[int] = 0) -> None:
        super().__init__(axis)
        self.max_value = at_least_0("max_value", max_value)

    def __call__(self, w: TensorLike) -> Tensor:
        """What the weight becomes."""
        x, norms = self._with_norms(w)
        return x * (ops.clip(norms, 0, self.max_value) / (norms + EPSILON))


class NonNeg(Constraint):
    """What is below 0 becomes 0.

    >>> NonNeg()(Tensor([-1.0, 2.0])).data
    array([0., 2.], dtype=float32)
    """

    def __call__(self, w: TensorLike) -> Tensor:
        """What the weight becomes."""
        return ops.maximum(w, 0.0)


class UnitNorm(_Norm):
    """All norms become 1: w / (|w| + 1e-7).

    axis: as in `MaxNorm`.

    >>> UnitNorm()(Tensor([3.0, 4.0])).data.round(3)
    array([0.6, 0.8], dtype=float32)
    """

    def __call__(self, w: TensorLike) -> Tensor:
        """What the weight becomes."""
        x, norms = self._with_norms(w)
        return x / (norms + EPSILON)


class MinMaxNorm(_Norm):
    """Norms are brought into a range, or nearer to it.

    w * (rate * clip(|w|, min_value, max_value) + (1 - rate) * |w|) / (|w| + 1e-7).

    Args:
        min_value: the least norm.
        max_value: the largest norm.
        rate: how much of the way they go at each step, from 0 to 1.
        axis: as in `MaxNorm`.

    >>> MinMaxNorm(max_value=1.0, rate=0.5)(Tensor([3.0, 4.0])).data.round(3)
    array([1.8, 2.4], dtype=float32)
    """

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axis | Sequence[int] = 0,
    ) -> None:
        super().__init__(axis)
        self.min_value = at_least_0("min_value", min_value)
        self.max_value = at_least_0("max_value", max_value)
        if self.min_value > self.max_value:
            raise ValueError(
                f"max_value: expected a number >= min_value, {min_value!r}, got {max_value!r}"
            )
        self.rate = finite("rate", rate)

    def __call__(self, w: TensorLike) -> Tensor:
        """What the weight becomes."""
        x, norms = self._with_norms(w)
        wanted = self.rate * ops.clip(norms, self.min_value, self.max_value)
        return x * ((wanted + (1 - self.rate) * norms) / (norms + EPSILON))


# Keras knows them by both names
max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

_NAMES = {snake(name): kind for name, kind in public_classes(globals(), Constraint).items()}


def serialize(constraint: ConstraintLike) -> Any:
    """A constraint as JSON can hold it.

    >>> serialize(NonNeg())
    {'class_name': 'NonNeg', 'config': {}}
    """
    return _serialize(constraint)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A constraint, of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it may be.

    >>> deserialize({"class_name": "UnitNorm", "config": {"axis": 1}}).axis
    1
    """
    with custom_object_scope(custom_objects):
        return get(config)


def get(identifier: Any) -> ConstraintLike | None:
    """The constraint of that name or class; a callable weight -> numbers is returned as it is.

    >>> get("max_norm").max_value
    2.0
    """
    if isinstance(identifier, type) and issubclass(identifier, Constraint):
        return identifier()
    if identifier is None or callable(identifier):
        constraint: ConstraintLike | None = identifier
        return constraint
    made: ConstraintLike = make("constraint", _NAMES, identifier)
    return made
