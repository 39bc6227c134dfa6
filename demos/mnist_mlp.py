"""A multi-layer perceptron on MNIST: the text's first network, its mistakes, and what it mixes up.

To run it:

    python demos/mnist_mlp.py            # the 5,000 digits of the package
    python demos/mnist_mlp.py --full     # MNIST: 60,000 digits, 5 epochs

784 pixels, two hidden layers of 64 neurons with ReLU, 10 probabilities by softmax; Adam, batches of
32. Pictures: some digits (Fig. 11.5), the guesses and the worst mistakes, the confusion matrix.
"""

from __future__ import annotations

import numpy as np
from _common import (
    confusion,
    digits_parser,
    draw_confusion,
    draw_guesses,
    draw_images,
    has_matplotlib,
    load,
    parse,
    save,
)

from micrograd_ext import layers, models
from micrograd_ext.utils import to_categorical


def perceptron() -> models.Sequential:
    """The network of the text."""
    return models.Sequential(
        [
            layers.Input((784,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, test, draw; returns what it prints."""
    options = parse(digits_parser(__doc__), arguments)
    x_train, y_train, x_test, y_test = load(options)
    epochs = options.epochs or (5 if len(x_train) > 10_000 else 10)

    model = perceptron()
    model.summary()
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    rows, tests = x_train.reshape(-1, 784), x_test.reshape(-1, 784)
    truths = to_categorical(y_test, 10)
    history = model.fit(
        rows,
        to_categorical(y_train, 10),
        batch_size=32,
        epochs=epochs,
        validation_data=(tests, truths),
    )
    evaluated = model.evaluate(tests, truths, verbose=0, return_dict=True)
    assert isinstance(evaluated, dict)
    print(f"Test loss {evaluated['loss']:.4f}, test accuracy {evaluated['accuracy']:.4f}")

    probabilities = model.predict(tests)
    counts = confusion(y_test, probabilities.argmax(axis=1))
    np.fill_diagonal(counts, 0)
    truth, guess = np.unravel_index(counts.argmax(), counts.shape)
    most = int(counts[truth, guess])
    print(f"Its commonest mistake, {most} times: it takes a {truth} for a {guess}.")

    if has_matplotlib():
        digits = [int(np.flatnonzero(y_train == i % 10)[i // 10]) for i in range(40)]
        titles = [str(y_train[i]) for i in digits]
        save(
            {
                "mnist_mlp_samples.png": draw_images(
                    4, 10, x_train[digits, ..., 0], titles, title="Digits of MNIST"
                ),
                "mnist_mlp_digits.png": draw_guesses(x_test[..., 0], y_test, probabilities),
                "mnist_mlp_confusion.png": draw_confusion(y_test, probabilities.argmax(axis=1)),
                "mnist_mlp_curve.png": history.plot(),
            },
            options.out,
        )
    return {"training loss": history.history["loss"][-1], "commonest mistake": most, **evaluated}


if __name__ == "__main__":
    main()
