"""What is reported beside the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from . import losses
from ._lookup import Configured, find, make, named, positive
from .tensor import Array, Tensor, TensorLike, no_grad

__all__ = [
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "categorical_accuracy",
    "get",
    "sparse_categorical_accuracy",
    "top_k_categorical_accuracy",
]

#: Labels and predictions of a batch to one number for each example.
MetricFunction: TypeAlias = Callable[[TensorLike, TensorLike], Array]


def categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Array:
    """1 where the most probable class is the true one, else 0.

    y_true: (N, classes), one-hot. y_pred: (N, classes). Returns (N,) float32; ValueError if the
    shapes disagree.

    >>> categorical_accuracy([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
    array([1., 0.], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != guess.shape or truth.ndim == 0:
        raise ValueError(
            f"categorical_accuracy: y_true: expected shape {guess.shape} (one-hot labels), "
            f"got {truth.shape}"
        )
    return np.asarray(truth.argmax(-1) == guess.argmax(-1), np.float32)


def accuracy(y_true: TensorLike, y_pred: TensorLike) -> Array:
    """What the name 'accuracy' means for these shapes, as in Keras.

    For y_pred (N, 1), 1 where y_pred > 0.5 says the same as y_true; for class numbers y_true (N,)
    or (N, 1) beside y_pred (N, classes), 1 where the most probable class is that one; else
    `categorical_accuracy`. Returns (N,) float32.

    >>> accuracy([[1], [0]], [[0.7], [0.6]])
    array([1., 0.], dtype=float32)
    >>> accuracy([1, 0], [[0.4, 0.6], [0.3, 0.7]])
    array([1., 0.], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if guess.ndim > 1 and truth.shape == guess.shape[:-1]:
        truth = truth[..., None]
    if guess.ndim > 1 and truth.shape == (*guess.shape[:-1], 1):
        found = guess > 0.5 if guess.shape[-1] == 1 else guess.argmax(-1)[..., None]
        return np.asarray(found == truth, np.float32)[..., 0]
    return categorical_accuracy(truth, guess)


def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Array:
    """The share of the last axis where y_pred > threshold says the same as y_true.

    y_true, y_pred: of one shape (N, ..., D). Returns (N, ...) float32; ValueError if the shapes
    disagree.

    >>> binary_accuracy([[1, 0]], [[0.7, 0.6]])
    array([0.5], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if guess.ndim == truth.ndim + 1 and guess.shape[-1] == 1:
        truth = truth[..., None]
    if truth.shape != guess.shape or truth.ndim == 0:
        raise ValueError(
            f"binary_accuracy: y_true: expected the shape of y_pred {guess.shape}, "
            f"got {truth.shape}"
        )
    return np.asarray((truth == (guess > threshold)).mean(-1), np.float32)


def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Array:
    """1 where the most probable class is the true one, else 0, for class numbers.

    y_true: (N,) or (N, 1). y_pred: (N, classes). Returns (N,) float32; ValueError if the shapes
    disagree.

    >>> sparse_categorical_accuracy([1, 0], [[0.4, 0.6], [0.3, 0.7]])
    array([1., 0.], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.ndim == guess.ndim and truth.shape[-1:] == (1,):
        truth = truth[..., 0]
    if guess.ndim == 0 or truth.shape != guess.shape[:-1]:
        raise ValueError(
            f"sparse_categorical_accuracy: y_true: expected class numbers of shape "
            f"{guess.shape[:-1]}, got shape {truth.shape}"
        )
    return np.asarray(guess.argmax(-1) == truth, np.float32)


def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Array:
    """1 where the true class is among the k most probable ones, else 0, for one-hot labels.

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2)
    array([1.], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != guess.shape or truth.ndim == 0:
        raise ValueError(
            f"top_k_categorical_accuracy: y_true: expected shape {guess.shape} (one-hot labels), "
            f"got {truth.shape}"
        )
    of_truth = np.take_along_axis(guess, truth.argmax(-1)[..., None], axis=-1)
    return np.asarray(((guess > of_truth).sum(-1) < k) & np.isfinite(of_truth[..., 0]), np.float32)


def _of_loss(loss: Callable[..., Tensor]) -> MetricFunction:
    """A loss, looked at: the same numbers as an array."""

    def metric(y_true: TensorLike, y_pred: TensorLike) -> Array:
        with no_grad():
            return loss(y_true, Tensor(np.asarray(y_pred), requires_grad=False)).data

    metric.__name__ = getattr(loss, "__name__", "loss")
    return metric


class Metric(Configured):
    """A mean that is built up a batch at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.reset_state()

    def reset_state(self) -> None:
        """Forget what was shown."""
        self._total, self._count = 0.0, 0.0

    def result(self) -> float:
        """The mean of all that was shown since the last reset; 0 before anything was."""
        return self._total / self._count if self._count else 0.0

    def _add(self, values: TensorLike, weight: TensorLike = 1.0) -> None:
        array, weights = np.asarray(values), np.asarray(weight, np.float64)
        if weights.ndim > array.ndim and weights.shape[-1:] == (1,):
            weights = weights[..., 0]
        if weights.shape != array.shape[: weights.ndim]:
            raise ValueError(
                f"{self.name}: sample_weight: expected one for each of the values of shape "
                f"{array.shape}, got shape {weights.shape}"
            )
        weights = weights.reshape(weights.shape + (1,) * (array.ndim - weights.ndim))
        self._total += float((array * weights).sum(dtype=np.float64))
        self._count += float(np.broadcast_to(weights, array.shape).sum())


class Mean(Metric):
    """The mean of numbers.

    >>> mean = Mean("loss")
    >>> mean.update_state([1.0, 2.0])
    >>> mean.update_state(4.5, sample_weight=2)
    >>> mean.result()
    3.0
    """

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Show some more numbers, each counting as `sample_weight` of them."""
        self._add(values, 1.0 if sample_weight is None else sample_weight)


class MeanMetricWrapper(Metric):
    """The mean over examples of a function of labels and predictions.

    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), "distance")
    >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    >>> metric.result()
    0.5
    """

    def __init__(self, fn: MetricFunction, name: str | None = None) -> None:
        super().__init__(name or str(getattr(fn, "__name__", type(fn).__name__)))
        self.fn = fn

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another one, of what `get_config` returned."""
        function = config.get("fn")
        if isinstance(function, str):
            config = {**config, "fn": find("fn", _NAMES, function)}
        return cls(**config)

    def update_state(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Show a batch's labels and predictions, each example counting as its weight says."""
        self._add(self.fn(y_true, y_pred), 1.0 if sample_weight is None else sample_weight)


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is the true one, for one-hot labels.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is the true one, for class numbers.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.4, 0.6], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(sparse_categorical_accuracy, name)


class BinaryAccuracy(MeanMetricWrapper):
    """How often y_pred > threshold says the same as y_true.

    >>> metric = BinaryAccuracy(threshold=0.65)
    >>> metric.update_state([[1], [0]], [[0.7], [0.6]])
    >>> metric.result()
    1.0
    """

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(partial(binary_accuracy, threshold=threshold), name)
        self.threshold = threshold


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the true class is among the k most probable ones, for one-hot labels.

    >>> metric = TopKCategoricalAccuracy(k=2)
    >>> metric.update_state([[0, 0, 1]], [[0.5, 0.2, 0.3]])
    >>> metric.result()
    1.0
    """

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        super().__init__(partial(top_k_categorical_accuracy, k=positive("k", k)), name)
        self.k = k


class MeanSquaredError(MeanMetricWrapper):
    """The mean of (y_true - y_pred)**2.

    >>> metric = MeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [1.0]])
    >>> metric.result()
    2.0
    """

    def __init__(self, name: str = "mean_squared_error") -> None:
        super().__init__(_of_loss(losses.mean_squared_error), name)


class RootMeanSquaredError(MeanSquaredError):
    """The root of the mean of (y_true - y_pred)**2.

    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [3.0]])
    >>> metric.result()
    2.0
    """

    def __init__(self, name: str = "root_mean_squared_error") -> None:
        super().__init__(name)

    def result(self) -> float:
        """The root of the mean of all that was shown since the last reset."""
        return math.sqrt(super().result())


class MeanAbsoluteError(MeanMetricWrapper):
    """The mean of |y_true - y_pred|.

    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [1.0]])
    >>> metric.result()
    1.0
    """

    def __init__(self, name: str = "mean_absolute_error") -> None:
        super().__init__(_of_loss(losses.mean_absolute_error), name)


_NAMES: dict[str, MetricFunction] = named(
    {
        "acc": accuracy,
        "accuracy": accuracy,
        "binary_accuracy": binary_accuracy,
        "categorical_accuracy": categorical_accuracy,
        "sparse_categorical_accuracy": sparse_categorical_accuracy,
        "top_k_categorical_accuracy": top_k_categorical_accuracy,
        **{name: _of_loss(loss) for name, loss in losses.FUNCTIONS.items()},
    }
)
_CLASSES = {
    kind.__name__: kind
    for kind in (
        BinaryAccuracy,
        CategoricalAccuracy,
        MeanAbsoluteError,
        MeanMetricWrapper,
        MeanSquaredError,
        RootMeanSquaredError,
        SparseCategoricalAccuracy,
        TopKCategoricalAccuracy,
    )
}


def get(identifier: Any) -> Metric:
    """The metric of that name, which becomes its key in the history; or of that function.

    >>> get("accuracy").name
    'accuracy'
    """
    if isinstance(identifier, Metric):
        return identifier
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    if not isinstance(identifier, str) or identifier in _CLASSES:
        made: MeanMetricWrapper = make("metric", _CLASSES, identifier)
        return made
    return MeanMetricWrapper(find("metric", _NAMES, identifier), identifier.rpartition(">")[2])


def as_logs(name: str, result: Any) -> dict[str, float]:
    """What a metric has come to, as plain numbers by name."""
    if isinstance(result, Mapping):
        return {str(key): float(value) for key, value in result.items()}
    return {name: float(result)}
