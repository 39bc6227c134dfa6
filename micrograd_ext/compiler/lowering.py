"""Lowering: from a model to its program.

`lower` goes through the layers as calling them would, and then through their pullbacks in reverse,
as back-propagation does; only that here both are run once, to write a program down.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .. import activations, losses, optimizers
from ..layers import Activation, Dense, Layer, Softmax
from ..layers.base import Shape, in_a_row
from ..losses import LossFunction
from ..tensor import Array, Tensor
from .binding import Binding
from .builder import Builder, NotLoweredError, Pullback
from .fusion import activation_of, fuse
from .program import Program
from .rules import lower_layer

__all__ = ["lower"]

SOFTMAX = activations.softmax


def lower(
    model: Layer,
    layers: Sequence[Layer],
    capacity: int,
    shapes: Sequence[Shape],
    *,
    loss: LossFunction | None = None,
    loss_weight: float = 1.0,
    optimizer: optimizers.Optimizer | None = None,
) -> Program:
    """The program of a built model; raises `NotLoweredError` if there is none.

    Args:
        model: what to lower.
        layers: the layers, one after the other, that do all its work.
        capacity: the largest batch.
        shapes: of the inputs (N, ...), and of labels and weights if there are any.
        loss: also lay out the loss, where it is categorical cross entropy of a softmax.
        loss_weight: what multiplies the loss.
        optimizer: lay out the backward half, too, and its update where there is a step for it.
    """
    if any(weight.dtype != np.float32 for weight in model.weights):
        raise NotLoweredError("its weights are not float32", quiet=True)
    if None in shapes[0][1:]:
        raise NotLoweredError(f"its inputs may have any shape {shapes[0]}")
    if model.input_dtype != np.float32:
        raise NotLoweredError(f"its inputs are {model.input_dtype}")
    if optimizer is not None:
        if not model.trainable_weights:
            raise NotLoweredError("it has no weights", quiet=True)
        if optimizer.loss_scale_factor:
            raise NotLoweredError("the optimizer scales the loss", quiet=True)
    trained = model.trainable_weights if optimizer is not None else []
    b = Builder(capacity, Binding(trained, optimizer))
    inputs = x = b.buffer([int(size or 0) for size in shapes[0][1:]])
    stages = fuse(layers)

    last = stages[-1] if stages else None
    softmax = type(last) in (Dense, Activation, Softmax) and activation_of(last) is SOFTMAX
    fused = (
        loss is not None
        and len(shapes) < 3
        and _is_cross_entropy(loss, softmax)
        and loss_weight == 1
    )
    pullbacks: list[tuple[str, Pullback]] = []
    b.part = "forward"
    for stage in stages:
        b.layers = ", ".join(each.name for each in getattr(stage, "layers", [stage]))
        activation = activation_of(stage)
        if loss is not None and softmax and stage is last:  # the loss sees to it
            activation = activations.linear
        x, pullback = lower_layer(b, stage, x, activation)
        pullbacks.append((b.layers, pullback))

    if loss is not None and any(
        weight.regularizer is not None for weight in model.trainable_weights
    ):
        raise NotLoweredError("it has regularizers")
    if loss is not None and any(
        layer.activity_regularizer is not None for layer in in_a_row(layers)
    ):
        raise NotLoweredError("it has regularizers of what layers put out")
    if fused and (x.ndim != 2 or tuple(shapes[1][1:]) != x.shape[1:]):
        why = "cross entropy has a step for outputs and labels (N, classes) only"
        raise NotLoweredError(why, quiet=True)  # if they disagree, that is to come
    labels = dy = forward = None
    output = x
    if fused:
        b.part, b.layers = "loss", getattr(loss, "name", None) or "categorical_crossentropy"
        labels, y = b.buffer(x.shape[1:]), b.buffer(x.shape[1:])
        each = b.buffer(())
        dy = b.gradient(x) if optimizer is not None else None
        b.emit(
            "softmax_loss",
            0,
            x=x,
            labels=labels,
            y=y,
            loss=each,
            dx=dy,
            units=x.shape[-1],
            from_logits=not softmax,
        )
        output = y if softmax else x
    if optimizer is not None:
        if dy is None:  # then the loss, which makes it, is computed in between
            forward = len(b.steps)
            dy = b.gradient(x)
        b.part = "backward"
        ids = {id(weight) for weight in trained}
        weights = [[w for w in _weights(stage) if id(w) in ids] for stage in stages]
        first_weight = next((i for i, own in enumerate(weights) if own), len(stages))
        gradient = dy
        for i in range(len(stages) - 1, first_weight - 1, -1):
            b.layers, pullback = pullbacks[i]
            gradient = pullback(gradient, i > first_weight)
            _update(b, optimizer, weights[i])
    if forward is None:
        forward = len(b.steps)
    logits = loss is not None and softmax and not fused
    return Program(b, inputs, output, labels, dy, forward, logits)


def _weights(stage: Any) -> list[Tensor]:
    """The weights of a layer, or of several as one."""
    layers = getattr(stage, "layers", [stage])
    return [weight for layer in layers for weight in layer.trainable_weights]


def _is_cross_entropy(loss: Any, softmax: bool) -> bool:
    """Whether the loss is categorical cross entropy of the softmax of what reaches it."""
    if loss is losses.categorical_crossentropy:
        return softmax
    if type(loss) is not losses.CategoricalCrossentropy or softmax == loss.from_logits:
        return False
    means = loss.reduction in ("sum_over_batch_size", "mean", "mean_with_sample_weight")
    return means and not loss.label_smoothing and loss.axis in (-1, 1)


def _adam(b: Builder, how: optimizers.Adam, common: dict[str, Any], slots: list[Array]) -> None:
    b.emit("adam", 0, **common, m=slots[0], v=slots[1], **how.hyperparameters())


def _sgd(b: Builder, how: optimizers.SGD, common: dict[str, Any], slots: list[Array]) -> None:
    b.emit("sgd", 0, **common, v=slots[0] if slots else None, **how.hyperparameters())


#: How an optimizer's update becomes a step, by its type.
UPDATE_RULES: dict[type, Callable[..., None]] = {optimizers.Adam: _adam, optimizers.SGD: _sgd}


def _update(b: Builder, how: optimizers.Optimizer, weights: Sequence[Tensor]) -> None:
    """The optimizer's step for a layer's weights, if it is one that has a kernel.

    A layer at a time: its gradients are still in the cache, of the cores that are to change these
    weights and then read them.
    """
    if not weights:
        return
    if not how.plain:
        return
    flat, span = b.binding, b.binding.span(weights)
    slots = [slot[span] for slot in flat.slots]
    common = {"y": flat.values[span], "dy": flat.gradients[span], "units": span.stop - span.start}
    rule = UPDATE_RULES.get(type(how))
    if rule is not None:
        rule(b, how, common, slots)
