"""Max-pooling, window by window (Fig. 12.1), and where the gradient goes back to.

To run it:

    python demos/max_pooling.py

A window of 2x2 goes over a picture of 4x4 in steps of 2; of each four numbers the largest is kept.
On the way back each number's gradient goes to where the largest had been; to the first of equals.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from _common import BLUE, GREEN, ORANGE, PINK, Array, figure, has_matplotlib, parse, parser, save

from micrograd_ext import Tensor, ops

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PICTURE = np.array([[10, 6, 4, 6], [8, 2, 12, 5], [3, 7, 1, 9], [7, 5, 0, 8]])
COLOURS = (BLUE, ORANGE, GREEN, PINK)  # of the windows


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Pool, tell, draw; returns what it prints."""
    options = parse(parser(__doc__), arguments)
    x, pooled = pool(PICTURE)
    for row in range(2):
        for column in range(2):
            window = PICTURE[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            numbers = ", ".join(map(str, window.ravel()))
            print(f"window {row}, {column}: the largest of {numbers} is {pooled[row, column]:g}")
    gradient = np.array([[1.0, 2.0], [3.0, 4.0]])
    x, _ = pool(PICTURE, gradient)
    assert x.grad is not None
    back = x.grad[0, :, :, 0]
    print("\nA gradient of 1, 2, 3, 4 goes back to")
    print(rows(back))
    tie = pool(np.full((2, 2), 5), np.ones((1, 1)))[0].grad
    assert tie is not None
    first = tie[0, :, :, 0]
    print(f"Of four equal numbers the first one gets it: {first.ravel().tolist()}")
    lost = pool(np.array([[1, np.nan], [3, 2]]))[1]
    print(f"If one of them is no number, nor is the largest: {lost.item()}")
    if has_matplotlib():
        save({"max_pooling.png": draw(pooled, gradient, back)}, options.out)
    return {"pooled": pooled, "back": back, "first": first, "lost": lost}


def pool(picture: Array, gradient: Array | None = None) -> tuple[Tensor, Array]:
    """The picture as a Tensor, with what comes back to it, and what the engine pools it to."""
    x = Tensor(picture[None, :, :, None], dtype=np.float64)
    y = ops.max_pool2d(x, (2, 2))
    if gradient is not None:
        y.backward(gradient[None, :, :, None])
    return x, y.data[0, :, :, 0]


def rows(numbers: Array) -> str:
    """Numbers in rows."""
    return "\n".join("  " + " ".join(f"{number:3g}" for number in row) for row in numbers)


def draw(pooled: Array, gradient: Array, back: Array) -> Figure:
    """The picture, what it is pooled to, and the way back."""
    found = figure(8, 4.4)
    titles = ("4x4", "the largest of each window: 2x2", "its gradient", "the picture's gradient")
    parts = (PICTURE, pooled, gradient, back)
    for axes, numbers, title in zip(found.subplots(2, 2).flat, parts, titles, strict=True):
        draw_numbers(axes, numbers, back)
        axes.set_title(title, fontsize=10)
    return found


def draw_numbers(axes: Axes, numbers: Array, back: Array) -> None:
    """A square for each number, in its window's colour; pale where no gradient goes back to."""
    from matplotlib.patches import Rectangle  # noqa: PLC0415 - optional

    size = len(numbers)
    step = size // 2
    for row in range(size):
        for column in range(size):
            window = 2 * (row // step) + column // step
            chosen = size == 2 or back[row, column] != 0
            axes.add_patch(
                Rectangle(
                    (column, size - 1 - row),
                    1,
                    1,
                    facecolor=COLOURS[window],
                    alpha=0.75 if chosen else 0.2,
                    edgecolor="white",
                    linewidth=2,
                )
            )
            axes.text(
                column + 0.5,
                size - 0.5 - row,
                f"{numbers[row, column]:g}",
                ha="center",
                va="center",
                weight="bold" if chosen else "normal",
            )
    axes.set(xlim=(0, size), ylim=(0, size), aspect="equal")
    axes.axis("off")


if __name__ == "__main__":
    main()
