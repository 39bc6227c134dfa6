"""micrograd's demo: a network of Values learns to tell two moons apart.

To run it:

    python demos/moons.py

The model, the loss and the schedule are those of micrograd's notebook: 337 parameters, max-margin
loss with L2, 100 steps of gradient descent on all 100 points. It trains twice: building the graph
anew in every step, then replaying a recorded one.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import BLUE, ORANGE, has_matplotlib, moons, parse, parser, save

from micrograd_ext import Value, record
from micrograd_ext.nn import MLP

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SEED = 1337


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train in both ways, compare, draw; returns what it prints."""
    found = parser(__doc__, seed=SEED)
    found.add_argument("--steps", type=int, default=100, help="default: 100")
    options = parse(found, arguments)
    if options.steps < 1:
        found.error(f"--steps: expected 1 or more, got {options.steps}")

    x, y = moons(100, 0.1, options.seed)
    y = 2 * y - 1  # -1 and 1
    model = new_model(options.seed)
    print(f"MLP(2, [16, 16, 1]), {len(model.parameters())} parameters, {len(x)} points\n")

    print("Building the graph in every step:")
    losses, seconds = report(options.steps, train(model, x, y, options.steps))
    print(f"{1e3 * seconds:.2f} ms a step\n")

    print("Replaying a tape:")
    again = new_model(options.seed)
    losses_again, seconds_again = report(options.steps, train_tape(again, x, y, options.steps))
    print(f"{1e3 * seconds_again:.2f} ms a step, {seconds / seconds_again:.0f} times as fast")
    same = losses == losses_again and parameters(model) == parameters(again)
    print(f"The same losses and parameters, to the last bit: {same}\n")

    if has_matplotlib():
        save({"moons.png": draw(again, x, y, losses)}, options.out)
    return {"same": same, "first": losses[0], "last": losses[-1]}


def new_model(seed: int = SEED) -> MLP:
    """Two inputs, two hidden layers of 16 ReLU neurons, one output: the sign is the class."""
    random.seed(seed)
    return MLP(2, [16, 16, 1])


def parameters(model: MLP) -> list[float]:
    """Their numbers."""
    return [p.data for p in model.parameters()]


def evaluate(model: MLP, x: Any, y: Any) -> tuple[Value, list[Value]]:
    """The loss on all points, and the score of each."""
    scores = [model([Value(x1), Value(x2)]) for x1, x2 in x]
    losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores, strict=True)]
    data_loss = sum(losses) * (1.0 / len(losses))
    return data_loss + 1e-4 * sum(p * p for p in model.parameters()), scores


def rate(step: int, steps: int) -> float:
    """The learning rate, which falls from 1 to 0.1."""
    return 1.0 - 0.9 * step / steps


def train(model: MLP, x: Any, y: Any, steps: int) -> Iterator[tuple[float, float]]:
    """Loss and accuracy of every step."""
    for step in range(steps):
        loss, scores = evaluate(model, x, y)
        model.zero_grad()
        loss.backward()
        for p in model.parameters():
            p.data -= rate(step, steps) * p.grad
        yield (
            loss.data,
            np.mean([(s.data > 0) == (yi > 0) for s, yi in zip(scores, y, strict=True)]),
        )


def train_tape(model: MLP, x: Any, y: Any, steps: int) -> Iterator[tuple[float, float]]:
    """The same from a tape of the first step."""
    loss, scores = evaluate(model, x, y)
    tape = record(loss, parameters=model.parameters(), outputs=scores)
    for step in range(steps):
        tape.forward()
        tape.backward()
        tape.step(rate(step, steps))
        yield tape.loss, np.mean((tape.outputs > 0) == (y > 0))
    tape.write()


def report(steps: int, training: Iterator[tuple[float, float]]) -> tuple[list[float], float]:
    """Print every tenth step; return all losses, and the median seconds of a step."""
    losses, times = [], [time.perf_counter()]
    for step, (loss, accuracy) in enumerate(training):
        losses.append(loss)
        times.append(time.perf_counter())
        if step % 10 == 0 or step == steps - 1:
            print(f"step {step:3}   loss {loss:.6f}   accuracy {accuracy:.0%}")
    return losses, float(np.median(np.diff(times)))


def draw(model: MLP, x: Any, y: Any, losses: list[float]) -> Figure:
    """The plane by the model's score, with the points; and the loss by step."""
    from matplotlib.colors import LinearSegmentedColormap  # noqa: PLC0415 - optional
    from matplotlib.figure import Figure  # noqa: PLC0415

    point = [Value(0.0), Value(0.0)]
    tape = record(model(point), inputs=point)
    horizontal = np.linspace(x[:, 0].min() - 0.5, x[:, 0].max() + 0.5, 150)
    vertical = np.linspace(x[:, 1].min() - 0.5, x[:, 1].max() + 0.5, 150)
    scores = np.array([[tape.forward(x1, x2) for x1 in horizontal] for x2 in vertical])

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    plane, curve = figure.subplots(1, 2, width_ratios=[3, 2])
    colours = LinearSegmentedColormap.from_list("classes", [ORANGE, "white", BLUE])
    levels = np.linspace(-6, 6, 13)
    shades = plane.contourf(
        horizontal, vertical, scores, levels, cmap=colours, alpha=0.6, extend="both"
    )
    figure.colorbar(shades, ax=plane, label="score")
    plane.contour(horizontal, vertical, scores, [0.0], colors="black")
    for label, colour, marker in ((-1, ORANGE, "s"), (1, BLUE, "o")):
        chosen = x[y == label]
        plane.scatter(*chosen.T, c=colour, marker=marker, edgecolors="black", label=f"y = {label}")
    plane.set(xlabel="$x_1$", ylabel="$x_2$", title="Where the score changes its sign")
    plane.legend(loc="upper right")
    curve.semilogy(losses, color=BLUE)
    curve.set(xlabel="step", ylabel="loss", title="Training")
    curve.grid(alpha=0.3, which="both")
    return figure


if __name__ == "__main__":
    main()
