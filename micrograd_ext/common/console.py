"""Text tables: consoles of rich, and how numbers are shown there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: Of a console that writes to a file: without colours, and to the file even in a notebook
PLAIN: dict[str, Any] = {"color_system": None, "force_jupyter": False}


def shape_text(shape: Sequence[int]) -> str:
    """The sizes of axes.

    >>> shape_text((28, 28, 1))
    '28x28x1'
    """
    return "x".join(map(str, shape))


def memory(count: int) -> str:
    """What so many float32 numbers take.

    >>> memory(225034)
    '879.04 KB'
    """
    amount, unit = float(count * 4), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.2f} {unit}"
