"""The networks that are trained, described once for all who build them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

CLASSES = 10


class Convolution(NamedTuple):
    """A convolution with bias and ReLU, then the largest of each 2 x 2."""

    filters: int
    size: int
    padding: str = "valid"


class Network(NamedTuple):
    """Convolutions, then dense layers with ReLU, then a dense layer with softmax."""

    name: str
    shape: tuple[int, ...]  # of an example
    convolutions: tuple[Convolution, ...]
    units: tuple[int, ...]  # of the dense layers; the last one's are the classes
    batch_size: int


LENET = Network(
    name="LeNet",
    shape=(28, 28, 1),
    convolutions=(Convolution(32, 3), Convolution(64, 3)),
    units=(128, CLASSES),
    batch_size=64,
)
LENET5 = Network(
    name="LeNet-5",
    shape=(28, 28, 1),
    convolutions=(Convolution(6, 5, padding="same"), Convolution(16, 5)),
    units=(120, 84, CLASSES),
    batch_size=64,
)
MLP = Network(
    name="MLP",
    shape=(28 * 28,),
    convolutions=(),
    units=(64, 64, CLASSES),
    batch_size=32,
)


def normalised(x: Any, network: Network) -> Any:
    """Images of bytes as what the network takes: float32 from 0 to 1."""
    return x.reshape(len(x), *network.shape).astype(np.float32) / 255
