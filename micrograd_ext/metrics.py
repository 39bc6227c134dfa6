"""What is reported beside the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from ._lookup import find
from .tensor import Array, TensorLike

__all__ = [
    "CategoricalAccuracy",
    "Mean",
    "MeanMetricWrapper",
    "Metric",
    "accuracy",
    "categorical_accuracy",
    "get",
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


class Metric:
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

    def _add(self, values: TensorLike, weight: float = 1.0) -> None:
        array = np.asarray(values)
        self._total += float(array.sum(dtype=np.float64)) * weight
        self._count += array.size * weight


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

    def update_state(self, values: TensorLike, sample_weight: float = 1.0) -> None:
        """Show some more numbers, each counting as `sample_weight` of them."""
        self._add(values, sample_weight)


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

    def update_state(self, y_true: TensorLike, y_pred: TensorLike) -> None:
        """Show a batch's labels and predictions."""
        self._add(self.fn(y_true, y_pred))


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is the true one, for one-hot labels.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)


_NAMES: dict[str, MetricFunction] = {
    "acc": accuracy,
    "accuracy": accuracy,
    "categorical_accuracy": categorical_accuracy,
}


def get(identifier: str | MeanMetricWrapper | MetricFunction) -> MeanMetricWrapper:
    """The metric of that name, which becomes its key in the history; or of that function.

    >>> get("accuracy").name
    'accuracy'
    """
    if isinstance(identifier, MeanMetricWrapper):
        return identifier
    if callable(identifier):
        return MeanMetricWrapper(identifier)
    return MeanMetricWrapper(find("metric", _NAMES, identifier), identifier)
