"""What the demos share: their arguments, digits, colours, figures, data of two moons."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from micrograd_ext.datasets import fashion_mnist, mnist
from micrograd_ext.utils import set_random_seed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[Any]

BLUE, ORANGE, GREEN = "#0072b2", "#d55e00", "#009e73"  # of Okabe and Ito's colours, which
PINK, YELLOW, SKY = "#cc79a7", "#e69f00", "#56b4e9"  # colour-blind people tell apart
DIVERGING = "RdBu_r"  # for numbers on both sides of 0: blue below, red above

CLOTHES = [
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
]


def parser(text: str | None, seed: int = 0) -> argparse.ArgumentParser:
    """A parser with what all demos take; text: the demo's docstring."""
    found = argparse.ArgumentParser(description=(text or "").splitlines()[0])
    found.add_argument("--seed", type=int, default=seed, help=f"default: {seed}")
    found.add_argument("--out", metavar="FOLDER", default=".", help="where pictures go; default: .")
    return found


def digits_parser(text: str | None, full: bool = False, fashion: bool = False) -> Any:
    """A parser with what demos on digits take besides; full: whether that is the default."""
    found = parser(text)
    which = found.add_mutually_exclusive_group()
    note = ("", " (default)")
    which.add_argument("--full", action="store_true", help=f"MNIST, 60,000 digits{note[full]}")
    which.add_argument("--sample", action="store_true", help=f"5,000 digits{note[not full]}")
    if fashion:
        which.add_argument("--fashion", action="store_true", help="Fashion-MNIST, 60,000 images")
    found.add_argument("--data", metavar="FOLDER", help="where the files of --full are")
    found.add_argument("--epochs", type=int, help="how often to go through all of them")
    found.set_defaults(full_by_default=full, fashion=False)
    return found


