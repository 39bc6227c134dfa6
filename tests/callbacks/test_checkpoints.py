"""Checkpoints, and going on after a break: the files there are, and the bits that come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograd_ext import callbacks, layers, optimizers, utils
from micrograd_ext.models import Sequential, load_model

X = np.random.default_rng(1).random((40, 6)).astype(np.float32)
Y = np.stack([X.sum(1), X[:, 0] - X[:, 1]], axis=1)

pytestmark = pytest.mark.filterwarnings("ignore:.*runs layer by layer")


def network(optimizer: Any = "adam", **how: Any) -> Sequential:
    utils.set_random_seed(4)
    model = Sequential([layers.Dense(8, "tanh"), layers.Dropout(0.25), layers.Dense(2)])
    model.add(layers.Dropout(0.1, seed=2))
    model.compile(optimizer, "mse", metrics=["mae"], **how)
    model.build((None, 6))
    return model


def fit(model: Sequential, **how: Any) -> callbacks.History:
    return model.fit(X, Y, **{"batch_size": 16, "verbose": 0, "epochs": 4, **how})


def test_a_file_for_each_epoch(tmp_path: Path) -> None:
    model = network()
    keep = callbacks.ModelCheckpoint(tmp_path / "a" / "{epoch:02d}-{val_loss:.3f}.keras")
    history = fit(model, validation_split=0.2, callbacks=[keep]).history
    names = [f"{i + 1:02d}-{loss:.3f}.keras" for i, loss in enumerate(history["val_loss"])]
    assert sorted(os.listdir(tmp_path / "a")) == names
    last = load_model(tmp_path / "a" / names[-1])
    np.testing.assert_array_equal(last.predict(X), model.predict(X))
    with pytest.raises(ValueError, match=r"filepath: expected epoch, loss, mae in braces, got"):
        fit(model, callbacks=[callbacks.ModelCheckpoint(tmp_path / "{val_loss}")])


def test_the_best_epoch_stays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Script(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: callbacks.Logs | None = None) -> None:
            assert logs is not None
            logs["score"] = [1.0, 3.0, 2.0, 2.5][epoch]
            self.model.layers[0].weights[1].data[...] = epoch

    path = tmp_path / "best.weights.h5"
    keep = callbacks.ModelCheckpoint(
        path, "score", save_best_only=True, save_weights_only=True, mode="max", verbose=1
    )
    fit(network(), callbacks=[Script(), keep])
    assert (np.load(path)["weights/dense/bias"] == 1).all()
    assert capsys.readouterr().out.splitlines() == [
        f"Epoch 1: score improved to 1.00000, saving model to {path}",
        f"Epoch 2: score improved from 1.00000 to 3.00000, saving model to {path}",
        "Epoch 3: score did not improve from 3.00000",
        "Epoch 4: score did not improve from 3.00000",
    ]
    keep = callbacks.ModelCheckpoint(
        tmp_path / "never", "loss", save_best_only=True, initial_value_threshold=-1.0
    )
    fit(network(), callbacks=[keep])
    assert not (tmp_path / "never").exists()
    with pytest.warns(UserWarning, match="ModelCheckpoint: monitor: expected one of loss, mae"):
        fit(network(), epochs=1, callbacks=[callbacks.ModelCheckpoint(path, save_best_only=True)])


def test_batches_are_counted_over_epochs(tmp_path: Path) -> None:
    saved = []

    class Counting(callbacks.ModelCheckpoint):
        def _save(self, logs: callbacks.Logs | None, **numbers: int) -> None:
            saved.append((self._epoch, int(self.model.optimizer.iterations)))  # type: ignore[union-attr]

    fit(network(), callbacks=[Counting(tmp_path / "a", save_freq=5)])  # three batches an epoch
    assert saved == [(1, 5), (3, 10)]
    with pytest.raises(ValueError, match="save_freq: expected a whole number >= 1, got 'batch'"):
        callbacks.ModelCheckpoint("a", save_freq="batch")


# ------------------------------------------------------------------ going on


class Break(callbacks.Callback):
    """Breaks off in the second batch of an epoch."""

    def __init__(self, epoch: int) -> None:
        self.at, self.epoch = epoch, -1

    def on_epoch_begin(self, epoch: int, logs: callbacks.Logs | None = None) -> None:
        self.epoch = epoch

    def on_train_batch_end(self, batch: int, logs: callbacks.Logs | None = None) -> None:
        if (self.epoch, batch) == (self.at, 1):
            raise KeyboardInterrupt


def momentum() -> optimizers.SGD:
    rate = optimizers.schedules.ExponentialDecay(0.1, 3, 0.9)
    return optimizers.SGD(rate, momentum=0.9)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", momentum])
def test_a_broken_off_training_ends_with_the_same_bits(
    tmp_path: Path, optimizer: Any, eagerly: bool
) -> None:
    def made() -> Sequential:
        return network(optimizer() if callable(optimizer) else optimizer, run_eagerly=eagerly)

    whole = made()
    losses = fit(whole).history["loss"]
    keep = callbacks.BackupAndRestore(tmp_path / "backup")
    broken = made()
    with pytest.raises(KeyboardInterrupt):
        fit(broken, callbacks=[keep, Break(2)])
    assert (tmp_path / "backup").exists()
    assert broken.history is not None
    assert broken.history.history["loss"] == losses[:2]
    again = made()
    utils.set_random_seed(99)  # another process has drawn other numbers
    again.layers[3]._random = np.random.default_rng(7)  # type: ignore[attr-defined]
    history = fit(again, callbacks=[callbacks.BackupAndRestore(tmp_path / "backup")])
    assert history.epoch == [2, 3]
    assert history.history["loss"] == losses[2:]
    for a, b in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert os.listdir(tmp_path) == []


def test_what_is_kept_may_stay(tmp_path: Path) -> None:
    keep = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(network(), callbacks=[keep])
    assert fit(network(), callbacks=[keep]).epoch == []
    assert fit(network(), epochs=6, callbacks=[keep]).epoch == [4, 5]
    other = Sequential([layers.Dense(2)])
    other.compile("adam", "mse")
    with pytest.raises(ValueError, match=r"training\.keras: it has 2 random streams, the model 1"):
        fit(other, callbacks=[keep])
    wrong = network("sgd")
    with pytest.raises(ValueError, match=r"sgd\w*: load_own_variables: expected arrays of shapes"):
        fit(wrong, callbacks=[keep])


@pytest.mark.parametrize(
    ("entry", "old", "new", "match"),
    [
        ("config.json", '"learning_rate": 0.001', '"learning_rate": NaN', "learning_rate: expect"),
        ("config.json", '"learning_rate": 0.001', '"rate": 0.001', "KeyError: 'learning_rate'"),
        ("training.json", '"epochs": 4', '"epochs": -4', "epochs: expected a whole number"),
    ],
)
def test_what_is_refused_late_has_changed_nothing(
    tmp_path: Path, entry: str, old: str, new: str, match: str
) -> None:
    keep = callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
    fit(network(), callbacks=[keep])
    with zipfile.ZipFile(tmp_path / "training.keras") as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    assert old in entries[entry].decode()
    entries[entry] = entries[entry].replace(old.encode(), new.encode())
    with zipfile.ZipFile(tmp_path / "training.keras", "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    model = network()
    assert model.optimizer is not None
    model.optimizer.build(model.trainable_weights)
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    model.optimizer.save_own_variables(before)
    weights = model.get_weights()
    with pytest.raises(ValueError, match=match):
        fit(model, callbacks=[keep])
    model.optimizer.save_own_variables(after)
    for one, other in zip((*weights, *before.values()), (*model.get_weights(), *after.values()),
                          strict=True):  # fmt: skip
        np.testing.assert_array_equal(one, other)


def test_a_killed_process_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    code = """
import sys, time
import numpy as np
from micrograd_ext import callbacks, layers, models, utils
utils.set_random_seed(0)
model = models.Sequential([layers.Input((6,)), layers.Dense(8, "relu"), layers.Dense(2)])
model.compile("adam", "mse")
x = np.linspace(0, 1, 600, dtype=np.float32).reshape(100, 6)
folder, slow = sys.argv[1], len(sys.argv) > 2
events = [callbacks.BackupAndRestore(folder)] if folder != "none" else []
if slow:
    def wait(epoch, logs):
        print(epoch, flush=True)
        time.sleep(60 if epoch == 3 else 0)
    events.append(callbacks.LambdaCallback(on_epoch_end=wait))
