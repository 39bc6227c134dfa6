"""What training makes small. Names, arguments and formulas are Keras's."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from . import ops
from .common.arguments import at_least_0, axis_of, float32_only
from .common.naming import name_for
from .common.serialization import (
    Configured,
    config_of,
    custom_object_scope,
    find,
    make,
    public_classes,
    public_functions,
)
from .common.serialization import serialize as _serialize
from .ops.losses import EPSILON
from .tensor import Array, Tensor, TensorLike, op

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "LossFunctionWrapper",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "deserialize",
    "get",
    "mean_absolute_error",
    "mean_squared_error",
    "serialize",
    "sparse_categorical_crossentropy",
]

#: Labels and predictions of a batch to one loss for each example.
LossFunction: TypeAlias = Callable[[TensorLike, Tensor], Tensor]

REDUCTIONS = ("sum_over_batch_size", "mean", "mean_with_sample_weight", "sum", "none", None)


class Counted(Tensor):
    """Losses of which some do not count: they are 0, and not among those that a mean is of.

    Attributes:
        counts: bool, of their shape.
    """

    __slots__ = ("counts",)
    counts: Array


def _counted(each: Tensor, counts: Array) -> Counted:
    """The same node of the graph, which knows what of it counts."""
    counted = Counted.__new__(Counted)
    for name in Tensor.__slots__:
        if name != "__weakref__":
            setattr(counted, name, getattr(each, name))
    counted.counts = counts
    return counted


def predictions(y_pred: TensorLike) -> Tensor:
    """Predictions as a Tensor of floats: float32, unless they are a Tensor of float64."""
    if isinstance(y_pred, Tensor):
        return y_pred if y_pred.dtype.kind == "f" else ops.cast(y_pred, np.float32)
    return Tensor(y_pred, requires_grad=False, dtype=np.float32)


def labels_like(y: Tensor, y_true: TensorLike) -> Array:
    """Labels as an array of the predictions' type; TypeError for what are no numbers."""
    return _numbers("y_true", y_true).astype(y.dtype, copy=False)


def _numbers(what: str, given: TensorLike) -> Array:
    """An array of numbers; TypeError or ValueError for anything else."""
    try:
        array = given.data if isinstance(given, Tensor) else np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise ValueError(f"{what}: expected an array of numbers: {error}") from None
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what}: expected numbers, got {given!r} of type {array.dtype}")
    return array


def same_rank(a: Any, b: Any) -> tuple[Any, Any]:
    """Two arrays or Tensors, of which one may have an axis of size 1 at the end that is missing.

    It is put in where the other has but one axis, else left out, as in Keras.

    >>> [x.shape for x in same_rank(np.ones((3, 1)), np.ones(3))]
    [(3, 1), (3, 1)]
    >>> [x.shape for x in same_rank(np.ones((3, 2)), np.ones((3, 2, 1)))]
    [(3, 2), (3, 2)]
    """
    if a.ndim == b.ndim + 1 and a.shape[-1] == 1:
        return (a, b[..., None]) if b.ndim == 1 else (a[..., 0], b)
    if b.ndim == a.ndim + 1 and b.shape[-1] == 1:
        return (a[..., None], b) if a.ndim == 1 else (a, b[..., 0])
    return a, b


def _pair(caller: str, y_true: TensorLike, y_pred: TensorLike) -> tuple[Array, Tensor]:
    """Labels and predictions of one shape: an axis of size 1 at the end may be missing in one."""
    y = predictions(y_pred)
    labels, y = same_rank(labels_like(y, y_true), y)
    if labels.shape != y.shape:
        raise ValueError(
            f"{caller}: y_true: expected the shape of y_pred {y.shape}, got {labels.shape}"
        )
    if y.ndim == 0:
        raise ValueError(f"{caller}: y_pred: expected an axis to take the mean over, got a number")
    return labels, y


def _smoothed(labels: Array, label_smoothing: float, classes: int) -> Array:
    share = at_least_0("label_smoothing", label_smoothing, 1)
    return labels * (1 - share) + share / classes if share else labels


def _axis_of_classes(caller: str, y_pred: Tensor, axis: int) -> int:
    if y_pred.ndim == 0:
        raise ValueError(f"{caller}: y_pred: expected an axis of classes, got a number")
    _whole_axis(axis)
    return axis_of(y_pred.shape, axis)


