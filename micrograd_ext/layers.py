"""Layers, named, ordered and initialised as in Keras. Images are channels-last: (N, H, W, C)."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from . import activations, initializers, ops
from ._lookup import positive
from .tensor import Array, Tensor, TensorLike

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

#: Sizes of the axes; None where any size will do, as for the batch.
Shape: TypeAlias = tuple[int | None, ...]

_names: Counter[str] = Counter()


def unique_name(kind: str) -> str:
    """Kind, kind_1, kind_2, ... in the order of creation."""
    count = _names[kind]
    _names[kind] += 1
    return f"{kind}_{count}" if count else kind


class Layer:
    """A function of one Tensor, with weights.

    Write your own by subclassing: `build` makes the weights once the input's shape is known,
    `call` computes, `compute_output_shape` says what comes out.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> Scale()(np.array([[1.0, 2.0]], np.float32)).data
    array([[1., 2.]], dtype=float32)

    Args:
        name: 'dense', 'dense_1', ... by default.
        input_shape: shape of one example, without the batch; lets a model be built at once.
    """

    def __init__(
        self, *, name: str | None = None, input_shape: Sequence[int] | None = None
    ) -> None:
        self.name = name or unique_name(_snake(type(self).__name__))
        self.input_shape: Shape | None = None if input_shape is None else (None, *input_shape)
        self.weights: list[Tensor] = []
        self.built = False

    def __call__(self, inputs: TensorLike) -> Tensor:
        """Apply the layer to a batch, building it first if this is its first one."""
        x = inputs if isinstance(inputs, Tensor) else Tensor(inputs, requires_grad=False)
        self.ensure_built(x.shape)
        return self.call(x)

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for inputs of that shape, once."""
        if not self.built:
            self.build(input_shape)
            self.input_shape = (None, *input_shape[1:])
            self.built = True

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of that shape, whose first axis is the batch."""

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.call")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out for inputs of `input_shape`; the same by default."""
        return input_shape

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: str | initializers.Initializer = "glorot_uniform",
        name: str | None = None,
    ) -> Tensor:
        """Make a weight that training will adjust; call this in `build`."""
        data = np.array(initializers.get(initializer)(tuple(shape)), np.float32)
        if data.shape != tuple(shape):
            raise ValueError(
                f"{self.name}: initializer: expected it to return shape {tuple(shape)}, "
                f"got {data.shape}"
            )
        weight = Tensor(data, name=f"{self.name}/{name or len(self.weights)}")
        self.weights.append(weight)
        return weight

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training adjusts: all of them."""
        return self.weights

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, kernel first."""
        return [weight.data.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Copy the arrays into the weights; ValueError if number or shapes disagree."""
        assign(self.name, self.weights, weights)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def assign(owner: str, weights: Sequence[Tensor], arrays: Sequence[Array]) -> None:
    """Copy arrays into weights, all or, with a ValueError, none."""
    if len(arrays) != len(weights):
        raise ValueError(f"{owner}: set_weights: expected {len(weights)} arrays, got {len(arrays)}")
    for weight, array in zip(weights, arrays, strict=True):
        if weight.shape != np.shape(array):
            raise ValueError(
                f"{weight.name}: set_weights: expected shape {weight.shape}, got {np.shape(array)}"
            )
    for weight, array in zip(weights, arrays, strict=True):
        weight.data[...] = array


def _snake(name: str) -> str:
    """MaxPooling2D -> max_pooling2d, RMSNorm -> rms_norm, as Keras names its layers."""
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def _count(layer: Layer, argument: str, value: Any) -> int:
    return positive(f"{layer.name}: {argument}", value)


def _pair(layer: Layer, argument: str, value: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one number for both, or two."""
    if isinstance(value, Sequence) and len(value) == 2:
        return _count(layer, argument, value[0]), _count(layer, argument, value[1])
    if isinstance(value, Sequence):
        raise ValueError(
            f"{layer.name}: {argument}: expected a number or two (height, width), got {value!r}"
        )
    return (_count(layer, argument, value),) * 2


def _padding(layer: Layer, padding: str) -> str:
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise ValueError(f"{layer.name}: padding: expected 'valid' or 'same', got {padding!r}")
    return padding.lower()


def _image_shape(layer: Layer, shape: Shape) -> tuple[int, int, int]:
    """Height, width and channels of the images that a layer is given."""
    if len(shape) != 4 or None in shape[1:]:
        raise ValueError(
            f"{layer.name}: expected images of shape (batch, height, width, channels), "
            f"got shape {shape}"
        )
    return shape[1:]  # type: ignore[return-value]


def windows(
    layer: Layer, shape: Shape, window: tuple[int, int], strides: tuple[int, int], padding: str
) -> tuple[int, int]:
    """How many windows fit along height and width; ValueError if none does."""
    height, width, _ = _image_shape(layer, shape)
    if padding == "same":
        return -(-height // strides[0]), -(-width // strides[1])
    if window[0] > height or window[1] > width:
        raise ValueError(
            f"{layer.name}: a window of {window[0]}x{window[1]} does not fit images of "
            f"{height}x{width} with padding 'valid'"
        )
    return (height - window[0]) // strides[0] + 1, (width - window[1]) // strides[1] + 1


class InputLayer(Layer):
    """Says what shape of examples a model takes; see `Input`."""

    def __init__(self, shape: Sequence[int], *, name: str | None = None) -> None:
        super().__init__(name=name or unique_name("input_layer"), input_shape=shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs themselves."""
        return inputs


def Input(shape: Sequence[int], name: str | None = None) -> InputLayer:  # noqa: N802 - Keras's name
    """The first entry of a model: the shape of one example, without the batch.

    >>> Input(shape=(28, 28, 1)).input_shape
    (None, 28, 28, 1)
    """
    return InputLayer(shape, name=name)


class _KernelLayer(Layer):
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


class Dense(_KernelLayer):
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
        self.units = _count(self, "units", units)

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


class Conv2D(_KernelLayer):
    """activation(convolution of images with a kernel + bias); see `ops.conv2d`.

    Images (N, H, W, C), kernel (KH, KW, C, filters), bias (filters,), outputs (N, OH, OW, filters).

    Args:
        filters: how many features to look for, the channels of the output.
        kernel_size: the window, one number or (height, width).
        strides: how far windows are apart.
        padding: 'valid' (windows stay inside) or 'same' (zeros around the image).
        activation, use_bias, kernel_initializer, bias_initializer: as in `Dense`.
        name, input_shape: see `Layer`.

    >>> layer = Conv2D(32, (3, 3), activation="relu")
    >>> layer(np.zeros((5, 28, 28, 1), np.float32)).shape, layer.kernel.shape
    ((5, 26, 26, 32), (3, 3, 1, 32))
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = (1, 1),
        padding: str = "valid",
        *,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | initializers.Initializer = "glorot_uniform",
        bias_initializer: str | initializers.Initializer = "zeros",
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(
            activation, use_bias, kernel_initializer, bias_initializer, name, input_shape
        )
        self.filters = _count(self, "filters", filters)
        self.kernel_size = _pair(self, "kernel_size", kernel_size)
        self.strides = _pair(self, "strides", strides)
        self.padding = _padding(self, padding)

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.compute_output_shape(input_shape)
        channels = _image_shape(self, input_shape)[2]
        self.add_kernel(*self.kernel_size, channels, self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        y = ops.conv2d(inputs, self.kernel, self.bias, self.strides, self.padding)
        return self.activation(y)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, OH, OW, filters)."""
        size = windows(self, input_shape, self.kernel_size, self.strides, self.padding)
        if self.built and input_shape[3] != self.kernel.shape[2]:
            raise ValueError(
                f"{self.name}: expected images with {self.kernel.shape[2]} channels, "
                f"got shape {input_shape}"
            )
        return input_shape[0], *size, self.filters


class MaxPooling2D(Layer):
    """The largest number of each window, channel by channel; see `ops.max_pool2d`.

    Images (N, H, W, C), outputs (N, OH, OW, C).

    Args:
        pool_size: the window, one number or (height, width).
        strides: how far windows are apart; None: side by side, as far as pool_size.
        padding: 'valid' or 'same'.
        name, input_shape: see `Layer`.

    >>> MaxPooling2D((2, 2)).compute_output_shape((None, 11, 11, 64))
    (None, 5, 5, 64)
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        *,
        name: str | None = None,
        input_shape: Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, input_shape=input_shape)
        self.pool_size = _pair(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else _pair(self, "strides", strides)
        self.padding = _padding(self, padding)

    def build(self, input_shape: Shape) -> None:
        """Check that windows fit; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.max_pool2d(inputs, self.pool_size, self.strides, self.padding)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, OH, OW, C)."""
        size = windows(self, input_shape, self.pool_size, self.strides, self.padding)
        return input_shape[0], *size, input_shape[3]


MaxPool2D = MaxPooling2D  # Keras knows it by both names


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
