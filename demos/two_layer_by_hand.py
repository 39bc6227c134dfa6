"""The text's two-layer network with gradients by hand, beside what backward() finds.

To run it:

    python demos/two_layer_by_hand.py

y = W2 sigma(W1 x + b1) + b2 is fitted to a curve by the update rule W -= rate dL/dW. Its gradients
are written out as in eqs. 11.9-11.14, and found by the scalar engine and by Tensors: all three
agree to 1e-12. Then exercise 11.8-1: one linear neuron that learns to add.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from _common import (
    BLUE,
    GREEN,
    ORANGE,
    Array,
    figure,
    has_matplotlib,
    parse,
    parser,
    plain,
    save,
)

from micrograd_ext import Tensor, Value, ops

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HIDDEN, RATE, STEPS = 6, 0.2, 20_000
COMPARED = 25  # steps: the scalar engine takes its time
Weights = dict[str, Array]


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Compare, fit, learn to add, draw; returns what it prints."""
    options = parse(parser(__doc__), arguments)
    random = np.random.default_rng(options.seed)
    x = np.linspace(-1, 1, 21)
    y = np.sin(3 * x)
    weights = {
        "W1": 2 * random.standard_normal(HIDDEN),
        "b1": random.standard_normal(HIDDEN),
        "W2": random.standard_normal(HIDDEN),
        "b2": np.zeros(1),
    }
    start = {name: value.copy() for name, value in weights.items()}

    print("L = (yhat - y)^2, the mean over 21 points of sin(3 x). At the first step:")
    print("  dL/d      by hand        Values         Tensors")
    largest = 0.0
    losses = []
    for step in range(STEPS):
        loss, by_hand = gradients_by_hand(weights, x, y)
        losses.append(loss)
        if step < COMPARED:
            values = gradients_of_values(weights, x, y)
            tensors = gradients_of_tensors(weights, x, y)
            for name, gradient in by_hand.items():
                for other in (values[name], tensors[name]):
                    largest = max(largest, float(abs(gradient - other).max()))
                if step == 0:
                    three = (gradient[0], values[name][0], tensors[name][0])
                    label = f"{name}[0]" if gradient.size > 1 else name
                    print(f"  {label:6}" + "".join(f"{number:15.9f}" for number in three))
        for name, gradient in by_hand.items():
            weights[name] -= RATE * gradient  # the update rule
    print(f"The largest difference in the first {COMPARED} steps: {largest:.1e}")
    print(f"After {STEPS:,} steps of the update rule: loss {losses[0]:.4f} -> {losses[-1]:.6f}\n")

    print("One neuron y = w1 x1 + w2 x2 + b, shown sums of two numbers (exercise 11.8-1):")
    neuron = learn_to_add(random)
    print(f"  w1 = {neuron[0]:.6f}, w2 = {neuron[1]:.6f}, b = {neuron[2]:+.6f}")
    answer = float(neuron @ [123.0, 456.0, 1.0])
    print(f"  123 + 456 = {answer:.3f}")
    if has_matplotlib():
        save({"two_layer_by_hand.png": draw(start, weights, x, y, losses)}, options.out)
    return {
        "largest difference": largest,
        "first loss": losses[0],
        "last loss": losses[-1],
        "sum": answer,
    }


def sigma(x: Array) -> Array:
    """The sigmoid."""
    return 1 / (1 + np.exp(-x))


def predict(weights: Weights, x: Array) -> Array:
    """Y = W2 sigma(W1 x + b1) + b2 for all x."""
    y1 = sigma(np.outer(x, weights["W1"]) + weights["b1"])
    found: Array = y1 @ weights["W2"] + weights["b2"]
    return found


def gradients_by_hand(weights: Weights, x: Array, y: Array) -> tuple[float, Weights]:
    """The loss and eqs. 11.9-11.14: what L = (yhat - y)^2 says, meant over the points."""
    y1 = sigma(np.outer(x, weights["W1"]) + weights["b1"])
    difference = (y1 @ weights["W2"] + weights["b2"] - y)[:, None]
    slope = y1 * (1 - y1)  # sigma'
    each = {
        "W1": 2 * x[:, None] * weights["W2"] * difference * slope,
        "b1": 2 * weights["W2"] * difference * slope,
        "W2": 2 * difference * y1,
        "b2": 2 * difference,
    }
    loss = float(np.mean(difference**2))
    return loss, {name: gradient.mean(axis=0) for name, gradient in each.items()}


def gradients_of_values(weights: Weights, x: Array, y: Array) -> Weights:
    """The same by the scalar engine: each number is a Value."""
    w = {name: [Value(float(number)) for number in array] for name, array in weights.items()}
    loss = Value(0.0)
    for xi, yi in zip(x.tolist(), y.tolist(), strict=True):
        yhat = w["b2"][0]
        for w1, b1, w2 in zip(w["W1"], w["b1"], w["W2"], strict=True):
            yhat = yhat + w2 * (w1 * xi + b1).sigmoid()
        loss = loss + (yhat - yi) ** 2 / len(x)
    loss.backward()
    return {name: np.array([value.grad for value in values]) for name, values in w.items()}


def gradients_of_tensors(weights: Weights, x: Array, y: Array) -> Weights:
    """The same by Tensors, in float64."""
    w = {name: Tensor(array, dtype=np.float64) for name, array in weights.items()}
    y1 = ops.sigmoid(x[:, None] * w["W1"] + w["b1"])
    loss = ops.mean(ops.square((y1 * w["W2"]).sum(axis=1) + w["b2"] - y))
    loss.backward()
    return {name: np.asarray(tensor.grad) for name, tensor in w.items()}


def learn_to_add(random: np.random.Generator) -> Array:
    """Weights and bias of a linear neuron after 300 steps of the update rule, on random sums."""
    w1, w2, b = (Value(float(number)) for number in random.standard_normal(3))
    for _ in range(300):
        x1, x2 = random.uniform(-1, 1, 2).tolist()
        for value in (w1, w2, b):
            value.zero_grad()
        loss = (w1 * x1 + w2 * x2 + b - (x1 + x2)) ** 2
        loss.backward()
        for value in (w1, w2, b):
            value.data -= 0.2 * value.grad
    return np.array([w1.data, w2.data, b.data])


def draw(start: Weights, end: Weights, x: Array, y: Array, losses: list[float]) -> Figure:
    """The curve before and after, and the loss by step."""
    found = figure()
    left, right = found.subplots(1, 2)
    many = np.linspace(-1.2, 1.2, 200)
    left.plot(x, y, "o", color="black", markersize=4, label="points to fit")
    left.plot(many, predict(start, many), "--", color=ORANGE, label="before")
    left.plot(many, predict(end, many), color=BLUE, label="after")
    plain(left, "x", "y", legend=True)
    right.loglog(np.arange(1, len(losses) + 1), losses, color=GREEN)
    plain(right, "step", "loss")
    assert math.isfinite(losses[-1])
    return found


if __name__ == "__main__":
    main()
