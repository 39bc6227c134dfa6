"""Stands for the module `cython` where that is not installed and the engine runs interpreted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

compiled = False


def cclass(cls: T) -> T:
    """The class as it is."""
    return cls


no_gc = cclass


def freelist(size: int) -> Callable[[T], T]:
    """Decorate with nothing."""
    return cclass
