"""Activation functions by their Keras names; most of them are in `ops`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from . import ops
from .common.arguments import at_least_0, finite
from .common.serialization import custom_object_scope, find, named, public_functions
from .common.serialization import serialize as _serialize
from .ops import exp, leaky_relu, log_sigmoid, log_softmax, sigmoid, softmax, softplus, tanh
from .tensor import Array, Tensor, TensorLike, op

__all__ = [
    "deserialize",
    "exponential",
    "get",
    "leaky_relu",
    "linear",
    "log_sigmoid",
    "log_softmax",
    "relu",
    "serialize",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
]

Activation: TypeAlias = Callable[[Tensor], Tensor]

exponential = exp


def linear(x: Any) -> Any:
    """x itself: no activation.

    >>> linear(Tensor([-1.0])).data
    array([-1.], dtype=float32)
    """
    return x


def relu(
    x: TensorLike,
    negative_slope: float = 0.0,
    max_value: float | None = None,
    threshold: float = 0.0,
) -> Tensor:
    """max(x, 0), or something like it.

    Args:
        x: numbers of any shape.
        negative_slope: what x - threshold is multiplied with where x is at most the threshold.
        max_value: where x is larger, this comes out; None for no such limit.
        threshold: above it, x comes out.

    Derivatives at kinks are what Keras has on JAX: 0 at the threshold, but 1 at 0 if there is a
    slope and nothing else; at max_value 0.5, but 0 if that is 6 and the threshold 0.

    Raises ValueError for arguments that are no such numbers.

    >>> relu(Tensor([-2.0, 3.0, 9.0]), negative_slope=0.5, max_value=6, threshold=1).data
    array([-1.5,  3. ,  6. ], dtype=float32)
    """
    if negative_slope == 0 and max_value is None and threshold == 0:
        return ops.relu(x)
    slope, limit = finite("negative_slope", negative_slope), finite("threshold", threshold)
    top = np.inf if max_value is None else at_least_0("max_value", max_value)
    return _relu(x, slope, top, limit)


@op("relu")
def _relu(x: TensorLike, /, slope: float, top: float, limit: float) -> tuple[Any, ...]:
    above = ~(x <= limit)  # a nan goes on
    y = np.where(above, x, np.asarray(0, x.dtype))
    if top < np.inf:
        y = np.clip(y, 0, top)
    if slope:
        with np.errstate(invalid="ignore"):  # inf where another branch is taken
            y = np.where(above, y, y + slope * (x - limit))

    def dx(g: Array) -> Any:
        kept = above if top == np.inf else above & (x < top) & (x >= 0)
        factor = kept.astype(x.dtype)
        if top < np.inf and (top != 6 or limit):
            factor = np.where(above & ((x == top) | (x == 0)), 0.5 if top else 0.0, factor)
        if slope:
            factor = np.where(x < limit, slope, factor)
            if not limit and top == np.inf:
                factor = np.where(x == 0, 1.0, factor)
        return g * factor

    return y, dx


_NAMES: dict[str, Activation] = public_functions(globals())
named({"relu": ops.relu})


def get(identifier: Any) -> Activation:
    """The activation of that name; a function is returned as it is, None means `linear`.

    Raises ValueError for a name that is none.

    >>> get("relu") is relu
    True
    """
    if identifier is None:
        return linear
    if isinstance(identifier, Mapping):
        return deserialize(identifier)
    activation: Activation = (
        identifier if callable(identifier) else find("activation", _NAMES, identifier)
    )
    return activation


def serialize(activation: Activation) -> Any:
    """The name by which `deserialize` finds an activation.

    >>> serialize(relu)
    'relu'
    """
    return _serialize(activation)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Activation:
    """The activation of what `serialize` returned.

    custom_objects: name -> function of one's own that it may be.

    >>> deserialize("tanh") is tanh
    True
    """
    with custom_object_scope(custom_objects):
        return get(config)
