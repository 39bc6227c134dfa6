"""Walk through a backward pass, forwards and back, in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar

from .. import graph
from .views import Labels, draw, number, shown

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Stepper"]

SHOWN = 8  # factors at each end of a long path


class Stepper:
    """A backward pass, an edge at a time; `loss.stepper()` makes one.

    Printing it draws the graph, with a mark at the edge that comes next. All methods but `explain`
    change the nodes' grads, and nothing else; `finish` leaves them as `backward()` does.

    Args:
        root: the Value or Tensor to differentiate.
        gradient: for a Tensor, what to start from; see `Tensor.backward`.

    >>> from micrograd_ext import Value
    >>> a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    >>> e = a * b
    >>> e.name = "e"
    >>> walk = e.stepper()
    >>> walk.step()
    a.grad += d(e)/d(a) * d(e)/d(e) = -3 * 1 = -3    (0 -> -3)
    >>> walk
    e = a * b   data -6   grad 1
    ├── a   data 2   grad -3
    └── b   data -3   grad 0   <- next
    >>> walk.back()
    back: a.grad = 0
    >>> walk.finish()
    a.grad += d(e)/d(a) * d(e)/d(e) = -3 * 1 = -3    (0 -> -3)
    b.grad += d(e)/d(b) * d(e)/d(e) = 2 * 1 = 2    (0 -> 2)
    done: 2 edges
    """

    most_paths = 100  # that `explain` writes out
    #: What computes a derivative another way, for `explain` to compare with: by the type of the
    #: node, a function of the topological order and the node; it returns a number, or why not.
    checks: ClassVar[dict[type, Callable[[list[Any], Any], float | str]]] = {}

    def __init__(self, root: Any, gradient: Any = None) -> None:
        self.root = root
        self._start = root.start(gradient) if hasattr(root, "start") else 1.0
        self._order = graph.topological_order(root)
        self._leaves = [(node, node.grad) for node in self._order if not node.inputs]
        self.labels = Labels(self._order)
        self._rewind()

    def _rewind(self) -> None:
        for node, grad in self._leaves:
            node.grad = grad
        self._edges = graph.edges(graph.begin(self.root, self._start))
        self._seen: list[graph.Edge] = []
        self._place = 0
        self._ended = False
        self._look_ahead()

    # ------------------------------------------------------------------ moving

    @property
    def place(self) -> int:
        """How many edges have been walked."""
        return self._place

    @property
    def next_edge(self) -> graph.Edge | None:
        """The edge that `step` will walk, None at the end."""
        return self._seen[self._place] if self._place < len(self._seen) else None

    def _look_ahead(self) -> None:
        """Know the next edge, with the grad of its input as it was before."""
        if self._place == len(self._seen) and not self._ended:
            step = next(self._edges, None)
            self._ended = step is None
            if step is not None:
                step.input.grad = step.before
                self._seen.append(step)

    def _forward(self) -> graph.Edge | None:
        step = self.next_edge
        if step is not None:
            step.input.grad = step.after
            self._place += 1
            self._look_ahead()
        return step

    def step(self, count: int = 1) -> None:
        """Walk the next edge, or several, and say what happened."""
        for _ in range(count):
            step = self._forward()
            if step is None:
                print(f"done: {self._place} edges")
                return
            print(self.words(step))

    next = step

    def back(self, count: int = 1) -> None:
        """Take the last edge back, or several: the grads are what they were before."""
        for _ in range(count):
            if self._place == 0:
                print("at the beginning")
                return
            self._place -= 1
            step = self._seen[self._place]
            step.input.grad = step.before
            print(f"back: {self.labels[step.input]}.grad = {shown(step.before)}")

    def run(self, until: Any = None) -> None:
        """Walk on, saying each step, until the grad of a node is complete; to the end for None.

        until: a node, or its name. Raises ValueError if the graph has none of that name.
        """
        target = None if until is None else self.find(until)
        while (step := self.next_edge) is not None:
            if target is not None and self._complete(target, step):
                break
            self.step()
        if target is None:
            print(f"done: {self._place} edges")
        else:
            print(f"{self.labels[target]}.grad = {shown(target.grad)} is complete")

    def finish(self) -> None:
        """Walk to the end."""
        self.run()

    def restart(self) -> None:
        """Go back to the beginning, silently."""
        self._rewind()

    def _complete(self, node: Any, step: graph.Edge) -> bool:
        """Whether no edge from `step` on leads to the node: edges go down the order."""
        if not node.inputs:
            consumers = [n for n in self._order if any(x is node for x in n.inputs)]
            first = min((self.labels.rank(n) for n in consumers), default=math.inf)
            rank = self.labels.rank(step.node)
            later = any(x is node for x in step.node.inputs[step.slot :])
            return rank < first or (rank == first and not later)
        return self.labels.rank(step.node) <= self.labels.rank(node)

    def find(self, node: Any) -> Any:
        """The one node of that name, or the node itself if it is in the graph; else ValueError."""
        if not isinstance(node, str):
            if not any(node is other for other in self._order):
                raise ValueError(f"{node!r} is not part of this graph")
            return node
        matches = [other for other in self._order if self.labels[other] == node]
        if not matches:
            names = ", ".join(self.labels[other] for other in self._order[:50])
            raise ValueError(f"no node is called {node!r}; there are {names}")
        if len(matches) > 1:
            raise ValueError(f"{len(matches)} nodes are called {node!r}: give the node itself")
        return matches[0]

    # ------------------------------------------------------------------ words

    def words(self, step: graph.Edge) -> str:
        """A step as one line of text."""
        if not isinstance(step, graph.Edge):
            raise TypeError(f"words: expected one of this walk's steps, got {type(step).__name__}")
        node, source = self.labels[step.node], self.labels[step.input]
        left = f"{source}.grad += d({node})/d({source}) * d({self.labels[self.root]})/d({node})"
        change = f"({shown(step.before)} -> {shown(step.after)})"
        if isinstance(step.local, float):
            product = f"{number(step.local)} * {number(step.upstream)} = {number(step.sent)}"
            return f"{left} = {product}    {change}"
        upstream, sent = shown(step.upstream), shown(step.sent)
        return f"{left}: {step.node.op} turns {upstream} into {sent}    {change}"

    def explain(self, node: Any) -> None:
        """Write out d(root)/d(node): every path, the product along it, the sum of them all.

        For Values the sum is held against a central difference: the graph computed anew with the
        node moved a little to both sides. For Tensors, a path's product is an array, shown by its
        shape and norm. With more than 100 paths only their number is told.

        node: a node of the graph, or its name.
        """
        target = self.find(node)
        root, name = self.labels[self.root], self.labels[target]
        count = self._count_paths(target)
        if count > self.most_paths:
            print(f"d({root})/d({name}): {count:,} paths, too many to write out")
        else:
            print(f"d({root})/d({name}): {count} path{'s' if count != 1 else ''}")
        total: Any = 0.0
        if count <= self.most_paths:
            for path in self._paths(target):
                total = total + self._print_path(path)
            print(f"  sum = {shown(total)}")
        for kind, check in self.checks.items():
            if not isinstance(target, kind):
                continue
            difference = check(self._order, target)
            if isinstance(difference, str):
                print(f"  no central difference: {difference}")
            else:
                print(f"  central difference = {number(difference)}")

    def _print_path(self, path: list[tuple[Any, int]]) -> Any:
        """Print one path; return the product along it."""
        product: Any = self._start
        edges, locals_ = [], []
        for node, slot, local, so_far in self._along(path):
            product = so_far
            edges.append(f"d({self.labels[node]})/d({self.labels[node.inputs[slot]]})")
            if isinstance(local, float):
                locals_.append(number(local))
        terms = [_product(factors) for factors in (edges, locals_) if factors]
        print("  " + " = ".join([*terms, shown(product)]))
        return product

    def _along(self, path: list[tuple[Any, int]]) -> Iterator[tuple[Any, int, Any, Any]]:
        """Each edge of a path, as (node, slot, local derivative, product so far)."""
        product: Any = self._start
        for node, slot in path:
            # no further than this input: an op may send arrays that take long to compute
            message = next(islice(node.sends(product), slot, None))
            local, product = (0.0, 0.0) if message is None else message
            yield node, slot, local, product

    def _count_paths(self, target: Any) -> int:
        ways = {target: 1}
        for node in self._order:
            if node is not target:
                ways[node] = sum(ways.get(source, 0) for source in node.inputs)
        return ways.get(self.root, 0)

    def _paths(self, target: Any) -> Iterator[list[tuple[Any, int]]]:
        """Each way from the root down to the target, as (node, slot) pairs."""
        leads = graph.descendants(self._order, [target])
        stack: list[tuple[Any, Any]] = [(self.root, None)]  # a node, and (edge, the way to it)
        while stack:
            node, way = stack.pop()
            if node is target:
                path = []
                while way is not None:
                    edge, way = way
                    path.append(edge)
                yield path[::-1]
                continue
            for slot in reversed(range(len(node.inputs))):
                if node.inputs[slot] in leads:
                    stack.append((node.inputs[slot], ((node, slot), way)))

    # ------------------------------------------------------------------ showing

    def __repr__(self) -> str:
        return self.__rich__().plain

    def __rich__(self) -> Text:
        return draw(self.root, self.labels, self.next_edge)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        """For notebooks."""
        return self.__rich__()._repr_mimebundle_(**{"include": (), "exclude": (), **kwargs})


def _product(factors: list[str]) -> str:
    """Factors with * between them, the middle left out of a long product."""
    if len(factors) > 2 * SHOWN:
        factors = [*factors[:SHOWN], "...", *factors[-SHOWN:]]
    return " * ".join(factors)
