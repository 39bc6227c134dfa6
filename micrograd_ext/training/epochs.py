"""Loops over batches and epochs, which tell callbacks of each moment."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ..callbacks import CallbackList, Logs
from ..tensor import Array
from .compiled_model import CompiledModel, flat_logs
from .data_adapter import Batch, EpochBatches, not_finite, why_nan
from .steps import Steps


class Validation(NamedTuple):
    """What is evaluated between epochs.

    steps: makes what runs the batches. due: whether to do it after an epoch, counted from 0.
    """

    steps: Callable[[], Steps]
    batches: Sequence[Batch]
    due: Callable[[int], bool]


def fit_epochs(
    model: CompiledModel,
    steps: Steps,
    batches: EpochBatches,
    epochs: int,
    validation: Validation | None,
    events: CallbackList,
) -> None:
    """Train until `epochs` are over or a callback says stop.

    Raises ValueError if a loss is no number.
    """
    spoilt = not_finite(model.weights)
    logs: Logs = {}
    try:
        events.on_train_begin()
        for epoch in range(model.initial_epoch, epochs):
            events.on_epoch_begin(epoch)
            steps.reset()
            for number, batch in enumerate(batches.of_an_epoch()):
                events.on_train_batch_begin(number)
                steps.train(batch)
                if events.follow_training:
                    events.on_train_batch_end(number, flat_logs(steps.logs()))
                    if model.stop_training:
                        break
            logs = flat_logs(steps.logs())
            if math.isnan(logs["loss"]) and not model.stop_training:
                assert model.optimizer is not None
                rate = float(model.optimizer.learning_rate)
                raise ValueError(why_nan(epoch, steps.examples, rate, spoilt))
            if validation is not None and validation.due(epoch):
                tested = evaluate_batches(validation.steps(), validation.batches, events)
                logs |= {f"val_{name}": value for name, value in flat_logs(tested).items()}
            events.on_epoch_end(epoch, logs)
            if model.stop_training:
                break
    finally:
        steps.close()
        if model.optimizer is not None:
            model.optimizer.finalize_variable_values(model.trainable_weights)
        events.on_train_end(logs)


def evaluate_batches(steps: Steps, batches: Sequence[Batch], events: CallbackList) -> Logs:
    """The loss and the metrics over batches."""
    steps.reset()
    logs: Logs = {}
    try:
        events.on_test_begin()
        for number, batch in enumerate(batches):
            events.on_test_batch_begin(number)
            steps.test(batch)
            if events.follow_tests:
                events.on_test_batch_end(number, flat_logs(steps.logs()))
        logs = steps.logs()
    finally:
        steps.close()
    events.on_test_end(flat_logs(logs))
    return logs


def predict_batches(
    steps: Steps, batches: Sequence[Batch], events: CallbackList | None
) -> list[Array]:
    """The outputs of each batch. events: None if nobody wants to be told."""
    outputs: list[Array] = []
    try:
        if events is None:
            return [steps.predict(batch) for batch in batches]
        events.on_predict_begin()
        for number, batch in enumerate(batches):
            events.on_predict_batch_begin(number)
            outputs.append(steps.predict(batch))
            if events.follow_predictions:
                events.on_predict_batch_end(number, {"outputs": outputs[-1]})
        events.on_predict_end()
    finally:
        steps.close()
    return outputs
