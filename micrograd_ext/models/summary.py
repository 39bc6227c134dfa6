"""The table that `model.summary()` prints."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

from ..common.arguments import positive
from ..common.console import PLAIN, memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..layers import Layer
    from ..tensor import Tensor
    from ..training.compiled_model import CompiledModel

# Keras's widths and colours
WIDTH, TRAINABLE_WIDTH, NARROWEST = 88, 12, 20
KIND, NUMBER, ANY_SIZE, FROZEN = "color(33)", "color(34)", "color(45)", "color(9)"


def print_summary(
    model: CompiledModel,
    line_length: int | None = None,
    print_fn: Callable[[str], object] | None = None,
    show_trainable: bool = False,
    layer_range: Sequence[str] | None = None,
) -> None:
    """See `Sequential.summary`."""
    from rich.console import Console  # noqa: PLC0415 - slow to import, and seldom needed
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    text = io.StringIO()
    console = Console() if print_fn is None else Console(file=text, **PLAIN)
    extra = TRAINABLE_WIDTH if show_trainable else 0
    narrowest = NARROWEST + extra
    if line_length is None:
        line_length = max(min(WIDTH + extra, console.width - 4), narrowest)
    elif positive("summary: line_length", line_length) < narrowest:
        raise ValueError(
            f"summary: line_length: expected at least {narrowest} characters, got {line_length!r}"
        )
    console.width = max(console.width, line_length)  # nothing is cut off

    table = Table(width=line_length, show_lines=True)
    room = line_length - extra
    first, second = int(0.45 * room), int(0.8 * room)
    # less what is not text: a border and two blanks each, and the border on the right
    table.add_column("Layer (type)", width=first - 3, overflow="fold")
    table.add_column("Output Shape", width=second - first - 4, overflow="fold")
    table.add_column("Param #", width=room - second - 3, overflow="fold", justify="right")
    if show_trainable:
        table.add_column("Trainable", width=TRAINABLE_WIDTH - 3, justify="center")
    for layer in _between(model.layers, layer_range):
        name = Text.assemble(f"{layer.name} (", (type(layer).__name__, KIND), ")")
        shape, count = Text("?"), Text.assemble(("0", NUMBER), " (unbuilt)")
        if layer.built and (given := getattr(layer, "input_shape", None)) is not None:
            sizes = layer.compute_output_shape(given)
            parts = [(str(size), ANY_SIZE if size is None else NUMBER) for size in sizes]
            shape = Text.assemble("(", Text(", ").join(Text(*part) for part in parts), ")")
            count = Text(f"{layer.count_params():,}", NUMBER)
        if not layer.weights:
            mark = Text("-", "bold")
        else:
            mark = Text("Y", f"bold {NUMBER}") if layer.trainable else Text("N", f"bold {FROZEN}")
        table.add_row(name, shape, count, *([mark] if show_trainable else []))

    counts = {
        "Trainable": _numbers(model.trainable_weights),
        "Non-trainable": _numbers(model.non_trainable_weights),
    }
    if model.optimizer is not None and model.optimizer.built:
        counts["Optimizer"] = _numbers(model.optimizer.variables)
    lines = [
        Text.assemble((f" {what} params: ", "bold"), (f"{count:,}", NUMBER), f" ({memory(count)})")
        for what, count in {"Total": sum(counts.values()), **counts}.items()
    ]
    title = Text(f'Model: "{model.name}"', "bold")
    console.print(title, table, *lines, sep="\n")
    if print_fn is not None:
        print_fn(text.getvalue())


def _between(layers: list[Layer], layer_range: Sequence[str] | None) -> list[Layer]:
    """The layers from one that the first pattern fits to one that the second fits."""
    if layer_range is None:
        return layers
    if (
        isinstance(layer_range, str)
        or len(layer_range) != 2
        or not all(isinstance(pattern, str) for pattern in layer_range)
    ):
        raise ValueError(
            "summary: layer_range: expected two strings, names of layers or regular expressions, "
            f"got {layer_range!r}"
        )
    ends = []
    for pattern in layer_range:
        try:
            fits = re.compile(pattern).match
        except re.error as error:
            raise ValueError(
                f"summary: layer_range: expected regular expressions, got {pattern!r}: {error}"
            ) from None
        places = [place for place, layer in enumerate(layers) if fits(layer.name)]
        if not places:
            names = ", ".join(layer.name for layer in layers)
            raise ValueError(
                f"summary: layer_range: expected what fits one of {names}, got {pattern!r}"
            )
        ends.append(places)
    first, last = min(ends[0]), max(ends[1])
    if first > last:  # named the other way round
        first, last = min(ends[1]), max(ends[0])
    return layers[first : last + 1]


def _numbers(weights: Iterable[Tensor]) -> int:
    """How many numbers they hold; what is there twice counts once."""
    return sum(weight.size for weight in {id(weight): weight for weight in weights}.values())
