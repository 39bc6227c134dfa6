"""What happens beside training: history and progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress

    from .models import Sequential

__all__ = ["Callback", "CallbackList", "History", "ProgbarLogger"]

Logs = dict[str, float]

BAR_WIDTH = 20


class Callback:
    """Subclass it and override the moments you care for; `logs` has the loss and the metrics.

    `self.model.stop_training = True` ends training after the epoch.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print("epoch", epoch, "is over")
    """

    model: Sequential
    params: dict[str, Any]

    def set_model(self, model: Sequential) -> None:
        """Called first, with the model that is trained."""
        self.model = model

    def set_params(self, params: dict[str, Any]) -> None:
        """Called second: 'epochs', 'steps' (batches an epoch), 'verbose'."""
        self.params = params

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch; the first is 0."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch; the first of an epoch is 0."""

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; logs are means over the epoch so far."""

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""


class CallbackList(Callback):
    """Several callbacks as one: each moment goes to those that care for it.

    Attributes:
        follow_training, follow_tests: whether anybody cares for the end of a batch.
    """

    def __init__(
        self, callbacks: Iterable[Callback], model: Sequential, params: dict[str, Any]
    ) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected Callback objects, got {callback!r}")
            callback.set_model(model)
            callback.set_params(params)
        for moment in [name for name in vars(Callback) if name.startswith("on_")]:
            setattr(self, moment, self._forward(moment))
        self.follow_training = self._overridden("on_train_batch_end") != []
        self.follow_tests = self._overridden("on_test_batch_end") != []

    def _overridden(self, moment: str) -> list[Callback]:
        """The callbacks that have a method of their own for it."""
        nothing = getattr(Callback, moment)
        found = []
        for callback in self.callbacks:
            method = getattr(callback, moment)
            if getattr(method, "__func__", method) is not nothing:
                found.append(callback)
        return found

    def _forward(self, moment: str) -> Callable[..., None]:
        callbacks = self._overridden(moment)

        def call(*arguments: Any) -> None:
            for callback in callbacks:
                getattr(callback, moment)(*arguments)

        return call


class History(Callback):
    """What `fit` returns: `history['loss'][epoch]`, and so on for each metric.

    Attributes:
        history: name -> one number per epoch; 'val_' before the name for validation data.
        epoch: the epochs' numbers.
        seconds: how long each epoch took, without its validation.
    """

    def __init__(self) -> None:
        self._start = 0.0
        self._trained: float | None = None
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._start, self._trained = time.perf_counter(), None

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._trained = self._trained or time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self.epoch.append(epoch)
        self.seconds.append((self._trained or time.perf_counter()) - self._start)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)


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
        numbers = [f"{name}: {value:.4f}" for name, value in (logs or {}).items()]
        return " - ".join([f"{self._seconds:.1f}s {pace}/step", *numbers])
