"""Pictures, by matplotlib: a figure that notebooks show, and the curves of `History.plot`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure


BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's, which colour-blind people tell apart


MOST_PIXELS = 65_535  # on a side, that matplotlib draws


def need_matplotlib(caller: str) -> None:
    """ImportError, and what helps, if it is missing."""
    try:
        import matplotlib  # noqa: F401, PLC0415 - optional
    except ImportError:
        raise ImportError(
            f"{caller}: it takes matplotlib to draw: pip install 'micrograd_ext[demos]'"
        ) from None


def new_figure(width: float, height: float, **options: Any) -> Figure:
    """A figure of that size in inches.

    A notebook shows it if it is the last line of a cell; matplotlib's own are shown only where
    pyplot is. This one has no pyplot behind it: it needs no display, and nobody has to close it.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415 - optional

    class Picture(Figure):
        def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
            """The picture at twice the screen's resolution, and the size to show it at."""
            wide, high = self.get_size_inches()
            file = io.BytesIO()
            self.savefig(file, format="png", dpi=min(2 * 96, MOST_PIXELS // max(wide, high)))
            return file.getvalue(), {"width": round(96 * wide), "height": round(96 * high)}

    return Picture(figsize=(width, height), **options)
