"""What training makes small. Names, arguments and formulas are Keras's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from . import ops
from ._lookup import Configured, at_least_0, axis_of, find, make, named
from .tensor import Array, Tensor, TensorLike

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]

#: Labels and predictions of a batch to one loss for each example.
LossFunction: TypeAlias = Callable[[TensorLike, Tensor], Tensor]

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as in Keras
REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


def _pair(caller: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Array, Tensor]:
    """Labels and predictions of one shape: an axis of size 1 at the end may be missing in one."""
    y = y_pred if isinstance(y_pred, Tensor) else Tensor(y_pred, requires_grad=False)
    labels = np.asarray(y_true, y.dtype)
    if labels.ndim + 1 == y.ndim and y.shape[-1:] == (1,):
        labels = labels[..., None]
    elif labels.ndim == y.ndim + 1 and labels.shape[-1:] == (1,):
        labels = labels[..., 0]
    if labels.shape != y.shape:
        raise ValueError(
            f"{caller}: y_true: expected the shape of y_pred {y.shape}, got {labels.shape}"
        )
    return labels, y


def mean_squared_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of (y_true - y_pred)**2.

    y_true, y_pred: of one shape (N, ..., D). Returns (N, ...); ValueError if the shapes disagree.

    >>> mean_squared_error([[1.0, 2.0]], Tensor([[1.0, 4.0]])).data
    array([2.], dtype=float32)
    """
    labels, y = _pair("mean_squared_error", y_true, y_pred)
    return ops.mean(ops.square(labels - y), axis=-1)


def mean_absolute_error(y_true: TensorLike, y_pred: TensorLike) -> Tensor:
    """Mean over the last axis of |y_true - y_pred|.

    y_true, y_pred: of one shape (N, ..., D). Returns (N, ...); ValueError if the shapes disagree.

    >>> mean_absolute_error([[1.0, 2.0]], Tensor([[1.0, 4.0]])).data
    array([1.], dtype=float32)
    """
    labels, y = _pair("mean_absolute_error", y_true, y_pred)
    return ops.mean(ops.absolute(labels - y), axis=-1)


