"""Pictures, by matplotlib: a figure that notebooks show, and the curves of `History.plot`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

BLUE, ORANGE = "#0072b2", "#d55e00"  # Okabe and Ito's, which colour-blind people tell apart
MOST_PIXELS = 65_535  # on a side, that matplotlib draws
MOST_MARKERS = 40  # to a line
PER_ROW = 3  # axes


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


def draw_curves(
    curves: Mapping[str, tuple[Sequence[int], Sequence[float]]], metrics: Sequence[str] | None
) -> Figure:
    """See `History.plot`; curves: name -> numbers of epochs, and what was recorded there."""
    need_matplotlib("plot")
    from matplotlib.ticker import MaxNLocator  # noqa: PLC0415 - optional

    names = [name for name in curves if not (name.startswith("val_") and name[4:] in curves)]
    names.sort(key=lambda name: (name != "loss", name == "learning_rate"))
    if metrics is not None:
        unknown = [metrics] if isinstance(metrics, str) else [n for n in metrics if n not in names]
        if unknown or not len(metrics):
            raise ValueError(
                f"plot: metrics: expected names out of {', '.join(names)}, got {metrics!r}"
            )
        names = list(metrics)
    rows = -(-len(names) // PER_ROW)
    columns = -(-len(names) // rows)
    figure = new_figure(4 * columns, 3.2 * rows, layout="constrained")
    for place, name in enumerate(names, 1):
        axes = figure.add_subplot(rows, columns, place)
        for each, style, colour, label in (
            (name, "o-", BLUE, "training"),
            (f"val_{name}", "s--", ORANGE, "validation"),
        ):
            if each in curves:
                epochs, values = curves[each]
                shown = style if len(values) <= MOST_MARKERS else style[1:]
                axes.plot(epochs, values, shown, color=colour, label=label)
        known = curves[name][0]
        axes.set(xlabel="epoch", ylabel=name.replace("$", r"\$"))
        axes.set_xlim(min(known) - 0.5, max(known) + 0.5)  # there is no epoch 0
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        if name != "learning_rate":
            axes.legend()
    return figure
