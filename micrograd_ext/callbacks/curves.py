"""The curves of `History.plot`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..common.figures import BLUE, ORANGE, need_matplotlib, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_MARKERS = 40  # to a line


PER_ROW = 3  # axes


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
