"""How the OpenMP runtime lets its threads wait for work; it asks once, when it is loaded."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

#: Let waiting threads sleep soon. By default they spin for milliseconds, and on a machine with
#: anything else to do, each of a training step's parallel loops then waits for a time slice.
PATIENCE = {"GOMP_SPINCOUNT": "5000", "KMP_BLOCKTIME": "0"}
CHOICES = {*PATIENCE, "OMP_WAIT_POLICY"}  # what a user may have said about it


@contextlib.contextmanager
def patience() -> Iterator[None]:
    """Import the kernels inside this: their runtime's threads wait asleep, unless the user chose.

    The environment is as before afterwards, for other libraries that bring a runtime.
    """
    ours = {} if CHOICES & os.environ.keys() else PATIENCE
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            del os.environ[name]
