"""Graphs of Values for `copy` and `pickle`: of any depth, and with all that is shared.

Both go from an object to what it consists of, and so down and down a long chain of Values, until
Python's stack is at its end. Here the nodes come in topological order instead: whoever copies or
writes a node has done its inputs before.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator
from typing import Any, ClassVar
from weakref import WeakValueDictionary

__all__ = ["Together", "copied", "deepcopied", "reduced"]


def unmet(root: Any, met: Container[int]) -> Iterator[Any]:
    """The nodes that root depends on and root, each after its inputs, but for ids that were met.

    What `met` holds may grow on the way: a node counts as met from when it was given out.
    """
    given: set[int] = set()
    path = [(root, iter(root.inputs))]
    while path:
        node, pending = path[-1]
        for source in pending:
            if id(source) not in given and id(source) not in met:
                path.append((source, iter(source.inputs)))
                break
        else:
            path.pop()
            given.add(id(node))
            yield node


def parts(node: Any) -> tuple[list[Any], dict[str, Any]]:
    """What `engine.made` makes the node of, and what else a subclass keeps in it.

    Raises TypeError if it has a `_backward` of its own: that function adds to the grads of the
    inputs of this very node, not of a copy.
    """
    others = dict(getattr(node, "__dict__", ()))
    if "_backward" in others:
        raise TypeError(
            f"copy, pickle: {node!r} has a _backward, which belongs to this very graph; an op "
            f"with derivatives can be copied: Value(data, inputs, {node.op!r}, locals=...)"
        )
    known = others.pop("_inputs", None) is None
    locals_ = [local for local, _ in node.sends(1.0)] if known else None
    return [type(node), node.data, node.grad, node.op, node.name, node.inputs, locals_], others


def copied(node: Any, made: Callable[..., Any]) -> Any:
    """A node with the same inputs."""
    arguments, others = parts(node)
    out = made(None, *arguments)
    if others:
        vars(out).update(others)
    return out


def deepcopied(root: Any, memo: dict[int, Any], made: Callable[..., Any]) -> Any:
    """A copy of the whole graph; what `copy.deepcopy` copied before is not copied again."""
    if not isinstance(memo, dict):
        raise TypeError(f"__deepcopy__: memo: expected a dict, got {memo!r}")
    for node in unmet(root, memo):
        (*arguments, inputs, locals_), others = parts(node)
        out = made(None, *arguments, tuple(memo[id(x)] for x in inputs), locals_)
        memo[id(node)] = out
        memo.setdefault(id(memo), []).append(node)  # as deepcopy does: ids are of what lives
        if others:
            vars(out).update(copy.deepcopy(others, memo))
    return memo[id(root)]


def reduced(node: Any, made: Callable[..., Any]) -> tuple[Any, ...]:
    """What pickle asks of a node: what makes it again, of what, and what else is in it."""
    arguments, others = parts(node)
    return made, (Together.of(node) if node.inputs else None, *arguments), others or None


class Together:
    """Nodes that pickle writes in one go, each after its inputs.

    A node's first part is the Together that it belongs to, and that is made empty, then filled.
    So a root, before it is written itself, has all others written; and each of these finds its
    Together and its inputs written already, in the one memo of the pickler, as everything else
    does that is pickled at the same time.

    The pickler's memo keeps it alive; then it is gone, and the next pickler gets another one.
    """

    alive: ClassVar[WeakValueDictionary[int, Together]] = WeakValueDictionary()  # by a node's id

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.written = False

    def take(self, root: Any, met: Container[int]) -> Together:
        """Root and what it depends on shall belong to this, but for what was met."""
        self.nodes = [node for node in unmet(root, met) if node.inputs]
        for node in self.nodes:
            Together.alive[id(node)] = self
        return self

    @staticmethod
    def of(root: Any) -> Together:
        """The one that root belongs to, or a new one of all that belong to none yet."""
        return Together.alive.get(id(root)) or Together().take(root, Together.alive)

    def __reduce__(self) -> tuple[Any, ...]:
        if self.written:  # by another pickler, which had others of the nodes already
            self.take(self.nodes[-1], ())
        self.written = True
        return Together, (), self.nodes

    def __setstate__(self, nodes: list[Any]) -> None:
        """They are made: each has its place elsewhere."""
