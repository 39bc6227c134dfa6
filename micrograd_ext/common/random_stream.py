"""The one random stream, behind initial weights and shuffling; see `utils.set_random_seed`."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

_generator = np.random.default_rng()


def generator() -> np.random.Generator:
    """Where random numbers come from."""
    return _generator


def seed(number: int) -> None:
    """Start the stream anew, at a place that `number` names."""
    global _generator  # noqa: PLW0603 - the stream is this module's whole purpose
    _generator = np.random.default_rng(number)


@contextmanager
def rewound() -> Iterator[None]:
    """What is drawn within will be drawn again: here, and from Python's and numpy's `random`."""
    global _generator  # noqa: PLW0603 - it may be another one afterwards
    ours, state = _generator, _generator.bit_generator.state
    python, numpys = random.getstate(), np.random.get_state()  # noqa: NPY002 - users draw from it
    try:
        yield
    finally:
        _generator = ours
        ours.bit_generator.state = state
        random.setstate(python)
        np.random.set_state(numpys)  # noqa: NPY002
