"""Layers, named, ordered and initialised as in Keras. Images are channels-last: (N, H, W, C)."""

from .base import Input, InputLayer, Layer
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
    "Softmax",
]
