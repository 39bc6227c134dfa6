"""Calls of layers: which is under way in a thread, and whether it is one of training."""

from __future__ import annotations

import inspect
import sys
import threading
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, Protocol, TypeVar

__all__ = ["Call", "call_under_way", "on_behalf_of", "training_place"]

T = TypeVar("T")

#: `now` is the call of a layer that is under way in this thread. An attribute, as no call stands
#: between what is set and set back, before which Ctrl-C may come.
_here = threading.local()


class Called(Protocol):
    """A layer, which keeps of which outermost call its last one was part."""

    last_entry: object


class Call(NamedTuple):
    """What calls of layers within a call share.

    training: whether it is one of training; None if nobody has said so.
    entry: stands for the outermost call; losses that layers add are of that one.
    """

    training: bool | None
    entry: object


def call_under_way() -> Call | None:
    """The call of a layer that is under way in this thread."""
    return getattr(_here, "now", None)


def on_behalf_of(layer: Called, training: bool | None, act: Callable[[], T]) -> T:
    """What `act` returns, which calls layers on behalf of this one, in training or not."""
    outer = call_under_way()
    call = Call(training, object() if outer is None else outer.entry)
    try:  # not a context manager: Ctrl-C may come where one is entered or left
        _here.now = call
        layer.last_entry = call.entry
        return act()
    finally:
        _here.now = outer


@cache
def training_place(call: Callable[..., Any]) -> int | None:
    """Which of a `call`'s arguments behind the inputs is named training; None if none is.

    An argument that is given by its name only has a place behind all others.
    """
    parameters = [*inspect.signature(call).parameters.values()]
    for place, parameter in enumerate(parameters[2:]):
        if parameter.name == "training":
            by_name = parameter.kind is parameter.KEYWORD_ONLY
            return sys.maxsize if by_name else place
    return None
