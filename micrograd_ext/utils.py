"""Small helpers around training."""

from __future__ import annotations

import random

import numpy as np
import numpy.typing as npt

from . import _random
from ._lookup import whole
from ._plot_model import plot_model
from .tensor import TensorLike

__all__ = ["plot_model", "set_random_seed", "to_categorical"]


def to_categorical(x: TensorLike, num_classes: int | None = None) -> npt.NDArray[np.float64]:
    """One-hot labels of class numbers.

    Args:
        x: whole numbers >= 0, of any shape; a last axis of size 1 is dropped, as in Keras.
        num_classes: how many classes there are; the largest number + 1 if None.

    Returns:
        float64 array of x's shape and one axis more, of size num_classes.

    Raises:
        ValueError: numbers that are not whole, below 0, or not below num_classes.

    >>> to_categorical([0, 2, 1])
    array([[1., 0., 0.],
           [0., 0., 1.],
           [0., 1., 0.]])
    """
    given = np.asarray(x)
    if given.dtype.kind not in "iubf":
        raise TypeError(f"to_categorical: x: expected class numbers, got {given.dtype}")
    if given.dtype.kind == "f" and not (np.isfinite(given) & (given == np.trunc(given))).all():
        raise ValueError("to_categorical: x: expected whole numbers, got others")
    labels = given.astype(np.int64)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels[..., 0]
    if num_classes is None:
        if labels.size == 0:
            raise ValueError("to_categorical: num_classes is needed for an empty x")
        num_classes = int(labels.max()) + 1
    if labels.size and (labels.min() < 0 or labels.max() >= num_classes):
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(
            f"to_categorical: x: expected class numbers from 0 to {num_classes - 1}, got {wrong}"
        )
    one_hot = np.zeros((*labels.shape, num_classes))
    np.put_along_axis(one_hot, labels[..., None], 1, axis=-1)
    return one_hot


def set_random_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, shuffling, and Python's and numpy's `random`.

    seed: a whole number from 0 to 2**32 - 1.

    >>> set_random_seed(812)
    """
    if whole("set_random_seed: seed", seed) >= 2**32:
        raise ValueError(f"set_random_seed: seed: expected a number below 2**32, got {seed}")
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what user code may draw from
    _random.seed(seed)
