"""The graph of a computation: nodes, back-propagation over them, and ways to look at it."""

from .traversal import (
    Edge,
    Node,
    backward_steps,
    begin,
    descendants,
    edges,
    topological_order,
)

#: What edges were called before.
Step = Edge

__all__ = [
    "Edge",
    "Node",
    "Step",
    "backward_steps",
    "begin",
    "descendants",
    "edges",
    "topological_order",
]
