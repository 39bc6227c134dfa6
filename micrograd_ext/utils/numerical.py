"""Numbers of classes as one-hot labels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ..tensor import TensorLike


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
