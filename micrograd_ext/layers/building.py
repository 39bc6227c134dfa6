"""Building layers: once each, and no larger than a file has room for."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeAlias

import numpy as np

from ..common import naming, random_stream
from .nested import is_several_shapes, mapped, of_any_batch

__all__ = ["aside", "building_of_at_most", "built_once", "checked_shape", "most_numbers"]

_here = threading.local()  # `most`: see most_numbers; of this thread


def most_numbers() -> int:
    """How many numbers a weight may have that is made now."""
    most: int = getattr(_here, "most", sys.maxsize)
    return most


@contextmanager
def building_of_at_most(numbers: int) -> Iterator[None]:
    """Within it, weights are made whose numbers come from a file, which has room for so many.

    A file that asks for more is refused before there is an array of that size. Nothing is drawn
    from the random stream in the end.
    """
    before = most_numbers()
    try:
        _here.most = numbers
        with aside():
            yield
    finally:
        _here.most = before


@contextmanager
def aside() -> Iterator[None]:
    """What is drawn and named within is as if it had not been."""
    state = random_stream.generator().bit_generator.state
    try:
        with naming.aside():
            yield
    finally:
        random_stream.generator().bit_generator.state = state


Build: TypeAlias = Callable[..., None]


def built_once(build: Build) -> Build:
    """`build`, once for each layer, whoever calls it, after which the layer is built.

    Whatever a class overrides, its `build` becomes this. One that calls `super().build(...)`, or
    sets `built` itself, does no harm.
    """
    if hasattr(build, "once"):
        return build

    @wraps(build)
    def once(self: Any, *args: Any, **kwargs: Any) -> None:
        if self._building:
            build(self, *args, **kwargs)
            return
        shape = next(iter((*args, *kwargs.values())), None)
        if shape is not None:
            shape = checked_shape(self, shape)
        if self.built:
            self.check_rebuild(shape)
            return
        attributes = vars(self) | {"_weights": [*self._weights]}
        try:
            self._building = True
            build(self, *args, **kwargs)
        except BaseException:  # another try begins anew
            self.__dict__ = attributes
            raise
        finally:
            self._building = False
        self.built = True
        if shape is not None:
            self.input_shape = of_any_batch(shape)
            self.build_inner_layers(shape)

    once.once = True  # type: ignore[attr-defined]
    return once


def checked_shape(layer: Any, given: Any) -> Any:
    """A shape of inputs, as a tuple; or of several, in lists and dicts; ValueError if none."""
    if isinstance(given, tuple | list | Mapping) and is_several_shapes(given):
        return mapped(lambda each: checked_shape(layer, each), given)
    whole = isinstance(given, tuple | list) and all(
        size is None or (isinstance(size, int | np.integer) and not isinstance(size, bool))
        for size in given
    )
    if not whole or len(given) == 0:
        raise ValueError(
            f"{layer.name}: build: expected a shape such as (None, 784), got {given!r}"
        )
    return tuple(given)
