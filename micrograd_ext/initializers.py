"""How weights begin."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np

from . import _random
from ._lookup import find
from .tensor import Array

__all__ = ["GlorotUniform", "HeUniform", "Ones", "Zeros", "get"]

Initializer: TypeAlias = Callable[[Sequence[int]], Array]


class Zeros:
    """All 0: biases.

    >>> Zeros()((2,))
    array([0., 0.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int]) -> Array:
        """A float32 array of that shape."""
        return np.zeros(shape, np.float32)


class Ones:
    """All 1.

    >>> Ones()((2,))
    array([1., 1.], dtype=float32)
    """

    def __call__(self, shape: Sequence[int]) -> Array:
        """A float32 array of that shape."""
        return np.ones(shape, np.float32)


class _ScaledUniform:
    """Uniform in +-limit; a kernel's last axes are (inputs, outputs), others its window."""

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def limit(self, fan_in: float, fan_out: float) -> float:
        raise NotImplementedError

    def __call__(self, shape: Sequence[int]) -> Array:
        """A float32 array of that shape."""
        window = math.prod(shape[:-2])
        inputs = shape[-2] if len(shape) > 1 else shape[0] if shape else 1
        outputs = shape[-1] if shape else 1
        limit = self.limit(window * inputs, window * outputs)
        random = _random.generator() if self.seed is None else np.random.default_rng(self.seed)
        return random.uniform(-limit, limit, shape).astype(np.float32)


class GlorotUniform(_ScaledUniform):
    """Uniform in +-sqrt(6 / (fan_in + fan_out)); Glorot and Bengio 2010, eq. 16.

    seed: None draws from the stream that `utils.set_random_seed` starts.

    >>> w = GlorotUniform(seed=1)((3, 3, 8, 16))
    >>> w.shape, w.dtype, bool(abs(w).max() <= (6 / (9 * (8 + 16))) ** 0.5)
    ((3, 3, 8, 16), dtype('float32'), True)
    """

    def limit(self, fan_in: float, fan_out: float) -> float:
        """Half the interval's width."""
        return math.sqrt(6 / max(fan_in + fan_out, 1))


class HeUniform(_ScaledUniform):
    """Uniform in +-sqrt(6 / fan_in), for ReLU layers; He et al. 2015, eq. 10.

    >>> bool(abs(HeUniform(seed=1)((600, 10))).max() <= 0.1)
    True
    """

    def limit(self, fan_in: float, fan_out: float) -> float:
        """Half the interval's width."""
        return math.sqrt(6 / max(fan_in, 1))


_NAMES: dict[str, Callable[[], Initializer]] = {
    "glorot_uniform": GlorotUniform,
    "he_uniform": HeUniform,
    "ones": Ones,
    "zeros": Zeros,
}


def get(identifier: str | Initializer) -> Initializer:
    """The initializer of that name; a callable shape -> array is returned as it is.

    >>> get("zeros")((1,))
    array([0.], dtype=float32)
    """
    return identifier if callable(identifier) else find("initializer", _NAMES, identifier)()
