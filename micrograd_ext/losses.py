"""What training makes small."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from . import ops
from ._lookup import find
from .tensor import Array, Tensor, TensorLike

__all__ = ["CategoricalCrossentropy", "categorical_crossentropy", "get"]

#: Labels and predictions of a batch to one loss for each example.
Loss: TypeAlias = Callable[[TensorLike, Tensor], Tensor]

EPSILON = 1e-7  # probabilities are kept this far from 0 and 1, as in Keras


def categorical_crossentropy(
    y_true: TensorLike, y_pred: TensorLike, from_logits: bool = False
) -> Tensor:
    """-sum over classes of y_true log(y_pred), one number for each example.

    Args:
        y_true: (N, classes), one-hot or other probabilities.
        y_pred: (N, classes), probabilities, as softmax makes them; they are divided by their sum,
            and kept within 1e-7 of 0 and 1. What comes straight from `ops.softmax` is taken by
            its logits instead, so that its logarithm is exact.
        from_logits: y_pred are logits, what one would give to softmax.

    Returns:
        (N,).

    Raises:
        ValueError: the shapes disagree.

    >>> categorical_crossentropy([[0.0, 1.0]], Tensor([[0.5, 0.5]])).data
    array([0.6931472], dtype=float32)
    """
    y_pred = y_pred if isinstance(y_pred, Tensor) else Tensor(y_pred, requires_grad=False)
    labels = _one_hot(y_true, y_pred)
    if y_pred.logits is not None and not from_logits:
        y_pred, from_logits = y_pred.logits, True
    if from_logits:
        log_p = ops.log_softmax(y_pred)
    else:
        total = ops.sum(y_pred, axis=-1, keepdims=True)
        log_p = ops.log(ops.clip(y_pred / total, EPSILON, 1 - EPSILON))
    return -ops.sum(labels * log_p, axis=-1)


def _one_hot(y_true: TensorLike, y_pred: Tensor) -> Array:
    labels = np.asarray(y_true, y_pred.dtype)
    if labels.shape != y_pred.shape:
        raise ValueError(
            f"categorical_crossentropy: y_true: expected shape {y_pred.shape} (one-hot labels), "
            f"got {labels.shape}; utils.to_categorical makes one-hot labels of class numbers"
        )
    return labels


class CategoricalCrossentropy:
    """`categorical_crossentropy` as an object, for `compile(loss=...)`; the mean over a batch.

    >>> loss = CategoricalCrossentropy(from_logits=True)
    >>> round(loss([[1.0, 0.0]], Tensor([[3.0, 1.0]])).item(), 6)
    0.126928
    """

    def __init__(self, from_logits: bool = False, name: str = "categorical_crossentropy") -> None:
        self.from_logits = from_logits
        self.name = name

    def __call__(self, y_true: TensorLike, y_pred: Tensor) -> Tensor:
        """The mean loss of a batch."""
        return ops.mean(categorical_crossentropy(y_true, y_pred, self.from_logits))


_NAMES: dict[str, Loss] = {"categorical_crossentropy": categorical_crossentropy}


def get(identifier: str | Loss) -> Loss:
    """The loss of that name; a function (y_true, y_pred) -> losses is returned as it is.

    >>> get("categorical_crossentropy") is categorical_crossentropy
    True
    """
    return identifier if callable(identifier) else find("loss", _NAMES, identifier)
