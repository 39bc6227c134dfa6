"""The one random stream, behind initial weights and shuffling; see `utils.set_random_seed`."""

from __future__ import annotations

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """Where random numbers come from."""
    return _generator


def seed(number: int) -> None:
    """Start the stream anew, at a place that `number` names."""
    global _generator  # noqa: PLW0603 - the stream is this module's whole purpose
    _generator = np.random.default_rng(number)
