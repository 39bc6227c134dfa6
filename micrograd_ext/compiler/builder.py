"""What takes the steps of a program down, and makes their buffers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from ..layers import Conv2D, Dense
from ..tensor import Array, Tensor
from ._executor import aligned
from .binding import Binding
from .elementwise import Chain
from .step import Step

#: Where the gradient of the outputs is, and whether that of the inputs is wanted; where it then is.
Pullback: TypeAlias = Callable[[Array, bool], Array]


class NotLoweredError(Exception):
    """What a program cannot do, in a few words; the model then runs layer by layer.

    quiet: whether that goes without saying.
    """

    def __init__(self, why: str, quiet: bool = False) -> None:
        super().__init__(why)
        self.quiet = quiet


class Weights(NamedTuple):
    """The numbers of a layer's kernel and bias, and where their gradients go."""

    w: Array
    bias: Array | None
    dw: Array | None
    db: Array | None


class Builder:
    """Takes steps down, and makes their buffers, for batches of up to `capacity` examples."""

    def __init__(self, capacity: int, binding: Binding) -> None:
        self.capacity = capacity
        self.binding = binding
        self.steps: list[Step] = []
        self.adjusted: set[int] = set()  # ids of weights that training adjusts, once used
        self.scale, self.offset, self.scaled_by = 1.0, 0.0, ""  # of the inputs
        self.part = self.layers = ""
        self._largest = 0
        self._gradients: list[Array] = []

    @property
    def training(self) -> bool:
        """Whether the program is one that trains."""
        return self.binding.optimizer is not None

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
        if self.training:
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
        if self.training and id(tensor) in self.binding.of:
            if id(tensor) in self.adjusted:
                raise NotLoweredError(f"{tensor.name} is used twice", quiet=True)
            self.adjusted.add(id(tensor))
            return self.binding.of[id(tensor)]
        if array.dtype != np.float32 or not (array.flags.c_contiguous and array.flags.aligned):
            raise NotLoweredError(f"{tensor.name} is not a dense float32 array")
        self.binding.frozen.append((tensor, array))
        return array, None

    def emit(self, op: str, flops: float, *, formula: Any = "", **operands: Any) -> None:
        """Take a step down; flops: for one example. formula: see `Step`."""
        flops *= self.capacity
        self.steps.append(Step(op, operands, self.part, self.layers, flops, formula))

    def elementwise(self, formula: str, chain: Chain, inputs: Sequence[Array], out: Array) -> None:
        """Take down that a chain is computed of arrays; `out` may be one of them."""
        arrays = {f"in{i}": array for i, array in enumerate([*inputs, *chain.arrays])}
        sizes = {"rows": chain.rows, "units": chain.units}
        self.emit("elementwise", 0, formula=formula, code=chain.code, **sizes, **arrays, out0=out)
