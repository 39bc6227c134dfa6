"""A program: kernel calls on buffers that are made once, run by one call a batch."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..common.console import shape_text
from ..tensor import Array
from ._executor import Executor
from .builder import Builder
from .step import UPDATES

__all__ = ["NO_UPDATE", "Program", "Update", "feedable"]

#: The rate of an optimizer's step, and its hyperparameters by name.
Update: TypeAlias = tuple[float, dict[str, float] | None]
NO_UPDATE: Update = (0.0, None)


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
        self.binding = builder.binding
        self._builder, self._inputs, self._dy = builder, inputs, dy
        steps = [(step.op, step.operands) for step in self.steps]
        self._middle = forward
        self._forward = Executor(steps[:forward], self.capacity)
        self._backward = Executor(steps[forward:], self.capacity)
        self.updates = any(step.op in UPDATES for step in self.steps)
        self.seen = 0

    def fits(self, size: int, x: Array, y: Array | None = None, weights: Any = None) -> bool:
        """Whether it is for examples and labels of these shapes, and for that many at once."""
        return (
            size <= self.capacity
            and x.shape[1:] == self._inputs.shape[1:]
            and (self.labels is None or weights is None)
            and (y is None or self.labels is None or y.shape[1:] == self.labels.shape[1:])
            and self.binding.fits
        )

    def bind(self, x: Array, y: Array | None = None, weights: Array | None = None) -> None:
        """Take batches from these examples from now on; weights are the loss's business.

        The model's weights are looked for where they are by then, before each run.
        """
        if self.binding.variables:
            self._rebind()  # also what was put into the optimizer's slots meanwhile
        self._forward.feed(0, feedable(x), self._inputs, self._builder.scale, self._builder.offset)
        if self.labels is not None and y is not None:
            self._forward.feed(1, feedable(y), self.labels)

    def unbind(self) -> None:
        """Let go of the examples."""
        self._forward.feed(0, None, self._inputs)
        self._forward.feed(1, None, self._inputs)

    def _rebind(self) -> None:
        """Let the steps use the arrays that the weights have now."""
        moved = self.binding.rebind()
        if not moved:
            return
        for step in self.steps:
            for name in ("w", "bias"):
                if id(step.operands.get(name)) in moved:
                    step.operands[name] = moved[id(step.operands[name])]
        steps = [(step.op, step.operands) for step in self.steps]
        self._forward.rebind(steps[: self._middle])
        self._backward.rebind(steps[self._middle :])

    @property
    def gathers(self) -> tuple[str, str, str]:
        """How a batch comes in: what is done, the layer that asks for it, the shape."""
        b = self._builder
        scaled = f" * {b.scale:g} + {b.offset:g}" if b.scaled_by else ""
        return f"gather{scaled}", b.scaled_by, shape_text(self._inputs.shape[1:])

    def reset(self) -> None:
        """Let the loss and `correct` count from 0 again."""
        self._forward.reset()
        self.seen = 0

    def run(
        self, first: int, n: int, order: Array | None = None, update: Update = NO_UPDATE
    ) -> None:
        """Run it on n examples; see `bind`. update: of the optimizer's steps, if there are any."""
        if self.binding.stale:  # a callback gave a weight another array
            self._rebind()
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
    def correct(self) -> float:
        """How many examples since `reset` had their largest output at the largest label."""
        return self._forward.correct

    def __str__(self) -> str:
        from .table import program_table  # noqa: PLC0415 - rich is slow to import

        return program_table(self.capacity, self.gathers, self.steps)

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
