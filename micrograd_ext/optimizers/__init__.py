"""How gradients become steps. Names, formulas and defaults are Keras 3's."""

from collections.abc import Mapping
from typing import Any

from ..common.serialization import custom_object_scope, make, public_classes
from ..common.serialization import serialize as _serialize
from . import schedules
from .adam import Adam, AdamW
from .adaptive import Adadelta, Adafactor, Adagrad, Adamax, Ftrl, Lion, Nadam
from .base import LearningRate, Optimizer
from .rmsprop import RMSprop
from .sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Ftrl",
    "LearningRate",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "deserialize",
    "get",
    "schedules",
    "serialize",
]

_NAMES = {name.lower(): kind for name, kind in public_classes(globals(), Optimizer).items()}


def serialize(optimizer: Optimizer) -> Any:
    """An optimizer as JSON can hold it.

    >>> serialize(SGD(0.5))["class_name"]
    'SGD'
    """
    return _serialize(optimizer)


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Optimizer:
    """A new optimizer, of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it is, or that its schedule is.

    >>> deserialize({"class_name": "SGD", "config": {"momentum": 0.5}}).momentum
    0.5
    """
    with custom_object_scope(custom_objects):
        return get(config)


def get(identifier: Any) -> Optimizer:
    """A new optimizer of that name or class with its defaults; an optimizer as it is.

    >>> get("adam").learning_rate.item()
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    made: Optimizer = make(
        "optimizer", _NAMES, identifier.lower() if isinstance(identifier, str) else identifier
    )
    return made
