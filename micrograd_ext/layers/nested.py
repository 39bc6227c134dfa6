"""Inputs and shapes of layers: one, or several in lists, tuples and dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ..tensor import Tensor

__all__ = ["has_several", "is_open", "is_several_shapes", "mapped", "of_any_batch", "shape_of"]


def mapped(function: Callable[[Any], Any], given: Any) -> Any:
    """The function of each of several things in a list, tuple or dict, in one like it."""
    if isinstance(given, Mapping):
        return {name: function(each) for name, each in given.items()}
    return type(given)(function(each) for each in given)


def of_any_batch(shape: Any) -> Any:
    """A shape of inputs, or several, with None for the batch.

    >>> of_any_batch([(5, 2), (5, 3)])
    [(None, 2), (None, 3)]
    """
    if is_several_shapes(shape):
        return mapped(of_any_batch, shape)
    return None, *shape[1:]


def has_several(inputs: Any) -> bool:
    """Whether what a layer is given are several arrays in a list, tuple or dict; else it is one."""
    if isinstance(inputs, Mapping):
        return True
    return isinstance(inputs, list | tuple) and any(
        isinstance(each, Tensor | np.ndarray) or has_several(each) for each in inputs
    )


def shape_of(inputs: Any) -> Any:
    """The shape of inputs, or of several."""
    return inputs.shape if isinstance(inputs, Tensor) else mapped(shape_of, inputs)


def is_several_shapes(shape: Any) -> bool:
    """Whether it is a list or dict of shapes, not one shape.

    >>> is_several_shapes([(5, 2), (5, 3)]), is_several_shapes((5, 2))
    (True, False)
    """
    if isinstance(shape, Mapping):
        return True
    return len(shape) > 0 and all(isinstance(each, tuple | list | Mapping) for each in shape)


def is_open(shape: Any) -> bool:
    """Whether some size but the batch's is not known."""
    if isinstance(shape, Mapping):
        return any(map(is_open, shape.values()))
    if is_several_shapes(shape):
        return any(map(is_open, shape))
    return None in shape[1:]
