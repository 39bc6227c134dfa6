"""Walk the backward pass of a batch through a model, edge by edge and layer by layer."""

from __future__ import annotations

import copy
import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import graph
from ..common import random_stream
from ..common.console import shape_text
from ..graph.stepper import Stepper
from ..graph.views import Labels
from ..tensor import Array, Tensor
from ..training.trainer import Trainer

if TYPE_CHECKING:
    from rich.table import Table

    from ..layers import Layer

__all__ = ["ModelStepper"]

WORDS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide", "**": "power"}
WIDE = 500  # columns: no line of a table is broken there


@dataclass(eq=False)
class Part:
    """What a row of the table is about: a layer, the loss, or what a model does between layers.

    weights: those of a layer, with their names in it. edges: (node, slot) pairs, in the order in
    which they are walked.
    """

    name: str
    output: Tensor
    weights: Sequence[tuple[str, Tensor]] = ()
    edges: list[tuple[Tensor, int]] = field(default_factory=list)


class ModelStepper(Stepper):
    """The backward pass of a batch through a model; see `Sequential.stepper`, which makes one.

    It has the commands of `Stepper`, and `step_layer`. Printing it shows the layers, from the loss
    down to the inputs: the shape of what each put out, the norms of that and of the gradients, and
    how many of its edges have been walked; those of the layer that comes next are shown one by one.

    What a layer put out is called as the layer is, what it computed on the way 'layer/op', and
    weights have their names: 'dense', 'dense/matmul', 'dense/kernel'. 'loss' is the loss of the
    batch. Where a loss takes a softmax's logits, they are 'layer/logits'.

    Args:
        model: built and compiled; all that changes of it is its weights' grads.
        examples: x, y, and the weights of the examples if they have any.
    """

    most_paths = 10

    def __init__(self, model: Trainer, examples: Sequence[Array]) -> None:
        self.model = model
        x, y, *weights = (array.astype(np.float32) for array in examples)
        self._x = Tensor(x, requires_grad=False)
        loss, y_pred, calls = _forward(model, self._x, y, *weights)
        for weight in model.weights:
            weight.grad = None  # as a step of training does
        super().__init__(loss)
        self._present = set(self._order)
        self._parts, self._owner = _parts(model, loss, y_pred, calls)
        for node in reversed(self._order):
            for slot, pull in enumerate(node.pullbacks):
                if pull is not None:
                    self._owner[node].edges.append((node, slot))
        given = dict(zip(("x", "y", "sample_weight"), (x, y, *weights), strict=False))
        names, self._ops = self._names(given)
        self.labels = Labels(self._order, names)

    def _names(self, given: dict[str, Array]) -> tuple[dict[Tensor, str], dict[Tensor, str]]:
        """What to call the nodes but for numbers, and the ops that computed them: 'layer/op'."""
        names: dict[Tensor, str] = {}
        ops: dict[Tensor, str] = {}
        taken: set[str] = set()

        def give(kind: dict[Tensor, str], node: Tensor, text: str) -> None:
            if node in kind:
                return
            count, label = 0, text
            while label in taken:
                count += 1
                label = f"{text}_{count}"
            taken.add(label)
            kind[node] = label

        give(names, self._x, "x")
        for node in self._order:
            if not node.inputs and node.name:
                give(names, node, node.name)
        for part in self._parts:
            node = self._told(part)
            if node in self._present and self._owner.get(node, part) is part:
                give(names, node, part.name if node is part.output else f"{part.name}/logits")
        for node in self._order:
            for source in node.inputs:
                if not source.inputs and source.ndim:
                    what = (
                        name for name, a in given.items() if np.may_share_memory(a, source.data)
                    )
                    give(names, source, next(what, f"{self._owner[node].name}/constant"))
            if node.inputs:
                give(ops, node, f"{self._owner[node].name}/{_word(node)}")
                if node.name:
                    give(names, node, node.name)
        return ops | names, ops

    # ------------------------------------------------------------------ moving

    def step_layer(self, count: int = 1) -> None:
        """Walk the edges that are left of the layer that comes next, or of several.

        The loss counts as a layer.
        """
        for _ in range(count):
            if self.next_edge is None:
                print(f"done: {self.place} edges")
                return
            part = self._owner[self.next_edge.node]
            while self.next_edge is not None and self._owner[self.next_edge.node] is part:
                self.step()

    def find(self, node: Any) -> Any:
        """The one node of that name, or the node itself.

        A layer's name means what it put out, that of an op what it computed.
        """
        for part in self._parts:
            if part.name == node and self._told(part) in self._present:
                return self._told(part)
        for computed, op in self._ops.items():
            if op == node:
                return computed
        return super().find(node)

    # ------------------------------------------------------------------ words

    def words(self, step: graph.Edge) -> str:
        """A step as one line of text."""
        return (
            f"{self.labels[step.input]}.grad += {self._ops[step.node]} turns "
            f"{_short(step.upstream)} into {_short(step.sent)}   "
            f"({_norm(step.before)} -> {_norm(step.after)})"
        )

    def explain(self, node: Any) -> None:
        """Write out d(loss)/d(node): every path, and the product along it, edge by edge.

        Products are arrays, shown by shape and norm. With more than 10 paths only their number is
        told.

        node: a node of the graph, or its name.
        """
        target = self.find(node)
        if target.requires_grad:
            super().explain(target)
        else:
            print(f"{self.labels[target]} takes no gradient")

    def _print_path(self, path: list[tuple[Any, int]]) -> Any:
        """Print a path, a line for each edge, with the product so far; return that of them all."""
        product: Any = self._start
        rows = [(self.labels[self.root], _short(product), "")]
        for node, slot, _, so_far in self._along(path):
            product = so_far
            rows.append((self.labels[node.inputs[slot]], _short(product), f"by {self._ops[node]}"))
        first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
        for label, shape_and_norm, op in rows:
            print(f"  {label:{first}}   {shape_and_norm:{second}}   {op}".rstrip())
        return product

    # ------------------------------------------------------------------ showing

    def __repr__(self) -> str:
        from rich.console import Console  # noqa: PLC0415 - slow to import

        text = io.StringIO()
        Console(file=text, width=WIDE, color_system=None).print(self.__rich__())
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    def __rich__(self) -> Table:  # type: ignore[override]
        """The layers as a table."""
        from rich.table import Table  # noqa: PLC0415 - slow to import
        from rich.text import Text  # noqa: PLC0415

        columns = "layer", "output", "|data|", "|grad|", "|grad| of weights", "edges"
        table = Table(*columns, box=None, pad_edge=False, header_style="bold")
        mark = self.next_edge
        walked = {(step.node, step.slot) for step in self._seen[: self.place]}
        for part in self._parts:
            node = self._told(part)
            count = sum(edge in walked for edge in part.edges)
            table.add_row(
                Text(part.name, "bold"),
                _shape(node) + " logits" * (node is not part.output),
                _norm(node.data),
                Text(self._grad(node), "blue"),
                Text(self._of_weights(part), "blue"),
                f"{count} of {len(part.edges)}" if part.edges else "none",
            )
            if mark is None or self._owner[mark.node] is not part:
                continue
            for consumer, slot in part.edges:
                source = consumer.inputs[slot]
                comes = consumer is mark.node and slot == mark.slot
                table.add_row(
                    Text(f"  {self.labels[source]}"),
                    _shape(source),
                    _norm(source.data),
                    Text(self._grad(source), "blue"),
                    "",
                    Text(self._ops[consumer].removeprefix(f"{part.name}/")).append(
                        "   <- next" * comes, "bold yellow"
                    ),
                )
        table.add_row(Text("x", "bold"), _shape(self._x), _norm(self._x.data), "", "", "")
        return table

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """For notebooks."""
        return self.__rich__()._repr_mimebundle_(**{"include": (), "exclude": (), **kwargs})

    def _told(self, part: Part) -> Tensor:
        """The node that a part's row tells of: its output, or the logits if the loss takes them."""
        logits = part.output.logits
        if part.output in self._present or logits is None or self._owner.get(logits) is not part:
            return part.output
        return logits

    def _grad(self, node: Tensor) -> str:
        """The norm of a node's grad; nothing for one that gets none."""
        return _norm(node.grad) if node in self._present and node.requires_grad else ""

    def _of_weights(self, part: Part) -> str:
        """A part's weights that get gradients and the norms of these, two to a line."""
        grads = ((name, self._grad(weight)) for name, weight in part.weights)
        texts = [f"{name} {grad}" for name, grad in grads if grad]
        return "\n".join(", ".join(texts[i : i + 2]) for i in range(0, len(texts), 2))


