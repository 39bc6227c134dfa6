"""Functions of numbers, a user's own among them, and their derivatives as chains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import graph
from .builder import NotLoweredError
from .elementwise import Chain, compile_chain
from .trace import Node, NotTracedError, vector_jacobian_product

__all__ = ["TracedFunction"]


class TracedFunction:
    """A function of Tensors that keeps the shape, traced.

    Attributes:
        name: of the function.
        forward: computes it.
        backward: computes what it sends back, of the gradient of the value and of another array.
        sends_by_value: whether that one is the value; else it is what the function was given.

    Raises NotLoweredError if it cannot be traced, or is not the same each time.
    """

    def __init__(self, function: Callable[..., Any], shape: Sequence[int], whose: str) -> None:
        self.name = getattr(function, "__name__", type(function).__name__)
        if self.name == "call":  # of a layer
            self.name = type(function.__self__).__name__.lower()  # type: ignore[attr-defined]
        try:
            chains = [_trace(function, (n, *shape[1:])) for n in (shape[0], shape[0] + 2)]
        except NotTracedError as error:
            raise NotLoweredError(f"{self.name} of {whose} {error}") from error
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            why = f"{self.name} of {whose} takes no array that is being traced: {error}"
            raise NotLoweredError(why) from error
        (self.forward, self.backward, self.sends_by_value), other = chains
        if not (self.forward.same(other[0]) and self.backward.same(other[1])):
            why = f"{self.name} of {whose} is not the same each time, or for each size of batch"
            raise NotLoweredError(why)


def _trace(function: Callable[..., Any], shape: Sequence[int]) -> tuple[Chain, Chain, bool]:
    x, dy = (Node("input", (), shape, np.float32) for _ in range(2))
    value, pullback = vector_jacobian_product(function, x)
    if value.shape != x.shape:
        raise NotTracedError(f"makes an array of shape {value.shape} of one of {x.shape}")
    dx = pullback(dy)
    if dx is None:
        raise NotTracedError("sends nothing back")
    by_value = x not in graph.topological_order(dx, leaves=[value])
    return (
        compile_chain(value, [x]),
        compile_chain(dx, [dy, value if by_value else x]),
        by_value,
    )
