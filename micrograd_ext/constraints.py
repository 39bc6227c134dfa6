"""What weights are held to after each step."""

from collections.abc import Callable
from typing import Any, TypeAlias

Constraint: TypeAlias = Callable[[Any], Any]


def get(identifier: Any) -> Any:
    """Stub."""
    return identifier


ConstraintLike = Constraint
