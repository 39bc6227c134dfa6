"""Where random numbers begin."""

from __future__ import annotations

import random

import numpy as np

from ..common import random_stream
from ..common.arguments import whole


def set_random_seed(seed: int) -> None:
    """Make what follows repeatable: initial weights, shuffling, and Python's and numpy's `random`.

    seed: a whole number from 0 to 2**32 - 1.

    >>> set_random_seed(812)
    """
    if whole("set_random_seed: seed", seed) >= 2**32:
        raise ValueError(f"set_random_seed: seed: expected a number below 2**32, got {seed}")
    seed = int(seed)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - what user code may draw from
    random_stream.seed(seed)