Call = tuple["Layer", Tensor, Tensor]  # a layer that was called, what went in and what came out


def _forward(
    model: Trainer, x: Tensor, y: Array, weights: Array | None = None
) -> tuple[Tensor, Tensor, list[Call]]:
    """The loss of a batch as training computes it, the model's outputs, and the calls of layers.

    It is a copy of the model that computes, with the same weights: what layers count, average or
    draw stays among the copies.
    """
    shared = [weight for weight in model.weights if weight.requires_grad]
    working = copy.deepcopy(
        model, {id(each): each for each in (*shared, model.optimizer, model.history)}
    )
    calls: list[Call] = []
    for layer in working.layers:
        vars(layer)["call"] = _noted(layer, calls)
    with random_stream.rewound():
        y_pred = working(x, training=True)
        loss = working.batch_loss(y, y_pred, weights)
    for layer in working.layers:
        del vars(layer)["call"]  # a cycle would keep the graph alive
    return loss, y_pred, calls


def _noted(layer: Layer, calls: list[Call]) -> Callable[..., Tensor]:
    """The layer's `call`, writing down what went in and what came out."""
    call: Callable[..., Tensor] = layer.call

    def noted(inputs: Tensor, *args: Any, **options: Any) -> Tensor:
        output = call(inputs, *args, **options)
        if isinstance(output, Tensor):  # else it has no graph
            calls.append((layer, inputs, output))
        return output

    return noted


