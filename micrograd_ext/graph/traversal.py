"""What a node of a computation is, and back-propagation over nodes, one edge at a time.

Both floors of this package, the scalar `Value` and the `Tensor`, are nodes in this sense, so one
traversal serves both. It is a stream: `backward_steps` yields every edge it has just dealt with;
`backward()` drains it, and whoever wants to watch takes one step at a time.

Three rules:

- a pullback *returns* what goes to an input; only the traversal adds it up;
- leaves accumulate over several backward passes, the other nodes are assigned afresh;
- nothing recurses: a chain of a million nodes is fine.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Any, NamedTuple, Protocol

__all__ = ["Edge", "Node", "backward_steps", "begin", "descendants", "edges", "topological_order"]


class Node(Protocol):
    """What the traversal asks of a node.

    data: its value. grad: the derivative of the root with respect to it, `unset` before any came.
    inputs: the nodes it was computed from, in order, one entry per edge: `a * a` has a twice.
    op: what computed it, a short name; '' for a leaf. name: what the user calls it, or None.
    """

    data: Any
    grad: Any
    name: str | None

    @property
    def op(self) -> str:
        """What computed it."""

    @property
    def inputs(self) -> tuple[Any, ...]:
        """The nodes this one was computed from."""

    @property
    def unset(self) -> Any:
        """What grad is before anything arrived: 0.0 for a number, None for an array."""

    def sends(self, upstream: Any) -> Iterable[tuple[Any, Any] | None]:
        """For each input (local derivative, local derivative x upstream).

        None stands for an input that takes no gradient.
        """


class Edge(NamedTuple):
    """One edge of a backward pass: `input.grad` went from `before` to `after` = before + `sent`.

    `node` is the `slot`-th input's consumer, `upstream` = d root / d node, `local` = d node /
    d input (a number, or a linear map that describes itself), `sent` = local x upstream.
    """

    node: Any
    input: Any
    slot: int
    upstream: Any
    local: Any
    sent: Any
    before: Any
    after: Any


def topological_order(root: Any, leaves: Collection[Any] = ()) -> list[Any]:
    """Every node that root depends on, each after its inputs; root comes last.

    leaves: nodes that count as such: what they depend on is left out.

    >>> from micrograd_ext import Tensor
    >>> a = Tensor(2.0, name="a")
    >>> [node.name or node.op for node in topological_order(a * a + a)]
    ['a', '*', '+']
    """
    if not isinstance(getattr(root, "inputs", None), tuple):
        raise TypeError(f"expected a Value or a Tensor, got {type(root).__name__}")
    order: list[Any] = []
    seen = {root}
    path: list[tuple[Any, Iterator[Any]]] = [(root, iter(() if root in leaves else root.inputs))]
    while path:
        node, pending = path[-1]
        for source in pending:
            if source not in seen:
                seen.add(source)
                path.append((source, iter(() if source in leaves else source.inputs)))
                break
        else:
            order.append(node)
            path.pop()
    return order


def descendants(order: Iterable[Any], nodes: Iterable[Any]) -> set[Any]:
    """The given nodes, and all of a topological order that depend on any of them.

    >>> from micrograd_ext import Value
    >>> a, b = Value(2.0), Value(3.0)
    >>> c = a * b
    >>> descendants(topological_order(c + b), [a]) == {a, c}
    False
    >>> descendants(topological_order(c), [a]) == {a, c}
    True
    """
    dependents = set(nodes)
    for node in order:
        if any(source in dependents for source in node.inputs):
            dependents.add(node)
    return dependents


def backward_steps(root: Node, upstream: Any = 1.0) -> Iterator[Edge]:
    """Back-propagate `upstream` from root, yielding each edge once its input's grad is updated.

    A node's own gradient is complete before any of its edges is walked: consumers come first.

    >>> from micrograd_ext import Tensor
    >>> a = Tensor([3.0], name="a")
    >>> for step in backward_steps(a * a):
    ...     print(step.input.name, step.slot, step.before, "->", step.after)
    a 0 None -> [3.]
    a 1 [3.] -> [6.]
    """
    yield from edges(begin(root, upstream))


def begin(root: Node, upstream: Any = 1.0) -> list[Any]:
    """Make ready for `edges`: unset all grads but the leaves', give root its own; return the order.

    >>> from micrograd_ext import Value
    >>> a = Value(3.0)
    >>> b = a * a
    >>> order = begin(b)
    >>> a.grad, b.grad
    (0.0, 1.0)
    """
    order = topological_order(root)
    for node in order:
        if node.inputs:
            node.grad = node.unset
    receive(root, upstream)
    return order


def edges(order: list[Any]) -> Iterator[Edge]:
    """The steps of a backward pass over nodes in topological order; see `backward_steps`."""
    for node in reversed(order):
        if not node.inputs:
            continue
        upstream = node.grad
        messages = zip(node.inputs, node.sends(upstream), strict=True)
        for slot, (source, message) in enumerate(messages):
            if message is not None:
                local, sent = message
                before, after = receive(source, sent)
                yield Edge(node, source, slot, upstream, local, sent, before, after)


def receive(node: Node, sent: Any) -> tuple[Any, Any]:
    """Add `sent` to the node's grad; return grad before and after. Never in place."""
    before = node.grad
    if before is None and not node.inputs:
        after = +sent  # a copy: an op may send the same array to several leaves
    else:
        after = sent if before is None else before + sent
    node.grad = after
    return before, node.grad
