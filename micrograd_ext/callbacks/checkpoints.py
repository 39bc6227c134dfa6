"""Callbacks that keep the model in files as it is trained."""

from __future__ import annotations

import os
from os import PathLike
from pathlib import Path

from ..common.arguments import positive
from ..saving import model_files
from .base import Callback, Logs
from .monitors import Monitor

__all__ = ["BackupAndRestore", "ModelCheckpoint"]


class ModelCheckpoint(Monitor):
    """Saves the model after each epoch, or when it has become better.

    Args:
        filepath: where to; '{epoch:02d}', '{batch}' (with save_freq a number) and '{val_loss:.3f}'
            in it become the numbers of epoch and batch, counted from 1, and those of the logs.
            Missing folders are made.
        monitor: the number that says which epoch is the best: 'val_loss', 'accuracy', ...
        verbose: 1: say so.
        save_best_only: whether only epochs are saved that are better than all before.
        save_weights_only: whether it is `save_weights` that is called, instead of `save`.
        mode: whether better is 'min' or 'max'; 'auto': max for accuracies.
        save_freq: 'epoch', or after how many batches to save.
        initial_value_threshold: what the first one has to be better than.

    >>> import tempfile
    >>> import numpy as np
    >>> from micrograd_ext import layers, models
    >>> model = models.Sequential([layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     keep = ModelCheckpoint(f"{folder}/{{epoch:02d}}.keras")
    ...     x = np.ones((4, 2))
    ...     history = model.fit(x, x[:, :1], epochs=2, verbose=0, callbacks=[keep])
    ...     sorted(os.listdir(folder))
    ['01.keras', '02.keras']
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, 0.0)
        self.filepath = os.fsdecode(filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = "epoch" if save_freq == "epoch" else positive("save_freq", save_freq)
        self.best = initial_value_threshold
        self._epoch = self._batches = 0
        if self.save_freq != "epoch":  # else nobody need know of batches
            self.on_train_batch_end = self._count  # type: ignore[method-assign]

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._epoch = epoch

    def _count(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._save(logs, batch=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        if self.save_freq == "epoch":
            self._save(logs)

    def _save(self, logs: Logs | None, **fields: int) -> None:
        number = self._epoch + 1
        text = f"Epoch {number}:"
        if self.save_best_only:
            current = self.current(logs)
            if current is not None:
                if not self.better(current, self.best):
                    if self.verbose:
                        print(f"{text} {self.monitor} did not improve from {self.best:.5f}")
                    return
                before = "" if self.best is None else f" from {self.best:.5f}"
                text += f" {self.monitor} improved{before} to {current:.5f},"
                self.best = current
        try:
            path = Path(self.filepath.format(epoch=number, **fields, **(logs or {})))
        except (KeyError, IndexError, AttributeError) as error:
            known = ", ".join(["epoch", *fields, *(logs or {})])
            raise ValueError(
                f"ModelCheckpoint: filepath: expected {known} in braces, got {self.filepath!r}"
            ) from error
        if self.verbose:
            print(f"{text} saving model to {path}")
        path.parent.mkdir(parents=True, exist_ok=True)
        save = self.model.save_weights if self.save_weights_only else self.model.save
        save(path)


class BackupAndRestore(Callback):
    """Goes on where a training that broke off had got to, as if it never had.

    After each epoch the model is kept in `backup_dir`, with the optimizer's memory and the state
    of the random streams. When the same program is run again, `fit` begins after that epoch, with
    the same bits; `History` has the epochs from there on.

    Args:
        backup_dir: a folder for this training alone.
        save_freq: 'epoch', or after how many batches to keep it as well; training goes on with
            the epoch that these are of, from its beginning, and the weights as they were then.
        double_checkpoint: taken for Keras's sake: a file takes the place of the last one when it
            is complete, so that one is always there.
        delete_checkpoint: whether to delete what is kept when training is over.

    The model has to be built when `fit` is called. What other callbacks remember is theirs.

    >>> callback = BackupAndRestore("backup")
    """

    def __init__(
        self,
        backup_dir: str | PathLike[str],
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        if not backup_dir or not isinstance(backup_dir, str | PathLike):
            raise ValueError(f"BackupAndRestore: backup_dir: expected a folder, got {backup_dir!r}")
        self.backup_dir, self.delete_checkpoint = Path(backup_dir), bool(delete_checkpoint)
        self.double_checkpoint = bool(double_checkpoint)
        self.save_freq = "epoch" if save_freq == "epoch" else positive("save_freq", save_freq)
        self._ended = self._batches = 0
        if self.save_freq != "epoch":  # else nobody need know of batches
            self.on_train_batch_end = self._count  # type: ignore[method-assign]

    @property
    def _file(self) -> Path:
        return self.backup_dir / "training.keras"

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._ended = self.model.initial_epoch
        self._batches = 0
        if self._file.exists():
            self._ended = self.model.initial_epoch = model_files.restore(self.model, self._file)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """See `Callback`."""
        self._ended = epoch + 1
        self._keep()

    def _count(self, batch: int, logs: Logs | None = None) -> None:
        self._batches += 1
        if self._batches % int(self.save_freq) == 0:
            self._keep()

    def _keep(self) -> None:
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        model_files.save(self.model, self._file, epochs=self._ended)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """See `Callback`."""
        over = self.model.stop_training or self._ended >= self.params["epochs"]
        if over and self.delete_checkpoint:
            self._file.unlink(missing_ok=True)
            if self.backup_dir.is_dir() and not any(self.backup_dir.iterdir()):
                self.backup_dir.rmdir()
