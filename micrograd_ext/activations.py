"""Activation functions by their Keras names; the functions themselves are in `ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from . import ops
from ._lookup import find, named
from .ops import exp, leaky_relu, log_softmax, sigmoid, softmax, tanh
from .tensor import Tensor

__all__ = ["get", "leaky_relu", "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]

Activation: TypeAlias = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x itself: no activation.

    >>> linear(Tensor([-1.0])).data
    array([-1.], dtype=float32)
    """
    return x


def relu(
    x: Tensor, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Tensor:
    """Stub."""
    if not (negative_slope or max_value is not None or threshold):
        return ops.relu(x)
    x = x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)
    y = ops.where(x.data > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else ops.minimum(y, max_value)


_NAMES: dict[str, Activation] = named(
    {
        "exponential": exp,
        "leaky_relu": leaky_relu,
        "linear": linear,
        "log_softmax": log_softmax,
        "relu": relu,
        "sigmoid": sigmoid,
        "softmax": softmax,
        "tanh": tanh,
    }
)


def get(identifier: str | Activation | None) -> Activation:
    """The activation of that name; a function is returned as it is, None means `linear`.

    Raises ValueError for a name that is none.

    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    return identifier if callable(identifier) else find("activation", _NAMES, identifier)