def _whole_axis(axis: Any) -> None:
    if isinstance(axis, bool | np.bool):
        raise ValueError(f"axis: expected a whole number, got {axis!r}")


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
        from_logits: y_pred are logits, what one would give to sigmoid; then the loss is exact for
            any number, and so is its gradient.
        label_smoothing: labels become t (1 - label_smoothing) + label_smoothing / 2.
        axis: over which the mean is taken.

    Returns:
        (N, ...).

    Raises:
        ValueError: the shapes disagree.

    >>> binary_crossentropy([[1.0]], Tensor([[0.5]])).data
    array([0.6931472], dtype=float32)
    """
    _whole_axis(axis)
    labels, y = _pair("binary_crossentropy", y_true, y_pred)
    labels = _smoothed(labels, label_smoothing, 2)
    return ops.mean(ops.binary_crossentropy(labels, y, from_logits=from_logits), axis=axis)


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
    caller, y = "categorical_crossentropy", predictions(y_pred)
    labels = _one_hot(y_true, y)
    axis = _axis_of_classes(caller, y, axis)
    if y.shape[axis] == 1:
        warnings.warn(
            f"{caller}: expected y_pred.shape to be (batch_size, num_classes) with more than one "
            f"class, got {y.shape}; of one number for two classes there is binary_crossentropy",
            SyntaxWarning,
            stacklevel=2,
        )
    labels = _smoothed(labels, label_smoothing, y.shape[axis])
    return -ops.sum(_shares(labels, _log_probabilities(y, from_logits, axis)), axis=axis)


@op("*")
def _shares(labels: TensorLike, logs: TensorLike, /) -> tuple[Any, ...]:
    """labels * logs; a class that cannot be, of logarithm -inf, gives 0 where its label is 0."""
    with np.errstate(invalid="ignore"):
        y = np.where((labels == 0) & (logs == -np.inf), 0, labels * logs)
    return y, lambda g: g * logs, lambda g: g * labels


def _log_probabilities(
    y_pred: Tensor, from_logits: bool, axis: int, counts: Array | None = None
) -> Tensor:
    """Logarithms of the probabilities of classes; where nothing counts, of no matter what."""
    if y_pred.logits is not None and not from_logits and axis == y_pred.ndim - 1:
        y_pred, from_logits = y_pred.logits, True
    if counts is not None:  # else a nan there would go into the gradient
        y_pred = ops.where(np.expand_dims(counts, axis), y_pred, 1.0)
    if from_logits:
        return ops.log_softmax(y_pred, axis=axis)
    with np.errstate(invalid="ignore", divide="ignore"):  # of all zeros, nan
        shares = y_pred / ops.sum(y_pred, axis=axis, keepdims=True)
    return ops.log(ops.clip(shares, EPSILON, 1 - EPSILON))


def _one_hot(y_true: TensorLike, y_pred: Tensor) -> Array:
    labels = labels_like(y_pred, y_true)
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
        y_true: (N,) or (N, 1), class numbers; 1 stands where `axis` has the classes.
        y_pred: (N, classes), probabilities, treated as in `categorical_crossentropy`.
        from_logits: y_pred are logits, what one would give to softmax.
        ignore_class: a label, be it a class or not, whose examples have loss 0 and do not count:
            a mean is that of the others.
        axis: that of the classes.

    Returns:
        (N,).

    Raises:
        ValueError: the shapes disagree, or a label is none of the classes.

    >>> sparse_categorical_crossentropy([1], Tensor([[0.75, 0.25]])).data.round(4)
    array([1.3863], dtype=float32)
    """
    caller, y = "sparse_categorical_crossentropy", predictions(y_pred)
    axis = _axis_of_classes(caller, y, axis)
    classes = y.shape[axis]
    labels, counts = _class_numbers(caller, y_true, y.shape, axis, ignore_class)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(
            f"{caller}: y_true: expected class numbers from 0 to {classes - 1}, got {wrong}"
        )
    one_hot = np.zeros(y.shape, y.dtype)
    np.put_along_axis(one_hot, np.expand_dims(labels, axis), 1, axis=axis)
    each = -ops.sum(_shares(one_hot, _log_probabilities(y, from_logits, axis, counts)), axis=axis)
    return each if counts is None else _counted(ops.where(counts, each, 0.0), counts)


def _class_numbers(
    caller: str, y_true: TensorLike, shape: tuple[int, ...], axis: int, ignore_class: Any
) -> tuple[Array, Array | None]:
    """Class numbers, and which of them count if not all do; what does not count is class 0."""
    given = _numbers(f"{caller}: y_true", y_true)
    expected = shape[:axis] + shape[axis + 1 :]
    if given.ndim == len(shape) and given.shape[axis] == 1:
        given = given.squeeze(axis)
    if given.shape != expected:
        raise ValueError(
            f"{caller}: y_true: expected class numbers of shape {expected}, got shape "
            f"{given.shape}; for one-hot labels there is categorical_crossentropy"
        )
    counts = None
    if ignore_class is not None:
        counts = np.asarray(given != _class_number("ignore_class", ignore_class))
        given = np.where(counts, given, np.zeros_like(given))
    if given.dtype.kind == "f" and not (np.isfinite(given) & (given == np.trunc(given))).all():
        raise ValueError(f"{caller}: y_true: expected whole class numbers, got others")
    return given.astype(np.int64), counts


