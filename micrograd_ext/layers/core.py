"""Layers that look at numbers one by one, or at all of them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import activations, constraints, initializers, ops, regularizers
from ..common.arguments import at_least_0, channels_last_only
from ..initializers import InitializerLike
from ..tensor import Array, Tensor, TensorLike
from ..tensor.variable import Variable
from .base import Layer, Options, OtherOptions, SameShape, Shape, count_of

if TYPE_CHECKING:
    from typing_extensions import Unpack

MASKED = -1e9  # what softmax sees where a mask is False, as in Keras

__all__ = ["Activation", "Dense", "Flatten", "LeakyReLU", "ReLU", "Rescaling", "Reshape", "Softmax"]


class KernelLayer(Layer):
    """What layers with a kernel share: the kernel, a bias for each output, an activation."""

    def __init__(
        self,
        activation: str | activations.Activation | None,
        use_bias: bool,
        kernel_initializer: str | InitializerLike,
        bias_initializer: str | InitializerLike,
        kernel_regularizer: str | regularizers.Regularizer | None,
        bias_regularizer: str | regularizers.Regularizer | None,
        kernel_constraint: str | constraints.ConstraintLike | None,
        bias_constraint: str | constraints.ConstraintLike | None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.activation = activations.get(activation)
        self.use_bias = bool(use_bias)
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.kernel: Variable
        self.bias: Variable | None = None

    def activated(self, y: Tensor) -> Tensor:
        """The activation of y; an activation that was set to None is linear."""
        return y if self.activation is None else self.activation(y)

    def add_kernel(self, *shape: int) -> None:
        """Make the kernel, whose last axis is the outputs, and the bias."""
        self.kernel = self.add_weight(
            shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
            name="kernel",
        )
        if self.use_bias:
            self.bias = self.add_weight(
                shape[-1:],
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
                name="bias",
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
        kernel_constraint, bias_constraint: names or functions weight -> numbers, applied after each
            step of training; None for none.
        activity_regularizer, name, input_shape, trainable, dtype: see `Layer`.

    >>> layer = Dense(3, activation="relu")
    >>> layer(np.zeros((5, 4), np.float32)).shape, layer.kernel.shape, layer.bias.shape
    ((5, 3), (4, 3), (3,))
    """

    def __init__(
        self,
        units: int,
        activation: str | activations.Activation | None = None,
        use_bias: bool = True,
        kernel_initializer: str | InitializerLike = "glorot_uniform",
        bias_initializer: str | InitializerLike = "zeros",
        kernel_regularizer: str | regularizers.Regularizer | None = None,
        bias_regularizer: str | regularizers.Regularizer | None = None,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        kernel_constraint: str | constraints.ConstraintLike | None = None,
        bias_constraint: str | constraints.ConstraintLike | None = None,
        **options: Unpack[OtherOptions],
    ) -> None:
        super().__init__(
            activation,
            use_bias,
            kernel_initializer,
            bias_initializer,
            kernel_regularizer,
            bias_regularizer,
            kernel_constraint,
            bias_constraint,
            activity_regularizer=activity_regularizer,
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
        return self.activated(y if self.bias is None else y + self.bias)

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

    Args:
        data_format: None or 'channels_last'.
        name, input_shape, trainable: see `Layer`.

    >>> Flatten().compute_output_shape((None, 5, 5, 64))
    (None, 1600)
    """

    def __init__(self, data_format: str | None = None, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        channels_last_only(self.name, data_format)
        self.data_format = "channels_last"

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
        return activations.relu(inputs, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(SameShape):
    """x where it is positive, else negative_slope * x.

    Args:
        negative_slope: the slope below 0, at least 0; it may also be given as alpha, its name in
            Keras 2.
        name, input_shape, trainable: see `Layer`.

    >>> LeakyReLU()(np.array([[-1.0, 2.0]], np.float32)).data
    array([[-0.3,  2. ]], dtype=float32)
    """

    def __init__(self, negative_slope: float = 0.3, **options: Any) -> None:
        alpha = options.pop("alpha", None)
        super().__init__(**options)
        if alpha is not None:
            warnings.warn("LeakyReLU: alpha: it is called negative_slope now", stacklevel=2)
            negative_slope = alpha
        self.negative_slope = at_least_0(f"{self.name}: negative_slope", negative_slope)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.leaky_relu(inputs, negative_slope=self.negative_slope)


class Softmax(Layer):
    """e ** x over the sum of e ** x along an axis, or several; see `ops.softmax`.

    `call` takes a mask of the inputs' shape, or one that broadcasts to it: where it is False, the
    output is 0.

    Args:
        axis: along which the outputs add up to 1.
        name, input_shape, trainable: see `Layer`.

    >>> Softmax()(np.zeros((1, 4), np.float32)).data
    array([[0.25, 0.25, 0.25, 0.25]], dtype=float32)
    >>> Softmax()(np.zeros((1, 4), np.float32), mask=np.array([True, False, False, True])).data
    array([[0.5, 0. , 0. , 0.5]], dtype=float32)
    """

    def __init__(self, axis: int | Sequence[int] = -1, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        axes = axis if isinstance(axis, tuple | list) else (axis,)
        for each in axes:
            if isinstance(each, bool) or not isinstance(each, int | np.integer):
                raise ValueError(
                    f"{self.name}: axis: expected the number of an axis, or several, got {axis!r}"
                )
        several = isinstance(axis, tuple | list)
        self.axis = tuple(int(each) for each in axes) if several else int(axes[0])

    def build(self, input_shape: Shape) -> None:
        """Check that there is such an axis; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor, mask: TensorLike | None = None) -> Tensor:
        """The outputs of a batch."""
        if mask is None:
            return ops.softmax(inputs, axis=self.axis)
        given = np.asarray(mask)
        aligned = zip(reversed(given.shape), reversed(inputs.shape), strict=False)
        if given.ndim > inputs.ndim or any(a not in (1, b) for a, b in aligned):
            raise ValueError(
                f"{self.name}: mask: expected a shape that broadcasts to {inputs.shape}, "
                f"got {given.shape}"
            )
        counts = given if given.dtype == np.bool_ else given > 0.5
        y = ops.softmax(ops.where(counts, inputs, MASKED), axis=self.axis)
        return ops.where(counts, y, 0.0)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same, if there is such an axis."""
        for axis in self.axis if isinstance(self.axis, tuple) else (self.axis,):
            if not -len(input_shape) <= axis < len(input_shape):
                raise ValueError(
                    f"{self.name}: axis: expected one of the axes of inputs of shape "
                    f"{input_shape}, got {axis}"
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