def binary_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """Mean over an axis of -(t log(p) + (1 - t) log(1 - p)), t the labels, p the predictions.

    Args:
        y_true: (N, ..., D), from 0 to 1.
        y_pred: of the same shape, probabilities; they are kept within 1e-7 of 0 and 1.
        from_logits: y_pred are logits, what one would give to sigmoid.
        label_smoothing: labels become t (1 - label_smoothing) + label_smoothing / 2.
        axis: over which the mean is taken.

    Returns:
        (N, ...).

    Raises:
        ValueError: the shapes disagree.

    >>> binary_crossentropy([[1.0]], Tensor([[0.5]])).data
    array([0.6931472], dtype=float32)
    """
    labels, y = _pair("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        labels = labels * (1 - label_smoothing) + label_smoothing / 2
    if from_logits:  # max(y, 0) - t y + log(1 + e ** -|y|): no power overflows
        each = ops.relu(y) - labels * y + ops.log(1 + ops.exp(-ops.absolute(y)))
    else:
        p = ops.clip(y, EPSILON, 1 - EPSILON)
        each = -(labels * ops.log(p) + (1 - labels) * ops.log(1 - p))
    return ops.mean(each, axis=axis)


def categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """-sum over classes of y_true log(y_pred), one number for each example.

    Args:
        y_true: (N, classes), one-hot or other probabilities.
        y_pred: (N, classes), probabilities, as softmax makes them; they are divided by their sum,
            and kept within 1e-7 of 0 and 1. What comes straight from `ops.softmax` is taken by
            its logits instead, so that its logarithm is exact.
        from_logits: y_pred are logits, what one would give to softmax.
        label_smoothing: labels become t (1 - label_smoothing) + label_smoothing / classes.
        axis: that of the classes.

    Returns:
        (N,).

    Raises:
        ValueError: the shapes disagree.

    >>> categorical_crossentropy([[0.0, 1.0]], Tensor([[0.5, 0.5]])).data
    array([0.6931472], dtype=float32)
    """
    y_pred = y_pred if isinstance(y_pred, Tensor) else Tensor(y_pred, requires_grad=False)
    labels = _one_hot(y_true, y_pred)
    axis = axis_of(y_pred.shape, axis)
    if label_smoothing:
        label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        labels = labels * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    return -ops.sum(labels * _log_probabilities(y_pred, from_logits, axis), axis=axis)


def _log_probabilities(y_pred: Tensor, from_logits: bool, axis: int) -> Tensor:
    if y_pred.logits is not None and not from_logits and axis in (-1, y_pred.ndim - 1):
        y_pred, from_logits = y_pred.logits, True
    if from_logits:
        return ops.log_softmax(y_pred, axis=axis)
    total = ops.sum(y_pred, axis=axis, keepdims=True)
    return ops.log(ops.clip(y_pred / total, EPSILON, 1 - EPSILON))


def _one_hot(y_true: TensorLike, y_pred: Tensor) -> Array:
    labels = np.asarray(y_true, y_pred.dtype)
    if labels.shape != y_pred.shape:
        raise ValueError(
            f"categorical_crossentropy: y_true: expected shape {y_pred.shape} (one-hot labels), "
            f"got {labels.shape}; utils.to_categorical makes one-hot labels of class numbers"
        )
    return labels


def sparse_categorical_crossentropy(
    y_true: TensorLike,
    y_pred: TensorLike,
    from_logits: bool = False,
    ignore_class: int | None = None,
    axis: int = -1,
) -> Tensor:
    """-log of the true class's probability, one number for each example.

    Args:
        y_true: (N,) or (N, 1), class numbers.
        y_pred: (N, classes), probabilities, treated as in `categorical_crossentropy`.
        from_logits: y_pred are logits, what one would give to softmax.
        ignore_class: a label whose examples count 0.
        axis: that of the classes.

    Returns:
        (N,).

    Raises:
        ValueError: the shapes disagree, or a label is none of the classes.

    >>> sparse_categorical_crossentropy([1], Tensor([[0.75, 0.25]])).data.round(4)
    array([1.3863], dtype=float32)
    """
    y_pred = y_pred if isinstance(y_pred, Tensor) else Tensor(y_pred, requires_grad=False)
    caller, given = "sparse_categorical_crossentropy", np.asarray(y_true)
    if y_pred.ndim == 0:
        raise ValueError(f"{caller}: y_pred: expected an axis of classes, got a number")
    axis = axis_of(y_pred.shape, axis)
    classes = y_pred.shape[axis]
    shape = tuple(np.delete(y_pred.shape, axis).tolist())
    if given.ndim == y_pred.ndim and given.shape[-1:] == (1,):
        given = given[..., 0]
    if given.shape != shape:
        raise ValueError(
            f"{caller}: y_true: expected class numbers of shape {shape}, got shape {given.shape}; "
            "for one-hot labels there is categorical_crossentropy"
        )
    labels = given.astype(np.int64)
    if (labels != given).any():
        raise ValueError(f"{caller}: y_true: expected whole class numbers, got others")
    counts = np.ones(shape, bool) if ignore_class is None else labels != ignore_class
    labels = np.where(counts, labels, 0)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(
            f"{caller}: y_true: expected class numbers from 0 to {classes - 1}, got {wrong}"
        )
    one_hot = np.zeros(y_pred.shape, y_pred.dtype)
    np.put_along_axis(
        one_hot, np.expand_dims(labels, axis), np.expand_dims(counts, axis), axis=axis
    )
    return -ops.sum(one_hot * _log_probabilities(y_pred, from_logits, axis), axis=axis)


class Loss(Configured):
    """A loss as an object, for `compile(loss=...)`: subclass it and write `call`.

    Args:
        name: what it is called.
        reduction: what becomes of the examples' losses: 'sum_over_batch_size' or 'mean', 'sum',
            'none', or 'mean_with_sample_weight': divided by the sum of the weights.

    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.absolute(y_true - y_pred) ** 3, axis=-1)
    >>> Cubes()(np.array([[0.0]]), Tensor([[2.0]])).item()
    8.0
    """

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size"
    ) -> None:
        if reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction: expected one of {', '.join(map(str, REDUCTIONS))}, got {reduction!r}"
            )
        self.name = name or type(self).__name__
        self.reduction = reduction

    def __call__(
        self, y_true: TensorLike, y_pred: Tensor, sample_weight: TensorLike | None = None
    ) -> Tensor:
        """The loss of a batch, each example's by its weight."""
        return reduced(self.call(y_true, y_pred), sample_weight, self.reduction)

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        raise NotImplementedError(f"{type(self).__name__}.call")


