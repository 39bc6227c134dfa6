"""What is reported beside the loss."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import initializers, losses
from .common.arguments import at_least_0, finite, float32_only, positive
from .common.naming import name_for, snake
from .common.serialization import (
    Configured,
    custom_object_scope,
    find,
    make,
    public_classes,
    public_functions,
)
from .common.serialization import serialize as _serialize
from .losses import (
    binary_crossentropy,
    categorical_crossentropy,
    mean_absolute_error,
    mean_squared_error,
    same_rank,
    sparse_categorical_crossentropy,
)
from .tensor import Array, Tensor, TensorLike, no_grad
from .tensor.variable import Variable

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "Mean",
    "MeanAbsoluteError",
    "MeanMetricWrapper",
    "MeanSquaredError",
    "Metric",
    "RootMeanSquaredError",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Sum",
    "TopKCategoricalAccuracy",
    "accuracy",
    "binary_accuracy",
    "binary_crossentropy",
    "categorical_accuracy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy",
    "sparse_top_k_categorical_accuracy",
    "top_k_categorical_accuracy",
]

#: Labels and predictions of a batch to one number for each example.
MetricFunction: TypeAlias = Callable[..., Any]


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
        predicted = guess > 0.5 if guess.shape[-1] == 1 else guess.argmax(-1)[..., None]
        return np.asarray(predicted == truth, np.float32)[..., 0]
    return categorical_accuracy(truth, guess)


def binary_accuracy(y_true: TensorLike, y_pred: TensorLike, threshold: float = 0.5) -> Array:
    """1 where y_pred > threshold says the same as y_true, else 0, element by element.

    y_true, y_pred: of one shape; an axis of size 1 at the end may be missing in one. Returns
    float32 of that shape; ValueError if the shapes disagree.

    >>> binary_accuracy([[1, 0], [1, 1]], [[0.7, 0.6], [0.9, 0.8]])
    array([[1., 0.],
           [1., 1.]], dtype=float32)
    """
    truth, guess = _of_one_shape("binary_accuracy", y_true, y_pred)
    return np.asarray(truth == (guess > float(threshold)), np.float32)


def _equal(y_true: TensorLike, y_pred: TensorLike) -> Array:
    """1 where both are the same number, else 0."""
    truth, guess = _of_one_shape("accuracy", y_true, y_pred)
    return np.asarray(truth == guess, np.float32)


def _of_one_shape(caller: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Array, Array]:
    truth, guess = same_rank(np.asarray(y_true), np.asarray(y_pred))
    if truth.shape != guess.shape:
        raise ValueError(
            f"{caller}: y_true: expected the shape of y_pred {guess.shape}, got {truth.shape}"
        )
    return truth, guess


def sparse_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike) -> Array:
    """1 where the most probable class is the true one, else 0, for class numbers.

    y_true: (N,) or (N, 1). y_pred: (N, classes). Returns (N,) float32; ValueError if the shapes
    disagree. Both may have more axes, or, of a single example, no N.

    >>> sparse_categorical_accuracy([1, 0], [[0.4, 0.6], [0.3, 0.7]])
    array([1., 0.], dtype=float32)
    """
    truth, guess = _class_numbers("sparse_categorical_accuracy", y_true, y_pred)
    return np.asarray(guess.argmax(-1) == truth, np.float32)


def _class_numbers(caller: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Array, Array]:
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.ndim == guess.ndim and truth.shape[-1:] == (1,):
        truth = truth[..., 0]
    if guess.ndim == 0 or truth.shape != guess.shape[:-1]:
        raise ValueError(
            f"{caller}: y_true: expected class numbers of shape {guess.shape[:-1]}, "
            f"got shape {truth.shape}"
        )
    return truth, guess


def top_k_categorical_accuracy(y_true: TensorLike, y_pred: TensorLike, k: int = 5) -> Array:
    """1 where the true class is among the k most probable ones, else 0, for one-hot labels.

    y_true, y_pred: (N, ..., classes). Returns (N, ...) float32; ValueError if the shapes disagree.
    A class whose probability is nan is among none.

    >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2)
    array([1.], dtype=float32)
    """
    truth, guess = np.asarray(y_true), np.asarray(y_pred)
    if truth.shape != guess.shape or truth.ndim == 0:
        raise ValueError(
            f"top_k_categorical_accuracy: y_true: expected shape {guess.shape} (one-hot labels), "
            f"got {truth.shape}"
        )
    return _among_the_first(truth.argmax(-1), guess, k)


def sparse_top_k_categorical_accuracy(
    y_true: TensorLike, y_pred: TensorLike, k: int = 5, from_sorted_ids: bool = False
) -> Array:
    """1 where the true class is among the k most probable ones, else 0, for class numbers.

    Args:
        y_true: (N, ...), or (N, ..., 1).
        y_pred: (N, ..., classes), probabilities.
        k: how many are looked at.
        from_sorted_ids: y_pred are class numbers, the most probable first.

    Returns:
        (N, ...) float32.

    Raises:
        ValueError: the shapes disagree.

    >>> sparse_top_k_categorical_accuracy([2, 1], [[0.5, 0.2, 0.3], [0.5, 0.2, 0.3]], k=2)
    array([1., 0.], dtype=float32)
    """
    truth, guess = _class_numbers("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if from_sorted_ids:
        return np.asarray((guess[..., :k] == truth[..., None]).any(-1), np.float32)
    return _among_the_first(truth, guess, k)


def _among_the_first(classes: Array, guess: Array, k: int) -> Array:
    """1 where fewer than k classes are more probable than the given one, else 0."""
    there = (classes >= 0) & (classes < guess.shape[-1])
    at = np.where(there, classes, 0).astype(np.int64)
    if guess.shape[-1] == 0:
        return np.zeros(at.shape, np.float32)
    its = np.take_along_axis(guess, at[..., None], axis=-1)
    better = (guess > its).sum(-1)
    return np.asarray(there & ~np.isnan(its[..., 0]) & (better < k), np.float32)


class Metric(Configured):
    """What is built up a batch at a time: subclass it, write `update_state` and `result`.

    Args:
        dtype: None or 'float32'. The numbers of the metrics here are added up in float64.
        name: what it is called; the class's name, as 'my_metric' or 'my_metric_1', by default.

    >>> class Positives(Metric):
    ...     def __init__(self, name="positives"):
    ...         super().__init__(name=name)
    ...         self.count = self.add_weight(name="count")
    ...
    ...     def update_state(self, y_true, y_pred, sample_weight=None):
    ...         self.count.assign_add((np.asarray(y_pred) > 0.5).sum())
    ...
    ...     def result(self):
    ...         return self.count
    >>> metric = Positives()
    >>> metric([0.0, 1.0], [0.7, 0.8]).item()
    2.0
    >>> metric.reset_state()
    >>> metric.result().item()
    0.0
    """

    def __init__(self, dtype: npt.DTypeLike | None = None, name: str | None = None) -> None:
        self.name = name or name_for(self)
        self._dtype = float32_only("dtype", dtype)
        self._added: list[Variable] = []

    @property
    def dtype(self) -> str:
        """What its result stands for: 'float32'."""
        return self._dtype

    def add_variable(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: npt.DTypeLike | None = None,
        aggregation: str | None = "sum",
        name: str | None = None,
    ) -> Variable:
        """A `Variable` that `reset_state` sets to 0, not trainable.

        Args:
            shape: its shape.
            initializer: what it begins with: a name or function of `initializers`; 0 by default.
            dtype: float32 by default.
            aggregation: Keras's, and taken for its sake.
            name: what it is called.
        """
        make_it = initializers.get("zeros" if initializer is None else initializer)
        added = Variable(make_it, shape, dtype or self._dtype, False, name)
        self._added.append(added)
        return added

    def add_weight(
        self,
        shape: Sequence[int] = (),
        initializer: Any = None,
        dtype: npt.DTypeLike | None = None,
        name: str | None = None,
    ) -> Variable:
        """See `add_variable`."""
        return self.add_variable(shape, initializer, dtype, name=name)

    @property
    def variables(self) -> list[Variable]:
        """Those that were added, those in attributes, and those of metrics there."""
        variables = [*self._added]
        waiting = [*vars(self).values()][::-1]
        while waiting:
            value = waiting.pop()
            if isinstance(value, Variable):
                variables.append(value)
            elif isinstance(value, Metric):
                variables += value.variables
            elif isinstance(value, list | tuple | dict):
                waiting += [*(value.values() if isinstance(value, dict) else value)][::-1]
        return [*{id(variable): variable for variable in variables}.values()]

    def reset_state(self) -> None:
        """Forget what was shown: all variables become 0."""
        for variable in self.variables:
            variable.data[...] = 0

    def update_state(self, *args: Any, **kwargs: Any) -> Any:
        """Show it a batch."""
        raise NotImplementedError(f"{type(self).__name__}.update_state")

    def result(self) -> Any:
        """What it comes to so far: a number, or a dict of some."""
        raise NotImplementedError(f"{type(self).__name__}.result")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Show it a batch; what it comes to now."""
        self.update_state(*args, **kwargs)
        return self.result()


