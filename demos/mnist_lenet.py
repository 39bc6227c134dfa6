"""LeNet on MNIST: two convolutions, two poolings, dense layers, trained on handwritten digits.

To run it:

    python demos/mnist_lenet.py              # MNIST: 60,000 digits, 3 epochs
    python demos/mnist_lenet.py --sample     # the 5,000 digits of the package, 8 epochs
    python demos/mnist_lenet.py --fashion    # Fashion-MNIST, 5 epochs (exercise 12.6-2)

--model says which: text is the listing's, same the one of the text's figures, which pads, lenet5
the one of LeCun et al. 1998, with ReLU and max-pooling. Pictures: the learned filters, the feature
maps of one image from layer to layer (Fig. 12.2), the model's layers (Fig. 12.3), guesses,
confusion, curves.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from _common import (
    BLUE,
    CLOTHES,
    DIVERGING,
    Array,
    digits_parser,
    draw_confusion,
    draw_guesses,
    figure,
    has_matplotlib,
    load,
    parse,
    plain,
    save,
)

import micrograd_ext
from micrograd_ext import layers, models
from micrograd_ext.utils import plot_model, to_categorical

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 12  # feature maps of a layer


def lenet(padding: str = "valid") -> models.Sequential:
    """The network of the text; the comments say what shape comes out, and with padding 'same'."""
    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), padding=padding, activation="relu"),  # 26x26x32, 28x28x32
            layers.MaxPooling2D((2, 2)),  # 13x13x32, 14x14x32
            layers.Conv2D(64, (3, 3), padding=padding, activation="relu"),  # 11x11x64, 14x14x64
            layers.MaxPooling2D((2, 2)),  # 5x5x64, 7x7x64
            layers.Flatten(),  # 1600, 3136
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def lenet5() -> models.Sequential:
    """LeCun's LeNet-5 with ReLU and max-pooling, for images of 28x28."""
    return models.Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(6, (5, 5), padding="same", activation="relu"),  # 28x28x6
            layers.MaxPooling2D((2, 2)),  # 14x14x6
            layers.Conv2D(16, (5, 5), activation="relu"),  # 10x10x16
            layers.MaxPooling2D((2, 2)),  # 5x5x16
            layers.Flatten(),  # 400
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


MODELS = {"text": lenet, "same": lambda: lenet("same"), "lenet5": lenet5}


def main(arguments: list[str] | None = None) -> dict[str, float]:
    """Train, test, draw; returns what it prints."""
    parser = digits_parser(__doc__, full=True, fashion=True)
    parser.add_argument("--model", choices=MODELS, default="text", help="default: text")
    parser.add_argument("--batch-size", type=int, default=64, help="default: 64")
    parser.add_argument("--threads", type=int, help="default: as many as the machine has")
    options = parse(parser, arguments)
    if options.threads is not None:
        micrograd_ext.set_num_threads(options.threads)
    x_train, y_train, x_test, y_test = load(options)
    few = len(x_train) < 10_000
    epochs = options.epochs or (8 if few else 5 if options.fashion else 3)

    model = MODELS[options.model]()
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
    seconds = float(np.median(history.seconds))
    print(f"Time per epoch {seconds:.2f} s (median of {epochs}, training only)")

    if has_matplotlib():
        names = CLOTHES if options.fashion else None
        probabilities = model.predict(x_test)
        pictures = {
            "curve": history.plot(),
            "digits": draw_guesses(x_test[..., 0], y_test, probabilities, names),
            "confusion": draw_confusion(y_test, probabilities.argmax(axis=1), names),
            "filters": draw_filters(model.get_weights()[0]),
            "maps": draw_maps(model, x_test[:1]),
        }
        save(
            {f"mnist_lenet_{name}.png": picture for name, picture in pictures.items()}, options.out
        )
        path = Path(options.out, "mnist_lenet_model.png")
        plot_model(model, path, show_shapes=True, show_layer_names=True, dpi=100)
        print(f"Saved {path}")
    return {"loss": loss, "accuracy": accuracy, "seconds": seconds}


def draw_filters(kernel: Array) -> Figure:
    """What the first layer's filters (height, width, 1, filters) look for."""
    count = kernel.shape[3]
    columns = min(count, 8)
    rows = -(-count // columns)
    found = figure(0.8 * columns + 1.2, 0.8 * rows + 0.6, "The filters of the first convolution")
    limit = float(abs(kernel).max())
    for i, axes in enumerate(found.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < count:
            picture = axes.imshow(kernel[:, :, 0, i], cmap=DIVERGING, vmin=-limit, vmax=limit)
    found.colorbar(picture, ax=found.axes, label="weight", shrink=0.9)
    return found


def draw_maps(model: models.Sequential, image: Array) -> Figure:
    """What becomes of an image (1, 28, 28, 1) from layer to layer."""
    stages = [("the image", image)]
    for layer in model.layers:
        stages.append((layer.name, model_output(layer, stages[-1][1])))
    stages = [(name, maps) for name, maps in stages if maps.ndim == 4 or maps.shape[1] <= 10]
    found = figure(8.4, 1.1 * len(stages) + 0.8)
    ratios = [1.0 if maps.ndim == 4 else 1.7 for _, maps in stages]
    grids = found.subfigures(len(stages), 1, height_ratios=ratios)
    for grid, (name, maps) in zip(grids, stages, strict=True):
        shape = "x".join(map(str, maps.shape[1:]))
        if maps.ndim == 2:  # the probabilities
            axes = grid.subplots()
            axes.bar(range(maps.shape[1]), maps[0], color=BLUE)
            axes.set_xticks(range(maps.shape[1]))
            axes.set_ylim(0, 1)
            plain(axes, "class", "probability")
            grid.suptitle(f"{name}: {shape}", fontsize=10)
            continue
        shown = maps[0, :, :, :SHOWN]
        more = "" if maps.shape[3] <= SHOWN else f", of which {SHOWN} are shown"
        grid.suptitle(f"{name}: {shape}{more}", fontsize=10)
        for i, axes in enumerate(grid.subplots(1, SHOWN).flat):
            axes.axis("off")
            if i < shown.shape[2]:
                axes.imshow(shown[:, :, i], cmap="gray_r")
    return found


def model_output(layer: layers.Layer, inputs: Array) -> Array:
    """What comes out of one layer."""
    with micrograd_ext.no_grad():
        return layer(inputs).data


if __name__ == "__main__":
    main()