model.fit(x, x[:, :2], epochs=6, verbose=0, callbacks=events)
print(repr([w.tobytes().hex() for w in model.get_weights()]))
"""

    def run(*arguments: str) -> str:
        command = [sys.executable, "-c", code, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    backup = str(tmp_path / "backup")
    with subprocess.Popen(
        [sys.executable, "-c", code, backup, "slow"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "3":
                break
        process.kill()
    assert run(backup) == run("none")


# ------------------------------------------------------------------ Ctrl-C, and losses that are nan


@pytest.mark.skipif(not hasattr(signal, "raise_signal"), reason="no signals")
@pytest.mark.parametrize("eagerly", [False, True])
def test_ctrl_c_stops_within_a_batch_and_leaves_the_model_usable(eagerly: bool) -> None:
    model = network(run_eagerly=eagerly)
    epochs = []
    note = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epochs.append(logs["loss"]))

    def interrupt() -> None:
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Thread(target=interrupt)
    timer.start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        fit(model, epochs=10**9, callbacks=[note])
    timer.join()
    assert time.perf_counter() - start < 30
    history = model.history
    assert history is not None
    count = len(history.epoch)
    assert count > 0
    assert history.history["loss"] == epochs[:count]
    assert len(history.history["mae"]) == len(history.seconds) == count
    assert np.isfinite(model.predict(X)).all()
    assert fit(model, epochs=2).epoch == [0, 1]


def test_a_loss_that_is_nan_says_why() -> None:
    model = network("sgd")
    bad = X.copy()
    bad[17, 2] = np.inf
    with pytest.raises(
        ValueError, match="fit: x: expected finite numbers, got others in example 17"
    ):
        model.fit(bad, Y, verbose=0)
    model, bad = network("sgd"), Y.copy()
    bad[3] = np.nan
    with pytest.raises(
        ValueError, match="fit: y: expected finite numbers, got others in example 3"
    ):
        model.fit(X, bad, verbose=0)
    model = network(optimizers.SGD(1e30))
    with (
        np.errstate(all="ignore"),
        pytest.raises(
            ValueError, match=r"the loss of epoch \d is nan: .* the learning rate is 1e\+30"
        ),
    ):
        fit(model, epochs=9)


def test_training_ends_quietly_at_nan_where_asked_to(capsys: pytest.CaptureFixture[str]) -> None:
    model = network(optimizers.SGD(1e30))
    with np.errstate(all="ignore"):
        history = fit(model, epochs=9, callbacks=[callbacks.TerminateOnNaN()])
    assert len(history.epoch) < 9
    assert "invalid loss, terminating training" in capsys.readouterr().out


def test_a_callback_ends_training_after_a_batch() -> None:
    model = network()

    class Stop(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: callbacks.Logs | None = None) -> None:
            self.model.stop_training = batch == 1

    assert fit(model, callbacks=[Stop()]).epoch == [0]
    assert model.optimizer.iterations == 2  # type: ignore[union-attr]