def _parts(
    model: Trainer, loss: Tensor, y_pred: Tensor, calls: Sequence[Call]
) -> tuple[list[Part], dict[Tensor, Part]]:
    """The parts, from the loss down to the first layer, and whose part each node is."""
    owner: dict[Tensor, Part] = {}

    def claim(part: Part, node: Tensor) -> None:
        """Whatever the node was computed from and is nobody's yet is of this part."""
        for each in graph.topological_order(node):
            if each.inputs:
                owner.setdefault(each, part)

    parts: list[Part] = []
    times: Counter[str] = Counter()
    between = Part(model.name, y_pred)
    for layer, inputs, output in calls:
        times[layer.name] += 1
        again = f":{times[layer.name]}" if times[layer.name] > 1 else ""
        weights = [((w.name or "").removeprefix(f"{layer.name}/"), w) for w in layer.weights]
        part = Part(layer.name + again, output, weights)
        claim(between, inputs)
        claim(part, output)
        parts.append(part)
    claim(between, y_pred)
    if own := [node for node, part in owner.items() if part is between]:
        between.output = own[-1]
        parts.append(between)
    parts.append(Part("loss", loss))
    claim(parts[-1], loss)
    return parts[::-1], owner


def _word(node: Tensor) -> str:
    """What computed a node, in a word."""
    return "negative" if node.op == "-" and len(node.inputs) == 1 else WORDS.get(node.op, node.op)


def _shape(x: Tensor | Array) -> str:
    return shape_text(x.shape) if x.ndim else "scalar"


def _norm(x: Array | None) -> str:
    """The norm of an array, between bars; of a number, the number."""
    if x is None:
        return "None"
    return f"|{float(np.linalg.norm(x)):.3g}|" if x.ndim else f"{float(x):.4g}"


def _short(x: Array) -> str:
    """An array's shape and norm, or a number."""
    return f"{_shape(x)} {_norm(x)}" if x.ndim else _norm(x)
