"""LeNet on digits: a Keras program with its imports renamed, and the demo."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from micrograd_ext import get_num_threads, set_num_threads, utils
from micrograd_ext.datasets import mnist

LISTING = """
from keras.datasets import mnist
from keras.utils import to_categorical
from keras import layers, models

(train_images, train_labels), (test_images, test_labels) = mnist.load_data()

train_images = train_images.reshape((-1, 28, 28, 1))
train_images = train_images.astype('float32') / 255
test_images = test_images.reshape((-1, 28, 28, 1))
test_images = test_images.astype('float32') / 255

train_labels = to_categorical(train_labels)
test_labels = to_categorical(test_labels)

model = models.Sequential()
model.add(layers.Conv2D(32, (3, 3), activation='relu', input_shape=(28, 28, 1)))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Conv2D(64, (3, 3), activation='relu'))
model.add(layers.MaxPooling2D((2, 2)))
model.add(layers.Flatten())
model.add(layers.Dense(128, activation='relu'))
model.add(layers.Dense(10, activation='softmax'))
model.summary()

model.compile(optimizer='adam',
              loss='categorical_crossentropy',
              metrics=['accuracy'])

history = model.fit(train_images, train_labels, epochs=3, batch_size=64)

test_loss, test_acc = model.evaluate(test_images, test_labels)
print('Test accuracy:', test_acc)
"""

TIME = r"\d+\.\ds \d+[mu]s/step"


@pytest.fixture(autouse=True)
def _threads_restored() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


@pytest.fixture(autouse=True)
def plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed depends on nobody's settings."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


def run(listing: str) -> dict[str, Any]:
    """Execute a Keras program as a program of this package; what it has defined at its end."""
    renamed, count = re.subn("keras", "micrograd_ext", listing)
    assert count == 3
    found: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(renamed, "lenet.py", "exec"), found)
    return found


def check(found: dict[str, Any], printed: str, epochs: int, steps: int) -> None:
    """What must hold for any run of the listing."""
    assert "Total params: 225,034 (879.04 KB)" in printed
    assert "(None, 5, 5, 64)" in printed
    lines = printed.splitlines()[-epochs - 2 :]
    for number, line in enumerate(lines[:epochs], 1):
        start = rf"Epoch {number}/{epochs} - {steps}/{steps} - {TIME}"
        assert re.fullmatch(rf"{start} - accuracy: 0\.\d{{4}} - loss: \d\.\d{{4}}", line), line
    assert lines[-1] == f"Test accuracy: {found['test_acc']}"
    history = found["history"].history
    assert list(history) == ["accuracy", "loss"]
    assert len(history["loss"]) == epochs
    predictions = found["model"].predict(found["test_images"][:500])
    right = predictions.argmax(1) == found["test_labels"][:500].argmax(1)
    assert abs(right.mean() - found["test_acc"]) < 0.05
    np.testing.assert_allclose(predictions.sum(1), 1, rtol=1e-5)


def test_the_listing_on_the_sample(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(mnist, "load_data", mnist.load_sample)
    utils.set_random_seed(0)
    found = run(LISTING.replace("epochs=3", "epochs=2"))
    check(found, capsys.readouterr().out, epochs=2, steps=63)
    assert found["test_acc"] > 0.9
    assert found["test_loss"] < 0.35
    loss = found["history"].history["loss"]
    assert loss[1] < loss[0] / 2


@pytest.mark.skipif(
    not (os.environ.get("MICROGRAD_EXT_DATA") and os.environ.get("MICROGRAD_EXT_SLOW") == "1"),
    reason="takes a minute; to run it: MICROGRAD_EXT_DATA=folder-with-MNIST MICROGRAD_EXT_SLOW=1",
)
def test_the_listing_on_mnist(capsys: pytest.CaptureFixture[str]) -> None:
    utils.set_random_seed(0)
    found = run(LISTING)
    assert (len(found["train_images"]), len(found["test_images"])) == (60_000, 10_000)
    check(found, capsys.readouterr().out, epochs=3, steps=938)
    assert found["test_acc"] >= 0.985
    assert found["test_loss"] < 0.05
    assert found["history"].history["accuracy"][-1] > 0.985
