"""How many convolutions does it take? Accuracy and time by depth (exercise 12.6-1).

To run it:

    python demos/depth_study.py            # the 5,000 digits of the package, 6 epochs each
    python demos/depth_study.py --full     # MNIST: 60,000 digits, 3 epochs each

None to four convolutions of 3x3 with ReLU, the first two each before a max-pooling, then a dense
layer of 64 neurons. Every network is trained from several seeds, for one run says little: the
picture shows each run, and their mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from _common import (
    BLUE,
    ORANGE,
    digits_parser,
    figure,
    has_matplotlib,
    load,
    parse,
    plain,
    save,
)

from micrograd_ext import layers, models
from micrograd_ext.utils import set_random_seed, to_categorical

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FILTERS = (16, 32, 32, 32)
DEPTHS = range(len(FILTERS) + 1)


def network(depth: int) -> models.Sequential:
    """A network with so many convolutions."""
    model = models.Sequential([layers.Input((28, 28, 1))])
    for i, filters in enumerate(FILTERS[:depth]):
        model.add(layers.Conv2D(filters, 3, padding="same", activation="relu"))
        if i < 2:
            model.add(layers.MaxPooling2D())
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    return model


def main(arguments: list[str] | None = None) -> dict[int, float]:
    """Train them all, print a table, draw it; returns the mean accuracy of each depth."""
    parser = digits_parser(__doc__)
    parser.add_argument("--runs", type=int, default=3, help="seeds for each depth; default: 3")
    options = parse(parser, arguments)
    if options.runs < 1:
        parser.error(f"--runs: expected 1 or more, got {options.runs}")
    x_train, y_train, x_test, y_test = load(options)
    epochs = options.epochs or (3 if len(x_train) > 10_000 else 6)
    labels, tests = to_categorical(y_train, 10), to_categorical(y_test, 10)

    accuracies: dict[int, list[float]] = {}
    seconds: dict[int, float] = {}
    print("convolutions  parameters  test accuracy: mean, and each run        time per epoch")
    for depth in DEPTHS:
        runs, times = [], []
        for run in range(options.runs):
            set_random_seed(options.seed + run)
            model = network(depth)
            model.compile("adam", "categorical_crossentropy", metrics=["accuracy"])
            history = model.fit(x_train, labels, batch_size=64, epochs=epochs, verbose=0)
            evaluated = model.evaluate(x_test, tests, verbose=0, return_dict=True)
            assert isinstance(evaluated, dict)
            runs.append(evaluated["accuracy"])
            times += history.seconds
        accuracies[depth], seconds[depth] = runs, float(np.median(times))
        each = " ".join(f"{accuracy:.4f}" for accuracy in runs)
        count = f"{model.count_params():,}"
        print(
            f"{depth:12}  {count:>10}  {np.mean(runs):.4f}   {each:32}  {seconds[depth]:8.3f} s",
            flush=True,
        )
    means = {depth: float(np.mean(runs)) for depth, runs in accuracies.items()}
    best = max(means, key=lambda depth: means[depth])
    gain, first = means[best] - means[0], means[1] - means[0]
    print(
        f"The first convolution takes {first:.2%} of all test images from wrong to right, "
        f"the best depth, {best}, {gain:.2%}."
    )
    if has_matplotlib():
        save({"depth_study.png": draw(accuracies, seconds)}, options.out)
    return means


def draw(accuracies: dict[int, list[float]], seconds: dict[int, float]) -> Figure:
    """Accuracy of each run and their mean, and the time of an epoch, by depth."""
    found = figure()
    left, right = found.subplots(1, 2)
    for depth, runs in accuracies.items():
        left.plot([depth] * len(runs), runs, "o", color=BLUE, alpha=0.5)
    left.plot(list(accuracies), [np.mean(runs) for runs in accuracies.values()], "-", color=BLUE)
    plain(left, "convolutions", "test accuracy", "dots: runs; line: their mean")
    right.bar(list(seconds), list(seconds.values()), color=ORANGE)
    plain(right, "convolutions", "seconds", "time of an epoch")
    for axes in (left, right):
        axes.set_xticks(list(seconds))
    return found


if __name__ == "__main__":
    main()
