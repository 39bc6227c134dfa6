"""A network drawn as nodes and edges (Figs. 11.2, 11.3), before and after it has learned.

To run it:

    python demos/network_picture.py

A network of Values, 2 inputs, 4 and 3 neurons with tanh, 1 output, learns the exclusive or. Each
edge is a weight: its colour says the sign, its width the size.
"""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import DIVERGING, figure, has_matplotlib, parse, parser, save

from micrograd_ext import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZES = (2, 4, 3, 1)
POINTS = ((-1.0, -1.0, -1.0), (-1.0, 1.0, 1.0), (1.0, -1.0, 1.0), (1.0, 1.0, -1.0))
STEPS, RATE = 300, 0.1

#: weights[layer][neuron][input], the last of them the bias
Weights = list[list[list[Value]]]


def new_weights(seed: int) -> Weights:
    """Numbers from -1 to 1."""
    draw_from = random.Random(seed)
    return [
        [[Value(draw_from.uniform(-1, 1)) for _ in range(inputs + 1)] for _ in range(neurons)]
        for inputs, neurons in itertools.pairwise(SIZES)
    ]


def outputs(weights: Weights, x1: float, x2: float) -> Value:
    """What the network makes of two numbers."""
    signals: list[Any] = [x1, x2]
    for layer in weights:
        signals = [
            sum((w * x for w, x in zip(neuron, signals, strict=False)), neuron[-1]).tanh()
            for neuron in layer
        ]
    found: Value = signals[0]
    return found


def numbers(weights: Weights) -> list[list[list[float]]]:
    """The weights as they are now."""
    return [[[w.data for w in neuron] for neuron in layer] for layer in weights]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, tell, draw; returns what it prints."""
    options = parse(parser(__doc__, seed=2), arguments)
    weights = new_weights(options.seed)
    flat = [w for layer in weights for neuron in layer for w in neuron]
    before = numbers(weights)
    losses = []
    for _ in range(STEPS):
        loss: Any = sum((outputs(weights, x1, x2) - y) ** 2 for x1, x2, y in POINTS)
        for w in flat:
            w.zero_grad()
        loss.backward()
        for w in flat:
            w.data -= RATE * w.grad
        losses.append(loss.data)
    print(f"{len(flat)} weights, {STEPS} steps: loss {losses[0]:.3f} -> {losses[-1]:.5f}")
    right = 0
    for x1, x2, y in POINTS:
        found = outputs(weights, x1, x2).data
        right += (found > 0) == (y > 0)
        print(f"  {x1:+.0f} xor {x2:+.0f}: {found:+.3f}, should be {y:+.0f}")
    if has_matplotlib():
        save({"network_picture.png": draw(before, numbers(weights))}, options.out)
    return {"first loss": losses[0], "last loss": losses[-1], "right": right}


def draw(before: list[list[list[float]]], after: list[list[list[float]]]) -> Figure:
    """Both states side by side, colours and widths to one scale."""
    from matplotlib.cm import ScalarMappable  # noqa: PLC0415 - optional
    from matplotlib.colors import Normalize  # noqa: PLC0415

    limit = max(abs(w) for state in (before, after) for layer in state for n in layer for w in n)
    scale = ScalarMappable(Normalize(-limit, limit), DIVERGING)
    found = figure(8, 3.8)
    for axes, state, title in zip(
        found.subplots(1, 2), (before, after), ("before training", "after training"), strict=True
    ):
        draw_network(axes, state, scale, limit)
        axes.set_title(title)
    found.colorbar(scale, ax=found.axes, label="weight", shrink=0.8)
    return found


def draw_network(axes: Axes, weights: list[list[list[float]]], scale: Any, limit: float) -> None:
    """Nodes in columns, layer by layer, and the edges between them; biases are not drawn."""
    places = [
        [(column, (size - 1) / 2 - i) for i in range(size)] for column, size in enumerate(SIZES)
    ]
    for column, layer in enumerate(weights):
        for neuron, end in zip(layer, places[column + 1], strict=True):
            for weight, begin in zip(neuron, places[column], strict=False):
                x, y = zip(begin, end, strict=True)
                width = 0.7 + 5 * abs(weight) / limit
                axes.plot(x, y, color=scale.to_rgba(weight), linewidth=width, zorder=1)
    names = ["x1", "x2", *[""] * sum(SIZES[1:-1]), "y"]
    for (x, y), name in zip([place for column in places for place in column], names, strict=True):
        axes.scatter([x], [y], s=520, color="white", edgecolors="black", zorder=2)
        axes.text(x, y, name or "tanh", ha="center", va="center", fontsize=9 if name else 7)
    heights = np.array(SIZES)
    axes.set(xlim=(-0.4, len(SIZES) - 0.6), ylim=(-heights.max() / 2, heights.max() / 2))
    axes.axis("off")


if __name__ == "__main__":
    main()
