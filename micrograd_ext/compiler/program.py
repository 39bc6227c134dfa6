"""A model lowered to a flat list of kernel calls, on buffers that are made once.

`Sequential` lowers its layers, loss and optimizer when it is first fitted, evaluated or asked to
predict, and then runs the list with one call a batch. `lower` goes through the layers as calling
them would. A layer's rule lays out its forward steps and returns where its outputs are, and a
pullback: given where the gradient of the outputs is, that lays out the backward steps and returns
where the gradient of the inputs is. So the backward half is the pullbacks in reverse, as in
`ops`, only that here they are run once, to write a program down.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from operator import is_
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np

from .. import activations, losses, optimizers
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
from ..layers.base import Shape, in_a_row
from ..layers.convolution import windows
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from ._executor import Executor, aligned
from .fusion import ConvolutionAndPooling, activation_of, fuse

if TYPE_CHECKING:
    from ..models.sequential import Sequential

__all__ = ["NotLoweredError", "Program", "lower"]

#: Where the gradient of the outputs is, and whether that of the inputs is wanted; where it then is.
Pullback: TypeAlias = Callable[[Array, bool], Array]

LEAKY_RELU_SLOPE = 0.2  # of `ops.leaky_relu` by default
#: The rate of an optimizer's step, and the numbers of its formula.
Update: TypeAlias = tuple[float, tuple[float, float, float] | None]
NO_UPDATE: Update = (0.0, None)

ALIGNMENT = 16  # numbers: a weight begins on a 64-byte boundary of the flat buffers

FUNCTIONS = {
    activations.get(name): name
    for name in ("relu", "leaky_relu", "sigmoid", "tanh", "exponential", "softmax")
}
#: Ops that are several.
FUSED = {
    "conv2d_relu_pool": ["conv2d", "relu", "max_pool2d"],
    "softmax_loss": ["softmax", "cross entropy"],
}
UPDATES = ("adam", "sgd")
RELU, SOFTMAX = activations.get("relu"), activations.get("softmax")


class NotLoweredError(Exception):
    """What a program cannot do, in a few words; the model then runs layer by layer.

    quiet: whether that goes without saying.
    """

    def __init__(self, why: str, quiet: bool = False) -> None:
        super().__init__(why)
        self.quiet = quiet


class Step(NamedTuple):
    """One kernel call: what `csrc/program.h` calls the op and its operands, and what it is for."""

    op: str
    operands: dict[str, Any]
    part: str  # forward, loss, backward
    layers: str
    flops: float  # for a full batch; at most so many where zeros are left out

    @property
    def arrays(self) -> list[Array]:
        """The buffers it reads or writes, each once."""
        found = [value for value in self.operands.values() if isinstance(value, np.ndarray)]
        return list({id(array): array for array in found}.values())

    @property
    def name(self) -> str:
        """What it computes, with what is done on the way."""
        op, _, back = self.op.partition("_d")
        parts = [self.operands["function"]] if op == "activation" else FUSED.get(op, [op]).copy()
        if back in ("w", "x"):
            sent = ["dw", "db"] if back == "w" else ["dx"]
            sent = [name for name in sent if self.operands.get(name) is not None]
            return f"{', '.join(sent)} of {' + '.join(parts)}"
        if self.operands.get("bias") is not None:
            parts.insert(1, "bias")
        if self.operands.get("relu"):
            parts.append("relu")
        return " + ".join(parts)

    @property
    def shapes(self) -> str:
        """From which shapes it makes which: of an example, of a weight, or of all weights."""
        key = {"dw": "dw", "dx": "dx"}.get(self.op[-2:], "y")
        sources = ("x", "dy") if key == "dw" else ("dy",) if key == "dx" else ("x",)
        whole = key == "dw" or self.op in UPDATES
        found = self.operands[key].shape[0 if whole else 1 :]
        texts = [_shape(self.operands[name].shape[1:]) for name in sources if name in self.operands]
        return " -> ".join(filter(None, [", ".join(texts), _shape(found)]))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


class Parameters:
    """Weights, their gradients and what the optimizer remembers of them: a flat array each.

    The Tensors' data, and the optimizer's arrays, become views of these.
    """

    def __init__(self, variables: Sequence[Tensor], optimizer: optimizers.Optimizer) -> None:
        self.variables, self.optimizer = list(variables), optimizer
        sizes = [-(-v.size // ALIGNMENT) * ALIGNMENT for v in self.variables]
        self._starts = np.cumsum([0, *sizes]).tolist()
        self.values, self.gradients = (aligned(self._starts[-1]) for _ in range(2))
        self.slots = [aligned(self._starts[-1]) for _ in optimizer.fused_slots()]
        self._kept: list[list[Variable]] = []  # the optimizer's slots, as they were adopted
        self._weights = list(self._views(self.values))
        self._memory = [list(self._views(flat)) for flat in self.slots]
        self.grads = list(self._views(self.gradients))
        self.of = {
            id(v): (w, g) for v, w, g in zip(variables, self._weights, self.grads, strict=True)
        }

    def _views(self, flat: Array) -> Iterator[Array]:
        for start, variable in zip(self._starts, self.variables, strict=False):
            yield flat[start : start + variable.size].reshape(variable.shape)

    def span(self, variables: Sequence[Tensor]) -> slice:
        """Where variables that follow each other have their numbers in the flat arrays."""
        at = next(i for i, v in enumerate(self.variables) if v is variables[0])
        return slice(self._starts[at], self._starts[at + len(variables)])

    @property
    def adoptable(self) -> bool:
        """Whether the variables are still such that there is a place for them."""
        return all(
            v.requires_grad and v.dtype == np.float32 and v.shape == view.shape
            for v, view in zip(self.variables, self._weights, strict=True)
        )

    @property
    def adopted(self) -> bool:
        """Whether Tensors and optimizer still use the flat arrays."""
        kept = self.optimizer.fused_slots()
        return (
            len(kept) == len(self._kept)
            and all(map(is_, kept, self._kept))
            and all(v.data is view for v, view in zip(self.variables, self._weights, strict=True))
        )

    def adopt(self) -> None:
        """Make Tensors and optimizer use the flat arrays, with the numbers that they now have.

        Raises ValueError if there is no place for them any more.
        """
        if not self.adoptable:
            raise ValueError("fit: a weight was given data of another shape or dtype meanwhile")
        for variable, view in zip(self.variables, self._weights, strict=True):
            if variable.data is not view:
                view[...] = variable.data
                variable.data = view
        self._kept = self.optimizer.fused_slots()
        for kind, views in zip(self._kept, self._memory, strict=True):
            for held, view in zip(kind, views, strict=True):
                if held.data is not view:
                    view[...] = held.data
                    held.data = view


class Weights(NamedTuple):
    """The numbers of a layer's kernel and bias, and where their gradients go."""

    w: Array
    bias: Array | None
    dw: Array | None
    db: Array | None