def parse(found: argparse.ArgumentParser, arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line, and start the random numbers at --seed."""
    options = found.parse_args(arguments)
    if getattr(options, "epochs", None) is not None and options.epochs < 1:
        found.error(f"--epochs: expected 1 or more, got {options.epochs}")
    set_random_seed(options.seed)
    return options


def load(options: argparse.Namespace) -> tuple[Array, Array, Array, Array]:
    """Images (N, 28, 28, 1) of 0..1 and labels (N,), to learn from and to test on."""
    try:
        if options.fashion:
            data = fashion_mnist.load_data(options.data)
        elif options.sample or not (options.full or options.full_by_default):
            data = mnist.load_sample()
        else:
            data = mnist.load_data(options.data)
    except (FileNotFoundError, ValueError) as error:  # they say what to do
        raise SystemExit(f"{error}") from None
    (x_train, y_train), (x_test, y_test) = data
    print(f"{len(x_train):,} images to learn from, {len(x_test):,} to test on.")
    x_train, x_test = (x[..., np.newaxis].astype("float32") / 255 for x in (x_train, x_test))
    return x_train, y_train, x_test, y_test


def has_matplotlib() -> bool:
    """Whether pictures can be drawn; if not, says how they could be."""
    try:
        import matplotlib  # noqa: F401, PLC0415 - only to see whether it is there
    except ImportError:
        print("No pictures without matplotlib: pip install 'micrograd_ext[demos]'")
        return False
    return True


def figure(width: float = 8, height: float = 3.2, title: str | None = None) -> Figure:
    """An empty figure of the demos' style, sizes in inches."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    found = Figure(figsize=(width, height), layout="constrained")
    if title:
        found.suptitle(title)
    return found


def plain(axes: Axes, xlabel: str, ylabel: str, title: str = "", legend: bool = False) -> Axes:
    """Label axes, with a pale grid, and a legend if wanted."""
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    axes.grid(alpha=0.3)
    if legend:
        axes.legend()
    return axes


def draw_images(
    rows: int, columns: int, images: Array, titles: list[str], marked: Any = (), title: str = ""
) -> Figure:
    """Images (N, 28, 28) in rows, a title above each; those in marked have coloured ones."""
    found = figure(0.8 * columns, 1.05 * rows + 0.4, title)
    for i, axes in enumerate(found.subplots(rows, columns, squeeze=False).flat):
        axes.axis("off")
        if i < len(images):
            axes.imshow(images[i], cmap="gray_r", vmin=0, vmax=1)
            axes.set_title(titles[i], fontsize=8, color=ORANGE if i in marked else "black")
    return found


def draw_guesses(
    images: Array, labels: Array, probabilities: Array, names: list[str] | None = None
) -> Figure:
    """The first 30 images with the network's guesses, then its 10 most confident mistakes."""
    guesses, certainty = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(guesses != labels)
    wrong = wrong[np.argsort(-certainty[wrong])][:10]
    chosen = [*range(min(30, len(images))), *wrong]
    names = names or [str(digit) for digit in range(10)]
    titles = []
    for i in chosen:
        right = guesses[i] == labels[i]
        guess, sure = names[guesses[i]], f"{certainty[i]:.0%}"
        titles.append(f"{guess}\n{sure}" if right else f"{guess} {sure}\nnot {names[labels[i]]}")
    marked = {place for place, i in enumerate(chosen) if guesses[i] != labels[i]}
    title = "The first 30 test images and the guesses; below, the surest mistakes"
    return draw_images(4, 10, images[chosen], titles, marked, title)


def draw_confusion(labels: Array, guesses: Array, names: list[str] | None = None) -> Figure:
    """How often an image of each class was taken for each class."""
    counts = confusion(labels, guesses)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    found = figure(6.4, 5.6)
    axes = found.subplots()
    picture = axes.imshow(np.sqrt(shares), cmap="Blues", vmin=0, vmax=1)  # the root shows few, too
    names = names or [str(digit) for digit in range(10)]
    for row in range(10):
        for column in range(10):
            if counts[row, column]:
                ink = "white" if shares[row, column] > 0.3 else "black"
                text = str(counts[row, column])
                axes.text(column, row, text, ha="center", va="center", color=ink, fontsize=8)
    axes.set_xticks(range(10), names, rotation=0 if len(names[0]) == 1 else 45)
    axes.set_yticks(range(10), names)
    axes.set(xlabel="guess", ylabel="truth", title="How many test images were taken for what")
    bar = found.colorbar(picture, label="share of the row", shrink=0.8)
    bar.set_ticks([0, 0.1**0.5, 0.5**0.5, 1], labels=["0", "10 %", "50 %", "100 %"])
    return found


def confusion(labels: Array, guesses: Array) -> npt.NDArray[np.int64]:
    """Counts (10, 10): a row for each true class, a column for each guess."""
    return np.bincount(10 * labels.astype(np.int64) + guesses, minlength=100).reshape(10, 10)


def save(pictures: dict[str, Figure], folder: str) -> None:
    """Write each figure to folder/name."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        picture.savefig(Path(folder, name), dpi=120)
        print(f"Saved {Path(folder, name)}")


def moons(
    samples: int, noise: float, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Two interleaved half circles, shuffled, then blurred: points (samples, 2), labels 0 and 1.

    The points are those that scikit-learn's `make_moons(samples, noise=noise)` draws after
    `np.random.seed(seed)`.
    """
    random = np.random.RandomState(seed)
    outer, inner = (
        np.linspace(0, np.pi, samples // 2),
        np.linspace(0, np.pi, samples - samples // 2),
    )
    above = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    below = np.stack([1 - np.cos(inner), 1 - np.sin(inner) - 0.5], axis=1)
    order = np.arange(samples)
    random.shuffle(order)
    points = np.concatenate([above, below])[order]
    labels = (order >= len(above)).astype(np.int64)
    return points + random.normal(scale=noise, size=points.shape), labels
