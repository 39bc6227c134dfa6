"""What happens beside training: history and progress."""

from __future__ import annotations

import csv
import inspect
import time
import warnings
from collections.abc import Callable, Iterable
from os import PathLike
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .tensor import Array

if TYPE_CHECKING:
    from rich.progress import Progress

    from .models import Sequential

__all__ = [
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ProgbarLogger",
    "ReduceLROnPlateau",
]

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


class _Monitor(Callback):
    """What callbacks that watch a number share: which one, and what is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)

    def _current(self, logs: Logs | None) -> float | None:
        """The number to watch; None, with a warning, if there is none of that name."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__}: monitor: expected one of {', '.join(logs or {})}, "
                f"got {self.monitor!r}",
                stacklevel=2,
            )
        return value

    def _better(self, value: float, than: float | None) -> bool:
        """Whether it is, by more than min_delta; 'auto' wants accuracies large, the rest small."""
        if than is None:
            return True
        if self.mode == "max" or (
            self.mode == "auto" and self.monitor.endswith(("acc", "accuracy"))
        ):
            return value - self.min_delta > than
        return value + self.min_delta < than


class EarlyStopping(_Monitor):
    """Ends training when a number has not become better for some epochs.

    Args:
        monitor: 'loss', 'val_loss', 'accuracy', ...
        min_delta: by how much more than this it has to be better.
        patience: after how many epochs without that to stop.
        verbose: 1: say so.
        mode: whether better is 'min' or 'max'; 'auto': max for accuracies.
        baseline: a number that it has to be better than besides.
        restore_best_weights: whether the model gets the weights of the best epoch in the end.
        start_from_epoch: the first epoch to look at.

    >>> EarlyStopping(monitor="loss", patience=3).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best: float | None = None
        self.best_weights: list[Array] | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        current = self._current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self._better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self._better(current, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if self.stopped_epoch and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
            if self.verbose:
                print(f"Restoring model weights from the end of epoch {self.best_epoch + 1}")


class ReduceLROnPlateau(_Monitor):
    """Makes the learning rate smaller when a number has not become better for some epochs.

    Args:
        monitor, mode, verbose: as in `EarlyStopping`.
        factor: what the rate is multiplied by, below 1.
        patience: after how many epochs without anything better.
        min_delta: by how much more than this it has to be better.
        cooldown: how many epochs to wait before counting again.
        min_lr: the least rate.

    >>> ReduceLROnPlateau(monitor="loss", factor=0.5).factor
    0.5
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        if not 0 <= factor < 1:
            raise ValueError(f"factor: expected a number from 0 to below 1, got {factor!r}")
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.on_train_begin()

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self.wait = self.cooldown_counter = 0
        self.best: float | None = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        optimizer = self.model.optimizer
        assert optimizer is not None
        current = self._current(logs)
        if logs is not None:
            logs["learning_rate"] = optimizer.learning_rate
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self._better(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            old = optimizer.learning_rate
            if self.wait >= self.patience and old > self.min_lr:
                optimizer.learning_rate = max(old * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    rate = optimizer.learning_rate
                    print(f"Epoch {epoch + 1}: reducing the learning rate to {rate:g}")


class LearningRateScheduler(Callback):
    """Sets the learning rate before each epoch.

    Args:
        schedule: a function of the epoch's number, or of that and the rate so far.
        verbose: 1: say so.

    >>> callback = LearningRateScheduler(lambda epoch, rate: rate * 0.9)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        optimizer = self.model.optimizer
        assert optimizer is not None
        two = len(inspect.signature(self.schedule).parameters) > 1
        rate = self.schedule(epoch, optimizer.learning_rate) if two else self.schedule(epoch)
        try:
            rate = float(rate)
        except (TypeError, ValueError):
            raise ValueError(
                f"LearningRateScheduler: schedule: expected it to return a number, got {rate!r}"
            ) from None
        optimizer.learning_rate = rate
        if self.verbose:
            print(f"Epoch {epoch + 1}: setting the learning rate to {rate:g}")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if logs is not None and self.model.optimizer is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


class CSVLogger(Callback):
    """Writes a line for each epoch: its number, the loss and the metrics.

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
            writer.writerow(["epoch", *self._names])
        writer.writerow([epoch, *((logs or {}).get(name, "NA") for name in self._names)])
        self._file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if self._file is not None:
            self._file.close()
            self._file = None


class LambdaCallback(Callback):
    """Functions for the moments one cares for, by the names of `Callback`'s methods.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(self, **moments: Callable[..., object] | None) -> None:
        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name, function in moments.items():
            if name not in known:
                raise TypeError(f"LambdaCallback: expected one of {', '.join(known)}, got {name!r}")
            if function is not None:
                setattr(self, name, function)
