"""LeNet on MNIST: two convolutions, two poolings, two dense layers, trained on handwritten digits.

To run it:

    python demos/mnist_lenet.py              # MNIST: 60,000 digits, 3 epochs
    python demos/mnist_lenet.py --sample     # the 5,000 digits of the package, 8 epochs
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

import numpy as np
from _common import ORANGE, has_matplotlib, save

import micrograd_ext
from micrograd_ext import layers, models
from micrograd_ext.datasets import mnist
from micrograd_ext.utils import set_random_seed, to_categorical

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, help="default: 3, or 8 with few digits")
    parser.add_argument("--batch-size", type=int, default=64, help="default: 64")
    parser.add_argument("--seed", type=int, default=0, help="default: 0")
    parser.add_argument("--data", metavar="FOLDER", help="where the MNIST files are")
    parser.add_argument("--sample", action="store_true", help="use the built-in 5,000 digits")
    parser.add_argument("--threads", type=int, help="default: as many as the machine has")
    parser.add_argument("--out", metavar="FOLDER", default=".", help="where pictures go")
    return parser.parse_args(arguments)


def lenet() -> models.Sequential:
    """The network of the text; the comments say what shape comes out."""
    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu"),  # 26 x 26 x 32
            layers.MaxPooling2D((2, 2)),  # 13 x 13 x 32
            layers.Conv2D(64, (3, 3), activation="relu"),  # 11 x 11 x 64
            layers.MaxPooling2D((2, 2)),  # 5 x 5 x 64
            layers.Flatten(),  # 1600
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(arguments: list[str] | None = None) -> None:
    """Train, test, draw."""
    options = parse(arguments)
    set_random_seed(options.seed)
    if options.threads is not None:
        micrograd_ext.set_num_threads(options.threads)

    (x_train, y_train), (x_test, y_test) = (
        mnist.load_sample() if options.sample else mnist.load_data(options.data)
    )
    x_train, x_test = (x[..., np.newaxis].astype("float32") / 255 for x in (x_train, x_test))
    few = len(x_train) < 10_000
    epochs = options.epochs or (8 if few else 3)
    print(f"{len(x_train):,} digits to learn from, {len(x_test):,} to test on.")

    model = lenet()
    model.summary()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(
        x_train,
        to_categorical(y_train, 10),
        epochs=epochs,
        batch_size=options.batch_size,
        validation_data=(x_test, to_categorical(y_test, 10)),
    )
    loss, accuracy = model.evaluate(x_test, to_categorical(y_test, 10), verbose=0)
    print(f"Test loss {loss:.4f}, test accuracy {accuracy:.4f}")
    print(f"Time per epoch {np.median(history.seconds):.2f} s (median of {epochs}, training only)")

    if has_matplotlib():
        pictures = {
            "mnist_lenet_curve.png": history.plot(),
            "mnist_lenet_digits.png": draw_digits(x_test[..., 0], y_test, model.predict(x_test)),
        }
        save(pictures, options.out)


def draw_digits(images: Any, labels: Any, probabilities: Any) -> Figure:
    """The first 30 test digits with the network's guesses, then its 10 most confident mistakes."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    guesses = probabilities.argmax(axis=1)
    certainty = probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    wrong = wrong[np.argsort(-certainty[wrong])][:10]
    figure = Figure(figsize=(8, 4.6), layout="constrained")
    figure.suptitle("The first 30 test digits and the guesses; below, the surest mistakes")
    for axes, i in zip(figure.subplots(4, 10).flat, [*range(30), *wrong], strict=False):
        axes.imshow(images[i], cmap="gray_r")
        right = guesses[i] == labels[i]
        text = f"{guesses[i]}" if right else f"{guesses[i]}, not {labels[i]}"
        axes.set_title(
            f"{text}\n{certainty[i]:.0%}", fontsize=8, color="black" if right else ORANGE
        )
    for axes in figure.axes:
        axes.axis("off")
    return figure


if __name__ == "__main__":
    main()
