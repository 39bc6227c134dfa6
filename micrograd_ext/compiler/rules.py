"""How layers become steps: a rule for each kind of layer.

A rule lays out the forward steps of a layer and returns where its outputs are, and a pullback:
given where the gradient of the outputs is, that lays out the backward steps and returns where the
gradient of the inputs is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

import numpy as np

from .. import activations
from ..layers import (
    Activation,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    LeakyReLU,
    MaxPooling2D,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
)
from ..layers.convolution import windows
from ..tensor import Array
from .builder import Builder, NotLoweredError, Pullback, Weights
from .formulas import TracedFunction
from .fusion import ConvolutionAndPooling

#: From the builder, a layer (or several as one), where its inputs are and the activation that it
#: ends with, to where its outputs are and the pullback.
Rule: TypeAlias = Callable[[Builder, Any, Array, Any], tuple[Array, Pullback]]
R = TypeVar("R", bound=Rule)

#: By the type of the layer. A class derived from ours may do something else: it has no rule.
RULES: dict[type, Rule] = {}

RELU = activations.get("relu")


def rule_for(kind: type) -> Callable[[R], R]:
    """A decorator: the function is the rule for layers of that type."""

    def register(rule: R) -> R:
        RULES[kind] = rule
        return rule

    return register


def lower_layer(b: Builder, layer: Any, x: Array, activation: Any) -> tuple[Array, Pullback]:
    """The steps of a layer, or of several as one, with that activation instead of its own.

    Raises NotLoweredError if there is no rule for it.
    """
    rule = RULES.get(type(layer))
    if rule is None:
        raise NotLoweredError(f"{layer.name} is a {type(layer).__name__}")
    return rule(b, layer, x, activation)


@rule_for(Dense)
def _dense(b: Builder, layer: Dense, x: Array, activation: Any) -> tuple[Array, Pullback]:
    layer.compute_output_shape(x.shape)  # may object
    own = b.weights_of(layer)
    k, units = own.w.shape
    sizes = {"rows": math.prod(x.shape[1:-1]), "k": k, "units": units}
    flops = 2.0 * sizes["rows"] * k * units
    y, relu = b.buffer((*x.shape[1:-1], units)), activation is RELU
    b.emit("dense", flops, x=x, w=own.w, bias=own.bias, y=y, relu=relu, **sizes)
    return _activated(b, y, activation, _gradients(b, "dense", flops, x, own, **sizes))


@rule_for(Conv2D)
def _conv2d(b: Builder, layer: Conv2D, x: Array, activation: Any) -> tuple[Array, Pullback]:
    if not layer.plain:
        raise NotLoweredError(f"{layer.name} has groups, or holes in its windows")
    own, (oh, ow), flops = _convolution(b, layer, x)
    conv = (x.shape, own.w.shape, layer.strides, layer.padding)
    y, relu = b.buffer((oh, ow, own.w.shape[3])), activation is RELU
    flops *= oh * ow
    b.emit("conv2d", flops, x=x, w=own.w, bias=own.bias, y=y, relu=relu, conv=conv)
    return _activated(b, y, activation, _gradients(b, "conv2d", flops, x, own, conv=conv))


def _convolution(b: Builder, layer: Conv2D, x: Array) -> tuple[Weights, tuple[int, int], float]:
    """A convolution's weights, height and width of its output, and the FLOPs of a pixel of it."""
    layer.compute_output_shape(x.shape)  # may object
    own = b.weights_of(layer)
    size = windows(layer, x.shape, own.w.shape[:2], layer.strides, layer.padding)
    return own, size, 2.0 * own.w.size