def reduced(
    each: Tensor, sample_weight: TensorLike | None, reduction: str | None = "sum_over_batch_size"
) -> Tensor:
    """What becomes of the examples' losses; see `Loss`."""
    weights: Any = None
    if sample_weight is not None:
        weights = np.asarray(sample_weight, each.dtype)
        if weights.ndim > each.ndim and weights.shape[-1:] == (1,):
            weights = weights[..., 0]
        if weights.shape != each.shape[: weights.ndim]:
            raise ValueError(
                f"sample_weight: expected a weight for each of the losses of shape {each.shape}, "
                f"got shape {weights.shape}"
            )
        weights = weights.reshape(weights.shape + (1,) * (each.ndim - weights.ndim))
        each = each * weights
    if reduction in (None, "none"):
        return each
    total = ops.sum(each)
    if reduction == "sum":
        return total
    if reduction == "mean_with_sample_weight" and weights is not None:
        return total / float(np.broadcast_to(weights, each.shape).sum())
    return total / max(each.size, 1)


class MeanSquaredError(Loss):
    """`mean_squared_error` as an object.

    >>> MeanSquaredError()([[1.0, 2.0]], Tensor([[1.0, 4.0]])).item()
    2.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_error",
    ) -> None:
        super().__init__(name, reduction)

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """`mean_absolute_error` as an object.

    >>> MeanAbsoluteError()([[1.0, 2.0]], Tensor([[1.0, 4.0]])).item()
    1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_error",
    ) -> None:
        super().__init__(name, reduction)

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return mean_absolute_error(y_true, y_pred)


class BinaryCrossentropy(Loss):
    """`binary_crossentropy` as an object.

    >>> round(BinaryCrossentropy(from_logits=True)([[1.0]], Tensor([[0.0]])).item(), 6)
    0.693147
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        self.axis = axis

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class CategoricalCrossentropy(Loss):
    """`categorical_crossentropy` as an object.

    >>> loss = CategoricalCrossentropy(from_logits=True)
    >>> round(loss([[1.0, 0.0]], Tensor([[3.0, 1.0]])).item(), 6)
    0.126928
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        self.axis = axis

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class SparseCategoricalCrossentropy(Loss):
    """`sparse_categorical_crossentropy` as an object.

    >>> round(SparseCategoricalCrossentropy()([0], Tensor([[0.75, 0.25]])).item(), 6)
    0.287682
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(name, reduction)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )


FUNCTIONS: dict[str, LossFunction] = named(
    {
        "binary_crossentropy": binary_crossentropy,
        "categorical_crossentropy": categorical_crossentropy,
        "mae": mean_absolute_error,
        "mean_absolute_error": mean_absolute_error,
        "mean_squared_error": mean_squared_error,
        "mse": mean_squared_error,
        "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    }
)
CLASSES = {kind.__name__: kind for kind in Loss.__subclasses__()}


def get(identifier: Any) -> LossFunction:
    """The loss of that name; a function (y_true, y_pred) -> losses is returned as it is.

    >>> get("categorical_crossentropy") is categorical_crossentropy
    True
    """
    if callable(identifier):
        found: LossFunction = identifier
        return found
    if not isinstance(identifier, str) or identifier in CLASSES:
        made: LossFunction = make("loss", CLASSES, identifier)
        return made
    return find("loss", FUNCTIONS, identifier)


def name_of(loss: LossFunction) -> str:
    """What a loss is called.

    >>> name_of(MeanSquaredError())
    'mean_squared_error'
    """
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))