class Builder:
    """Takes steps down, and makes their buffers, for batches of up to `capacity` examples."""

    def __init__(self, capacity: int, parameters: Parameters | None) -> None:
        self.capacity = capacity
        self.parameters = parameters
        self.steps: list[Step] = []
        self.weights: list[tuple[Tensor, Array]] = []  # those that training leaves alone
        self.adjusted: set[int] = set()  # the others' ids
        self.scale, self.offset, self.scaled_by = 1.0, 0.0, ""  # of the inputs
        self.part = self.layers = ""
        self._largest = 0
        self._gradients: list[Array] = []

    def buffer(self, shape: Sequence[int], dtype: Any = np.float32) -> Array:
        """Room for a batch of examples of that shape."""
        size = self.capacity * math.prod(shape)
        self._largest = max(self._largest, size)
        flat = aligned(size) if dtype is np.float32 else np.zeros(size, dtype)
        return flat.reshape(self.capacity, *shape)

    def gradient(self, like: Array, beside: Array | None = None) -> Array:
        """Room for the gradient of a buffer; another one than `beside`.

        Two are enough: who reads one writes the other.
        """
        if not self._gradients:
            self._gradients = [aligned(self._largest) for _ in range(2)]
        first, second = self._gradients
        taken = beside is not None and np.may_share_memory(beside, first)
        return (second if taken else first)[: like.size].reshape(like.shape)

    def weights_of(self, layer: Dense | Conv2D) -> Weights:
        """A layer's weights and their gradients."""
        (w, dw), (bias, db) = (
            (None, None) if tensor is None else self._weight(tensor)
            for tensor in (layer.kernel, layer.bias)
        )
        if self.parameters is not None:
            own = [w for w in (layer.kernel, layer.bias) if w is not None]
            if any(all(w is not other for other in layer.weights) for w in own):
                raise NotLoweredError(f"{layer.name} uses what is none of its weights", quiet=True)
            if bias is not None and (dw is None) != (db is None):
                raise NotLoweredError(f"half of {layer.name} is frozen", quiet=True)
        assert w is not None
        if bias is not None and bias.shape != w.shape[-1:]:
            raise NotLoweredError(f"{layer.name} has a bias of shape {bias.shape}", quiet=True)
        return Weights(w, bias, dw, db)

    def _weight(self, tensor: Tensor) -> tuple[Array, Array | None]:
        array = tensor.data
        if self.parameters is not None and id(tensor) in self.parameters.of:
            if id(tensor) in self.adjusted:
                raise NotLoweredError(f"{tensor.name} is used twice", quiet=True)
            self.adjusted.add(id(tensor))
            return self.parameters.of[id(tensor)]
        if array.dtype != np.float32 or not (array.flags.c_contiguous and array.flags.aligned):
            raise NotLoweredError(f"{tensor.name} is not a dense float32 array")
        self.weights.append((tensor, array))
        return array, None

    def emit(self, op: str, flops: float, **operands: Any) -> None:
        """Take a step down; flops: for one example."""
        flops *= self.capacity
        self.steps.append(Step(op, operands, self.part, self.layers, flops))


