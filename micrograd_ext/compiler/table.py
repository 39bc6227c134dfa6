"""The table that printing a program shows."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ..common.console import PLAIN

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .step import Step


def program_table(capacity: int, gathers: Sequence[str], steps: Sequence[Step]) -> str:
    """The steps of a program: what is computed, of what and for which layers, and what it takes."""
    from rich import box  # noqa: PLC0415
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table(
        title=f"Program for batches of up to {capacity}",
        title_justify="left",
        box=box.HEAVY_HEAD,
    )
    for column in ("", "Step", "Layers", "Shapes"):
        table.add_column(column)
    table.add_column("MFLOP", justify="right")
    table.add_column("KB", justify="right")
    part = "batch"
    table.add_row(part, *gathers)
    for step in steps:
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
    flops = sum(step.flops for step in steps)
    buffers = {array.ctypes.data: array.nbytes for step in steps for array in step.arrays}
    total = f" {flops / 1e6:.1f} MFLOP at most, {sum(buffers.values()) / 1024:,.0f} KB of buffers"
    text = io.StringIO()
    Console(file=text, width=120, **PLAIN).print(table, total, sep="\n")
    return "\n".join(line.rstrip() for line in text.getvalue().splitlines())
