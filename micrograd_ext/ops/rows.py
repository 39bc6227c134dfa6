"""What rows of ops return, and numpy without its warnings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tensor import Array

Pullback = Callable[[Array], Array]


Result = tuple[Any, Pullback]


Result2 = tuple[Any, Pullback, Pullback]


def silently() -> np.errstate:
    """Without numpy's warnings: what is infinite or no number there has to be."""
    return np.errstate(divide="ignore", over="ignore", invalid="ignore")


def dense(x: Array, dtype: npt.DTypeLike | None = None) -> Array:
    """As the kernels want it: aligned and C-contiguous. No copy where it is so already."""
    if not isinstance(x, np.ndarray):  # it stands for an array: see tensor.as_array
        return x if dtype is None else x.astype(dtype, copy=False)
    return np.require(x, dtype, ["A", "C"])