# ---------------------------------------------------------------------------- layers


def _dense(b: Builder, layer: Dense, x: Array, activation: Any) -> tuple[Array, Pullback]:
    layer.compute_output_shape(x.shape)  # may object
    own = b.weights_of(layer)
    k, units = own.w.shape
    sizes = {"r": math.prod(x.shape[1:-1]), "k": k, "units": units}
    flops = 2.0 * sizes["r"] * k * units
    y, relu = b.buffer((*x.shape[1:-1], units)), activation is RELU
    b.emit("dense", flops, x=x, w=own.w, bias=own.bias, y=y, relu=relu, **sizes)
    return _activated(b, y, activation, _gradients(b, "dense", flops, x, own, **sizes))


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


def _conv2d_relu_pool(b: Builder, both: ConvolutionAndPooling, x: Array) -> tuple[Array, Pullback]:
    layer, window = both.convolution, both.pooling.pool_size
    own, (oh, ow), flops = _convolution(b, layer, x)
    shape = (oh // window[0], ow // window[1], own.w.shape[3])
    if 0 in shape:
        raise NotLoweredError(f"{both.pooling.name} does not fit")
    flops *= math.prod(shape[:2])  # of the gradients: one number of a window gets what comes back
    y, winner = b.buffer(shape), b.buffer(shape, np.uint8)
    conv = (x.shape, own.w.shape, layer.strides, layer.padding)
    more = {"winner": winner, "conv": conv, "window": window}
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


def _max_pool2d(b: Builder, layer: MaxPooling2D, x: Array) -> tuple[Array, Pullback]:
    shape = [int(size or 0) for size in layer.compute_output_shape(x.shape)[1:]]
    pool = (x.shape, layer.pool_size, layer.strides, layer.padding)
    y, winner = b.buffer(shape), b.buffer(shape, np.int32)
    b.emit("max_pool2d", 0, x=x, y=y, winner=winner, pool=pool)

    def pullback(dy: Array, wanted: bool) -> Array:
        dx = b.gradient(x, beside=dy)
        if wanted:
            b.emit("max_pool2d_dx", 0, dy=dy, winner=winner, dx=dx, pool=pool)
        return dx

    return y, pullback


def _activated(b: Builder, y: Array, activation: Any, pullback: Pullback) -> tuple[Array, Pullback]:
    """The activation of y in its place; the step that made y has done it if it is ReLU."""
    y, through = _activation(b, activation, y, y, done=activation is RELU)
    return y, lambda dy, wanted: pullback(through(dy, True), wanted)


def _activation(
    b: Builder, function: Any, x: Array, y: Array, done: bool = False
) -> tuple[Array, Pullback]:
    """function(x) in y, which may be x; done: a step has done that already."""
    if function is activations.linear:
        return x, lambda dy, wanted: dy
    if x.ndim < 2:
        raise NotLoweredError(f"{b.layers} has inputs that are single numbers")
    if function not in FUNCTIONS:
        name = getattr(function, "__name__", function)
        raise NotLoweredError(f"the activation {name} of {b.layers} has no step")
    return _elementwise(b, FUNCTIONS[function], x, y, done, numbers=(LEAKY_RELU_SLOPE, 0, 0))


def _elementwise(
    b: Builder,
    function: str,
    x: Array,
    y: Array,
    done: bool = False,
    numbers: tuple[float, float, float] = (0, 0, 0),
) -> tuple[Array, Pullback]:
    sizes = {
        "r": math.prod(x.shape[1:-1]),
        "units": x.shape[-1],
        "function": function,
        "numbers": numbers,
    }
    if not done:
        b.emit("activation", 0, x=x, y=y, **sizes)

    def pullback(dy: Array, wanted: bool) -> Array:
        if wanted:
            b.emit("activation_dx", 0, dy=dy, y=y, dx=dy, **sizes)
        return dy

    return y, pullback


def _rescaling(b: Builder, layer: Rescaling, x: Array) -> tuple[Array, Pullback]:
    layer.compute_output_shape(x.shape)  # may object
    if np.ndim(layer.scale) or np.ndim(layer.offset):
        raise NotLoweredError(f"{layer.name} has a scale for each channel")
    if not b.steps and (b.scale, b.offset) == (1.0, 0.0):  # as the batch is gathered
        b.scale, b.offset, b.scaled_by = float(layer.scale), float(layer.offset), layer.name
        return x, lambda dy, wanted: dy
    if x.ndim < 2:
        raise NotLoweredError(f"{layer.name} has inputs that are single numbers")
    y = b.buffer(x.shape[1:])
    numbers = (float(layer.scale), float(layer.offset), 0.0)
    return _elementwise(b, "affine", x, y, numbers=numbers)


def _flatten(b: Builder, layer: Flatten, x: Array) -> tuple[Array, Pullback]:
    y = x.reshape(len(x), math.prod(x.shape[1:]))
    return y, lambda dy, wanted: dy.reshape(x.shape)


def _stage(b: Builder, stage: Any, x: Array, activation: Any) -> tuple[Array, Pullback]:
    """A layer, or several as one, with that activation instead of its own."""
    kind = type(stage)
    if kind is ConvolutionAndPooling:
        return _conv2d_relu_pool(b, stage, x)
    if kind is Dense:
        return _dense(b, stage, x, activation)
    if kind is Conv2D:
        return _conv2d(b, stage, x, activation)
    if kind is MaxPooling2D:
        return _max_pool2d(b, stage, x)
    if kind in (Activation, ReLU, Softmax) and activation is not None:
        y = x if activation is activations.linear else b.buffer(x.shape[1:])
        return _activation(b, activation, x, y)
    if kind is LeakyReLU or (kind is ReLU and (stage.max_value, stage.threshold) == (None, 0)):
        if x.ndim < 2:
            raise NotLoweredError(f"{stage.name} has inputs that are single numbers")
        y, numbers = b.buffer(x.shape[1:]), (stage.negative_slope, 0.0, 0.0)
        return _elementwise(b, "leaky_relu", x, y, numbers=numbers)
    if kind is Reshape:
        y = x.reshape(len(x), *(int(size or 0) for size in stage.compute_output_shape(x.shape)[1:]))
        return y, lambda dy, wanted: dy.reshape(x.shape)
    if kind is Dropout and b.parameters is None:
        return x, lambda dy, wanted: dy
    if kind is Rescaling:
        return _rescaling(b, stage, x)
    if kind is Flatten:
        return _flatten(b, stage, x)
    raise NotLoweredError(f"{stage.name} is a {kind.__name__}")


# ---------------------------------------------------------------------------- programs


class Program:
    """What a model runs, for batches of up to `capacity` examples; print it.

    Attributes:
        steps: the kernel calls, in order; each with its buffers.
        seen: examples since `reset`.
        output: where predictions are after a run, (capacity, ...).
        labels: where labels go, if the loss is one of the steps; else None.
        logits: whether the outputs are still to go through softmax: the loss is no step, and may
            want the logits.
    """

    def __init__(
        self,
        builder: Builder,
        inputs: Array,
        output: Array,
        labels: Array | None,
        dy: Array | None,
        forward: int,
        logits: bool,
    ) -> None:
        self.capacity = builder.capacity
        self.steps = builder.steps
        self.output, self.labels, self.logits = output, labels, logits
        self.parameters = builder.parameters
        self._builder, self._inputs, self._dy = builder, inputs, dy
        steps = [(step.op, step.operands) for step in self.steps]
        self._middle = forward
        self._forward = Executor(steps[:forward], self.capacity)
        self._backward = Executor(steps[forward:], self.capacity)
        self.updates = any(step.op in UPDATES for step in self.steps)
        self.seen = 0

    def takes(self, size: int, x: Array, y: Array | None = None, weights: Any = None) -> bool:
        """Whether it is for examples and labels of these shapes, and for that many at once."""
        return (
            size <= self.capacity
            and x.shape[1:] == self._inputs.shape[1:]
            and (self.labels is None or weights is None)
            and (y is None or self.labels is None or y.shape[1:] == self.labels.shape[1:])
            and (self.parameters is None or self.parameters.adoptable)
        )

    @property
    def fresh(self) -> bool:
        """Whether the model's weights are still where the steps look for them."""
        if self.parameters is not None and not self.parameters.adopted:
            return False
        return all(tensor.data is array for tensor, array in self._builder.weights)

    def follow(self) -> None:
        """Look for the weights where they are now.

        Raises ValueError if they are not such as they were.
        """
        if self.parameters is not None:
            self.parameters.adopt()
        b = self._builder
        new = {id(array): tensor.data for tensor, array in b.weights}
        for tensor, array in b.weights:
            data = tensor.data
            if (
                data.shape != array.shape
                or data.dtype != array.dtype
                or not data.flags.c_contiguous
            ):
                raise ValueError(
                    f"{tensor.name}: expected data of shape {array.shape} and {array.dtype}, dense "
                    f"as before, got shape {data.shape}, {data.dtype}"
                )
        for step in self.steps:
            for name in ("w", "bias"):
                if id(step.operands.get(name)) in new:
                    step.operands[name] = new[id(step.operands[name])]
        if any(tensor.data is not array for tensor, array in b.weights):
            b.weights = [(tensor, tensor.data) for tensor, _ in b.weights]
            steps = [(step.op, step.operands) for step in self.steps]
            self._forward.rebind(steps[: self._middle])
            self._backward.rebind(steps[self._middle :])

    @property
    def gathers(self) -> tuple[str, str, str]:
        """How a batch comes in: what is done, the layer that asks for it, the shape."""
        b = self._builder
        scaled = f" * {b.scale:g} + {b.offset:g}" if b.scaled_by else ""
        return f"gather{scaled}", b.scaled_by, _shape(self._inputs.shape[1:])

    def feed(self, x: Array, y: Array | None = None, weights: Array | None = None) -> None:
        """Take batches from these examples from now on; weights are the loss's business."""
        self._forward.feed(0, feedable(x), self._inputs, self._builder.scale, self._builder.offset)
        if self.labels is not None and y is not None:
            self._forward.feed(1, feedable(y), self.labels)

    def release(self) -> None:
        """Let go of the examples."""
        self._forward.feed(0, None, self._inputs)
        self._forward.feed(1, None, self._inputs)

    def reset(self) -> None:
        """Let the loss and the hits count from 0 again."""
        self._forward.reset()
        self.seen = 0

    def run(
        self, first: int, n: int, order: Array | None = None, update: Update = NO_UPDATE
    ) -> None:
        """Run it on n examples; see `feed`. update: of the optimizer's steps, if there are any."""
        if not self.fresh:  # a callback gave a weight another array, or it is the first run
            self.follow()
        self._forward.run(first, n, order, *update)
        self.seen += n

    def back(self, n: int, dy: Array, update: Update) -> None:
        """Run the backward half, where the loss is no step: dy is its gradient."""
        assert self._dy is not None
        self._dy[:n] = dy
        self._backward.run(0, n, None, *update)

    @property
    def loss(self) -> float:
        """Sum over the examples since `reset`."""
        return self._forward.loss

    @property
    def hits(self) -> float:
        """How many examples since `reset` had their largest output at the largest label."""
        return self._forward.hits

    def __str__(self) -> str:
        from ..models.summary import program_table  # noqa: PLC0415 - rich is slow to import

        return program_table(self)

    __repr__ = __str__


def feedable(array: Array) -> Array:
    """The examples as a program can take them: dense, of float32, float64 or uint8."""
    if array.dtype == np.bool_:
        array = array.view(np.uint8)
    if array.dtype not in (np.float32, np.float64, np.uint8) or not array.dtype.isnative:
        array = array.astype(np.float32)
    if array.flags.aligned and (len(array) == 0 or array[0].flags.c_contiguous):
        return array
    return np.require(array, requirements=("C", "A"))


def lower(
    model: Sequential,
    capacity: int,
    shapes: Sequence[Shape],
    *,
    loss: bool = False,
    train: bool = False,
) -> Program:
    """The program of a built model; raises `NotLoweredError` if there is none.

    Args:
        model: what to lower.
        capacity: the largest batch.
        shapes: of the inputs (N, ...), and of labels and weights if there are any.
        loss: also lay out the loss, where it is categorical cross entropy of a softmax.
        train: and the backward half, and the optimizer's update where there is a step for it.
    """
    parameters = None
    if any(weight.dtype != np.float32 for weight in model.weights):
        raise NotLoweredError("its weights are not float32", quiet=True)
    if None in shapes[0][1:]:
        raise NotLoweredError(f"its inputs may have any shape {shapes[0]}")
    if model.input_dtype != np.float32:
        raise NotLoweredError(f"its inputs are {model.input_dtype}")
    if train:
        assert model.optimizer is not None
        if not model.trainable_weights:
            raise NotLoweredError("it has no weights", quiet=True)
        if model.optimizer.loss_scale_factor:
            raise NotLoweredError("the optimizer scales the loss", quiet=True)
        parameters = Parameters(model.trainable_weights, model.optimizer)
    b = Builder(capacity, parameters)
    inputs = x = b.buffer([int(size or 0) for size in shapes[0][1:]])
    stages = fuse(model.layers)

    last = stages[-1] if stages else None
    softmax = type(last) in (Dense, Activation, Softmax) and activation_of(last) is SOFTMAX
    fused = loss and len(shapes) < 3 and _is_cross_entropy(model.loss, softmax)
    fused = fused and model.loss_weight == 1
    pullbacks: list[tuple[str, Pullback]] = []
    b.part = "forward"
    for stage in stages:
        b.layers = ", ".join(each.name for each in getattr(stage, "layers", [stage]))
        activation = activation_of(stage)
        if loss and softmax and stage is last:  # the loss sees to it
            activation = activations.linear
        x, pullback = _stage(b, stage, x, activation)
        pullbacks.append((b.layers, pullback))

    if loss and any(weight.regularizer is not None for weight in model.trainable_weights):
        raise NotLoweredError("it has regularizers")
    if loss and any(layer.activity_regularizer is not None for layer in in_a_row(model.layers)):
        raise NotLoweredError("it has regularizers of what layers put out")
    if fused and (x.ndim != 2 or tuple(shapes[1][1:]) != x.shape[1:]):
        why = "cross entropy has a step for outputs and labels (N, classes) only"
        raise NotLoweredError(why, quiet=True)  # if they disagree, that is to come
    labels = dy = forward = None
    output = x
    if fused:
        b.part, b.layers = "loss", getattr(model.loss, "name", None) or "categorical_crossentropy"
        labels, y = b.buffer(x.shape[1:]), b.buffer(x.shape[1:])
        each = b.buffer(())
        dy = b.gradient(x) if train else None
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
    if train:
        if dy is None:  # then the loss, which makes it, is computed in between
            forward = len(b.steps)
            dy = b.gradient(x)
        b.part = "backward"
        trained = {id(weight) for weight in model.trainable_weights}
        weights = [[w for w in _weights(stage) if id(w) in trained] for stage in stages]
        first_weight = next((i for i, own in enumerate(weights) if own), len(stages))
        gradient = dy
        for i in range(len(stages) - 1, first_weight - 1, -1):
            b.layers, pullback = pullbacks[i]
            gradient = pullback(gradient, i > first_weight)
            _update(b, model.optimizer, weights[i])
    if forward is None:
        forward = len(b.steps)
    return Program(b, inputs, output, labels, dy, forward, loss and softmax and not fused)


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


def _update(b: Builder, how: optimizers.Optimizer | None, weights: Sequence[Tensor]) -> None:
    """The optimizer's step for a layer's weights, if it is one that has a kernel.

    A layer at a time: its gradients are still in the cache, of the cores that are to change these
    weights and then read them.
    """
    if not weights:
        return
    assert b.parameters is not None
    if how is None or not how.plain:
        return
    flat, span = b.parameters, b.parameters.span(weights)
    slots = [slot[span] for slot in flat.slots]
    common = {"y": flat.values[span], "dy": flat.gradients[span], "units": span.stop - span.start}
    if type(how) is optimizers.Adam:
        b.emit("adam", 0, **common, m=slots[0], v=slots[1], numbers=how.numbers())
    elif type(how) is optimizers.SGD:
        b.emit("sgd", 0, **common, v=slots[0] if slots else None, numbers=how.numbers())