@rule_for(ConvolutionAndPooling)
def _conv2d_relu_pool(
    b: Builder, both: ConvolutionAndPooling, x: Array, activation: Any
) -> tuple[Array, Pullback]:
    layer, window = both.convolution, both.pooling.pool_size
    own, (oh, ow), flops = _convolution(b, layer, x)
    shape = (oh // window[0], ow // window[1], own.w.shape[3])
    if 0 in shape:
        raise NotLoweredError(f"{both.pooling.name} does not fit")
    flops *= math.prod(shape[:2])  # of the gradients: one number of a window gets what comes back
    y, argmax = b.buffer(shape), b.buffer(shape, np.uint8)
    conv = (x.shape, own.w.shape, layer.strides, layer.padding)
    more = {"argmax": argmax, "conv": conv, "window": window}
    op = "conv2d_relu_pool"
    b.emit(op, flops * math.prod(window), x=x, w=own.w, bias=own.bias, y=y, **more)
    return y, _gradients(b, op, flops, x, own, **more)


def _gradients(b: Builder, op: str, flops: float, x: Array, own: Weights, **more: Any) -> Pullback:
    """The steps that send back to a layer's weights and inputs."""

    def pullback(dy: Array, wanted: bool) -> Array:
        if own.dw is not None:
            b.emit(f"{op}_dw", flops, x=x, dy=dy, dw=own.dw, db=own.db, **more)
        if not wanted:
            return dy
        dx = b.gradient(x, beside=dy)
        b.emit(f"{op}_dx", flops, dy=dy, w=own.w, dx=dx, **more)
        return dx

    return pullback


@rule_for(MaxPooling2D)
def _max_pool2d(
    b: Builder, layer: MaxPooling2D, x: Array, activation: Any
) -> tuple[Array, Pullback]:
    shape = [int(size or 0) for size in layer.compute_output_shape(x.shape)[1:]]
    pool = (x.shape, layer.pool_size, layer.strides, layer.padding)
    y, argmax = b.buffer(shape), b.buffer(shape, np.int32)
    b.emit("max_pool2d", 0, x=x, y=y, argmax=argmax, pool=pool)

    def pullback(dy: Array, wanted: bool) -> Array:
        dx = b.gradient(x, beside=dy)
        if wanted:
            b.emit("max_pool2d_dx", 0, dy=dy, argmax=argmax, dx=dx, pool=pool)
        return dx

    return y, pullback


@rule_for(Activation)
def _activation_layer(b: Builder, layer: Any, x: Array, activation: Any) -> tuple[Array, Pullback]:
    return _elementwise(b, activation, x)


@rule_for(Softmax)
def _softmax(b: Builder, layer: Softmax, x: Array, activation: Any) -> tuple[Array, Pullback]:
    if activation is None:
        raise NotLoweredError(f"{layer.name} is a Softmax along another axis than the last")
    return _elementwise(b, activation, x)


@rule_for(ReLU)
@rule_for(LeakyReLU)
def _relu(b: Builder, layer: Any, x: Array, activation: Any) -> tuple[Array, Pullback]:
    return _elementwise(b, activation or layer.call, x)


def _activated(b: Builder, y: Array, activation: Any, pullback: Pullback) -> tuple[Array, Pullback]:
    """The activation of y in its place; the step that made y has done it if it is ReLU."""
    y, through = _elementwise(b, activation, y, own=True, done=activation is RELU)
    return y, lambda dy, wanted: pullback(through(dy, True), wanted)


def _elementwise(
    b: Builder, function: Any, x: Array, own: bool = False, done: bool = False
) -> tuple[Array, Pullback]:
    """function(x), which is traced, and of x's shape.

    own: the numbers in x are needed by nobody else. done: a step has computed it in their place.
    """
    if function is activations.linear or (done and not b.training):  # there is nothing to trace
        return x, lambda dy, wanted: dy
    if x.ndim < 2:
        raise NotLoweredError(f"{b.layers} has inputs that are single numbers")
    traced = TracedFunction(function, x.shape, b.layers)
    y = x if done or (own and traced.sends_by_value) else b.buffer(x.shape[1:])
    if not done:
        b.elementwise(traced.name, traced.forward, [x], y)

    def pullback(dy: Array, wanted: bool) -> Array:
        if wanted:
            saved = y if traced.sends_by_value else x
            b.elementwise(f"dx of {traced.name}", traced.backward, [dy, saved], dy)
        return dy

    return y, pullback


@rule_for(Rescaling)
def _rescaling(b: Builder, layer: Rescaling, x: Array, activation: Any) -> tuple[Array, Pullback]:
    layer.compute_output_shape(x.shape)  # may object
    single = not np.ndim(layer.scale) and not np.ndim(layer.offset)
    if single and not b.steps and (b.scale, b.offset) == (1.0, 0.0):  # as the batch is gathered
        b.scale, b.offset, b.scaled_by = float(layer.scale), float(layer.offset), layer.name
        return x, lambda dy, wanted: dy
    return _elementwise(b, layer.call, x)


@rule_for(Flatten)
def _flatten(b: Builder, layer: Flatten, x: Array, activation: Any) -> tuple[Array, Pullback]:
    y = x.reshape(len(x), math.prod(x.shape[1:]))
    return y, lambda dy, wanted: dy.reshape(x.shape)


@rule_for(Reshape)
def _reshape(b: Builder, layer: Reshape, x: Array, activation: Any) -> tuple[Array, Pullback]:
    y = x.reshape(len(x), *(int(size or 0) for size in layer.compute_output_shape(x.shape)[1:]))
    return y, lambda dy, wanted: dy.reshape(x.shape)


@rule_for(Dropout)
def _dropout(b: Builder, layer: Dropout, x: Array, activation: Any) -> tuple[Array, Pullback]:
    if b.training:
        raise NotLoweredError(f"{layer.name} is a Dropout")
    return x, lambda dy, wanted: dy