class Sum(Metric):
    """The sum of numbers, each by its weight.

    >>> total = Sum()
    >>> total.update_state([1.0, 2.0], sample_weight=[1.0, 10.0])
    >>> total.result()
    21.0
    """

    def __init__(self, name: str | None = "sum", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(dtype="float64", name="total")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Show some more numbers."""
        array = np.asarray(values)
        if sample_weight is not None:
            array, weights = _weights(array, sample_weight)
            array = array * weights
        self.total.data += array.sum(dtype=np.float64)

    def result(self) -> float:
        """The sum of all that was shown since the last reset."""
        return float(self.total.data)


class Mean(Metric):
    """The mean of numbers.

    Attributes:
        total, count: `Variable`s, the sum of the examples' means by their weights, and of the
            weights.

    >>> mean = Mean("loss")
    >>> mean.update_state([1.0, 2.0])
    >>> mean.update_state(4.5, sample_weight=2)
    >>> mean.result()
    3.0
    """

    def __init__(self, name: str | None = "mean", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(dtype, name)
        self.total = self.add_variable(dtype="float64", name="total")
        self.count = self.add_variable(dtype="float64", name="count")

    def update_state(self, values: TensorLike, sample_weight: TensorLike | None = None) -> None:
        """Show some more numbers, each counting as `sample_weight` of them.

        values: (N, ...); each of the N counts the mean of the rest once. sample_weight: a number,
        one for each of the N, or what is broadcast to the shape of the values.
        """
        array = values.data if isinstance(values, Tensor) else np.asarray(values)
        if not array.ndim and isinstance(sample_weight, int | float):
            total, count = float(array) * sample_weight, float(sample_weight)
        elif sample_weight is not None:
            counts = getattr(values, "counts", None)
            total, count = _weighted(array, sample_weight, counts)
        elif array.size == 0:
            return
        else:
            count = float(len(array)) if array.ndim else 1.0
            total = float(array.sum(dtype=np.float64)) * (count / array.size)
        self.total.data += total
        self.count.data += count

    def set_state(self, total: float, count: float) -> None:
        """As if numbers of that sum and that many had been shown since the last reset."""
        self.total.data[...] = total
        self.count.data[...] = count

    def result(self) -> float:
        """The mean of all that was shown since the last reset; 0 before anything was."""
        count = float(self.count.data)
        return float(self.total.data) / count if count else 0.0


def _weights(array: Array, sample_weight: TensorLike) -> tuple[Array, Array]:
    """Values in float64, and weights for them, whose axes are the first of theirs, as in Keras."""
    given = sample_weight.data if isinstance(sample_weight, Tensor) else np.asarray(sample_weight)
    values, weights = same_rank(array.astype(np.float64), given)
    weights = weights.reshape(weights.shape + (1,) * (values.ndim - weights.ndim))
    sizes = zip(weights.shape, values.shape, strict=False)
    fits = weights.ndim == values.ndim and all(size in (1, whole) for size, whole in sizes)
    if not fits or given.dtype.kind not in "fiub":
        raise ValueError(
            "sample_weight: expected a number, or numbers for the first axes of the values of "
            f"shape {array.shape}, got shape {given.shape}, {given.dtype}"
        )
    return values, weights


def _weighted(array: Array, sample_weight: TensorLike, counts: Array | None) -> tuple[float, float]:
    """The sum of the values by their weights, and of the weights, each example's on average."""
    values, weights = _weights(array, sample_weight)
    if counts is not None:  # in Keras, too, only here
        weights = weights * counts.reshape(values.shape)
    share = len(values) / values.size if values.ndim and values.size else 1.0
    count = np.broadcast_to(weights, values.shape).sum(dtype=np.float64)
    return float((values * weights).sum(dtype=np.float64)) * share, float(count) * share


#: Losses that are means over the last axis, as all are but those of classes: of a batch without
#: one, each number is an example.
_MEANS = {*losses.FUNCTIONS.values()} - {categorical_crossentropy, sparse_categorical_crossentropy}


class MeanMetricWrapper(Mean):
    """The mean over examples of a function of labels and predictions.

    Args:
        fn: (y_true, y_pred, **kwargs) -> numbers, (N, ...).
        name, dtype: see `Metric`.
        kwargs: what else fn is given.

    >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), "distance")
    >>> metric.update_state(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    >>> metric.result()
    0.5
    """

    def __init__(
        self,
        fn: MetricFunction,
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, dtype)
        if not callable(fn):
            raise TypeError(f"fn: expected a function of labels and predictions, got {fn!r}")
        self.fn, self._fn_kwargs = fn, kwargs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it."""
        return {**super().get_config(), **_serialize(self._fn_kwargs)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another one, of what `get_config` returned."""
        if isinstance(config.get("fn"), str):
            config = {**config, "fn": find("fn", _NAMES, config["fn"])}
        return cls(**config)

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Show a batch's labels and predictions, each example counting as its weight says."""
        if any(self.fn is mean for mean in _MEANS) and np.ndim(y_pred) == 1:
            y_true, y_pred = _column(y_true), _column(y_pred)
        with no_grad():
            values = self.fn(y_true, y_pred, **self._fn_kwargs)
        super().update_state(values, sample_weight)


def _column(x: TensorLike) -> Array:
    """One number to an example."""
    array = np.asarray(x)
    return array[:, None] if array.ndim == 1 else array


class _Named(MeanMetricWrapper):
    """What has a function of its own: its configuration need not say which."""

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it."""
        return Mean.get_config(self)


class Accuracy(_Named):
    """How often y_pred is exactly y_true.

    By the name 'accuracy', `compile` understands the function `accuracy`, as in Keras.

    >>> metric = Accuracy()
    >>> metric.update_state([[1], [2], [3], [4]], [[0], [2], [3], [4]])
    >>> metric.result()
    0.75
    """

    def __init__(self, name: str | None = "accuracy", dtype: npt.DTypeLike | None = None) -> None:
        super().__init__(_equal, name, dtype)


class CategoricalAccuracy(_Named):
    """How often the most probable class is the true one, for one-hot labels.

    >>> metric = CategoricalAccuracy()
    >>> metric.update_state([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    def __init__(
        self, name: str | None = "categorical_accuracy", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(_Named):
    """How often the most probable class is the true one, for class numbers.

    >>> metric = SparseCategoricalAccuracy()
    >>> metric.update_state([1, 0], [[0.4, 0.6], [0.3, 0.7]])
    >>> metric.result()
    0.5
    """

    def __init__(
        self, name: str | None = "sparse_categorical_accuracy", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class BinaryAccuracy(_Named):
    """How often y_pred > threshold says the same as y_true.

    >>> metric = BinaryAccuracy(threshold=0.65)
    >>> metric.update_state([[1], [0]], [[0.7], [0.6]])
    >>> metric.result()
    1.0
    """

    def __init__(
        self,
        name: str | None = "binary_accuracy",
        dtype: npt.DTypeLike | None = None,
        threshold: float = 0.5,
    ) -> None:
        self.threshold = finite("threshold", threshold)
        super().__init__(binary_accuracy, name, dtype, threshold=self.threshold)


class TopKCategoricalAccuracy(_Named):
    """How often the true class is among the k most probable ones, for one-hot labels.

    >>> metric = TopKCategoricalAccuracy(k=2)
    >>> metric.update_state([[0, 0, 1]], [[0.5, 0.2, 0.3]])
    >>> metric.result()
    1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "top_k_categorical_accuracy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.k = positive("k", k)
        super().__init__(top_k_categorical_accuracy, name, dtype, k=self.k)


class SparseTopKCategoricalAccuracy(_Named):
    """How often the true class is among the k most probable ones, for class numbers.

    from_sorted_ids: y_pred are class numbers, the most probable first.

    >>> metric = SparseTopKCategoricalAccuracy(k=2)
    >>> metric.update_state([2], [[0.5, 0.2, 0.3]])
    >>> metric.result()
    1.0
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: npt.DTypeLike | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        self.k = positive("k", k)
        self.from_sorted_ids = bool(from_sorted_ids)
        super().__init__(
            sparse_top_k_categorical_accuracy,
            name,
            dtype,
            k=self.k,
            from_sorted_ids=self.from_sorted_ids,
        )


class MeanSquaredError(_Named):
    """The mean of (y_true - y_pred)**2.

    >>> metric = MeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [1.0]])
    >>> metric.result()
    2.0
    """

    def __init__(
        self, name: str | None = "mean_squared_error", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(mean_squared_error, name, dtype)


class RootMeanSquaredError(Mean):
    """The root of the mean of (y_true - y_pred)**2; weights may be given for each element.

    >>> metric = RootMeanSquaredError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [3.0]])
    >>> metric.result()
    2.0
    """

    def __init__(
        self, name: str | None = "root_mean_squared_error", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(name, dtype)

    def update_state(  # type: ignore[override]
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> None:
        """Show a batch's labels and predictions."""
        truth, guess = _of_one_shape(self.name, y_true, y_pred)
        difference = truth.astype(np.float64) - guess
        super().update_state(np.square(difference), sample_weight)

    def result(self) -> float:
        """The root of the mean of all that was shown since the last reset."""
        return math.sqrt(super().result())


class MeanAbsoluteError(_Named):
    """The mean of |y_true - y_pred|.

    >>> metric = MeanAbsoluteError()
    >>> metric.update_state([[0.0], [1.0]], [[2.0], [1.0]])
    >>> metric.result()
    1.0
    """

    def __init__(
        self, name: str | None = "mean_absolute_error", dtype: npt.DTypeLike | None = None
    ) -> None:
        super().__init__(mean_absolute_error, name, dtype)


class BinaryCrossentropy(_Named):
    """The mean of `binary_crossentropy`.

    >>> metric = BinaryCrossentropy(from_logits=True)
    >>> round(metric([[1.0]], [[0.0]]), 6)
    0.693147
    """

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        self.from_logits = from_logits
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        super().__init__(
            binary_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=self.label_smoothing,
        )


class CategoricalCrossentropy(_Named):
    """The mean of `categorical_crossentropy`.

    >>> metric = CategoricalCrossentropy()
    >>> round(metric([[0.0, 1.0]], [[0.5, 0.5]]), 6)
    0.693147
    """

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        self.from_logits, self.axis = from_logits, axis
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        super().__init__(
            categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            label_smoothing=self.label_smoothing,
            axis=axis,
        )


class SparseCategoricalCrossentropy(_Named):
    """The mean of `sparse_categorical_crossentropy`.

    As in Keras, examples of `ignore_class` are among those that the mean is of, with a loss of 0,
    unless there are weights; then they are left out.

    >>> metric = SparseCategoricalCrossentropy()
    >>> round(metric([0], [[0.75, 0.25]]), 6)
    0.287682
    """

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        self.from_logits, self.ignore_class, self.axis = from_logits, ignore_class, axis
        super().__init__(
            sparse_categorical_crossentropy,
            name,
            dtype,
            from_logits=from_logits,
            ignore_class=ignore_class,
            axis=axis,
        )


_NAMES: dict[str, MetricFunction] = {
    **losses.FUNCTIONS,
    **public_functions(globals()),
    "acc": accuracy,
}
_CLASSES: dict[str, type[Metric]] = public_classes(globals(), Metric)
#: Also by their names in lower case, where no function has that.
_CLASSES |= {snake(name): kind for name, kind in _CLASSES.items() if snake(name) not in _NAMES}


#: What stands for a function whose name is given.
_OF_FUNCTIONS: dict[Any, Callable[..., Metric]] = {
    binary_accuracy: BinaryAccuracy,
    categorical_accuracy: CategoricalAccuracy,
    losses.mean_absolute_error: MeanAbsoluteError,
    losses.mean_squared_error: MeanSquaredError,
    sparse_categorical_accuracy: SparseCategoricalAccuracy,
    sparse_top_k_categorical_accuracy: SparseTopKCategoricalAccuracy,
    top_k_categorical_accuracy: TopKCategoricalAccuracy,
}


def get(identifier: Any) -> Metric:
    """The metric of that name, which becomes its key in the history; or of that function.

    A Metric is returned as it is; of a class, an object is made.

    >>> get("accuracy").name
    'accuracy'
    """
    if isinstance(identifier, Metric):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Metric):
        return identifier()
    if callable(identifier):
        return MeanMetricWrapper(identifier, losses.name_of(identifier))
    if not isinstance(identifier, str) or identifier in _CLASSES:
        metric = make("metric", _CLASSES, identifier)
        return metric if isinstance(metric, Metric) else get(metric)
    function = find("metric", _NAMES, identifier)
    if isinstance(function, type):
        return get(function)
    name = identifier.rpartition(">")[2]
    kind = _OF_FUNCTIONS.get(function)
    return kind(name=name) if kind is not None else MeanMetricWrapper(function, name)


def serialize(metric: Any) -> Any:
    """A metric as JSON can hold it: by class and configuration, a function by its name.

    >>> serialize(Mean("loss"))
    {'class_name': 'Mean', 'config': {'name': 'loss', 'dtype': 'float32'}}
    """
    return _serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Metric:
    """The metric of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it may be.

    >>> deserialize({"class_name": "TopKCategoricalAccuracy", "config": {"k": 2}}).k
    2
    """
    with custom_object_scope(custom_objects):
        return get(config)


def as_number(value: Any) -> Any:
    """A result as logs hold it: a float, if it is one number in whatever form; else as it is.

    >>> as_number(np.float32(0.5)), as_number(Tensor([2.0]))
    (0.5, 2.0)
    """
    try:
        return float(value.data.item() if isinstance(value, Tensor) else value)
    except (TypeError, ValueError):
        return value
