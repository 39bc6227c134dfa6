"""What is handed to a model: examples, labels and weights as arrays that fit it and each other."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from .. import losses
from ..common import random_stream
from ..tensor import Array, Tensor, TensorLike
from .compiled_model import CompiledModel

#: x, then y and weights if there are any; as many rows in each.
Examples: TypeAlias = tuple[Array, ...]

ROWS = 1024  # looked at together, so that nothing of the size of all of them is made
TOLERANCE = 1e-3  # of labels that are probabilities, in float32 at least


def examples_for(
    model: CompiledModel,
    caller: str,
    x: TensorLike,
    y: TensorLike | None = None,
    sample_weight: TensorLike | None = None,
    labelled: bool = True,
) -> Examples:
    """x, y and weights as arrays of equal length; x of the shape that the model takes.

    labelled: whether there have to be labels.

    Raises TypeError or ValueError, which name the caller's argument.
    """
    images = _array(caller, "x", x)
    if not model.takes(images.shape):
        raise ValueError(
            f"{caller}: x: expected shape {model.input_shape} (None: any number of examples), "
            f"got {images.shape}"
        )
    if not labelled:
        return (images,)
    if y is None:
        raise ValueError(f"{caller}: y: expected a label for each of the examples, got None")
    labels = _array(caller, "y", y)
    if len(images) != len(labels):
        raise ValueError(f"{caller}: x has {len(images)} examples, but y has {len(labels)}")
    if len(images) == 0:
        raise ValueError(f"{caller}: x: expected at least one example, got shape {images.shape}")
    if sample_weight is None:
        return images, labels
    weights = np.asarray(sample_weight)
    if weights.dtype.kind not in "fiub" or weights.shape[:1] != labels.shape[:1]:
        raise ValueError(
            f"{caller}: sample_weight: expected a number for each of the {len(labels)} examples, "
            f"got shape {weights.shape}, {weights.dtype}"
        )
    return images, labels, weights.astype(np.float32, copy=False)


def by_class(caller: str, examples: Examples, class_weight: Mapping[int, float] | None) -> Examples:
    """The examples, each counting as its class says, besides what its own weight says."""
    if class_weight is None:
        return examples
    images, labels, *given = examples
    weights = _weights_of_classes(caller, labels, class_weight)
    for own in given:
        weights = (weights.reshape(-1, *[1] * (own.ndim - 1)) * own).astype(np.float32)
    return images, labels, weights


def _array(caller: str, name: str, given: TensorLike) -> Array:
    try:
        array = np.asarray(given)
    except ValueError as error:  # rows of different lengths, for one
        raise ValueError(f"{caller}: {name}: expected an array of numbers: {error}") from error
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{caller}: {name}: expected numbers, got {array.dtype}")
    if array.ndim == 0:
        raise ValueError(f"{caller}: {name}: expected an array of examples, got a number")
    return array


def check_labels(caller: str, loss: Any, y: Array) -> None:
    """Raise ValueError if labels have no meaning for a cross entropy; others take any numbers."""
    categorical = loss is losses.categorical_crossentropy or (
        isinstance(loss, losses.CategoricalCrossentropy) and loss.axis in (-1, y.ndim - 1)
    )
    binary = loss is losses.binary_crossentropy or isinstance(loss, losses.BinaryCrossentropy)
    if not (categorical or binary):
        return
    for first in range(0, len(y), ROWS):
        rows = y[first : first + ROWS]
        good = (rows >= 0) & (rows <= 1)
        if categorical:
            good = good.all(axis=-1) & (abs(rows.sum(axis=-1, dtype=float) - 1) <= TOLERANCE)
        if not good.all():
            at = np.unravel_index(int(good.argmin()), good.shape)
            expected = (
                "one-hot labels, or probabilities that add up to 1"
                if categorical
                else "labels from 0 to 1"
            )
            raise ValueError(
                f"{caller}: y: expected {expected}, as {losses.name_of(loss)} needs them, "
                f"got {rows[at]} in example {first + at[0]}"
            )


def _weights_of_classes(caller: str, y: Array, class_weight: Mapping[int, float]) -> Array:
    """A weight for each example, of class numbers or one-hot labels."""
    if not isinstance(class_weight, Mapping):
        raise ValueError(
            f"{caller}: class_weight: expected a dict from class numbers to weights, "
            f"got {class_weight!r}"
        )
    classes = y
    if y.ndim > 1:
        classes = y[..., 0] if y.shape[-1] == 1 else y.argmax(-1)
    if classes.ndim != 1:
        raise ValueError(
            f"{caller}: class_weight: expected one class for each example, got y of shape {y.shape}"
        )
    # labels that are not whole count as the class that is nearest
    return np.array([class_weight.get(int(each), 1.0) for each in np.round(classes)], np.float32)


def not_finite(weights: Sequence[Tensor]) -> str | None:
    """The name of the first weight with numbers that are none, or infinite; None if there is none.

    >>> not_finite([Tensor([1.0], name="kernel"), Tensor([float("nan")], name="bias")])
    'bias'
    """
    return next((str(w.name) for w in weights if not np.isfinite(w.data).all()), None)


def why_nan(
    epoch: int, examples: Sequence[Array], learning_rate: float, weight: str | None = None
) -> str:
    """What to say of a loss that is no number.

    weight: the name of one that was not finite before training began.
    """
    if weight is not None:
        return (
            f"fit: the loss of epoch {epoch + 1} is nan: expected a number; the model's weight "
            f"{weight} was not finite before training began"
        )
    for name, array in zip(("x", "y", "sample_weight"), examples, strict=False):
        if array.dtype.kind == "f":
            for first in range(0, len(array), ROWS):
                rows = array[first : first + ROWS]
                good = np.isfinite(rows).reshape(len(rows), -1).all(axis=1)
                if not good.all():
                    at = first + int(good.argmin())
                    return f"fit: {name}: expected finite numbers, got others in example {at}"
    return (
        f"fit: the loss of epoch {epoch + 1} is nan: expected a number; examples and labels are "
        f"finite, so it may be steps that are too large: the learning rate is {learning_rate:g}"
    )


class Batch(NamedTuple):
    """Which examples make a batch: `size` of them, from the place `first` on.

    order: the examples in the order in which places are counted; None: as they lie.
    """

    first: int
    size: int
    order: Array | None = None

    def of(self, array: Array) -> Array:
        """Its part of an array with a row for each example."""
        part: Any = slice(self.first, self.first + self.size)
        if self.order is not None:
            part = self.order[part]
        rows: Array = array[part]
        return rows


def batches_of(count: int, size: int, most: int | None = None) -> list[Batch]:
    """All examples in batches as they lie; the last may be smaller. most: so many batches only."""
    firsts = range(0, count, size)[:most]
    return [Batch(first, min(size, count - first)) for first in firsts]


class EpochBatches:
    """Which examples make the batches of each epoch.

    steps: how many batches an epoch has; the next epoch goes on with those that are left. All there
    are if None.
    """

    def __init__(self, count: int, size: int, shuffle: bool, steps: int | None) -> None:
        self._batches, self._shuffle, self._fixed = batches_of(count, size), shuffle, steps
        self._count = count
        self._place = 0
        self._order: Array | None = None
        self.steps = len(self._batches) if steps is None else steps

    def of_an_epoch(self) -> Iterator[Batch]:
        """The batches of one more epoch."""
        if self._fixed is None:
            self._place = 0
        for _ in range(self.steps):
            if self._place == 0 and self._shuffle:
                self._order = random_stream.generator().permutation(self._count)
            elif self._place >= len(self._batches):
                warnings.warn(
                    f"fit: steps_per_epoch: there are {len(self._batches)} batches, fewer than the "
                    f"{self.steps} that make an epoch: it ends with them",
                    stacklevel=4,
                )
                break
            batch = self._batches[self._place]
            self._place += 1
            yield Batch(batch.first, batch.size, self._order)
        if self._place >= len(self._batches):
            self._place = 0


def split_validation(
    model: CompiledModel, examples: Examples, share: float, given: Sequence[TensorLike] | None
) -> tuple[Examples, Examples | None]:
    """What `fit` trains on, and what it evaluates, if anything."""
    if not 0 <= share < 1:
        raise ValueError(f"fit: validation_split: expected a share from 0 to 1, got {share!r}")
    if given is not None:
        if not isinstance(given, tuple | list) or len(given) not in (2, 3):
            raise ValueError(
                "fit: validation_data: expected a pair (x, y) or (x, y, sample_weight)"
            )
        checks = examples_for(model, "fit: validation_data", *given)
        for name, trained, tested in zip("xy", examples, checks, strict=False):
            if trained.shape[1:] != tested.shape[1:]:
                raise ValueError(
                    f"fit: validation_data: {name}: expected examples like those of shape "
                    f"{trained.shape}, got {tested.shape}"
                )
        return examples, checks
    if not share:
        return examples, None
    rest = math.floor(len(examples[0]) * (1 - share))
    if rest == 0:
        raise ValueError(
            f"fit: validation_split: {share} of {len(examples[0])} examples leaves none to train on"
        )
    return tuple(array[:rest] for array in examples), tuple(array[rest:] for array in examples)
