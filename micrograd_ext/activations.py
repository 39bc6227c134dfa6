"""Activation functions by their Keras names; the functions themselves are in `ops`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from ._lookup import find, named
from .ops import exp, leaky_relu, log_softmax, relu, sigmoid, softmax, tanh
from .tensor import Tensor

__all__ = ["get", "leaky_relu", "linear", "log_softmax", "relu", "sigmoid", "softmax", "tanh"]

Activation: TypeAlias = Callable[[Tensor], Tensor]


def linear(x: Tensor) -> Tensor:
    """x itself: no activation.

    >>> linear(Tensor([-1.0])).data
    array([-1.], dtype=float32)
    """
    return x


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
