"""Two classes, and the line or curve that a network draws between them (Fig. 11.4), as it learns.

To run it:

    python demos/boundary.py

One neuron can only draw a line; a hidden layer of 16 neurons bends it. Both learn two moons, side
by side; the GIF shows them after every few epochs, the PNG in the end.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import (
    BLUE,
    DIVERGING,
    ORANGE,
    Array,
    figure,
    has_matplotlib,
    moons,
    parse,
    parser,
    save,
)

from micrograd_ext import layers, models, optimizers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SAMPLES, FRAMES, EPOCHS_A_FRAME = 200, 25, 4
GRID = 60


def networks() -> dict[str, models.Sequential]:
    """The one that is linear, and the one that is not."""
    return {
        "one neuron": models.Sequential([layers.Input((2,)), layers.Dense(1, "sigmoid")]),
        "16 hidden neurons": models.Sequential(
            [layers.Input((2,)), layers.Dense(16, "tanh"), layers.Dense(1, "sigmoid")]
        ),
    }


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train both, tell, draw; returns the accuracies."""
    options = parse(parser(__doc__), arguments)
    x, y = moons(SAMPLES, 0.15, options.seed)
    sides = [np.linspace(x[:, i].min() - 0.5, x[:, i].max() + 0.5, GRID) for i in range(2)]
    grid = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    found, frames = networks(), []
    for model in found.values():
        model.compile(optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    for _ in range(FRAMES):
        frames.append([model.predict(grid).reshape(GRID, GRID) for model in found.values()])
        for model in found.values():
            model.fit(x, y[:, None], batch_size=32, epochs=EPOCHS_A_FRAME, verbose=0)
    frames.append([model.predict(grid).reshape(GRID, GRID) for model in found.values()])

    accuracies = {}
    for name, model in found.items():
        evaluated: Any = model.evaluate(x, y[:, None], verbose=0, return_dict=True)
        accuracies[name] = evaluated["accuracy"]
        print(f"{name:17}: {evaluated['accuracy']:.1%} of {SAMPLES} points on the right side")
    if has_matplotlib():
        names = list(found)
        save({"boundary.png": draw(sides, frames[-1], names, x, y)[0]}, options.out)
        save_animation(Path(options.out, "boundary.gif"), sides, frames, names, x, y)
    return accuracies


def draw(
    sides: list[Array], heights: list[Array], names: list[str], x: Array, y: Array
) -> tuple[Figure, list[Any]]:
    """How probable class 1 is, the boundary where it is 1/2, and the points."""
    picture = figure(8, 3.6)
    drawn = []
    for axes, height, name in zip(picture.subplots(1, 2), heights, names, strict=True):
        shades = axes.pcolormesh(*sides, height, cmap=DIVERGING, vmin=0, vmax=1, alpha=0.5)
        drawn.append((axes, shades, [axes.contour(*sides, height, [0.5], colors="black")]))
        for label, colour, mark in ((0, BLUE, "o"), (1, ORANGE, "^")):
            axes.scatter(*x[y == label].T, s=14, color=colour, marker=mark, label=f"class {label}")
        axes.set(xlabel="x1", ylabel="x2", title=name, aspect="equal")
        axes.legend(loc="upper right", fontsize=8)
    picture.colorbar(drawn[-1][1], ax=picture.axes, label="probability of class 1", shrink=0.8)
    return picture, drawn


def save_animation(
    path: Path, sides: list[Array], frames: list[list[Array]], names: list[str], x: Array, y: Array
) -> None:
    """Write the frames as a GIF."""
    from matplotlib.animation import FuncAnimation, PillowWriter  # noqa: PLC0415 - optional

    picture, drawn = draw(sides, frames[0], names, x, y)

    def show(number: int) -> list[Any]:
        for (axes, shades, boundary), height, name in zip(
            drawn, frames[number], names, strict=True
        ):
            shades.set_array(height)
            boundary[0].remove()
            boundary[0] = axes.contour(*sides, height, [0.5], colors="black")
            axes.set_title(f"{name}, epoch {number * EPOCHS_A_FRAME}")
        return []

    animation = FuncAnimation(picture, show, frames=len(frames), blit=False)
    animation.save(path, PillowWriter(fps=5), dpi=80)
    print(f"Saved {path}")


if __name__ == "__main__":
    main()
