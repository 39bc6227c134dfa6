"""The networks in this package."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from micrograd_ext import layers, models
from micrograd_ext.utils import to_categorical

from ._models import CLASSES, Network


def build(network: Network, of_bytes: bool = False) -> models.Sequential:
    """The network, compiled to train with Adam; of_bytes: on images that are not scaled yet."""
    model = models.Sequential([layers.Input(shape=network.shape)])
    if of_bytes:
        model.add(layers.Rescaling(1 / 255))
    for filters, size, padding in network.convolutions:
        model.add(layers.Conv2D(filters, size, padding=padding, activation="relu"))
        model.add(layers.MaxPooling2D(2))
    if network.convolutions:
        model.add(layers.Flatten())
    *hidden, last = network.units
    for units in hidden:
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(last, activation="softmax"))
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def train(network: Network, x: Any, y: Any, batch_size: int) -> Callable[[], object]:
    """An epoch on images x (N, ...) with labels y (N,)."""
    model, labels = build(network, x.dtype == np.uint8), to_categorical(y, CLASSES)
    return lambda: model.fit(x, labels, batch_size=batch_size, verbose=0)
