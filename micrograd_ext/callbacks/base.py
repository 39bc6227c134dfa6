"""What a callback is: something told of each moment of training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from os import PathLike
from typing import Any, Protocol

from ..saving.model_files import SavedModel
from ..tensor import Array

__all__ = ["Callback", "CallbackList", "LambdaCallback", "Logs"]

Logs = dict[str, Any]


class TrainedModel(SavedModel, Protocol):
    """What callbacks ask of the model that is trained."""

    stop_training: bool
    initial_epoch: int

    def get_weights(self) -> list[Array]:
        """Copies of the weights."""

    def set_weights(self, weights: list[Array]) -> None:
        """Put them back."""

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model into a file."""

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write its weights into a file."""


class Callback:
    """Subclass it and override the moments you care for; `logs` has the loss and the metrics.

    It is a dict at every moment, empty before there is anything to tell.
    `self.model.stop_training = True` ends training after the batch or epoch.

    >>> class Shout(Callback):
    ...     def on_epoch_end(self, epoch, logs=None):
    ...         print("epoch", epoch, "is over")
    """

    model: TrainedModel
    params: dict[str, Any]

    def set_model(self, model: TrainedModel) -> None:
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

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of training: what `on_train_batch_begin` calls."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of training: what `on_train_batch_end` calls."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch; the first of an epoch is 0."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch; logs are means over the epoch so far."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before an evaluation."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of an evaluation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of an evaluation."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After an evaluation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before predictions."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of predictions."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of predictions; logs['outputs'] has them."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After predictions."""


MOMENTS = [name for name in vars(Callback) if name.startswith("on_")]
#: Moments that are told by others.
WITHIN = {"on_train_batch_begin": "on_batch_begin", "on_train_batch_end": "on_batch_end"}


class CallbackList(Callback):
    """Several callbacks as one: each moment goes to those that care for it.

    Attributes:
        follow_training, follow_tests, follow_predictions: whether anybody cares for the end of a
            batch.
    """

    def __init__(
        self, callbacks: Iterable[Callback], model: TrainedModel, params: dict[str, Any]
    ) -> None:
        self.callbacks = list(callbacks)
        for callback in self.callbacks:
            if not isinstance(callback, Callback):
                raise TypeError(f"callbacks: expected Callback objects, got {callback!r}")
            callback.set_model(model)
            callback.set_params(params)
        for moment in MOMENTS:
            setattr(self, moment, self._forward(moment))
        self.follow_training = self._overridden("on_train_batch_end") != []
        self.follow_tests = self._overridden("on_test_batch_end") != []
        self.follow_predictions = self._overridden("on_predict_batch_end") != []

    def _overridden(self, moment: str) -> list[Callback]:
        """The callbacks that have a method of their own for it, or for what it tells."""
        names = [moment, *([WITHIN[moment]] if moment in WITHIN else [])]
        overriding = []
        for callback in self.callbacks:
            for name in names:
                method = getattr(callback, name)
                if getattr(method, "__func__", method) is not getattr(Callback, name):
                    overriding.append(callback)
                    break
        return overriding

    def _forward(self, moment: str) -> Callable[..., None]:
        callbacks = self._overridden(moment)
        numbered = "epoch" in moment or "batch" in moment

        def call(*arguments: Any) -> None:
            if len(arguments) == numbered:  # without logs
                arguments = (*arguments, {})
            for callback in callbacks:
                getattr(callback, moment)(*arguments)

        return call


class LambdaCallback(Callback):
    """Functions for the moments one cares for, by the names of `Callback`'s methods.

    Anything else that is given becomes an attribute.

    >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    """

    def __init__(self, **moments: Any) -> None:
        for name, function in moments.items():
            if name.startswith("on_") and name not in MOMENTS:
                raise TypeError(
                    f"LambdaCallback: expected one of {', '.join(MOMENTS)}, got {name!r}"
                )
            if function is not None or name not in MOMENTS:
                setattr(self, name, function)
