"""A scalar graph, recorded once and replayed in C.

Training builds the same graph in every step, only the numbers differ. `record` writes the graph
down as a list of ops; the tape then computes it on other numbers, forwards and back, without making
a Value. Results are those of the engine, to the last bit.

What is recorded is what was *computed*, so the tape cannot know:

- a Python branch that looked at a value, such as `y = a if a > b else b`: the tape goes the way
  that was taken when the graph was built. `a.max(b)` is an op, replayed as one; so is `relu`.
- numbers that Python took out of the graph and put back: `Value(floor(x.data))` is a constant.
- a loop whose length depends on a value: it keeps its length.

An op of one's own (`Value(data, inputs, op, locals)`, or one with a `_backward`) is only numbers
to the graph: `record` refuses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, SupportsFloat

import numpy as np
import numpy.typing as npt

from .. import graph
from ..engine import Value, own
from ._tape import OPS, Replay

__all__ = ["Tape", "record"]

Floats = npt.NDArray[np.float64]


def record(
    loss: Value,
    inputs: Iterable[Any] = (),
    parameters: Iterable[Any] = (),
    outputs: Iterable[Any] = (),
) -> Tape:
    """Write down how loss was computed.

    Args:
        loss: the Value to differentiate.
        inputs: leaves that `Tape.forward` will give other numbers.
        parameters: leaves that `Tape.step` will train.
        outputs: Values of the graph to be read as `Tape.outputs`, scores for example.

    Each may be a list of Values, or of lists of them, which count as one long list. All other
    leaves are constants.

    Raises:
        TypeError: something is no Value.
        ValueError: an input or parameter that was computed, that is given twice, or that loss does
            not depend on, as it does not on an output outside the graph; an op of one's own.

    >>> x, w = Value(2.0), Value(3.0)
    >>> tape = record((w * x - 1) ** 2, inputs=[x], parameters=[w])
    >>> for _ in range(3):
    ...     loss = tape.forward(0.5)
    ...     tape.backward()
    ...     tape.step(0.5)
    ...     print(loss, tape.parameters)
    0.25 [2.75]
    0.140625 [2.5625]
    0.0791015625 [2.421875]
    """
    return Tape(loss, inputs, parameters, outputs)


class Tape:
    """A recorded graph; `record` makes one.

    Attributes:
        nodes: the recorded Values; the tape keeps them alive.
    """

    def __init__(
        self,
        loss: Value,
        inputs: Iterable[Any] = (),
        parameters: Iterable[Any] = (),
        outputs: Iterable[Any] = (),
    ) -> None:
        if not isinstance(loss, Value):
            raise TypeError(f"record: loss: expected a Value, got {loss!r}")
        order = graph.topological_order(loss)
        known = set(order)
        given = {"inputs": flat("inputs", inputs), "parameters": flat("parameters", parameters)}
        asked = flat("outputs", outputs)
        for what, values in [*given.items(), ("outputs", asked)]:
            for i, node in enumerate(values):
                if node not in known:
                    raise ValueError(f"record: {what}[{i}]: loss does not depend on {node!r}")
        first = self._leaves(given)
        constants = [node for node in order if not node.inputs and node not in first]
        computed = [node for node in order if node.inputs]
        self.nodes: list[Value] = [*first, *constants, *computed]
        places = {node: i for i, node in enumerate(self.nodes)}
        self._first = len(first) + len(constants)
        self._replay = Replay(
            np.array([_instruction(node, places) for node in computed]).reshape(-1, 3),
            [node.data for node in self.nodes[: self._first]],
        )
        self._middle, self._end = len(given["inputs"]), len(first)
        self._loss = places[loss]
        self._outputs = np.array([places[node] for node in asked], dtype=np.intp)

    @staticmethod
    def _leaves(given: dict[str, list[Value]]) -> dict[Value, str]:
        """The inputs and parameters, in order, each with its place among the arguments."""
        places: dict[Value, str] = {}
        for what, values in given.items():
            for i, node in enumerate(values):
                place = f"{what}[{i}]"
                if node.inputs:
                    raise ValueError(
                        f"record: {place}: expected a leaf, got {node!r}, computed by {node.op!r}"
                    )
                if node in places:
                    raise ValueError(f"record: {place} is {places[node]} as well: {node!r}")
                places[node] = place
        return places

    # ------------------------------------------------------------------ numbers

    @property
    def inputs(self) -> Floats:
        """The numbers of the inputs, float64; what you write into it counts from then on."""
        return self._replay.data[: self._middle]

    @inputs.setter
    def inputs(self, values: npt.ArrayLike) -> None:
        self.inputs[:] = np.reshape(_numbers(values), np.shape(values))

    @property
    def parameters(self) -> Floats:
        """The numbers of the parameters, float64; what you write into it counts from then on."""
        return self._replay.data[self._middle : self._end]

    @parameters.setter
    def parameters(self, values: npt.ArrayLike) -> None:
        self.parameters[:] = np.reshape(_numbers(values), np.shape(values))

    @property
    def gradients(self) -> Floats:
        """d(loss)/d(parameters), float64, after `backward`."""
        return self._replay.grad[self._middle : self._end]

    @property
    def loss(self) -> float:
        """The loss that `forward` found last; at first, that of the recorded numbers."""
        return float(self._replay.data[self._loss])

    @property
    def outputs(self) -> Floats:
        """The numbers of the Values given to `record` as outputs; a copy."""
        return self._replay.data[self._outputs]

    # ------------------------------------------------------------------ replaying

    def forward(self, *values: Any) -> float:
        """Compute the loss for other inputs, and return it.

        values: as many numbers in all as there are inputs, in their order: single numbers, lists,
            arrays of any shape. Nothing at all for the inputs of before.

        Raises:
            TypeError: what are no real numbers.
            ValueError: too few or too many.
        """
        if values:
            inputs = np.concatenate([_numbers(value) for value in values])
            if len(inputs) != len(self.inputs):
                raise ValueError(
                    f"forward: expected {len(self.inputs)} numbers, one for each input, "
                    f"got {len(inputs)}"
                )
            self.inputs[:] = inputs
        self._replay.forward()
        return self.loss

    def backward(self, accumulate: bool = False) -> None:
        """Compute the gradients of the loss with respect to everything.

        accumulate: add to the leaves' gradients that are there, as `Value.backward` does, instead
            of starting afresh: for a sum over several inputs.
        """
        self._replay.grad[self._first if accumulate else 0 :] = 0.0
        self._replay.grad[self._loss] += 1.0
        self._replay.backward()

    def step(self, lr: SupportsFloat) -> None:
        """Gradient descent: parameters -= lr * gradients. TypeError if lr is no number."""
        if not hasattr(lr, "__float__") or getattr(lr, "ndim", 0) > 0:
            raise TypeError(f"step: lr: expected a number, got {lr!r}")
        with np.errstate(all="ignore"):  # IEEE 754's answers, as in the engine
            self.parameters -= float(lr) * self.gradients

    # ------------------------------------------------------------------ the recorded Values

    def write(self) -> None:
        """Put the tape's numbers into the recorded Values: data, grad, local derivatives.

        The graph is then as if it had been built from these numbers, and can be stepped through.
        """
        data, grad, locals_ = self._replay.data, self._replay.grad, self._replay.locals()
        rows = zip(data.tolist(), grad.tolist(), *locals_.tolist(), strict=True)
        for node, (x, g, dx, dy) in zip(self.nodes, rows, strict=True):
            node.rewrite(x, g, dx, dy)

    def read(self) -> None:
        """Take the numbers of all leaves, constants too, from the recorded Values."""
        self._replay.data[: self._first] = [node.data for node in self.nodes[: self._first]]

    def __repr__(self) -> str:
        return (
            f"<Tape of {len(self.nodes):,} nodes, {len(self.inputs):,} of them inputs, "
            f"{len(self.parameters):,} parameters>"
        )


def _instruction(node: Value, places: dict[Value, int]) -> tuple[int, int, int]:
    """The op's number and the places of its inputs; a unary op has its input twice."""
    op, arity = OPS.get(node.op, (0, 0))
    if len(node.inputs) != arity or own(node):
        raise ValueError(
            f"record: what {node.op!r} computes is not known, {node!r} can't be replayed: of an op "
            "of your own the graph has numbers only; the ops of Value are known"
        )
    return op, places[node.inputs[0]], places[node.inputs[-1]]


def flat(what: str, values: Iterable[Any]) -> list[Value]:
    """Values in nested lists, tuples or arrays, as one list; TypeError for anything else.

    >>> len(flat("inputs", [[Value(1.0), Value(2.0)], Value(3.0)]))
    3
    """
    flattened: list[Value] = []
    todo: list[Any] = [values]
    while todo:
        value = todo.pop()
        if isinstance(value, Value):
            flattened.append(value)
        elif isinstance(value, Iterable) and not isinstance(value, str):
            todo.extend(reversed(list(value)))
        else:
            raise TypeError(f"record: {what}: expected Values, got {value!r}")
    return flattened


def _numbers(values: Any) -> Floats:
    """Real numbers in lists or arrays, as a flat float64 array."""
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        return np.concatenate([_numbers(value) for value in values])
    if array.dtype.kind in "biuf":
        return array.astype(np.float64).ravel()
    try:
        if array.dtype.kind == "O":  # large integers, fractions, ...: what a Value can hold
            return np.array([Value(x).data for x in array.flat])
    except TypeError:
        pass  # said below, of the whole
    raise TypeError(f"Tape: expected real numbers, got {values!r}")
