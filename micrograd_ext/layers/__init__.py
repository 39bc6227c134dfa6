"""Layers, named, ordered and initialised as in Keras. Images are channels-last: (N, H, W, C)."""

from collections.abc import Mapping
from typing import Any

from ..common.serialization import custom_object_scope, make, public_classes
from ..common.serialization import serialize as _serialize
from .base import Layer, Shape
from .convolution import (
    AveragePooling2D,
    AvgPool2D,
    Conv2D,
    GlobalAveragePooling2D,
    GlobalAvgPool2D,
    MaxPool2D,
    MaxPooling2D,
)
from .core import Activation, Dense, Flatten, LeakyReLU, ReLU, Rescaling, Reshape, Softmax
from .inputs import Input, InputLayer
from .regularization import BatchNormalization, Dropout

__all__ = [
    "Activation",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "Dropout",
    "Flatten",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Shape",
    "Softmax",
    "deserialize",
    "serialize",
]

_CLASSES = public_classes(globals(), Layer)


def add_class(kind: type[Layer]) -> None:
    """Let `deserialize` know one more class of this package: that of models."""
    _CLASSES[kind.__name__] = kind


def classes() -> Mapping[str, type[Layer]]:
    """The classes of this package, models among them, by their names."""
    return _CLASSES


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer's class and configuration, as JSON can hold them.

    >>> serialize(ReLU(name="bent"))["config"]["name"]
    'bent'
    """
    config: dict[str, Any] = _serialize(layer)
    return config


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Layer:
    """A new layer, of what `serialize` returned.

    custom_objects: name -> class or function of one's own that it needs.

    >>> deserialize({"class_name": "Dense", "config": {"units": 3, "name": "last"}})
    <Dense name=last, built=False>
    """
    with custom_object_scope(custom_objects):
        layer: Layer = make("layer", _CLASSES, config)
    if not isinstance(layer, Layer):
        raise TypeError(f"layer: expected the class of a layer, got {config!r}")
    return layer
