"""The tables that `model.summary()` and `model.program` print."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from .layers import Layer
    from .program import Program


def size(numbers: int, bytes_each: int = 4) -> str:
    """A number of parameters and the memory they take.

    >>> size(225034)
    '225,034 (879.04 KB)'
    """
    amount, unit = float(numbers * bytes_each), "B"
    for larger in ("KB", "MB", "GB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{numbers:,} ({amount:.2f} {unit})"


def print_summary(
    name: str, layers: list[Layer], print_fn: Callable[[str], object] | None = None
) -> None:
    """Print the layers with the shapes that come out of them and their parameters."""
    from rich import box  # noqa: PLC0415 - slow to import, and seldom needed
    from rich.console import Console  # noqa: PLC0415
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=f'[bold]Model: "{escape(name)}"[/]', title_justify="left", box=box.HEAVY_HEAD
    )
    table.add_column("Layer (type)")
    table.add_column("Output Shape")
    table.add_column("Param #", justify="right")
    for layer in layers:
        kind = f"[cyan]{escape(layer.name)}[/] ({type(layer).__name__})"
        if layer.built and layer.input_shape is not None:
            shape = str(layer.compute_output_shape(layer.input_shape))
            table.add_row(kind, shape, f"{layer.count_params():,}")
        else:
            table.add_row(kind, "?", "0 (unbuilt)")
    total = sum(layer.count_params() for layer in layers)
    plain: dict[str, Any] = {} if print_fn is None else {"file": io.StringIO(), "width": 80}
    console = Console(**plain)
    parts = (table, f" Total params: {size(total)}", f" Trainable params: {size(total)}")
    if print_fn is None:
        console.print(*parts, sep="\n", highlight=False)
    else:
        console.print(*parts, sep="\n", highlight=False)
        print_fn(plain["file"].getvalue())


def program_table(program: Program) -> str:
    """The steps of a program: what is computed, of what and for which layers, and what it takes."""
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=f"Program for batches of up to {program.capacity}",
        title_justify="left",
        box=box.HEAVY_HEAD,
    )
    for column in ("", "Step", "Layers", "Shapes"):
        table.add_column(column)
    table.add_column("MFLOP", justify="right")
    table.add_column("KB", justify="right")
    part = "batch"
    table.add_row(part, *program.gathers)
    for step in program.steps:
        if part != step.part:
            table.add_section()
        table.add_row(
            step.part if step.part != part else "",
            step.name,
            step.layers,
            step.shapes,
            f"{step.flops / 1e6:.1f}" if step.flops else "",
            f"{sum(array.nbytes for array in step.arrays) / 1024:,.0f}",
        )
        part = step.part
    text = io.StringIO()
    console = Console(file=text, width=120)
    console.print(table, highlight=False)
    flops = sum(step.flops for step in program.steps)
    memory = {array.ctypes.data: array.nbytes for step in program.steps for array in step.arrays}
    console.print(
        f" {flops / 1e6:.1f} MFLOP at most, {sum(memory.values()) / 1024:,.0f} KB of buffers",
        highlight=False,
    )
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
