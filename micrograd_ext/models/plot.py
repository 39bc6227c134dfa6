"""`utils.plot_model`: the layers of a model as boxes, drawn by matplotlib."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ..common.arguments import positive
from ..common.figures import BLUE, MOST_PIXELS, ORANGE, need_matplotlib, new_figure
from ..common.files import replacing
from .sequential import Sequential

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..layers import Layer

__all__ = ["plot_model"]

SUFFIXES = (".png", ".svg", ".pdf")

# in points, of which an inch has 72
TITLE_SIZE, TEXT_SIZE = 12.0, 10.5
ROW_HEIGHT = 25.0
PADDING, BLANK, GAP, MARGIN = 11.0, 4.0, 30.0, 12.0

PALE, GREY, BLACK = "#d6e8f3", "#595959", "#1a1a1a"


class Cell(NamedTuple):
    """A part of a box: one or two texts side by side, the one that matters in bold."""

    texts: Sequence[tuple[str, str]]  # each with its weight
    fill: str = "white"
    ink: str = BLACK
    size: float = TEXT_SIZE

    @property
    def width(self) -> float:
        """What it takes."""
        from matplotlib.font_manager import FontProperties  # noqa: PLC0415 - optional
        from matplotlib.textpath import text_to_path  # noqa: PLC0415

        widths = [
            text_to_path.get_text_width_height_descent(
                text, FontProperties(weight=weight, size=self.size), ismath=False
            )[0]
            for text, weight in self.texts
        ]
        return float(sum(widths)) + BLANK * (len(widths) - 1) + 2 * PADDING


def plot_model(
    model: Sequential,
    to_file: str | os.PathLike[str] = "model.png",
    show_shapes: bool = False,
    show_dtype: bool = False,
    show_layer_names: bool = False,
    rankdir: str = "TB",
    dpi: int = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Figure:
    """Draw a model: a box for each layer, an arrow to the next.

    Graphviz is not needed. What is not known before a model is built is drawn as '?'.

    Args:
        model: the model.
        to_file: where to write the picture; its suffix says what kind: .png, .svg or .pdf. A file
            that is there is replaced, once the new one is complete.
        show_shapes: whether to show the shapes of inputs and outputs, None for the batch.
        show_dtype: whether to show the outputs' type.
        show_layer_names: whether to show names besides classes.
        rankdir: 'TB' from top to bottom, 'LR' from left to right.
        dpi: dots to an inch, of a .png.
        show_layer_activations: whether to show the activations of layers that have one.
        show_trainable: whether to show if training adjusts a layer's weights.

    Returns:
        The picture, which a notebook shows if this is the last line of a cell.

    Raises:
        ImportError: matplotlib is missing.
        TypeError: what is no model. ValueError: an argument as it should not be, a model without
        layers, a picture too large for .png. FileNotFoundError: there is no such folder.

    >>> import tempfile
    >>> from micrograd_ext import Sequential, layers
    >>> model = Sequential([layers.Input((28, 28)), layers.Flatten(), layers.Dense(10)])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     figure = plot_model(model, f"{folder}/model.png", show_shapes=True)
    >>> [round(float(inches)) for inches in figure.get_size_inches()]
    [5, 2]
    """
    if not isinstance(model, Sequential):
        raise TypeError(f"plot_model: model: expected a Sequential, got {model!r}")
    if not model.layers:
        raise ValueError(f"plot_model: model: expected one with layers, got {model!r} with none")
    path = Path(to_file)
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(
            f"plot_model: to_file: expected a name that ends in {', '.join(SUFFIXES)}, "
            f"got {str(to_file)!r}"
        )
    if rankdir not in ("TB", "LR"):
        raise ValueError(f"plot_model: rankdir: expected 'TB' or 'LR', got {rankdir!r}")
    dpi = positive("plot_model: dpi", dpi)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"plot_model: to_file: there is no folder {str(path.parent)!r}")
    need_matplotlib("plot_model")

    boxes = []
    for layer in model.layers:
        box = [[_title(layer, show_layer_names)]]
        activation = getattr(layer, "activation", None)
        if show_layer_activations and activation is not None:
            name = getattr(activation, "__name__", type(activation).__name__)
            box.append([_cell("Activation:", name)])
        details = _details(layer, show_shapes, show_dtype, show_trainable)
        if rankdir == "LR":
            box += [[cell] for cell in details]
        elif details:  # side by side, as the boxes are not
            box.append(details)
        boxes.append(box)
    figure = _draw(boxes, rankdir)

    if path.suffix.lower() == ".png":
        longest = max(figure.get_size_inches())
        if dpi * longest > MOST_PIXELS:
            raise ValueError(
                f"plot_model: dpi: expected at most {int(MOST_PIXELS / longest)} for a .png of "
                f"{longest:.0f} inches, got {dpi}; a .svg or .pdf can be of any size"
            )
    with replacing(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower(), dpi=dpi)
    return figure


def _cell(label: str, value: str) -> Cell:
    return Cell(((label, "normal"), (value, "bold")))


def _title(layer: Layer, with_name: bool) -> Cell:
    kind = type(layer).__name__
    texts = [(layer.name, "bold"), (f"({kind})", "normal")] if with_name else [(kind, "bold")]
    return Cell(texts, BLUE, "white", TITLE_SIZE)


def _details(layer: Layer, shapes: bool, dtype: bool, trainable: bool) -> list[Cell]:
    """The cells below the title."""
    before, after, number, rest = "?", "?", "?", "Weights: ?"
    if layer.built and (shape := getattr(layer, "input_shape", None)) is not None:
        before, after = str(shape), str(layer.compute_output_shape(shape))
        number, rest = "float32", "No weights"
    cells = []
    if shapes:
        cells += [_cell("Input shape:", before), _cell("Output shape:", after)]
    if dtype:
        cells.append(_cell("Output dtype:", number))
    if trainable and not layer.weights:
        cells.append(Cell([(rest, "normal")], ink=GREY))
    elif trainable and layer.trainable:
        cells.append(Cell([("Trainable", "bold")], PALE))
    elif trainable:
        cells.append(Cell([("Non-trainable", "bold")], ORANGE, "white"))
    return cells


def _draw(boxes: list[list[list[Cell]]], rankdir: str) -> Figure:
    """The boxes, each of them rows of cells, in a figure that is as large as they are."""
    down = rankdir == "TB"
    # below each other all are equally wide, and so are their cells
    columns = [_columns(boxes)] * len(boxes) if down else [_columns([box]) for box in boxes]
    sizes = [(sum(c), ROW_HEIGHT * len(box)) for c, box in zip(columns, boxes, strict=True)]
    along, across = (1, 0) if down else (0, 1)
    extent = [0.0, 0.0]
    extent[along] = sum(size[along] for size in sizes) + GAP * (len(sizes) - 1) + 2 * MARGIN
    extent[across] = max(size[across] for size in sizes) + 2 * MARGIN

    figure = new_figure(extent[0] / 72, extent[1] / 72, facecolor="white", layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, extent[0]), ylim=(extent[1], 0))  # in points, from the top
    axes.axis("off")
    end = MARGIN
    for box, widths, size in zip(boxes, columns, sizes, strict=True):
        corner = [0.0, 0.0]
        corner[along], corner[across] = end, (extent[across] - size[across]) / 2
        if box is not boxes[0]:
            _draw_arrow(axes, corner, size, along)
        y = corner[1]
        for row in box:
            x = corner[0]
            for cell, width in zip(row, widths if len(row) > 1 else [size[0]], strict=True):
                _draw_cell(axes, cell, x, y, width)
                x += width
            y += ROW_HEIGHT
        end = corner[along] + size[along] + GAP
    return figure


def _columns(boxes: list[list[list[Cell]]]) -> list[float]:
    """How wide cells side by side are, so that everything fits; one number if none are."""
    rows = [row for box in boxes for row in box]
    widest = max(row[0].width for row in rows if len(row) == 1)
    several = [row for row in rows if len(row) > 1]
    if not several:
        return [widest]
    columns = [max(cell.width for cell in cells) for cells in zip(*several, strict=True)]
    if len(columns) == 2:  # halves: the arrows meet the line between them
        columns = [max(columns)] * 2
    larger = max(1.0, widest / sum(columns))
    return [larger * width for width in columns]


def _draw_cell(axes: Any, cell: Cell, x: float, y: float, width: float) -> None:
    """Draw a cell with its upper left corner at x, y."""
    from matplotlib.offsetbox import AnnotationBbox, HPacker, TextArea  # noqa: PLC0415 - optional
    from matplotlib.patches import Rectangle  # noqa: PLC0415

    frame = Rectangle((x, y), width, ROW_HEIGHT, facecolor=cell.fill, edgecolor=BLUE, linewidth=1)
    axes.add_patch(frame)
    style = {"size": cell.size, "color": cell.ink, "parse_math": False, "usetex": False}
    texts: list[Any] = [
        TextArea(text, textprops={**style, "weight": weight}) for text, weight in cell.texts
    ]
    # packed when they are drawn: few pixels make letters wider than they are on paper
    packed = HPacker(children=texts, pad=0, sep=BLANK, align="baseline")
    middle = x + width / 2, y + ROW_HEIGHT / 2
    lower = 0.5, 0.6  # few letters go below the line
    axes.add_artist(AnnotationBbox(packed, middle, frameon=False, pad=0, box_alignment=lower))


def _draw_arrow(axes: Any, corner: Sequence[float], size: Sequence[float], along: int) -> None:
    """Draw the arrow that ends in the middle of a box's side."""
    from matplotlib.patches import FancyArrowPatch  # noqa: PLC0415 - optional

    start, end = ([corner[0] + size[0] / 2, corner[1] + size[1] / 2] for _ in range(2))
    start[along], end[along] = corner[along] - GAP, corner[along]
    arrow = FancyArrowPatch(
        (start[0], start[1]),
        (end[0], end[1]),
        arrowstyle="-|>",
        mutation_scale=14,
        linewidth=1.6,
        capstyle="butt",
        joinstyle="miter",
        color=BLACK,
        shrinkA=0,
        shrinkB=0,
    )
    axes.add_patch(arrow)
