"""Layers that look at numbers one by one, or at all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import activations, initializers, ops
from ..tensor import Array, Tensor
from .base import Layer, Shape, count_of

__all__ = ["Activation", "Dense", "Flatten", "Rescaling"]


class KernelLayer(Layer):
    """What layers with a kernel share: the kernel, a bias for each output, an activation."""

    def __init__(
        self,
        activation: str | activations.Activation | None,
        use_bias: bool,
        kernel_initializer: str | initializers.Initializer,
        bias_initializer: str | initializers.Initializer,
        name: str | None,
        input_shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel: Tensor
        self.bias: Tensor | None = None

    def add_kernel(self, *shape: int) -> None:
        """Make the kernel, whose last axis is the outputs, and the bias."""
        self.kernel = self.add_weight(shape, self.kernel_initializer, "kernel")
        if self.use_bias:
            self.bias = self.add_weight(shape[-1:], self.bias_initializer, "bias")


class Dense(KernelLayer):
    """activation(inputs @ kernel + bias): every output sees every input.

    Inputs (..., D), kernel (D, units), bias (units,), outputs (..., units).

    Args:
        units: how many outputs.
        activation: name or function; None is linear.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or functions shape -> array.
        name, input_shape: see `Layer`.

    >>> layer = Dense(3, activation="relu")
    >>> layer(np.zeros((5, 4), np.float32)).shape, layer.kernel.shape, layer.bias.shape
    ((5, 3), (4, 3), (3,))
    """

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer, name, input_shape
        )
        self.units = count_of(self, "units", units)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.compute_output_shape(input_shape)
        self.add_kernel(int(input_shape[-1] or 0), self.units)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        self.compute_output_shape(inputs.shape)
        y = ops.matmul(inputs, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(..., units)."""
        if len(input_shape) < 2 or input_shape[-1] is None:
            raise ValueError(
                f"{self.name}: expected inputs of shape (batch, ..., size), got {input_shape}"
            )
        if self.built and input_shape[-1] != self.kernel.shape[0]:
            raise ValueError(
                f"{self.name}: expected inputs with {self.kernel.shape[0]} values on the last "
                f"axis, got shape {input_shape}"
            )
        return *input_shape[:-1], self.units


class Flatten(Layer):
    """Each example's numbers in one row: (N, ...) to (N, D).

    >>> Flatten().compute_output_shape((None, 5, 5, 64))
    (None, 1600)
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.reshape(inputs, (inputs.shape[0], math.prod(inputs.shape[1:])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, D)."""
        sizes = input_shape[1:]
        return input_shape[0], None if None in sizes else math.prod(map(int, sizes))  # type: ignore[arg-type]


class Activation(Layer):
    """An activation function as a layer of its own.

    >>> Activation("relu")(np.array([[-1.0, 2.0]], np.float32)).data
    array([[0., 2.]], dtype=float32)
    """

    def __init__(
        self,
        activation: str | activations.Activation,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return self.activation(inputs)


class Rescaling(Layer):
    """inputs * scale + offset, e.g. pixels of 0..255 to numbers of 0..1.

    As a model's first layer it costs nothing: batches are scaled as they are gathered, so images
    can be fed as the bytes they are.

    Args:
        scale, offset: numbers, or arrays that broadcast against the inputs.
        name, input_shape: see `Layer`.

    >>> Rescaling(1 / 128, -1)(np.array([[0, 64, 128]], np.uint8)).data
    array([[-1. , -0.5,  0. ]], dtype=float32)
    """

    def __init__(
        self,
        scale: float | Sequence[float] | Array,
        offset: float | Sequence[float] | Array = 0.0,
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.scale = _numbers(self, "scale", scale)
        self.offset = _numbers(self, "offset", offset)

    def build(self, input_shape: Shape) -> None:
        """Check that scale and offset fit; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        y: Tensor = inputs * self.scale + self.offset
        return y

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same, if scale and offset fit."""
        example = tuple(size or 1 for size in input_shape[1:])
        for argument in ("scale", "offset"):
            shape = np.shape(getattr(self, argument))
            aligned = zip(reversed(shape), reversed(example), strict=False)
            if len(shape) > len(example) or any(a not in (1, b) for a, b in aligned):
                raise ValueError(
                    f"{self.name}: {argument}: expected a shape that broadcasts to {example}, "
                    f"got {shape}"
                )
        return input_shape


def _numbers(layer: Layer, argument: str, value: Any) -> Any:
    """A float, or a float32 array."""
    array = np.asarray(value)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{layer.name}: {argument}: expected numbers, got {value!r}")
    return float(array) if array.ndim == 0 else array.astype(np.float32)
