"""Callbacks that tell how it goes: history, a bar, a table in a file."""

from __future__ import annotations

import csv
import time
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING

from .base import Callback, Logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from rich.progress import Progress

__all__ = ["CSVLogger", "History", "ProgbarLogger"]

BAR_WIDTH = 20


class History(Callback):
    """What `fit` returns: `history['loss'][epoch]`, and so on for each metric."""

    def __init__(self) -> None:
        self._start = 0.0
        self._trained: float | None = None
        self._epochs: list[tuple[int, float, Logs]] = []  # grows at once, or not at all

    @property
    def history(self) -> dict[str, list[float]]:
        """Name -> one number per epoch; 'val_' before the name for validation data."""
        history: dict[str, list[float]] = {}
        for _, _, logs in self._epochs:
            for name, value in logs.items():
                history.setdefault(name, []).append(value)
        return history

    @property
    def epoch(self) -> list[int]:
        """The epochs' numbers."""
        return [epoch for epoch, _, _ in self._epochs]

    @property
    def seconds(self) -> list[float]:
        """How long each epoch took, without its validation."""
        return [seconds for _, seconds, _ in self._epochs]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._start, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._trained = self._trained or time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        seconds = (self._trained or time.perf_counter()) - self._start
        self._epochs.append((epoch, seconds, dict(logs or {})))

    def plot(self, metrics: Sequence[str] | None = None) -> Figure:
        """Draw the loss and the metrics by epoch, in training and on validation data.

        As the last line of a cell, a notebook shows it; else write it to a file:
        `history.plot().savefig("curves.png")`. It needs no display.

        Args:
            metrics: which, e.g. ['loss', 'accuracy'], without 'val_'; all there are if None.

        Raises:
            ImportError: matplotlib is missing.
            RuntimeError: nothing is recorded yet.
            ValueError: metrics that are not recorded, or none.

        >>> import numpy as np
        >>> from micrograd_ext import Sequential, layers
        >>> model = Sequential([layers.Input((1,)), layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> history = model.fit(np.ones((4, 1)), np.ones((4, 1)), epochs=3, verbose=0)
        >>> figure = history.plot()
        >>> figure.axes[0].get_xlabel(), figure.axes[0].get_ylabel()
        ('epoch', 'loss')
        """
        from .curves import draw_curves  # noqa: PLC0415 - seldom needed

        curves: dict[str, tuple[list[int], list[float]]] = {}
        for epoch, _, logs in self._epochs:
            for name, value in logs.items():
                epochs, values = curves.setdefault(name, ([], []))
                epochs.append(epoch + 1)
                values.append(value)
        if not curves:
            raise RuntimeError("plot: nothing is recorded yet: `fit` does that")
        return draw_curves(curves, metrics)


class ProgbarLogger(Callback):
    """Progress as Keras shows it: a bar in a terminal or notebook, else one line per epoch."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._training = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._stop()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._begin(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._advance(batch + 1, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._end(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if not self._training:
            self._begin("")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if not self._training:
            self._advance(batch + 1, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if not self._training:
            self._end(logs)

    def _begin(self, title: str) -> None:
        from rich.console import Console  # noqa: PLC0415 - takes longer to import than numpy
        from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

        self._title, self._done, self._start = title, 0, time.perf_counter()
        console = Console()
        if (console.is_terminal or console.is_jupyter) and self.params["verbose"] == 1:
            if title:
                console.print(title, highlight=False)
            steps = self.params["steps"]
            width = len(str(steps))
            self._bar = Progress(
                TextColumn(f"{{task.completed:>{width}.0f}}/{steps}"),
                BarColumn(bar_width=BAR_WIDTH),
                TextColumn("{task.fields[text]}"),
                console=console,
                transient=True,
            )
            self._bar.add_task("", total=steps, text="")
            self._bar.start()

    def _advance(self, done: int, logs: Logs | None) -> None:
        self._done, self._seconds = done, time.perf_counter() - self._start
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done, text=self._text(logs))

    def _end(self, logs: Logs | None) -> None:
        done = f"{self._done}/{self.params['steps']}"
        if self._bar is not None:  # it clears its line; what stays is wrapped if need be, not cut
            console = self._bar.console
            self._stop()
            line = f"{done} [green]{'━' * BAR_WIDTH}[/] {self._text(logs)}"
            console.print(line, highlight=False, soft_wrap=True)
        else:
            print(" - ".join(filter(None, [self._title, done, self._text(logs)])), flush=True)

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _text(self, logs: Logs | None) -> str:
        each = self._seconds / max(self._done, 1)
        pace = f"{each * 1e3:.0f}ms" if each >= 1e-3 else f"{each * 1e6:.0f}us"
        metrics = [f"{name}: {value:.4f}" for name, value in (logs or {}).items()]
        return " - ".join([f"{self._seconds:.1f}s {pace}/step", *metrics])


class CSVLogger(Callback):
    """Writes a line for each epoch: its number, the loss and the metrics, NA for what is missing.

    Args:
        filename: where to.
        separator: what stands between the numbers.
        append: whether to go on with a file that is there, instead of beginning it anew.
    """

    def __init__(
        self, filename: str | PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append
        self._file: IO[str] | None = None
        self._names: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        goes_on = self.append and self.filename.exists() and self.filename.stat().st_size > 0
        self._names = None
        if goes_on:
            with self.filename.open(newline="", encoding="utf-8") as file:
                self._names = next(csv.reader(file, delimiter=self.separator))[1:]
        self._file = self.filename.open("a" if goes_on else "w", newline="", encoding="utf-8")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        assert self._file is not None
        writer = csv.writer(self._file, delimiter=self.separator)
        if self._names is None:
            self._names = sorted(logs or {})
            if not any(name.startswith("val_") for name in self._names):
                self._names += [f"val_{name}" for name in self._names]  # they may still come
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *((logs or {}).get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if self._file is not None:
            self._file.close()
            self._file = None
