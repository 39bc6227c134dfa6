"""Linear layers upon linear layers are one linear layer; a ReLU bends it (exercise 11.8-2).

To run it:

    python demos/linear_stack.py

Two networks of five layers learn |x|. The first has no activation: however deep, it is the line
w x + b, with w the product of its weights. The second has ReLUs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _common import BLUE, ORANGE, Array, figure, has_matplotlib, parse, parser, plain, save

from micrograd_ext import layers, models

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DEPTH, UNITS = 5, 16


def network(activation: str | None) -> models.Sequential:
    """Five layers, from one number to one number."""
    model = models.Sequential([layers.Input((1,))])
    for _ in range(DEPTH - 1):
        model.add(layers.Dense(UNITS, activation))
    model.add(layers.Dense(1))
    return model


def collapse(model: models.Sequential) -> tuple[float, float]:
    """The w and b of the line that layers without activation make: w = W1 W2 ..."""
    w, b = np.eye(1), np.zeros(1)
    for layer in model.layers:
        kernel, bias = (array.astype(np.float64) for array in layer.get_weights())
        w, b = w @ kernel, b @ kernel + bias
    return float(w[0, 0]), float(b[0])


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train both, measure, draw; returns what it prints."""
    options = parse(parser(__doc__), arguments)
    x = np.linspace(-1, 1, 101, dtype=np.float32)[:, None]
    y = abs(x)
    outputs, losses = {}, {}
    for name, activation in (("linear", None), ("ReLU", "relu")):
        model = network(activation)
        model.compile("adam", "mean_squared_error")
        history = model.fit(x, y, batch_size=16, epochs=150, verbose=0)
        outputs[name], losses[name] = model.predict(x)[:, 0], history.history["loss"][-1]
        if activation is None:
            w, b = collapse(model)
            line = w * x[:, 0].astype(np.float64) + b
            away = float(abs(outputs[name] - line).max())
            count = model.count_params()
    best = float(np.var(y))  # what the best line leaves: it is level, at the mean
    print(f"{DEPTH} linear layers, {count} weights: they are y = {w:.4f} x + {b:.4f},")
    print(f"  from which the network's outputs are {away:.1e} away at most.")
    print(f"  Loss {losses['linear']:.4f}; that of the best line is {best:.4f}.")
    print(f"With ReLUs between them: loss {losses['ReLU']:.6f}")
    if has_matplotlib():
        save({"linear_stack.png": draw(x[:, 0], y[:, 0], outputs)}, options.out)
    return {"away": away, "best line": best, **losses}


def draw(x: Array, y: Array, outputs: dict[str, Array]) -> Figure:
    """What the two networks made of |x|."""
    found = figure(6.4, 3.6)
    axes = found.subplots()
    axes.plot(x, y, color="black", linewidth=5, alpha=0.2, label="|x|, to be learned")
    axes.plot(x, outputs["linear"], "--", color=ORANGE, label=f"{DEPTH} linear layers")
    axes.plot(x, outputs["ReLU"], color=BLUE, label="with ReLUs between them")
    plain(axes, "x", "y", legend=True)
    return found


if __name__ == "__main__":
    main()
