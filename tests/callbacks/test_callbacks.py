"""What happens beside training: stopping early, learning rates, logs."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograd_ext import Sequential, callbacks, layers, optimizers, utils

X = np.random.default_rng(8).standard_normal((12, 4), dtype=np.float32)
Y = np.eye(3)[np.arange(12) % 3]


class Pretend(callbacks.Callback):
    """Makes the logs show these numbers, an epoch each."""

    def __init__(self, numbers: Sequence[float], name: str = "val_loss") -> None:
        self.numbers, self.name = numbers, name

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        logs[self.name] = self.numbers[epoch]


def fitted(
    *followers: callbacks.Callback, epochs: int = 8, rate: Any = 0.1
) -> tuple[Sequential, callbacks.History]:
    utils.set_random_seed(2)
    model = Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    model.compile(optimizers.SGD(rate), "categorical_crossentropy", metrics=["accuracy"])
    return model, model.fit(X, Y, 6, epochs, 0, callbacks=followers)


STOPS: dict[str, tuple[list[float], dict[str, Any], int]] = {
    # numbers, arguments, epochs run
    "at once": ([3, 2, 2, 1, 1, 1, 1, 1], {}, 3),
    "patience": ([3, 2, 2, 1, 1, 1, 1, 1], {"patience": 2}, 6),
    "never": ([8, 7, 6, 5, 4, 3, 2, 1], {}, 8),
    "too little better": ([3, 2.9, 2.8, 2.7, 1, 1, 1, 1], {"min_delta": 0.15, "patience": 3}, 8),
    "much too little": ([3, 2.95, 2.9, 2.88, 1, 1, 1, 1], {"min_delta": 0.15, "patience": 3}, 4),
    "upwards": ([1, 2, 1, 1, 1, 1, 1, 1], {"mode": "max"}, 3),
    "baseline": ([3, 2.5, 2.4, 1, 1, 1, 1, 1], {"baseline": 2, "patience": 3}, 7),
    "late start": ([3, 4, 5, 4, 3, 4, 1, 1], {"start_from_epoch": 3}, 6),
    "nan": ([3, np.nan, 2, 1, 1, 1, 1, 1], {"patience": 2}, 6),
}


@pytest.mark.parametrize("case", STOPS)
def test_early_stopping(case: str) -> None:
    numbers, arguments, expected = STOPS[case]
    stop = callbacks.EarlyStopping(**arguments)
    _, history = fitted(Pretend(numbers), stop)
    assert len(history.epoch) == expected
    assert stop.stopped_epoch == (expected - 1 if case != "never" else 0)


def test_the_best_weights_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Any] = []
    look = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(weights()))
    stop = callbacks.EarlyStopping(patience=2, restore_best_weights=True, verbose=1)

    def weights() -> Any:
        return stop.model.get_weights()

    model, _ = fitted(Pretend([3, 2, 2, 2, 1, 1, 1, 1]), look, stop)
    assert len(seen) == 4
    for found, best in zip(model.get_weights(), seen[1], strict=True):
        np.testing.assert_array_equal(found, best)
    assert "Epoch 4: early stopping" in capsys.readouterr().out
    up = callbacks.EarlyStopping("val_accuracy")  # wants it large
    assert len(fitted(Pretend([1, 2, 3, 3, 3, 3, 3, 3], "val_accuracy"), up)[1].epoch) == 4


def test_a_number_that_is_not_there() -> None:
    with pytest.warns(UserWarning, match="monitor: expected one of accuracy, loss, got 'val_loss'"):
        _, history = fitted(callbacks.EarlyStopping(), epochs=2)
    assert len(history.epoch) == 2


def test_rates_are_reduced_on_a_plateau(capsys: pytest.CaptureFixture[str]) -> None:
    numbers = [3, 2, 2, 2, 2, 2, 2, 2]
    plateau = callbacks.ReduceLROnPlateau(factor=0.5, patience=2, min_lr=0.03, verbose=1)
    _, history = fitted(Pretend(numbers), plateau)
    expected = [0.1, 0.1, 0.1, 0.1, 0.05, 0.05, 0.03, 0.03]
    assert history.history["learning_rate"] == pytest.approx(expected)
    assert "Epoch 4: reducing the learning rate to 0.05" in capsys.readouterr().out
    slow = callbacks.ReduceLROnPlateau(factor=0.5, patience=1, cooldown=2)
    _, history = fitted(Pretend(numbers), slow)
    expected = [0.1, 0.1, 0.1, 0.05, 0.05, 0.025, 0.025, 0.0125]
    assert history.history["learning_rate"] == pytest.approx(expected)


@pytest.mark.parametrize(
    "schedule", [lambda epoch: 0.1 / (epoch + 1), lambda epoch, rate: rate / 2]
)
def test_a_schedule_of_epochs(schedule: Callable[..., float]) -> None:
    _, history = fitted(callbacks.LearningRateScheduler(schedule), epochs=3)
    one = schedule.__code__.co_argcount == 1
    expected = [0.1, 0.05, 0.1 / 3] if one else [0.05, 0.025, 0.0125]
    assert history.history["learning_rate"] == pytest.approx(expected)
    with pytest.raises(ValueError, match="expected it to return a number, got 'fast'"):
        fitted(callbacks.LearningRateScheduler(lambda epoch: "fast"))  # type: ignore[arg-type,return-value]


def test_a_schedule_of_steps_counts_steps() -> None:
    decay = optimizers.schedules.ExponentialDecay(0.1, 4, 0.5)
    model, _ = fitted(epochs=2, rate=decay)
    assert model.optimizer is not None
    assert model.optimizer.iterations == 4
    assert model.optimizer.learning_rate == pytest.approx(0.05)
    with pytest.raises(TypeError, match="it follows a schedule"):
        model.optimizer.learning_rate = 0.1
    utils.set_random_seed(2)
    eager = Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    eager.compile(optimizers.SGD(decay), "categorical_crossentropy", run_eagerly=True)
    eager.fit(X, Y, 6, 2, 0)
    for a, b in zip(eager.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_lines_of_numbers(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    _, history = fitted(callbacks.CSVLogger(path), epochs=3)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    fitted(callbacks.CSVLogger(path, append=True), epochs=2)
    assert len(path.read_text().splitlines()) == 6
    fitted(callbacks.CSVLogger(path, ";"), epochs=1)
    first, line = path.read_text().splitlines()
    assert first == "epoch;accuracy;loss;val_accuracy;val_loss", "they may still come, as in Keras"
    assert line.endswith("NA;NA")


def test_functions_for_moments() -> None:
    seen: list[Any] = []
    follower = callbacks.LambdaCallback(
        on_train_begin=lambda logs=None: seen.append("begin"),
        on_epoch_begin=lambda epoch, logs=None: seen.append(epoch),
        on_train_batch_end=lambda batch, logs=None: seen.append(set(logs)),
        on_train_end=None,
    )
    fitted(follower, epochs=1)
    assert seen == ["begin", 0, {"loss", "accuracy"}, {"loss", "accuracy"}]
    with pytest.raises(TypeError, match=r"expected one of on_train_begin, .*got 'on_lunch'"):
        callbacks.LambdaCallback(on_lunch=print)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="mode: expected 'auto', 'min' or 'max', got 'up'"):
        callbacks.EarlyStopping(mode="up")
    with pytest.raises(ValueError, match=r"factor: expected a number from 0 to below 1, got 1\.5"):
        callbacks.ReduceLROnPlateau(factor=1.5)
