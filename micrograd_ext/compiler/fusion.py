"""Neighbouring layers that one kernel computes at once.

Programs are made of these, and so are models that run layer by layer for want of a program,
unless they were compiled with run_eagerly. A model that is called goes through each layer by
itself, so that every layer's outputs are nodes of the graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from .. import activations, ops
from ..layers import Activation, Conv2D, Layer, MaxPooling2D, ReLU, Softmax
from ..layers.base import Shape, in_a_row
from ..layers.calls import on_behalf_of
from ..tensor import Tensor

__all__ = ["fuse", "through"]

Stage: TypeAlias = Callable[..., Tensor]

RELU = activations.get("relu")
RELUS = (RELU, ops.relu)
MOST_PLACES = 255  # in a window: a argmax's place is a byte


def fuse(layers: Sequence[Layer]) -> list[Stage]:
    """What computes the layers' outputs, one after the other: the layers, or several as one.

    Convolution, ReLU and max-pooling by windows side by side become `ops.conv2d_relu_pool`. A layer
    of a class derived from ours may do something else, and stays.

    >>> layers = [Conv2D(4, 3, activation="relu"), MaxPooling2D(2), Conv2D(8, 3)]
    >>> [type(stage).__name__ for stage in fuse(layers)]
    ['ConvolutionAndPooling', 'Conv2D']
    """
    layers = in_a_row(layers)
    stages: list[Stage] = []
    at = 0
    while at < len(layers):
        several = _convolution_and_pooling(layers[at : at + 3])
        stages.append(several or layers[at])
        at += len(several.layers) if several else 1
    return stages


class ConvolutionAndPooling:
    """A Conv2D, a ReLU and a MaxPooling2D as one."""

    def __init__(self, convolution: Conv2D, pooling: MaxPooling2D, layers: Sequence[Layer]) -> None:
        self.convolution = convolution
        self.pooling = pooling
        self.layers = layers

    def __call__(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The outputs of a batch, in training or not."""
        shape: Shape = inputs.shape
        for layer in self.layers:
            layer.ensure_built(shape)
            shape = layer.compute_output_shape(shape)  # may object
        how = self.convolution
        return ops.conv2d_relu_pool(
            inputs, how.kernel, how.bias, self.pooling.pool_size, how.strides, how.padding
        )


def activation_of(layer: Any) -> activations.Activation | None:
    """The activation that a layer ends with, or that it is; None where there is no such thing."""
    if (
        type(layer) is ReLU
        and layer.max_value is None
        and not (layer.negative_slope or layer.threshold)
    ):
        return RELU
    if type(layer) is Softmax and layer.axis in (-1, len(layer.input_shape or ()) - 1):
        return activations.softmax
    activation: activations.Activation | None = getattr(layer, "activation", None)
    return RELU if activation is ops.relu else activation


def _convolution_and_pooling(layers: Sequence[Layer]) -> ConvolutionAndPooling | None:
    """The first layers as one, if they are of that kind."""
    first, *rest = layers
    if type(first) is not Conv2D or not first.plain:
        return None
    relu: Layer = first
    alone = rest and type(rest[0]) in (Activation, ReLU)  # not another layer that ends with one
    if first.activation is activations.linear and alone:
        relu = rest.pop(0)
    pooling = rest[0] if rest else None
    if activation_of(relu) not in RELUS or type(pooling) is not MaxPooling2D:
        return None
    if first.activity_regularizer or relu.activity_regularizer or pooling.activity_regularizer:
        return None
    height, width = pooling.pool_size
    side_by_side = pooling.strides == pooling.pool_size and pooling.padding == "valid"
    if not side_by_side or height * width > MOST_PLACES:
        return None
    used = [first, pooling] if relu is first else [first, relu, pooling]
    return ConvolutionAndPooling(first, pooling, used)


def through(
    model: Layer,
    stages: Sequence[Callable[..., Tensor]],
    x: Tensor,
    training: bool | None = None,
) -> Tensor:
    """A model's outputs by stages that are its layers, or several of them as one."""

    def act() -> Tensor:
        y = x
        if y.dtype.kind != model.input_dtype.kind:  # as in Keras, for whatever layer is the first
            y = Tensor(y, requires_grad=False, dtype=model.input_dtype)
        for stage in stages:
            y = stage(y, training=training)
        return y

    return on_behalf_of(model, training, act)