def _class_number(what: str, value: Any) -> int:
    try:
        return operator.index(int(value) if value == int(value) else value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{what}: expected a whole number or None, got {value!r}") from None


class Loss(Configured):
    """A loss as an object, for `compile(loss=...)`: subclass it and write `call`.

    Args:
        name: what it is called; the class's name, as 'my_loss' or 'my_loss_1', by default.
        reduction: what becomes of the examples' losses: 'sum_over_batch_size' or 'mean'; 'sum';
            'none' or None; or 'mean_with_sample_weight': divided by the sum of the weights.
        dtype: None or 'float32', in which this package computes.

    >>> class Cubes(Loss):
    ...     def call(self, y_true, y_pred):
    ...         return ops.mean(ops.absolute(y_true - y_pred) ** 3, axis=-1)
    >>> Cubes()(np.array([[0.0]]), Tensor([[2.0]])).item()
    8.0
    """

    def __init__(
        self,
        name: str | None = None,
        reduction: str | None = "sum_over_batch_size",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        if not any(reduction is known or reduction == known for known in REDUCTIONS):
            raise ValueError(
                f"reduction: expected one of {', '.join(map(str, REDUCTIONS))}, got {reduction!r}"
            )
        self.name = name or name_for(self)
        self.reduction = reduction
        self._dtype = float32_only("dtype", dtype)

    @property
    def dtype(self) -> str:
        """What it computes in."""
        return self._dtype

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it, but for its dtype, as in Keras."""
        return config_of(self, without={"dtype"})

    def __call__(
        self, y_true: TensorLike, y_pred: TensorLike, sample_weight: TensorLike | None = None
    ) -> Tensor:
        """The loss of a batch, each example's by its weight.

        y_true and y_pred reach `call` as an array and a Tensor of float32; a Tensor of float64
        stays one. sample_weight: a number, or an array that is broadcast to the shape of the
        losses.
        """
        y = predictions(y_pred)
        return reduced(self.call(labels_like(y, y_true), y), sample_weight, self.reduction)

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        raise NotImplementedError(f"{type(self).__name__}.call")


def reduced(
    each: Tensor, sample_weight: TensorLike | None, reduction: str | None = "sum_over_batch_size"
) -> Tensor:
    """What becomes of the examples' losses; see `Loss`. Of no weight at all, 0."""
    counts, weights = getattr(each, "counts", None), None
    if sample_weight is not None:
        each, weights = weights_for(each, sample_weight)
    if counts is not None:
        counted = counts.reshape(each.shape).astype(each.dtype)
        weights = counted if weights is None else weights * counted
    if weights is not None:
        each = each * weights
    if reduction in (None, "none") or each.ndim == 0:
        return each
    total = ops.sum(each)
    if reduction == "sum":
        return total
    divisor = float(each.size)
    if reduction == "mean_with_sample_weight" and weights is not None:
        divisor = float(weights.sum(dtype=np.float64))
    elif counts is not None:
        divisor *= float(counts.sum()) / max(counts.size, 1)
    return total / divisor if divisor else ops.where(False, total, 0.0)


def weights_for(each: Any, sample_weight: TensorLike) -> tuple[Any, Array]:
    """Losses, and weights that are broadcast to their shape; ValueError for others.

    Of two that differ in an axis of size 1 at the end, one gets it or loses it: see `same_rank`.
    """
    given = _numbers("sample_weight", sample_weight)
    values, weights = same_rank(each, given.astype(each.dtype, copy=False))
    if values.ndim and not _is_broadcast(weights.shape, values.shape):
        raise ValueError(
            "sample_weight: expected a number, or what is broadcast to the shape of the losses "
            f"{each.shape}, got shape {given.shape}"
        )
    return values, weights


def _is_broadcast(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether arrays of that shape are broadcast to the other."""
    pairs = zip(reversed(shape), reversed(to), strict=False)
    return len(shape) <= len(to) and all(size in (1, whole) for size, whole in pairs)


def of_batch(loss: LossFunction, y: Array, y_pred: Tensor, weights: Array | None) -> Tensor:
    """A batch's losses, reduced as the Loss says.

    weights: one for each example; or of more axes, which broadcast against the losses.
    """
    how: str | None = "none"
    if not isinstance(loss, Loss):
        each = loss(y, y_pred)
        if isinstance(each, Counted):
            how = "sum_over_batch_size"
    elif type(loss).__call__ is Loss.__call__:
        each, how = loss.call(labels_like(y_pred, y), y_pred), loss.reduction
    else:
        return loss(y, y_pred, sample_weight=weights)
    if weights is not None:
        weights = weights.reshape(*weights.shape, *[1] * (each.ndim - weights.ndim))
    return reduced(each, weights, how)


class LossFunctionWrapper(Loss):
    """A function of labels and predictions as a Loss.

    Args:
        fn: (y_true, y_pred, **kwargs) -> losses.
        reduction, name, dtype: see `Loss`.
        kwargs: what else fn is given.

    >>> LossFunctionWrapper(binary_crossentropy, from_logits=True)([[1.0]], [[0.0]]).item()
    0.6931471824645996
    """

    def __init__(
        self,
        fn: Callable[..., Tensor],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: npt.DTypeLike | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, reduction, dtype)
        if not callable(fn):
            raise TypeError(f"fn: expected a function of labels and predictions, got {fn!r}")
        self.fn, self._fn_kwargs = fn, kwargs

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return self.fn(*same_rank(y_true, y_pred), **self._fn_kwargs)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it."""
        return {**super().get_config(), **_serialize(self._fn_kwargs)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another one, of what `get_config` returned."""
        if isinstance(config.get("fn"), str):
            config = {**config, "fn": find("fn", FUNCTIONS, config["fn"])}
        return cls(**config)


class MeanSquaredError(LossFunctionWrapper):
    """`mean_squared_error` as an object.

    >>> MeanSquaredError()([[1.0, 2.0]], Tensor([[1.0, 4.0]])).item()
    2.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_squared_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(LossFunctionWrapper):
    """`mean_absolute_error` as an object.

    >>> MeanAbsoluteError()([[1.0, 2.0]], Tensor([[1.0, 4.0]])).item()
    1.0
    """

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str | None = "mean_absolute_error",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class BinaryCrossentropy(LossFunctionWrapper):
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
        name: str | None = "binary_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(binary_crossentropy, reduction, name, dtype)
        _whole_axis(axis)
        self.from_logits = from_logits
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        y_true, y_pred = same_rank(y_true, y_pred)
        return binary_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class CategoricalCrossentropy(LossFunctionWrapper):
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
        name: str | None = "categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(categorical_crossentropy, reduction, name, dtype)
        _whole_axis(axis)
        self.from_logits = from_logits
        self.label_smoothing = at_least_0("label_smoothing", label_smoothing, 1)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        y_true, y_pred = same_rank(y_true, y_pred)
        return categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.label_smoothing, self.axis
        )


class SparseCategoricalCrossentropy(LossFunctionWrapper):
    """`sparse_categorical_crossentropy` as an object.

    >>> round(SparseCategoricalCrossentropy()([0], Tensor([[0.75, 0.25]])).item(), 6)
    0.287682
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype)
        _whole_axis(axis)
        if ignore_class is not None:
            _class_number("ignore_class", ignore_class)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
        """One loss for each example."""
        return sparse_categorical_crossentropy(
            y_true, y_pred, self.from_logits, self.ignore_class, self.axis
        )


FUNCTIONS: dict[str, Callable[..., Tensor]] = public_functions(globals()) | {
    "BCE": binary_crossentropy,
    "MAE": mean_absolute_error,
    "MSE": mean_squared_error,
    "bce": binary_crossentropy,
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
}
CLASSES = public_classes(globals(), Loss)


def get(identifier: Any) -> Any:
    """The loss of that name, or of what `serialize` returned; None of None.

    A function (y_true, y_pred) -> losses is returned as it is; of a class, an object is made.
    Raises ValueError for a name that is none.

    >>> get("categorical_crossentropy") is categorical_crossentropy
    True
    """
    if identifier is None or (callable(identifier) and not isinstance(identifier, type)):
        return identifier
    if isinstance(identifier, type):
        return identifier()
    if not isinstance(identifier, str) or identifier in CLASSES:
        return make("loss", CLASSES, identifier)
    return get(find("loss", FUNCTIONS, identifier))


def serialize(loss: LossFunction) -> Any:
    """A loss as JSON can hold it: an object by class and configuration, a function by its name.

    >>> serialize(mean_squared_error)
    'mean_squared_error'
    """
    return _serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """The loss of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it may be.

    >>> deserialize({"class_name": "MeanSquaredError", "config": {"reduction": "sum"}}).reduction
    'sum'
    """
    with custom_object_scope(custom_objects):
        return get(name)


def name_of(loss: LossFunction) -> str:
    """What a loss is called.

    >>> name_of(MeanSquaredError())
    'mean_squared_error'
    """
    named: Any = loss
    return str(getattr(named, "name", None) or getattr(named, "__name__", named.__class__.__name__))
