"""The graph of a computation: nodes, back-propagation over them, and ways to look at it."""

from .traversal import (
    Node,
    Step,
    backward_steps,
    begin,
    descendants,
    edges,
    topological_order,
)

__all__ = ["Node", "Step", "backward_steps", "begin", "descendants", "edges", "topological_order"]
