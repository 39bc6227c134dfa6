"""Layers that look at numbers one by one, or at all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations, initializers, ops, regularizers
from .._lookup import at_least_0
from ..tensor import Array, Tensor
from .base import Layer, Options, SameShape, Shape, count_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Activation", "Dense", "Flatten", "LeakyReLU", "ReLU", "Rescaling", "Reshape", "Softmax"]


class KernelLayer(Layer):
    """What layers with a kernel share: the kernel, a bias for each output, an activation."""

    def __init__(
        self,
        activation: str | activations.Activation | None,
        use_bias: bool,
        kernel_initializer: str | initializers.Initializer,
        bias_initializer: str | initializers.Initializer,
        kernel_regularizer: str | regularizers.Regularizer | None,
        bias_regularizer: str | regularizers.Regularizer | None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel: Tensor
        self.bias: Tensor | None = None

    def add_kernel(self, *shape: int) -> None:
        """Make the kernel, whose last axis is the outputs, and the bias."""
        self.kernel = self.add_weight(
            shape, self.kernel_initializer, "kernel", regularizer=self.kernel_regularizer
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape[-1:], self.bias_initializer, "bias", regularizer=self.bias_regularizer
            )


class Dense(KernelLayer):
    """activation(inputs @ kernel + bias): every output sees every input.

    Inputs (..., D), kernel (D, units), bias (units,), outputs (..., units).

    Args:
        units: how many outputs.
        activation: name or function; None is linear.
        use_bias: whether there is a bias.
        kernel_initializer, bias_initializer: names or functions shape -> array.
        kernel_regularizer, bias_regularizer: names or functions weight -> penalty; None for none.
        name, input_shape, trainable: see `Layer`.

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
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            **options,
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


class Reshape(Layer):
    """Each example's numbers in another shape, in the same order.

    Args:
        target_shape: that of an example, without the batch; one size may be -1: what is left.
        name, input_shape, trainable: see `Layer`.

    >>> Reshape((2, -1)).compute_output_shape((None, 12))
    (None, 2, 6)
    """

    def __init__(self, target_shape: Sequence[int], **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if isinstance(target_shape, str) or not isinstance(target_shape, Sequence):
            raise ValueError(
                f"{self.name}: target_shape: expected sizes of an example, got {target_shape!r}"
            )
        open_sizes = [size for size in target_shape if size == -1]
        for size in target_shape:
            if size != -1:
                count_of(self, "target_shape", size)
        if len(open_sizes) > 1:
            raise ValueError(
                f"{self.name}: target_shape: expected at most one -1, got {target_shape!r}"
            )
        self.target_shape = tuple(int(size) for size in target_shape)

    def build(self, input_shape: Shape) -> None:
        """Check that the sizes go together; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        shape = self.compute_output_shape(inputs.shape)
        return ops.reshape(inputs, (inputs.shape[0], *(int(size or 0) for size in shape[1:])))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, *target_shape)."""
        known = math.prod(size for size in self.target_shape if size != -1)
        if None in input_shape[1:]:
            return input_shape[0], *(None if size == -1 else size for size in self.target_shape)
        total = math.prod(input_shape[1:])  # type: ignore[arg-type]
        rest, remainder = divmod(total, known)
        if remainder or (-1 not in self.target_shape and rest != 1):
            raise ValueError(
                f"{self.name}: target_shape: expected a shape of {total} numbers, as examples of "
                f"shape {input_shape[1:]} have, got {self.target_shape}"
            )
        return input_shape[0], *(rest if size == -1 else size for size in self.target_shape)


class Activation(SameShape):
    """An activation function as a layer of its own.

    >>> Activation("relu")(np.array([[-1.0, 2.0]], np.float32)).data
    array([[0., 2.]], dtype=float32)
    """

    def __init__(
        self, activation: str | activations.Activation, **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return self.activation(inputs)


class ReLU(SameShape):
    """max(x, 0), or what the arguments make of it.

    Args:
        max_value: what larger numbers become; None: they stay.
        negative_slope: the slope below the threshold.
        threshold: what x has to exceed to pass: x above it, negative_slope * (x - threshold) below.
        name, input_shape, trainable: see `Layer`.

    >>> ReLU(max_value=6)(np.array([[-1.0, 2.0, 9.0]], np.float32)).data
    array([[0., 2., 6.]], dtype=float32)
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.max_value = (
            None if max_value is None else at_least_0(f"{self.name}: max_value", max_value)
        )
        self.negative_slope = at_least_0(f"{self.name}: negative_slope", negative_slope)
        self.threshold = at_least_0(f"{self.name}: threshold", threshold)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        if self.threshold == 0 and self.negative_slope == 0:
            y = ops.relu(inputs)
        else:
            below = self.negative_slope * (inputs - self.threshold)
            y = ops.where(inputs.data > self.threshold, inputs, below)
        return y if self.max_value is None else ops.minimum(y, self.max_value)


class LeakyReLU(SameShape):
    """x where it is positive, else negative_slope * x.

    Args:
        negative_slope: the slope below 0, at least 0.
        name, input_shape, trainable: see `Layer`.

    >>> LeakyReLU()(np.array([[-1.0, 2.0]], np.float32)).data
    array([[-0.3,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        self.negative_slope = at_least_0(f"{self.name}: negative_slope", negative_slope)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.leaky_relu(inputs, negative_slope=self.negative_slope)


class Softmax(Layer):
    """e ** x over the sum of e ** x along an axis; see `ops.softmax`.

    Args:
        axis: along which the outputs add up to 1.
        name, input_shape, trainable: see `Layer`.

    >>> Softmax()(np.zeros((1, 4), np.float32)).data
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    """

    def __init__(self, axis: int = -1, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer) or axis == 0:
            raise ValueError(
                f"{self.name}: axis: expected the number of an axis behind the batch, got {axis!r}"
            )
        self.axis = int(axis)

    def build(self, input_shape: Shape) -> None:
        """Check that there is such an axis; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.softmax(inputs, axis=self.axis)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same, if there is such an axis."""
        if not -len(input_shape) < self.axis < len(input_shape):
            raise ValueError(
                f"{self.name}: axis: expected one of the axes behind the batch of inputs of shape "
                f"{input_shape}, got {self.axis}"
            )
        return input_shape


class Rescaling(Layer):
    """inputs * scale + offset, e.g. pixels of 0..255 to numbers of 0..1.

    As a model's first layer it costs nothing: batches are scaled as they are gathered, so images
    can be fed as the bytes they are.

    Args:
        scale, offset: numbers, or arrays that broadcast against the inputs.
        name, input_shape, trainable: see `Layer`.

    >>> Rescaling(1 / 128, -1)(np.array([[0, 64, 128]], np.uint8)).data
    array([[-1. , -0.5,  0. ]], dtype=float32)
    """

    def __init__(
        self,
        scale: float | Sequence[float] | Array,
        offset: float | Sequence[float] | Array = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
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
