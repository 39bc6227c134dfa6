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
def _recording(whether: bool) -> Iterator[None]:
    before = is_grad_enabled()
    try:
        _mode.recording = whether
        yield
    finally:
        _mode.recording = before


def enable_grad() -> contextlib._GeneratorContextManager[None]:
    """Remember within a `with` block, whatever is around it."""
    return _recording(True)


def no_grad() -> contextlib._GeneratorContextManager[None]:
    """Compute without remembering, in a `with` block or in a function that it decorates.

    Results have no inputs and need no gradient. Holds for the current thread only.

    >>> from micrograd_ext import Tensor
    >>> x = Tensor([1.0, 2.0])
    >>> with no_grad():
    ...     y = x * 2
    >>> y.inputs, y.requires_grad
    ((), False)
    """
    return _recording(False)
