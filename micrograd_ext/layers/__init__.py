"""Layers, named, ordered and initialised as in Keras. Images are channels-last: (N, H, W, C)."""

from .base import Input, InputLayer, Layer
from .convolution import Conv2D, MaxPool2D, MaxPooling2D
from .core import Activation, Dense, Flatten, Rescaling

__all__ = [
    "Activation",
    "Conv2D",
    "Dense",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "MaxPool2D",
    "MaxPooling2D",
    "Rescaling",
]
