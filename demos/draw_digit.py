"""Draw a digit and see what LeNet takes it for, as you draw.

To run it:

    python demos/draw_digit.py                     # a window: draw with the mouse, c clears
    python demos/draw_digit.py --image digit.png   # or a picture of a digit

LeNet is trained on the 5,000 digits of the package first, which takes a few seconds; --model keeps
it in a file for the next time. What is drawn is brought to MNIST's form: 20 pixels high or wide,
its centre of mass in the middle of 28x28.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import BLUE, ORANGE, Array, digits_parser, figure, has_matplotlib, load, parse, save
from mnist_lenet import lenet

from micrograd_ext import models
from micrograd_ext.utils import to_categorical

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, BOX = 28, 20  # of MNIST's pictures, and of the digits in them
BRUSH = 1.3  # its radius, in pixels


def main(arguments: list[str] | None = None) -> dict[str, Any]:
    """Train or load, then look at a picture or open a window."""
    found = digits_parser(__doc__)
    found.add_argument("--image", metavar="PNG", help="a picture instead of a window")
    found.add_argument("--model", metavar="FILE", help="where LeNet is kept, made if it is missing")
    options = parse(found, arguments)
    if not has_matplotlib():
        return {}
    drawn = None if options.image is None else read(options.image)
    model = trained(options)
    if drawn is None:
        open_window(model)
        return {}
    image = as_in_mnist(drawn)
    probabilities = model.predict(image[None, :, :, None])[0]
    order = np.argsort(-probabilities)
    print(f"It is a {order[0]}, {probabilities[order[0]]:.1%}; else a {order[1]}.")
    pad = Pad(model, figure(7, 3.4), image)
    save({"draw_digit.png": pad.figure}, options.out)
    return {"digit": int(order[0]), "probability": float(probabilities[order[0]])}


def trained(options: Any) -> models.Sequential:
    """LeNet from the file, or trained, and put there."""
    if options.model and Path(options.model).exists():
        kept: models.Sequential = models.load_model(options.model)
        return kept
    x_train, y_train, x_test, y_test = load(options)
    model = lenet()
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
    epochs = options.epochs or (3 if len(x_train) > 10_000 else 8)
    model.fit(x_train, to_categorical(y_train, 10), batch_size=64, epochs=epochs, verbose=2)
    evaluated: Any = model.evaluate(x_test, to_categorical(y_test, 10), verbose=0)
    print(f"Test accuracy {evaluated[1]:.4f}")
    if options.model:
        model.save(options.model)
    return model


def read(path: str) -> Array:
    """A PNG as grey numbers, 0 for the paper and 1 for ink, whichever of them is dark."""
    from matplotlib.image import imread  # noqa: PLC0415 - optional

    try:
        pixels = np.asarray(imread(path), np.float64)
    except (OSError, SyntaxError, ValueError) as error:
        raise SystemExit(f"--image: expected a PNG file: {error}") from None
    if pixels.ndim == 3:
        ink = pixels[..., :3].mean(axis=-1)
        alpha = pixels[..., 3] if pixels.shape[2] == 4 else 1.0
        pixels = ink * alpha + (1 - alpha)  # on white paper
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    found: Array = abs(pixels - np.median(edge))
    return found / max(float(found.max()), 1e-9)


def as_in_mnist(drawn: Array) -> Array:
    """A drawing of any size, cropped, scaled and centred to (28, 28), as MNIST's digits were."""
    found = np.zeros((SIZE, SIZE), np.float32)
    rows, columns = (np.flatnonzero((drawn > 0.1).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return found
    digit = drawn[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    scale = BOX / max(digit.shape)
    height, width = (max(1, round(scale * size)) for size in digit.shape)
    digit = resampling(digit.shape[0], height) @ digit @ resampling(digit.shape[1], width).T
    digit /= digit.max()
    total = digit.sum()
    place = []
    for axis, size in enumerate(digit.shape):
        centre = (digit.sum(axis=1 - axis) * (np.arange(size) + 0.5)).sum() / total
        place.append(int(np.clip(round(SIZE / 2 - centre), 0, SIZE - size)))
    top, left = place
    found[top : top + height, left : left + width] = digit
    return found


def resampling(before: int, after: int) -> Array:
    """A matrix (after, before) that takes means: how much of each old pixel is in each new one."""
    new = np.linspace(0, before, after + 1)
    old = np.arange(before)
    shared = np.minimum(new[1:, None], old + 1) - np.maximum(new[:-1, None], old)
    found: Array = np.maximum(shared, 0) * after / before
    return found


class Pad:
    """A field to draw in, and the probabilities beside it, in a figure."""

    def __init__(
        self, model: models.Sequential, picture: Figure, drawn: Array | None = None
    ) -> None:
        self.model, self.figure = model, picture
        self.drawn = np.zeros((SIZE, SIZE)) if drawn is None else drawn.astype(np.float64)
        self.last: tuple[float, float] | None = None
        self.field, right = picture.subplots(1, 2)
        self.image = self.field.imshow(self.drawn, cmap="gray_r", vmin=0, vmax=1)
        self.field.set(xticks=[], yticks=[], title="draw here; c clears" if drawn is None else "")
        self.bars = right.bar(range(10), np.zeros(10), color=BLUE)
        right.set(ylim=(0, 1), xticks=range(10), xlabel="digit", ylabel="probability")
        self.title = right.set_title("")
        self.show()

    def connect(self) -> None:
        """Listen to mouse and keys."""
        for event, method in (
            ("button_press_event", self.move),
            ("motion_notify_event", self.move),
            ("button_release_event", self.lift),
            ("key_press_event", self.key),
        ):
            self.figure.canvas.mpl_connect(event, method)

    def move(self, event: Any) -> None:
        """Draw a line from where the mouse was, if its button is down."""
        if event.inaxes is not self.field or event.button != 1:
            self.last = None
            return
        here = (event.xdata, event.ydata)
        start = self.last or here
        count = 1 + int(2 * max(abs(a - b) for a, b in zip(start, here, strict=True)))
        rows, columns = np.mgrid[:SIZE, :SIZE]
        for share in np.linspace(0, 1, count):
            x, y = (a + share * (b - a) for a, b in zip(start, here, strict=True))
            distance = np.hypot(columns - x, rows - y)
            ink = np.clip(BRUSH + 0.5 - distance, 0, 1)
            self.drawn = np.maximum(self.drawn, ink)
        self.last = here
        self.show()

    def lift(self, event: Any) -> None:
        """The button was let go."""
        self.last = None

    def key(self, event: Any) -> None:
        """Begin anew at c."""
        if event.key == "c":
            self.drawn[...] = 0
            self.show()

    def show(self) -> None:
        """The drawing, and what the network thinks of it."""
        self.image.set_data(self.drawn)
        empty = not self.drawn.any()
        probabilities = np.zeros(10)
        if not empty:
            probabilities = self.model.predict(as_in_mnist(self.drawn)[None, :, :, None])[0]
        best = int(probabilities.argmax())
        for digit, (bar, probability) in enumerate(zip(self.bars, probabilities, strict=True)):
            bar.set_height(probability)
            bar.set_color(ORANGE if digit == best else BLUE)
        self.title.set_text("" if empty else f"a {best}, {probabilities[best]:.0%}")
        if self.figure.canvas is not None:
            self.figure.canvas.draw_idle()


def open_window(model: models.Sequential) -> None:
    """Let the user draw until the window is closed."""
    import matplotlib  # noqa: PLC0415 - optional
    from matplotlib import pyplot  # noqa: PLC0415

    if matplotlib.get_backend().lower() == "agg":
        print("There is no screen to open a window on: give a picture with --image.")
        return
    pad = Pad(model, pyplot.figure(figsize=(7, 3.4), layout="constrained"))
    pad.connect()
    pyplot.show()


if __name__ == "__main__":
    main()
