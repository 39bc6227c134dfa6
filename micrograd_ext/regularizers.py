"""What is added to the loss for the sake of small weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from . import ops
from ._lookup import Configured, at_least_0, make
from .tensor import Tensor

__all__ = ["L1", "L1L2", "L2", "get"]

Regularizer: TypeAlias = Callable[[Tensor], Tensor]


class L1L2(Configured):
    """l1 * sum of |w| + l2 * sum of w**2.

    >>> L1L2(l1=0.5, l2=0.25)(Tensor([2.0, -2.0])).item()
    4.0
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = at_least_0("l1", l1), at_least_0("l2", l2)

    def __call__(self, x: Tensor) -> Tensor:
        """The penalty for a weight, one number."""
        x = x if isinstance(x, Tensor) else Tensor(x, requires_grad=False)
        penalty = Tensor(0.0, dtype=x.dtype, requires_grad=False)
        if self.l1:
            penalty = penalty + self.l1 * ops.sum(ops.absolute(x))
        if self.l2:
            penalty = penalty + self.l2 * ops.sum(ops.square(x))
        return penalty


class L1(L1L2):
    """l1 * sum of |w|: many weights become 0.

    >>> L1(0.5)(Tensor([2.0, -1.0])).item()
    1.5
    """

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """l2 * sum of w**2: large weights become smaller.

    >>> L2(0.5)(Tensor([2.0, -1.0])).item()
    2.5
    """

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


_NAMES = {"l1": L1, "l1_l2": L1L2, "l2": L2}


def get(identifier: Any) -> Regularizer | None:
    """The regularizer of that name; a callable weight -> penalty is returned as it is.

    >>> get("l2").l2
    0.01
    """
    if identifier is None or callable(identifier):
        found: Regularizer | None = identifier
        return found
    made: Regularizer = make("regularizer", _NAMES, identifier)
    return made
