"""Four activation functions, their slopes, and why the sigmoid fell from favour (exercise 11.8-3).

To run it:

    python demos/activations.py

The curves come from the engine: y = f(x) is a Tensor, and its slope is what backward() leaves in
x.grad. One picture shows the functions (Fig. 11.1 is the sigmoid); the other what becomes of a
gradient on its way back through 1 to 20 layers of sigmoids, and of ReLUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _common import BLUE, ORANGE, Array, figure, has_matplotlib, parse, parser, plain, save

from micrograd_ext import Tensor, layers, models, ops
from micrograd_ext.activations import get

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAMES = ("sigmoid", "tanh", "relu", "leaky_relu")
DEPTHS = range(1, 21)
WIDTH, EXAMPLES = 64, 32


def main(arguments: list[str] | None = None) -> dict[str, list[float]]:
    """Print the slopes and the gradients' sizes, draw both; returns the sizes by depth."""
    options = parse(parser(__doc__), arguments)
    print("The largest slope, and where:")
    curves = {name: curve(name) for name in NAMES}
    for name, (x, _, slope) in curves.items():
        print(f"  {name:10}  {slope.max():.2f} at x = {x[slope.argmax()]:g}")
    print("\nA sigmoid's slope is 0.25 at most, so each layer makes a gradient smaller.")
    print("The gradient that reaches the first layer's weights, as the root of its mean square:")

    sizes = {
        "sigmoid": [first_gradient(depth, "sigmoid", "glorot_uniform") for depth in DEPTHS],
        "relu": [first_gradient(depth, "relu", "he_uniform") for depth in DEPTHS],
    }
    for depth in (1, 5, 10, 20):
        left, right = (sizes[name][depth - 1] for name in sizes)
        print(f"  {depth:2} layers: sigmoid {left:8.1e}   ReLU {right:8.1e}")
    kept = [(found[-1] / found[0]) ** (1 / (len(DEPTHS) - 1)) for found in sizes.values()]
    print(f"From layer to layer, on average: times {kept[0]:.2f} and times {kept[1]:.2f}.")
    if has_matplotlib():
        pictures = {"activations.png": draw(curves), "activations_depth.png": draw_depth(sizes)}
        save(pictures, options.out)
    return {**sizes, "kept": kept}


def curve(name: str) -> tuple[Array, Array, Array]:
    """Points, the function there, and its slope, which is the gradient of the sum."""
    x = Tensor(np.linspace(-5, 5, 501), dtype=np.float64)
    y = get(name)(x)
    y.sum().backward()
    assert x.grad is not None
    return x.data, y.data, x.grad


def first_gradient(depth: int, activation: str, initializer: str) -> float:
    """How large the gradient of the first layer's weights is, in a network of so many layers.

    Initial weights as is usual for the activation: Glorot and Bengio's, and He et al.'s.
    """
    model = models.Sequential([layers.Input((WIDTH,))])
    for _ in range(depth):
        model.add(layers.Dense(WIDTH, activation, kernel_initializer=initializer))
    model.add(layers.Dense(1))
    random = np.random.default_rng(depth)  # not that of the weights: they are drawn by --seed
    x = random.standard_normal((EXAMPLES, WIDTH), np.float32)
    loss = ops.mean(ops.square(model(x) - random.standard_normal((EXAMPLES, 1), np.float32)))
    loss.backward()
    gradient = model.weights[0].grad
    assert gradient is not None
    return float(np.sqrt(np.mean(np.square(gradient, dtype=np.float64))))


def draw(curves: dict[str, tuple[Array, Array, Array]]) -> Figure:
    """Each function and its slope."""
    found = figure(8, 5)
    for axes, (name, (x, y, slope)) in zip(found.subplots(2, 2).flat, curves.items(), strict=True):
        axes.plot(x, y, color=BLUE, label="f(x)")
        axes.plot(x, slope, "--", color=ORANGE, label="f'(x)")
        axes.set_ylim(-1.2, 2.2)
        plain(axes, "x", "", name, legend=True)
    return found


def draw_depth(sizes: dict[str, list[float]]) -> Figure:
    """The size of the first layer's gradient by depth."""
    found = figure(6.4, 3.6)
    axes = found.subplots()
    styles = {"sigmoid": ("s--", ORANGE), "relu": ("o-", BLUE)}
    for name, values in sizes.items():
        style, colour = styles[name]
        axes.plot(DEPTHS, values, style, color=colour, markersize=4, label=name)
    axes.set_yscale("log")
    axes.set_xticks(range(2, 21, 2))
    plain(axes, "layers", "gradient of the first layer (RMS)", legend=True)
    return found


if __name__ == "__main__":
    main()
