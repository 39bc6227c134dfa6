"""Whether operations on Tensors are recorded."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

_mode = threading.local()


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread; see `no_grad`."""
    return getattr(_mode, "recording", True)


@contextlib.contextmanager
def enable_grad() -> Iterator[None]:
    """Remember within a `with` block, whatever is around it."""
    before = is_grad_enabled()
    try:
        _mode.recording = True
        yield
    finally:
        _mode.recording = before


@contextlib.contextmanager
def no_grad() -> Iterator[None]:
    """Compute without remembering, in a `with` block or in a function that it decorates.

    Results have no inputs and need no gradient. Holds for the current thread only.

    >>> from micrograd_ext import Tensor
    >>> x = Tensor([1.0, 2.0])
    >>> with no_grad():
    ...     y = x * 2
    >>> y.inputs, y.requires_grad
    ((), False)
    """
    before = is_grad_enabled()
    try:
        _mode.recording = False
        yield
    finally:
        _mode.recording = before
