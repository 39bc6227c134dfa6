"""Graphs to look at: a tree, a table, and text for Graphviz."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import graph

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

__all__ = ["graph_table", "graph_tree", "to_dot"]

MOST_LINES = 200

INFIX = {"+", "-", "*", "/", "**"}


def number(x: float) -> str:
    """A number as one would write it, up to six digits.

    >>> number(-6.0), number(0.1 + 0.2)
    ('-6', '0.3')
    """
    return f"{x + 0.0:.6g}"


class Labels:
    """What to call the nodes: their own names; v1, v2, ... for those without, constants by value.

    names: what to call some of them instead.

    >>> from micrograd_ext import Value
    >>> a = Value(2.0, name="a")
    >>> order = graph.topological_order(a * 3 + a)
    >>> [Labels(order)[node] for node in order]
    ['a', '3', 'v1', 'v2']
    """

    def __init__(self, order: list[Any], names: Mapping[Any, str] | None = None) -> None:
        self._ranks = {node: i for i, node in enumerate(order)}
        own = {node: node.name for node in order if node.name} | dict(names or {})
        taken = set(own.values())
        self._labels: dict[Any, str] = {}
        count = 0
        for node in order:
            if node in own:
                self._labels[node] = own[node]
            elif not node.inputs and np.ndim(node.data) == 0:
                self._labels[node] = number(float(node.data))
            else:
                count += 1
                while f"v{count}" in taken:
                    count += 1
                self._labels[node] = f"v{count}"

    def __getitem__(self, node: Any) -> str:
        return self._labels[node]

    def rank(self, node: Any) -> int:
        """The node's place in the topological order."""
        return self._ranks[node]

    def formula(self, node: Any) -> str:
        """How the node was computed: 'e = a * b', or its label alone for a leaf."""
        if not node.inputs:
            return self[node]
        names = [self[source] for source in node.inputs]
        if node.op in INFIX and len(names) == 2:
            return f"{self[node]} = {names[0]} {node.op} {names[1]}"
        return f"{self[node]} = {node.op}({', '.join(names)})"


def shown(x: Any) -> str:
    """A number, or an array's shape and norm."""
    if x is None or np.ndim(x) == 0:
        return "None" if x is None else number(float(x))
    return f"{'x'.join(map(str, np.shape(x)))} |{number(float(np.linalg.norm(x)))}|"


def draw(root: Any, labels: Labels, mark: graph.Edge | None = None) -> Text:
    """`graph_tree` with a mark at the edge of a step."""
    from rich.text import Text  # noqa: PLC0415 - slow to import

    text = Text(no_wrap=True, overflow="ignore")
    drawn: set[Any] = set()
    # node, what stands before its line and its inputs', and the edge it is drawn for
    stack: list[tuple[Any, str, str, tuple[Any, int] | None]] = [(root, "", "", None)]
    for count in range(MOST_LINES):
        node, before, below, edge = stack.pop()
        text.append("\n" * (count > 0) + before)
        again = node in drawn and bool(node.inputs)
        if again:
            text.append(labels[node], "bold").append(" (see above)")
        else:
            text.append(labels.formula(node), "bold").append(f"   data {shown(node.data)}   ")
            text.append(f"grad {shown(node.grad)}", "blue")
        if mark and edge and edge[0] is mark.node and edge[1] == mark.slot:
            text.append("   ").append("<- next", "bold yellow")
        drawn.add(node)
        last = len(node.inputs) - 1
        for slot in range(-1 if again else last, -1, -1):
            corner, rest = ("└── ", "    ") if slot == last else ("├── ", "│   ")
            stack.append((node.inputs[slot], below + corner, below + rest, (node, slot)))
        if not stack:
            return text
    return text.append(f"\n... and more: this shows {MOST_LINES} lines")


def graph_tree(root: Any) -> Text:
    """The graph as a tree for rich: what was computed above, from what below it.

    It prints in colour in a terminal and shows in a notebook. What has been drawn is not drawn a
    second time; a large graph ends after 200 lines.

    >>> from micrograd_ext import Value
    >>> a = Value(2.0, name="a")
    >>> print(graph_tree((a * a).exp()))
    v2 = exp(v1)   data 54.5982   grad 0
    └── v1 = a * a   data 4   grad 0
        ├── a   data 2   grad 0
        └── a   data 2   grad 0
    """
    return draw(root, Labels(graph.topological_order(root)))


def graph_table(root: Any) -> Table:
    """The nodes as a table for rich, each after its inputs; shows in terminals and notebooks.

    Print it with rich's `print`. At most 200 rows, the last ones: the root is among them.

    >>> from rich import print
    >>> from micrograd_ext import Value
    >>> a = Value(2.0, name="a")
    >>> print(graph_table(a * a))
    ┏━━━━━━┳━━━━┳━━━━━━━━┳━━━━━━┳━━━━━━┓
    ┃ node ┃ op ┃ inputs ┃ data ┃ grad ┃
    ┡━━━━━━╇━━━━╇━━━━━━━━╇━━━━━━╇━━━━━━┩
    │ a    │    │        │ 2    │ 0    │
    │ v1   │ *  │ a, a   │ 4    │ 0    │
    └──────┴────┴────────┴──────┴──────┘
    """
    from rich.table import Table  # noqa: PLC0415 - slow to import
    from rich.text import Text  # noqa: PLC0415

    order = graph.topological_order(root)
    labels = Labels(order)
    table = Table("node", "op", "inputs", "data", "grad")
    if len(order) > MOST_LINES:
        table.title = f"the last {MOST_LINES} of {len(order):,} nodes"
    for node in order[-MOST_LINES:]:
        inputs = ", ".join(labels[source] for source in node.inputs)
        cells = labels[node], node.op, inputs, shown(node.data), shown(node.grad)
        table.add_row(*map(Text, cells))  # Text: names are not rich's markup
    return table


def to_dot(root: Any) -> str:
    r"""The graph in Graphviz's language: a box for each node, an edge for each input.

    >>> from micrograd_ext import Value
    >>> a = Value(2.0, name="a")
    >>> print(to_dot(a * a))
    digraph {
      rankdir=LR; node [shape=record];
      n0 [label="a | data 2 | grad 0"];
      n1 [label="v1 = a * a | data 4 | grad 0"];
      n0 -> n1;
      n0 -> n1;
    }
    """
    order = graph.topological_order(root)
    labels = Labels(order)
    lines = ["digraph {", "  rankdir=LR; node [shape=record];"]
    edges = []
    for node in order:
        text = f"{labels.formula(node)} | data {shown(node.data)} | grad {shown(node.grad)}"
        for special in '\\"{}<>':
            text = text.replace(special, "\\" + special)
        lines.append(f'  n{labels.rank(node)} [label="{text}"];')
        edges += [f"  n{labels.rank(source)} -> n{labels.rank(node)};" for source in node.inputs]
    return "\n".join([*lines, *edges, "}"])
