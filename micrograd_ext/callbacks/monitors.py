"""Callbacks that change how it goes: when to stop, how fast to learn."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable

from ..tensor import Array
from .base import Callback, Logs

__all__ = [
    "EarlyStopping",
    "LearningRateScheduler",
    "Monitor",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]


class Monitor(Callback):
    """What callbacks that watch a number share: which one, and what is better."""

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"mode: expected 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)

    def current(self, logs: Logs | None) -> float | None:
        """The number to watch; None, with a warning, if there is none of that name."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__}: monitor: expected one of {', '.join(logs or {})}, "
                f"got {self.monitor!r}",
                stacklevel=2,
            )
        return value

    def better(self, value: float, than: float | None) -> bool:
        """Whether it is, by more than min_delta; 'auto' wants accuracies large, the rest small."""
        if than is None:
            return True
        if self.mode == "max" or (
            self.mode == "auto" and self.monitor.endswith(("acc", "accuracy"))
        ):
            return value - self.min_delta > than
        return value + self.min_delta < than


class EarlyStopping(Monitor):
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
        current = self.current(logs)
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights, self.best_epoch = self.model.get_weights(), epoch
        self.wait += 1
        if self.better(current, self.best):
            self.best, self.best_epoch = current, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.better(current, self.baseline):
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


class ReduceLROnPlateau(Monitor):
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
        current = self.current(logs)
        if logs is not None:
            logs["learning_rate"] = float(optimizer.learning_rate)
        if current is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.better(current, self.best):
            self.best, self.wait = current, 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            old = float(optimizer.learning_rate)
            if self.wait >= self.patience and old > self.min_lr:
                optimizer.learning_rate = max(old * self.factor, self.min_lr)
                self.cooldown_counter, self.wait = self.cooldown, 0
                if self.verbose:
                    rate = float(optimizer.learning_rate)
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
        before = float(optimizer.learning_rate)
        rate = self.schedule(epoch, before) if two else self.schedule(epoch)
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
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class TerminateOnNaN(Callback):
    """Ends training at a batch whose loss is nan or infinite.

    raise_error: whether to end it with a RuntimeError.

    >>> callback = TerminateOnNaN()
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = bool(raise_error)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            if self.raise_error:
                raise RuntimeError(f"TerminateOnNaN: the loss of batch {batch} is {loss}")
            print(f"Batch {batch}: invalid loss, terminating training")
            self.model.stop_training = True
