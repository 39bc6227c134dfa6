"""Convolution, and pooling: what looks at images through a window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .. import activations, constraints, kernels, ops, regularizers
from ..common.arguments import channels_last_only
from ..initializers import InitializerLike
from ..tensor import Tensor
from .base import Layer, Options, OtherOptions, Shape, count_of, pair_of
from .core import KernelLayer

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = [
    "AveragePooling2D",
    "AvgPool2D",
    "Conv2D",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "MaxPool2D",
    "MaxPooling2D",
]


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
    """How many windows of that reach fit along height and width; ValueError if none does."""
    height, width, _ = _image_shape(layer, shape)
    if padding == "valid" and (window[0] > height or window[1] > width):
        raise ValueError(
            f"{layer.name}: a window of {window[0]}x{window[1]} does not fit images of "
            f"{height}x{width} with padding 'valid'"
        )
    rows, _ = kernels.windows_along(layer.name, "height", height, window[0], strides[0], padding)
    cols, _ = kernels.windows_along(layer.name, "width", width, window[1], strides[1], padding)
    return rows, cols


class Conv2D(KernelLayer):
    """activation(convolution of images with a kernel + bias); see `ops.conv2d`.

    Images (N, H, W, C), kernel (KH, KW, C / groups, filters), bias (filters,), outputs
    (N, OH, OW, filters).

    Args:
        filters: how many features to look for, the channels of the output.
        kernel_size: the window, one number or (height, width).
        strides: how far windows are apart.
        padding: 'valid' (windows stay inside) or 'same' (zeros around the image).
        data_format: None or 'channels_last'.
        dilation_rate: how far the pixels of a window are apart; if it is not 1, strides are 1.
        groups: into how many parts channels and filters are divided, each part of the filters
            seeing its part of the channels.
        activation, use_bias, kernel_initializer, bias_initializer: as in `Dense`.
        kernel_regularizer, bias_regularizer, kernel_constraint, bias_constraint: as in `Dense`.
        activity_regularizer, name, input_shape, trainable, dtype: see `Layer`.

    >>> import numpy as np
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
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = (1, 1),
        groups: int = 1,
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
        channels_last_only(self.name, data_format)
        self.data_format = "channels_last"
        self.filters = count_of(self, "filters", filters)
        self.kernel_size = pair_of(self, "kernel_size", kernel_size)
        self.strides = pair_of(self, "strides", strides)
        self.padding = _padding(self, padding)
        self.dilation_rate = pair_of(self, "dilation_rate", dilation_rate)
        self.groups = count_of(self, "groups", groups)
        if self.filters % self.groups:
            raise ValueError(
                f"{self.name}: groups: expected a divisor of the {filters} filters, got {groups}"
            )
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ValueError(
                f"{self.name}: dilation_rate: expected 1 where strides are {self.strides}, "
                f"got {dilation_rate!r}"
            )

    @property
    def plain(self) -> bool:
        """Whether it has neither holes in its windows nor groups."""
        return self.dilation_rate == (1, 1) and self.groups == 1

    def build(self, input_shape: Shape) -> None:
        """Make kernel and bias."""
        self.compute_output_shape(input_shape)
        channels = _image_shape(self, input_shape)[2]
        self.add_kernel(*self.kernel_size, channels // self.groups, self.filters)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        how = self.strides, self.padding, self.dilation_rate, self.groups
        return self.activated(ops.conv2d(inputs, self.kernel, self.bias, *how))

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, OH, OW, filters)."""
        height, width = (
            (size - 1) * rate + 1
            for size, rate in zip(self.kernel_size, self.dilation_rate, strict=True)
        )
        size = windows(self, input_shape, (height, width), self.strides, self.padding)
        channels = input_shape[3] or 0
        if self.built and channels != self.kernel.shape[2] * self.groups:
            raise ValueError(
                f"{self.name}: expected images with {self.kernel.shape[2] * self.groups} channels, "
                f"got shape {input_shape}"
            )
        if channels % self.groups:
            raise ValueError(
                f"{self.name}: groups: expected a divisor of the {channels} channels of images of "
                f"shape {input_shape}, got {self.groups}"
            )
        return input_shape[0], *size, self.filters


class _Pooling(Layer):
    """What pooling layers share: where the windows are."""

    def __init__(
        self,
        pool_size: int | Sequence[int] = (2, 2),
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        channels_last_only(self.name, data_format)
        self.data_format = "channels_last"
        self.pool_size = pair_of(self, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair_of(self, "strides", strides)
        self.padding = _padding(self, padding)

    def build(self, input_shape: Shape) -> None:
        """Check that windows fit; there are no weights."""
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, OH, OW, C)."""
        size = windows(self, input_shape, self.pool_size, self.strides, self.padding)
        return input_shape[0], *size, input_shape[3]


class MaxPooling2D(_Pooling):
    """The largest number of each window, channel by channel; see `ops.max_pool2d`.

    Images (N, H, W, C), outputs (N, OH, OW, C).

    Args:
        pool_size: the window, one number or (height, width).
        strides: how far windows are apart; None: side by side, as far as pool_size.
        padding: 'valid' or 'same'.
        data_format: None or 'channels_last'.
        name, input_shape, trainable: see `Layer`.

    >>> MaxPooling2D((2, 2)).compute_output_shape((None, 11, 11, 64))
    (None, 5, 5, 64)
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.max_pool2d(inputs, self.pool_size, self.strides, self.padding)


class AveragePooling2D(_Pooling):
    """The mean of each window, channel by channel; see `ops.average_pool2d`.

    Images, outputs and arguments are those of `MaxPooling2D`. With padding 'same' a mean is one of
    the pixels that there are.

    >>> import numpy as np
    >>> AveragePooling2D()(np.array([1.0, 2, 3, 6]).reshape(1, 2, 2, 1)).item()
    3.0
    """

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        return ops.average_pool2d(inputs, self.pool_size, self.strides, self.padding)


class GlobalAveragePooling2D(Layer):
    """The mean of each channel over the whole image: (N, H, W, C) to (N, C).

    Args:
        data_format: None or 'channels_last'.
        keepdims: whether to keep axes of size 1: (N, 1, 1, C).
        name, input_shape, trainable: see `Layer`.

    >>> GlobalAveragePooling2D().compute_output_shape((None, 5, 5, 64))
    (None, 64)
    """

    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **options: Unpack[Options]
    ) -> None:
        super().__init__(**options)
        channels_last_only(self.name, data_format)
        self.data_format = "channels_last"
        self.keepdims = bool(keepdims)

    def build(self, input_shape: Shape) -> None:
        """Check that there are images; there are no weights."""
        self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The outputs of a batch."""
        self.compute_output_shape(inputs.shape)
        return ops.mean(inputs, axis=(1, 2), keepdims=self.keepdims)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """(batch, C)."""
        if len(input_shape) != 4:
            _image_shape(self, input_shape)
        batch, _, _, channels = input_shape
        return (batch, 1, 1, channels) if self.keepdims else (batch, channels)


# Keras knows them by both names
MaxPool2D = MaxPooling2D
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
