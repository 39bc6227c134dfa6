"""Programs: what they compute, against going layer by layer and against numpy in float64."""

from __future__ import annotations

import copy
import gc
import itertools
import json
import math
import os
import re
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import micrograd_ext
from micrograd_ext import (
    Sequential,
    Tensor,
    Variable,
    activations,
    callbacks,
    get_num_threads,
    kernels,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    set_num_threads,
    utils,
)
from micrograd_ext.compiler._executor import Executor
from micrograd_ext.compiler.elementwise import Chain
from micrograd_ext.compiler.formulas import TracedFunction

Array = npt.NDArray[Any]
Parts = Callable[[], list[layers.Layer]]
L = layers

EPSILON = 2.0**-24  # what rounding to float32 may change, of 1


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def numbers(*shape: int, seed: int = 5) -> Array:
    """Normally distributed float32 numbers, the same for the same shape and seed."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def one_hot(count: int, classes: int = 3, seed: int = 6) -> Array:
    return np.eye(classes, dtype=np.float32)[
        np.random.default_rng(seed).integers(0, classes, count)
    ]


X, Y = numbers(11, 4), one_hot(11)


def made(parts: list[layers.Layer], **how: Any) -> Sequential:
    """A model of these layers, compiled; the same weights each time."""
    utils.set_random_seed(4)
    model = Sequential(parts)
    for weight in model.weights:  # biases too
        weight.data[...] = (
            numbers(*weight.shape, seed=weight.size) / math.prod(weight.shape[:-1]) ** 0.5
        )
    model.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy", **how})
    return model


def small(**how: Any) -> Sequential:
    return made([L.Input((4,)), L.Dense(5, "relu"), L.Dense(3, "softmax")], **how)


def has_program(model: Sequential, purpose: str = "fit") -> bool:
    """Whether the model ran that by a program the last time."""
    return model.programs.find(model, purpose) is not None


def assert_same_bits(*runs: list[Array]) -> None:
    for a, b in zip(*runs, strict=True):
        np.testing.assert_array_equal(a, b)


def assert_close(*runs: list[Array], rtol: float = 1e-5) -> None:
    """Of arrays that a few hundred float32 roundings made."""
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * max(np.abs(b).max(), 1e-3))


class Each(callbacks.Callback):
    """Calls a function at one moment; by default whenever a batch was learnt from."""

    def __init__(self, call: Callable[[Sequential], object], moment: str = "train_batch_end"):
        setattr(self, f"on_{moment}", lambda *_: call(self.model))


MOMENTS = ["train_begin", "epoch_begin", "train_batch_begin", "train_batch_end", "epoch_end"]
MOMENTS += ["train_end"]


# ------------------------------------------------------------------ against layer by layer


class Halves(optimizers.Optimizer):
    """One of our own, with a memory."""

    def __init__(self) -> None:
        super().__init__(0.1, name="halves")

    def build(self, variables: Any) -> None:
        super().build(variables)
        self.memory = self.add_optimizer_variables(variables, "memory")

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        v = self.memory[self._get_variable_index(variable)]
        self.assign(v, v * 0.5 + gradient)
        steps = int(self.iterations) + 1
        self.assign_sub(variable, learning_rate / steps * v.data / (1 + abs(v.data)))


class Slower(optimizers.Adam):
    """Not quite Adam."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        super().update_step(gradient / 4, variable, learning_rate / (int(self.iterations) + 1))


class Backwards(optimizers.SGD):
    """Not at all SGD."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
        super().update_step(-gradient / 8, variable, learning_rate)


def kept(optimizer: Any) -> list[Array]:
    """What an optimizer remembers of its variables."""
    return [variable.numpy() for kind in optimizer.slots for variable in kind]


OPTIMIZERS: dict[str, Callable[[], optimizers.Optimizer]] = {
    "SGD": lambda: optimizers.SGD(0.1),
    "momentum": lambda: optimizers.SGD(0.1, 0.8),
    "Nesterov": lambda: optimizers.SGD(0.1, 0.8, nesterov=True),
    "Adam": lambda: optimizers.Adam(0.02, 0.8, 0.99, 1e-3),
    "own": Halves,
    "own Adam": Slower,
    "own SGD": lambda: Backwards(0.1, 0.5),
}


def squares(y_true: Array, y_pred: Tensor) -> Tensor:
    return ops.mean((y_pred - y_true) ** 2, axis=-1)


#: The layers that are put behind a body, and the loss.
LOSSES: dict[str, tuple[Parts, Any]] = {
    "by name": (lambda: [L.Flatten(), L.Dense(3, "softmax")], "categorical_crossentropy"),
    "object": (
        lambda: [L.Flatten(), L.Dense(3), L.Activation("softmax")],
        losses.CategoricalCrossentropy(),
    ),
    "from_logits": (
        lambda: [L.Flatten(), L.Dense(3)],
        losses.CategoricalCrossentropy(from_logits=True),
    ),
    "from_logits of tanh": (
        lambda: [L.Flatten(), L.Dense(3, "tanh")],
        losses.CategoricalCrossentropy(from_logits=True),
    ),
    "from_logits of softmax": (
        lambda: [L.Flatten(), L.Dense(3, "softmax")],
        losses.CategoricalCrossentropy(from_logits=True),
    ),
    "by name, of sigmoids": (
        lambda: [L.Flatten(), L.Dense(3, "sigmoid")],
        "categorical_crossentropy",
    ),
    "squares": (lambda: [], squares),
    "squares of softmax": (lambda: [L.Dense(3, "softmax")], squares),
    "one number": (lambda: [], lambda y_true, y_pred: ops.mean((y_pred - y_true) ** 2)),
    "own": (
        lambda: [L.Dense(3), L.Flatten(), L.Activation("softmax")],
        lambda y_true, y_pred: -ops.sum(y_true * ops.log(y_pred), axis=-1),
    ),
}

BODIES: dict[str, tuple[tuple[int, ...], Parts]] = {
    "nothing": ((4,), lambda: [L.Dense(3)]),
    **{
        f"Dense, {name}": (
            (5,),
            lambda name=name: [L.Dense(6, name), L.Dense(7)],  # type: ignore[misc]
        )
        for name in ("relu", "leaky_relu", "sigmoid", "tanh", "exponential", "softmax", "linear")
    },
    "Dense without bias": ((5,), lambda: [L.Dense(6, "relu", use_bias=False)]),
    "wide": ((65,), lambda: [L.Dense(70, "tanh"), L.Dense(33, "leaky_relu")]),
    "one wide": ((1,), lambda: [L.Dense(1, "tanh"), L.Dense(1, "leaky_relu")]),
    "activations": (
        (5,),
        lambda: [
            L.Dense(6, "tanh"),
            L.Activation("relu"),
            L.Activation("exponential"),
            L.Activation("linear"),
            L.Activation("sigmoid"),
            L.Activation("softmax"),
            L.Activation("leaky_relu"),
            L.Activation("tanh"),
        ],
    ),
    "no weights first": (
        (6, 5, 2),
        lambda: [L.Activation("tanh"), L.MaxPooling2D(2), L.Activation("softmax"), L.Dense(3)],
    ),
    "Flatten first": ((3, 4), lambda: [L.Flatten(), L.Flatten(), L.Dense(6, "relu")]),
    "Dense on 3-D": ((4, 5), lambda: [L.Dense(6, "relu"), L.Dense(3, "softmax"), L.Dense(2)]),
    "Dense on images": ((4, 5, 2), lambda: [L.Dense(6, "tanh"), L.Conv2D(3, 2), L.Dense(4)]),
    "Conv2D": ((7, 6, 2), lambda: [L.Conv2D(4, 3, activation="tanh"), L.Conv2D(5, (1, 2))]),
    "Conv2D, ReLU": ((7, 6, 2), lambda: [L.Conv2D(4, 3, activation="relu"), L.Conv2D(3, 2)]),
    "Conv2D, softmax": ((5, 6, 2), lambda: [L.Conv2D(4, 3, activation="softmax", use_bias=False)]),
    "Conv2D with strides": (
        (9, 8, 1),
        lambda: [L.Conv2D(4, 3, 2, activation="relu"), L.Conv2D(3, (2, 3), (1, 2))],
    ),
    "Conv2D, same": (
        (7, 6, 2),
        lambda: [L.Conv2D(4, (3, 2), padding="same"), L.Conv2D(3, 4, (2, 3), "same")],
    ),
    "Conv2D, ReLU, pooling": (
        (9, 9, 1),
        lambda: [L.Conv2D(5, 3, activation="relu"), L.MaxPooling2D(2)],
    ),
    "two of them": (
        (10, 11, 2),
        lambda: [
            L.Conv2D(5, 2, activation="relu"),
            L.MaxPooling2D((1, 2)),
            L.Conv2D(9, (3, 2), padding="same", use_bias=False),
            L.Activation("relu"),
            L.MaxPooling2D((3, 2)),
            L.Activation("sigmoid"),
        ],
    ),
    "many channels": (  # Winograd's way
        (12, 10, 16),
        lambda: [L.Conv2D(17, 3, activation="relu"), L.MaxPooling2D(2)],
    ),
    "pooling that overlaps": (
        (7, 8, 3),
        lambda: [
            L.MaxPooling2D(3, 2),
            L.Conv2D(4, 2),
            L.MaxPooling2D(2, 1, "same"),
            L.Conv2D(4, 2, activation="relu"),
            L.MaxPooling2D((2, 1), padding="same"),
        ],
    ),
    "Rescaling first": ((4,), lambda: [L.Rescaling(1.5, -0.25), L.Dense(6, "relu")]),
    "Rescaling behind what costs nothing": (
        (2, 3),
        lambda: [L.Flatten(), L.Activation("linear"), L.Rescaling(0.3), L.Dense(6, "tanh")],
    ),
    "Rescaling in the middle": (
        (4,),
        lambda: [L.Dense(6, "relu"), L.Rescaling(0.75, 2), L.Dense(5), L.Rescaling(-1, 1)],
    ),
    "Rescaling twice": (
        (5, 4, 2),
        lambda: [L.Rescaling(2, 1), L.Rescaling(1 / 3, -1), L.Conv2D(3, 2), L.Rescaling(0.5)],
    ),
}


def in_float64(model: Sequential) -> Sequential:
    for weight in model.weights:
        weight.data = weight.data.astype(np.float64)
    return model


def trained(body: str, loss: str, optimizer: str, how: str) -> dict[str, Array]:
    """Two epochs of three batches, the last one smaller; all numbers that there are afterwards."""
    shape, parts = BODIES[body]
    head, function = LOSSES[loss]
    model = made(
        [L.Input(shape), *parts(), *head()],
        optimizer=OPTIMIZERS[optimizer](),
        loss=function,
        metrics=["accuracy", metrics.MeanMetricWrapper(distances, "distance")],
        run_eagerly=how != "program",
    )
    if how == "float64":
        in_float64(model)
    x, size = numbers(11, *shape), [int(n or 0) for n in model.output_shape[1:]]
    y = one_hot(11, size[-1]) if len(size) == 1 else np.abs(numbers(11, *size))
    before = model.get_weights()
    history = model.fit(x, y, 4, 2, 0, validation_data=(x[:7], y[:7])).history
    assert has_program(model) == has_program(model, "evaluate") == (how == "program")
    found = {f"history of {name}": np.array(values) for name, values in history.items()}
    found["evaluation"] = np.array(model.evaluate(x, y, 3, verbose=0))
    found["outputs"] = model.predict(x, 6)
    for number, (old, new) in enumerate(zip(before, model.get_weights(), strict=True)):
        found[f"what weight {number} moved"] = new - old
    assert model.optimizer is not None
    assert model.optimizer.iterations == 6
    for number, array in enumerate(kept(model.optimizer)):
        found[f"memory {number}"] = array
    return found


def distances(y_true: Any, y_pred: Any) -> Array:
    """A metric of our own."""
    found: Array = np.abs(y_true - y_pred).reshape(len(y_true), -1).mean(-1)
    return found


def cases() -> list[tuple[str, str, str]]:
    """Every body with three losses and optimizers; one with all of them."""
    found = list(itertools.product(["Dense, tanh"], LOSSES, OPTIMIZERS))
    # 7 and 10: all losses and optimizers come
    turns = itertools.cycle(zip(itertools.cycle(LOSSES), [*OPTIMIZERS] * len(LOSSES), strict=False))
    for body in BODIES:
        chosen = [next(turns) for _ in range(2)]
        found += [(body, loss, optimizer) for loss, optimizer in [*chosen, ("by name", "SGD")]]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize(("body", "loss", "optimizer"), cases())
def test_training_is_what_it_is_layer_by_layer(body: str, loss: str, optimizer: str) -> None:
    exact, eager, found = (
        trained(body, loss, optimizer, how) for how in ("float64", "eager", "program")
    )
    assert list(found) == list(eager) == list(exact)
    for name, array in found.items():
        assert array.dtype == eager[name].dtype
        assert array.shape == eager[name].shape, name
        # Layer by layer and the program round in another order: neither is far more wrong.
        # Both are wrong by some roundings, of the numbers here and of those that they came from.
        wrong = np.abs(eager[name] - exact[name]).max()
        size = np.abs(exact[name]).max()
        np.testing.assert_allclose(
            array, exact[name], rtol=0, atol=10 * wrong + 40 * EPSILON * size, err_msg=name
        )


def test_examples_are_shuffled_in_the_same_way() -> None:
    x, y = numbers(50, 4), one_hot(50)
    found = []
    for eagerly in (False, True):
        model = small(optimizer=optimizers.SGD(0.3), run_eagerly=eagerly)
        utils.set_random_seed(9)
        model.fit(x, y, 7, 3, 0)
        found.append(model.get_weights())
        unshuffled = small(optimizer=optimizers.SGD(0.3), run_eagerly=eagerly)
        unshuffled.fit(x, y, 7, 3, 0, shuffle=False)
        assert np.abs(unshuffled.get_weights()[0] - found[-1][0]).max() > 1e-3
    assert_close(*found)


def test_soft_labels() -> None:
    x, y = numbers(9, 4), np.exp(numbers(9, 3))
    y /= y.sum(axis=1, keepdims=True)
    found = []
    for eagerly in (False, True):
        model = small(metrics=["accuracy"], run_eagerly=eagerly)
        history = model.fit(x, y, 4, 2, 0, shuffle=False).history
        assert has_program(model) != eagerly
        found.append([*model.get_weights(), *map(np.array, history.values())])
    assert_close(*found)


def test_dense_and_convolutional_nets_by_hand() -> None:
    """One step of SGD of rate 1: the gradient, written down in numpy, in float64."""
    x, y = numbers(6, 5, 4, 2).astype(np.float64), one_hot(6).astype(np.float64)
    model = made(
        [
            L.Input((5, 4, 2)),
            L.Rescaling(0.5, 0.25),
            L.Conv2D(3, 2, activation="relu"),
            L.MaxPooling2D((2, 1)),
            L.Flatten(),
            L.Dense(4, "tanh"),
            L.Dense(3, "softmax"),
        ],
        optimizer=optimizers.SGD(1.0),
    )
    w, b, v, c, u, d = begin = [weight.astype(np.float64) for weight in model.get_weights()]
    z = 0.5 * x + 0.25
    patches = np.stack([z[:, i : i + 4, j : j + 3] for i in (0, 1) for j in (0, 1)], -2)
    patches = patches.reshape(6, 4, 3, 8)
    before = patches @ w.reshape(8, 3) + b
    windows = np.maximum(before, 0).reshape(6, 2, 2, 3, 3)
    flat = windows.max(2).reshape(6, 18)
    hidden = np.tanh(flat @ v + c)
    logits = hidden @ u + d
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    dlogits = (p - y) / 6
    dhidden = dlogits @ u.T * (1 - hidden**2)
    dflat = (dhidden @ v.T).reshape(6, 2, 1, 3, 3)
    places = (windows == windows.max(2, keepdims=True)) & (windows > 0)
    dbefore = (dflat * places).reshape(6, 4, 3, 3)
    grads = [
        np.einsum("nijp,nijf->pf", patches, dbefore).reshape(w.shape),
        dbefore.sum((0, 1, 2)),
        flat.T @ dhidden,
        dhidden.sum(0),
        hidden.T @ dlogits,
        dlogits.sum(0),
    ]
    loss = model.fit(x, y, verbose=0).history["loss"]
    np.testing.assert_allclose(loss, [-(y * np.log(p)).sum(1).mean()], rtol=1e-6)
    for weight, old, grad in zip(model.get_weights(), begin, grads, strict=True):
        np.testing.assert_allclose(old - weight, grad, rtol=1e-5, atol=1e-6)


def test_a_model_without_weights() -> None:
    model = made([L.Input((3,)), L.Activation("softmax")], metrics=["accuracy"])
    x = numbers(7, 3)
    _, accuracy = model.evaluate(x, Y[:7], 3, verbose=0)  # type: ignore[misc]
    assert accuracy == pytest.approx((x.argmax(1) == Y[:7].argmax(1)).mean())
    with pytest.warns(UserWarning, match="has no weights that training adjusts"):
        history = model.fit(x, Y[:7], 3, verbose=0).history
    assert history["accuracy"] == [pytest.approx(accuracy)]
    bare = made([L.Input((3,))], loss=squares)
    np.testing.assert_array_equal(bare.predict(x, 2), x)
    assert bare.evaluate(x, x, verbose=0) == 0


def test_examples_that_are_numbers() -> None:
    """In a process of its own: it wrote over memory that is not its own."""
    done = alone(
        """
        from micrograd_ext.layers import *
        x = np.linspace(-2, 2, 300, dtype=np.float32)
        for part in (Activation("tanh"), Rescaling(0.5), Activation("leaky_relu")):
            model = mg.Sequential([Rescaling(2), part])
            np.testing.assert_allclose(model.predict(x, 100), model(x).data, rtol=1e-6)
        """
    )
    assert done.returncode == 0, done.stderr[-500:]


def alone(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """What a Python of its own says to a program."""
    lines = program.strip("\n").splitlines()
    margin = len(lines[0]) - len(lines[0].lstrip())
    text = "\n".join(line[margin:] for line in lines)
    begin = (
        "import json\nimport numpy as np\nimport micrograd_ext as mg\n"
        "from micrograd_ext.compiler._executor import Executor\n"
    )
    return subprocess.run(
        [sys.executable, "-c", begin + text],
        env={**os.environ, **environment},
        cwd=Path(micrograd_ext.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# ------------------------------------------------------------------ evaluate, predict, metrics


@pytest.mark.parametrize("body", BODIES)
def test_predictions_are_the_same_bits_for_any_batch_size(body: str) -> None:
    shape, parts = BODIES[body]
    x = numbers(37, *shape)
    model = made([L.Input(shape), *parts(), L.Dense(3, "softmax")])
    expected = model.predict(x)
    assert has_program(model, "predict")
    assert expected.shape[0] == 37
    assert expected.dtype == np.float32
    np.testing.assert_allclose(expected, model(x).data, rtol=1e-5, atol=1e-6)
    for size in (1, 2, 5, 36, 37, 38, 1000, 16):
        np.testing.assert_array_equal(model.predict(x, size), expected)
    for count in (1, 2, 33):
        np.testing.assert_array_equal(model.predict(x[:count], 16), expected[:count])
        fresh = made([L.Input(shape), *parts(), L.Dense(3, "softmax")])
        np.testing.assert_array_equal(fresh.predict(x[-count:]), expected[-count:])
    assert model.predict(x[:0]).shape == (0, *expected.shape[1:])


def test_predictions_are_the_callers() -> None:
    model = small()
    one = model.predict(X)
    kept = one.copy()
    model.predict(-X)
    np.testing.assert_array_equal(one, kept)
    bare = made([L.Input((4,)), L.Flatten()])
    assert not np.shares_memory(bare.predict(X), X)


@pytest.mark.parametrize("how", ["program", "eager"])
@pytest.mark.parametrize("loss", ["by name", "from_logits", "squares of softmax"])
def test_evaluating(loss: str, how: str) -> None:
    head, function = LOSSES[loss]
    model = made(
        [L.Input((4,)), *head()],
        loss=function,
        metrics=["acc", metrics.CategoricalAccuracy(), "categorical_accuracy", distances],
        run_eagerly=how == "eager",
    )
    p = model(X).data.astype(np.float64)
    if "squares" in loss:
        expected = ((p - Y) ** 2).mean()
    else:
        q = np.exp(p) / np.exp(p).sum(1, keepdims=True) if loss == "from_logits" else p
        expected = -(Y * np.log(q)).sum(1).mean()
    right = (p.argmax(1) == Y.argmax(1)).mean()
    for size in (None, 1, 3, 10, 11, 64):
        found = model.evaluate(X, Y, size, verbose=0)
        np.testing.assert_allclose(found, [expected, *[right] * 3, abs(p - Y).mean()], rtol=1e-5)
        assert isinstance(found, list)
        assert [type(value) for value in found] == [float] * 5
    assert has_program(model, "evaluate") == (how == "program")


def test_a_metric_stays_readable() -> None:
    accuracy, mean = metrics.CategoricalAccuracy(), metrics.MeanMetricWrapper(distances, "mean")
    model = small(metrics=[accuracy, mean])
    assert accuracy.result() == mean.result() == 0
    shown = []
    watch = Each(lambda _: shown.append((accuracy.result(), mean.result())))
    history = model.fit(X, Y, 4, 2, 0, callbacks=[watch])
    assert len(set(shown)) > 2
    for metric, values in zip((accuracy, mean), zip(*shown, strict=True), strict=True):
        assert history.history[metric.name] == [values[2], values[5]]
        assert metric.result() == values[5]
    _, *evaluated = model.evaluate(X, Y, verbose=0)  # type: ignore[misc]
    assert evaluated == [accuracy.result(), mean.result()]
    model.predict(X)
    assert evaluated == [accuracy.result(), mean.result()]
    accuracy.reset_state()
    assert accuracy.result() == 0
    accuracy.update_state([[0, 1]], [[0.2, 0.8]])
    assert accuracy.result() == 1


def test_accuracy_of_one_output() -> None:
    x, y = numbers(9, 4), np.array([[0], [1], [1], [0], [1], [0], [0], [1], [1]])
    model = made([L.Input((4,)), L.Dense(1)], loss=squares, metrics=["accuracy"])
    right = ((model.predict(x) > 0.5) == y).mean()
    assert 0 < right < 1
    assert model.evaluate(x, y, 4, verbose=0)[1] == pytest.approx(right)  # type: ignore[index]
    assert has_program(model, "evaluate")


def test_a_derived_metric_is_asked() -> None:
    class Never(metrics.MeanMetricWrapper):
        def update_state(self, y_true: Any, y_pred: Any) -> None:
            super().update_state(y_true, y_true - y_true + [[0, 1, 0]])

    model = small(metrics=[Never(metrics.categorical_accuracy, "never"), "accuracy"])
    _, never, accuracy = model.evaluate(X, Y, verbose=0)  # type: ignore[misc]
    assert never == pytest.approx(Y[:, 1].mean())
    assert accuracy != never


@pytest.mark.parametrize("loss", ["by name", "squares"])
def test_what_metrics_and_losses_see_is_theirs_to_keep(loss: str) -> None:
    head, function = LOSSES[loss]
    seen: list[tuple[Any, Any]] = []

    def keep(y_true: Any, y_pred: Any) -> Array:
        seen.append((y_true, y_pred))
        return np.zeros(len(y_true))

    model = made([L.Input((4,)), L.Dense(3), *head()], loss=function, metrics=[keep])
    model.evaluate(X, Y, 4, verbose=0)
    labels, outputs = (np.concatenate(part) for part in zip(*seen, strict=True))
    np.testing.assert_array_equal(labels, Y)
    np.testing.assert_array_equal(outputs, model.predict(X))


def test_ties_and_nan_are_told_apart_as_numpy_does() -> None:
    x = np.array([[1, 1, 0], [0, 1, 1], [np.nan, 5, 1], [1, np.nan, np.nan], [0, 0, 0]])
    y = np.array([[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0], [0.5, 0.5, 0]])
    logits = losses.CategoricalCrossentropy(from_logits=True)
    for head, loss, right in (
        ("softmax", "categorical_crossentropy", 3),  # where one is NaN, all probabilities are
        ("linear", logits, 4),
    ):
        model = made([L.Input((3,)), L.Activation(head)], loss=loss, metrics=["accuracy"])
        found = model.evaluate(x, y, verbose=0)
        assert np.isnan(found[0])  # type: ignore[index]
        assert found[1] == pytest.approx(right / 5)  # type: ignore[index]


# ------------------------------------------------------------------ what comes in


def unaligned(x: Array) -> Array:
    """A copy that begins where no number should."""
    room = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    room[...] = x
    assert not room.flags.aligned
    return room


def read_only(x: Array) -> Array:
    x = x.copy()
    x.flags.writeable = False
    return x


TYPES: dict[str, Callable[[Array], Array]] = {
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.astype(np.float16),
    "longdouble": lambda x: x.astype(np.longdouble),
    "uint8": lambda x: x.astype(np.uint8),
    "int8": lambda x: x.astype(np.int8),
    "uint16": lambda x: x.astype(np.uint16),
    "int64": lambda x: x.astype(np.int64),
    "big-endian float": lambda x: x.astype(">f4"),
    "big-endian double": lambda x: x.astype(">f8"),
    "big-endian int": lambda x: x.astype(">i4"),
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
    "every second double": lambda x: np.repeat(x.astype(np.float64), 2, axis=0)[::2],
    "every second byte": lambda x: np.repeat(x.astype(np.uint8), 2, axis=0)[::2],
    "part of each": lambda x: np.concatenate([x, x], axis=1)[:, : x.shape[1]],
    "every second within": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "bytes, every second within": lambda x: np.repeat(x.astype(np.uint8), 2, axis=1)[:, ::2],
    "backwards": lambda x: x[::-1].copy()[::-1],
    "each backwards": lambda x: x[:, ::-1].copy()[:, ::-1],
    "column-major": np.asfortranarray,
    "column-major bytes": lambda x: np.asfortranarray(x.astype(np.uint8)),
    "read-only": read_only,
    "bool": lambda x: x.astype(bool),
    "every second bool": lambda x: np.repeat(x.astype(bool), 2, axis=0)[::2],
    "unaligned rows": lambda x: unaligned(np.repeat(x, 2, axis=0))[::2],
    "unaligned": unaligned,
}


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_examples_of_any_type(kind: str, scaled: bool) -> None:
    most = 2 if "bool" in kind else 128
    x = np.random.default_rng(0).integers(0, most, (11, 6, 5, 2)).astype(np.float32)
    y = one_hot(11)
    # scaling by what is no power of two rounds
    first = [L.Rescaling(1 / 7, -0.3)] if scaled else [L.Activation("linear")]
    found = []
    for a, b in ((x, y), (TYPES[kind](x), TYPES[kind](y))):
        kept = a.copy()
        parts = [*first, L.Conv2D(3, 2, activation="relu"), L.Flatten(), L.Dense(3, "softmax")]
        model = made([L.Input((6, 5, 2)), *parts], optimizer=optimizers.SGD(0.001))
        utils.set_random_seed(1)
        history = model.fit(a, b, 4, 2, 0).history
        found.append(
            [
                np.array(history["loss"]),
                *model.get_weights(),
                model.predict(a, 4),
                np.array(model.evaluate(a, b, 4, verbose=0)),
            ]
        )
        assert has_program(model)
        np.testing.assert_array_equal(a, kept)
    assert np.isfinite(found[0][0]).all()
    assert_same_bits(*found)


def test_a_loss_of_our_own_gets_labels_of_any_type() -> None:
    y = np.random.default_rng(0).integers(0, 2, (11, 3)).astype(np.float32)
    found, told = [], []
    for kind in ("read-only", "bool", "int64", "big-endian int", "column-major", "float64"):
        model = made([L.Input((4,)), L.Dense(3)], loss=squares, metrics=[distances])
        utils.set_random_seed(1)
        history = model.fit(X, TYPES[kind](y), 4, 2, 0).history
        found.append([*model.get_weights(), np.array(history["loss"])])
        told.append(history["distances"])
    for other in found[1:]:
        assert_same_bits(found[0], other)
    # numpy computes with whole numbers and float32 in float64
    np.testing.assert_allclose(told, told[:1] * len(told), rtol=1e-6)


def test_one_example_and_the_same_one_over_and_over() -> None:
    model = small()
    model.fit(X[:1], Y[:1], verbose=0)
    x, y = np.broadcast_to(X[:1], (9, 4)), np.broadcast_to(Y[:1], (9, 3))
    np.testing.assert_array_equal(model.predict(x), np.repeat(model.predict(X[:1]), 9, axis=0))
    model.fit(x, y, 4, verbose=0)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(model.evaluate(x[:1], y[:1], verbose=0))


def test_bytes_are_scaled_as_they_come() -> None:
    model = made([L.Input((6,)), L.Rescaling(1 / 255), L.Dense(3, "softmax")])
    x = np.arange(0, 252).astype(np.uint8).reshape(42, 6)
    expected = model(x).data
    np.testing.assert_allclose(model.predict(x, 5), expected, rtol=1e-6, atol=1e-7)
    assert [step.op for step in model.programs.find(model, "predict").steps] == [  # type: ignore[union-attr]
        "dense",
        "elementwise",
    ]


def test_numbers_too_large_for_float32_are_infinite() -> None:
    x = np.array([[1e300, -1e300, 3.5e38, 1e-300]])
    model = made([L.Input((4,)), L.Activation("linear")])
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(model.predict(x), x.astype(np.float32))


# ------------------------------------------------------------------ the same bits


def lenet(optimizer: Any = "adam") -> tuple[Sequential, Array, Array]:
    """Large enough for threads to be worth it."""
    model = made(
        [
            L.Input((22, 20, 1)),
            L.Rescaling(0.7, 0.1),
            L.Conv2D(16, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Conv2D(17, 3, activation="relu"),
            L.MaxPooling2D(2),
            L.Conv2D(33, 2, padding="same"),
            L.Activation("leaky_relu"),
            L.MaxPooling2D(2, 1),
            L.Flatten(),
            L.Dense(150, "tanh"),
            L.Activation("sigmoid"),
            L.Dense(100, "softmax"),
            L.Dense(7, "softmax"),
        ],
        optimizer=optimizer,
        metrics=["accuracy"],
    )
    return model, numbers(75, 22, 20, 1), one_hot(75, 7)


def dense_net(optimizer: Any = None) -> tuple[Sequential, Array, Array]:
    model = made(
        [L.Input((40, 25)), L.Dense(130, "exponential"), L.Flatten(), L.Dense(5, "softmax")],
        optimizer=optimizer or optimizers.SGD(0.001, 0.9),
    )
    return model, 0.1 * numbers(75, 40, 25), one_hot(75, 5)


@pytest.mark.usefixtures("_threads_restored")
@pytest.mark.parametrize("make", [lenet, dense_net])
def test_the_same_bits_for_any_number_of_threads(make: Any) -> None:
    found = []
    for threads in (1, 1, 2, 3):
        set_num_threads(threads)
        model, x, y = make()
        utils.set_random_seed(3)
        losses_seen = model.fit(x, y, 32, 2, 0).history["loss"]
        found.append([*model.get_weights(), np.array(losses_seen), model.predict(x, 32)])
        found[-1].append(np.array(model.evaluate(x, y, 64, verbose=0)))
    for other in found[1:]:
        assert_same_bits(found[0], other)


@pytest.mark.usefixtures("_threads_restored")
def test_threads_may_change_while_training() -> None:
    found = []
    for change in (False, True):
        turns = itertools.cycle([3, 1, 2])
        set_num_threads(1)
        model, x, y = lenet()
        more = [Each(lambda _, turns=turns: set_num_threads(next(turns)))] if change else []
        utils.set_random_seed(3)
        model.fit(x, y, 16, 2, 0, callbacks=more)
        found.append(model.get_weights())
    assert_same_bits(*found)


def test_every_isa_agrees() -> None:
    program = f"""
    import sys
    sys.path.insert(0, {str(Path(__file__).parent)!r})
    from test_program import dense_net, lenet

    found = []
    for make in (lenet, dense_net):
        model, x, y = make("sgd")
        loss = model.fit(x, y, 32, 2, 0, shuffle=False).history["loss"]
        outputs = model.predict(x)
        found += [loss, outputs.tolist()]
    print(json.dumps([mg.show_config("dicts")["isa"], *found]))
    """
    found = []
    for isa in kernels.isas():
        done = alone(program, MICROGRAD_EXT_ISA=isa)
        assert done.returncode == 0, done.stderr[-500:]
        name, *values = json.loads(done.stdout)
        assert name == isa
        found.append([np.array(value) for value in values])
    for other in found[1:]:
        assert_close(other, found[0], rtol=1e-4)


# ------------------------------------------------------------------ steps on their own


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    **{
        name: activations.get(name)
        for name in ("exponential", "sigmoid", "tanh", "relu", "leaky_relu", "softmax")
    },
    "affine": lambda x: x * 0.2,
}


def act(function: str, x: Array) -> Array:
    """The step's outputs, of any shape; the last axis are rows."""
    x = np.ascontiguousarray(x, np.float32)
    y = np.full_like(x, 7)
    traced = TracedFunction(FUNCTIONS[function], (1, *x.shape), "a test")
    run_chain(traced.forward, [x], y)
    return y


def run_chain(chain: Chain, inputs: Sequence[Array], out: Array) -> None:
    """Compute it of arrays that are one example each."""
    arrays = {f"in{i}": array for i, array in enumerate([*inputs, *chain.arrays])}
    sizes = {"rows": chain.rows, "units": chain.units}
    step = ("elementwise", {"code": chain.code, **sizes, **arrays, "out0": out})
    Executor([step], 1).run(0, 1)


def act_back(function: str, x: Array, dy: Array) -> Array:
    """What is sent back for inputs x; the same where it overwrites dy."""
    x, dy = (np.ascontiguousarray(a, np.float32) for a in (x, dy))
    dx, own = np.full_like(x, 7), dy.copy()
    traced = TracedFunction(FUNCTIONS[function], (1, *x.shape), "a test")
    saved = act(function, x) if traced.sends_by_value else x
    for source, to in ((dy, dx), (own, own)):
        run_chain(traced.backward, [source, saved], to)
    np.testing.assert_array_equal(dx, own)
    return dx


def ulps(found: Array, exact: Array) -> Array:
    """How wrong, in units of the last place that float32 has there."""
    error: Array = np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))
    return error


def magnitudes(least: float, most: float) -> Array:
    """Numbers of either sign and of every size in between; also a dense sweep of the largest."""
    each = np.random.default_rng(1)
    sizes = 10 ** each.uniform(np.log10(least), np.log10(most), 200_000)
    sweep = np.linspace(0, most, 200_001)
    found: Array = np.concatenate([sizes, -sizes, sweep, -sweep]).astype(np.float32)
    return found


CURVES: dict[str, tuple[Callable[[Array], Array], Callable[[Array], Array], float]] = {
    # the function; its derivative; how many ulps the function may be wrong by
    "exponential": (np.exp, np.exp, 1.5),
    "sigmoid": (lambda x: 1 / (1 + np.exp(-x)), lambda x: np.cosh(x / 2) ** -2 / 4, 3.0),
    "tanh": (np.tanh, lambda x: np.cosh(x) ** -2, 1.6),
    "relu": (lambda x: np.maximum(x, 0), lambda x: np.float64(x > 0), 0.0),
    "leaky_relu": (
        lambda x: np.where(x > 0, x, np.float32(0.2) * x),
        lambda x: np.where(x > 0, 1, np.float32(0.2)),
        0.5,
    ),
    "affine": (lambda x: np.float64(np.float32(0.2)) * x, lambda x: 0 * x + np.float32(0.2), 0.5),
}


@pytest.mark.parametrize("name", CURVES)
def test_activations_in_ulps(name: str) -> None:
    function, derivative, most = CURVES[name]
    x = magnitudes(1e-44, 85.0)
    y = act(name, x[None])[0]
    exact = function(x.astype(np.float64))
    wrong = ulps(y, exact)
    assert wrong.max() <= most, f"{wrong.max()} ulps at {x[wrong.argmax()]}"

    dy = numbers(x.size)
    found = act_back(name, x[None], dy[None])[0]
    exact = derivative(x.astype(np.float64)) * dy
    # those of sigmoid and tanh are quotients, of a power of e, exact where the value is all but 1
    wrong = ulps(found, exact)
    wrong[np.abs(exact) < 1e-37] /= 2  # where a power of e has fewer digits
    assert wrong.max() <= 5, f"{wrong.max()} ulps at {x[wrong.argmax()]}"


@pytest.mark.parametrize("length", [1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 4095, 4096, 4097, 12289])
def test_every_number_of_an_activation_is_computed_once(length: int) -> None:
    x = numbers(3, length)
    for name in CURVES:
        y = act(name, x)
        np.testing.assert_array_equal(y, act(name, x.reshape(3, 1, -1))[:, 0])
        np.testing.assert_array_equal(y[1], act(name, x[1:2])[0])
        np.testing.assert_allclose(y, CURVES[name][0](x.astype(np.float64)), rtol=1e-6)


INF, NAN = np.inf, np.nan
SPECIAL = [0.0, -0.0, INF, -INF, NAN, 1e-45, -1e-45, 1e-40, 3e38, -3e38, -NAN]
SPECIAL_VALUES = {
    "relu": [0, 0, INF, 0, NAN, 1e-45, 0, 1e-40, 3e38, 0, NAN],
    "leaky_relu": [0, -0.0, INF, -INF, NAN, 1e-45, -0.0, 1e-40, 3e38, -6e37, NAN],
    "exponential": [1, 1, INF, 0, NAN, 1, 1, 1, INF, 0, NAN],
    "sigmoid": [0.5, 0.5, 1, 0, NAN, 0.5, 0.5, 0.5, 1, 0, NAN],
    "tanh": [0, -0.0, 1, -1, NAN, 1e-45, -1e-45, 1e-40, 1, -1, NAN],
}


@pytest.mark.parametrize("name", SPECIAL_VALUES)
def test_special_values(name: str) -> None:
    x, expected = np.array([SPECIAL], np.float32), np.float32(SPECIAL_VALUES[name])
    for repeats in (1, 3):  # beside others in a vector
        y = act(name, np.tile(x, repeats))[0][: len(SPECIAL)]
        np.testing.assert_allclose(y, expected, rtol=2e-7, atol=0)
    with np.errstate(all="ignore"):
        op = {"exponential": ops.exp}.get(name) or getattr(ops, name)
        np.testing.assert_allclose(y, op(Tensor(x)).data[0], rtol=4e-7, atol=0)


def test_tanh_keeps_the_sign_of_zero() -> None:
    assert np.signbit(act("tanh", np.array([[-0.0, 1]])))[0].tolist() == [True, False]


def test_sigmoid_goes_to_zero_slowly() -> None:
    x = np.linspace(-103, -87, 1000)[None]
    np.testing.assert_allclose(act("sigmoid", x), np.exp(x), rtol=1e-5, atol=2e-45)


def test_exponential_to_both_ends() -> None:
    x = np.concatenate([np.linspace(-106, -80, 3001), np.linspace(80, 92, 3001)]).astype(np.float32)
    with np.errstate(over="ignore"):
        expected = np.exp(x.astype(np.float64)).astype(np.float32)
    found = act("exponential", x[None])[0]
    np.testing.assert_array_equal(np.isinf(found), np.isinf(expected))
    np.testing.assert_allclose(found, expected, rtol=2e-7, atol=1.5e-45)
    assert found[0] == 0


def test_curves_do_not_leave_their_range() -> None:
    x = magnitudes(1e-3, 100)
    assert np.abs(act("tanh", x[None])).max() == 1
    sigmoid = act("sigmoid", x[None])
    assert 0 <= sigmoid.min() <= sigmoid.max() == 1
    np.testing.assert_array_equal(act("tanh", -x[None]), -act("tanh", x[None]))


@pytest.mark.parametrize("columns", [1, 2, 3, 7, 8, 16, 17, 33, 1000])
def test_softmax(columns: int) -> None:
    x = numbers(40, columns) * np.geomspace(1e-3, 60, 40, dtype=np.float32)[:, None]
    exact = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    exact /= exact.sum(1, keepdims=True)
    y = act("softmax", x)
    # what is subtracted from rounds, the sum goes number by number
    steps = columns + 8 + (x.max(1, keepdims=True) - x)
    assert (np.abs(y - exact) <= steps * EPSILON * exact + 2e-45).all()
    dy = numbers(40, columns, seed=1)
    y64 = y.astype(np.float64)
    expected = y64 * (dy - (dy * y64).sum(1, keepdims=True))
    sizes = y64 * (np.abs(dy) + (np.abs(dy) * y64).sum(1, keepdims=True))
    wrong = np.abs(act_back("softmax", x, dy) - expected)
    assert (wrong <= (columns + 4) * EPSILON * sizes + 1e-44).all()


def test_softmax_of_special_values() -> None:
    x = np.array(
        [
            [1e38, -1e38, 0],
            [3e38, 3e38, -3e38],
            [-INF, 0, 0],
            [-INF, -3e38, -INF],
            [NAN, 0, 1],
            [0, 1, NAN],
            [INF, 0, 1],
            [-INF, -INF, -INF],
            [-1000, -1000, -1000],
        ],
        np.float32,
    )
    y = act("softmax", x)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0.5], [0, 1, 0]]
    np.testing.assert_array_equal(y[:4], np.array(expected, np.float32))
    assert np.isnan(y[4:6]).all()
    assert np.isnan(y[6, 0])
    assert np.isnan(y[7]).all()
    np.testing.assert_allclose(y[8], 1 / 3, rtol=1e-7)


def softmax_loss(
    x: Array, labels: Array, from_logits: bool = False, back: bool = True
) -> tuple[Array, Array, Array | None, Executor]:
    """Probabilities, losses, gradient; and who computed them."""
    x, labels = (np.ascontiguousarray(a, np.float32) for a in (x, labels))
    y, loss = np.full_like(x, 7), np.full(len(x), 7, np.float32)
    dx = np.full_like(x, 7) if back else None
    operands = {"x": x, "labels": labels, "y": y, "loss": loss, "dx": dx, "units": x.shape[1]}
    found = Executor([("softmax_loss", {**operands, "from_logits": from_logits})], len(x))
    found.run(0, len(x))
    return y, loss, dx, found


@pytest.mark.parametrize("kind", ["one-hot", "soft", "any sum", "negative"])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (5, 3), (32, 10), (7, 17), (3, 100)])
def test_softmax_loss(rows: int, columns: int, kind: str) -> None:
    random = np.random.default_rng(columns)
    x = (4 * random.standard_normal((rows, columns))).astype(np.float32)
    t = {
        "one-hot": np.eye(columns)[random.integers(0, columns, rows)],
        "soft": random.dirichlet(np.ones(columns), rows),
        "any sum": random.random((rows, columns)) * 3,
        "negative": random.standard_normal((rows, columns)),
    }[kind].astype(np.float32)
    x64, t64 = x.astype(np.float64), t.astype(np.float64)
    log_p = x64 - np.logaddexp.reduce(x64, axis=1, keepdims=True)
    y, loss, dx, found = softmax_loss(x, t)
    terms = columns + 10
    np.testing.assert_allclose(y, np.exp(log_p), rtol=2 * terms * EPSILON)
    sizes = (np.abs(t64) * (np.abs(log_p) + np.abs(x64).max())).sum(1)
    assert (np.abs(loss + (t64 * log_p).sum(1)) <= terms * EPSILON * sizes).all()
    exact = (np.exp(log_p) * t64.sum(1, keepdims=True) - t64) / rows
    sizes = (np.exp(log_p) * np.abs(t64).sum(1, keepdims=True) + np.abs(t64)) / rows
    assert dx is not None
    assert (np.abs(dx - exact) <= 2 * terms * EPSILON * sizes).all()
    assert found.loss == loss.astype(np.float64).sum()
    assert found.correct == (y.argmax(1) == t.argmax(1)).sum()

    again, loss_again, nothing, _ = softmax_loss(x, t, back=False)
    assert_same_bits([again, loss_again], [y, loss])
    assert nothing is None


def test_totals_go_on_until_reset() -> None:
    x, t = numbers(6, 4), one_hot(6, 4)
    *_, loss, _, found = softmax_loss(x, t)
    correct, total = found.correct, found.loss
    found.run(0, 2)
    assert found.loss == pytest.approx(total + loss[:2].sum())
    assert found.correct >= correct
    found.reset()
    assert (found.loss, found.correct) == (0, 0)
    found.run(0, 6)
    assert (found.loss, found.correct) == (total, correct)


def test_softmax_loss_of_extremes() -> None:
    x = np.array([[1000, -1000, 0], [1000, -1000, 0], [-1000, -1000, -1000]], np.float32)
    y, loss, dx, _ = softmax_loss(x, np.eye(3)[[1, 0, 2]])
    p = np.array([[1, 0, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(y, p, rtol=1e-7)
    np.testing.assert_allclose(loss, [2000, 0, np.log(3)], rtol=1e-6)
    np.testing.assert_allclose(dx, (p - np.eye(3)[[1, 0, 2]]) / 3, rtol=1e-6)


def test_hits_are_looked_for_as_numpy_does() -> None:
    values = [0.0, -0.0, 1.0, NAN, INF, -INF]
    rows = np.array(list(itertools.product(values, repeat=3)), np.float32)
    t = rows[np.random.default_rng(0).permutation(len(rows))]
    with np.errstate(all="ignore"):
        *_, found = softmax_loss(rows, t, from_logits=True)
        assert found.correct == (rows.argmax(1) == t.argmax(1)).sum()
        y, *_, found = softmax_loss(rows, t)
        assert found.correct == (y.argmax(1) == t.argmax(1)).sum()
    close = np.array([[50, 50 + 4e-6, 0]], np.float32)  # as probabilities the same
    flat = softmax_loss(close, [[1, 0, 0]])[0]
    if flat[0, 0] == flat[0, 1]:
        assert softmax_loss(close, [[1, 0, 0]])[3].correct == 1
    assert softmax_loss(close, [[0, 1, 0]], from_logits=True)[3].correct == 1


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (0.3, -2), (1, 1), (0, 0.5), (2, 0)])
@pytest.mark.parametrize("size", [(), (1,), (7,), (3, 5), (40, 30)])
def test_feeding(dtype: str, scale: float, offset: float, size: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (9, *size)).astype(dtype)
    wide = np.repeat(x, 3, axis=0)
    to = np.empty((5, *size), np.float32)
    exact = x.astype(np.float64) * np.float32(scale) + np.float64(offset)
    order = np.random.default_rng(1).permutation(9)
    for array in (x, wide[::3], wide[::-3][::-1], x[::-1][::-1]):
        for first, n, places in ((0, 5, None), (4, 5, None), (0, 4, order), (7, 2, order)):
            to[...] = 7
            executor = Executor([], 5)
            executor.feed(0, array, to, scale, offset)
            executor.run(first, n, places)
            which = slice(first, first + n) if places is None else places[first : first + n]
            # number * scale is rounded, or not where the machine multiplies and adds at once
            bound = 2 * EPSILON * (np.abs(exact[which]) + np.abs(offset))
            assert (np.abs(to[:n] - exact[which]) <= bound).all()
            np.testing.assert_array_equal(to[n:], 7)
            if (scale, offset) == (1, 0):
                np.testing.assert_array_equal(to[:n], x[which])


def test_feeding_two_arrays_and_nothing_any_more() -> None:
    a, b = numbers(6, 3), numbers(8, 2)
    to_a, to_b = np.zeros((4, 3), np.float32), np.zeros((4, 2), np.float32)
    executor = Executor([], 4)
    executor.feed(0, a, to_a)
    executor.feed(1, b, to_b)
    executor.run(2, 4)
    assert_same_bits([to_a, to_b], [a[2:6], b[2:6]])
    with pytest.raises(ValueError, match="some of 6 examples, got"):
        executor.run(3, 4)
    executor.feed(0, None, to_a)
    executor.run(4, 4)
    assert_same_bits([to_a, to_b], [a[2:6], b[4:]])
    alive = weakref.ref(b)
    del b
    assert alive() is not None
    executor.feed(1, None, to_b)
    assert alive() is None
    executor.run(1000, 4)


@pytest.mark.parametrize("size", [1, 3, 16, 17, 1000, 40_000])
@pytest.mark.parametrize("name", ["SGD", "momentum", "Nesterov", "Adam"])
def test_optimizers_steps(name: str, size: int) -> None:
    optimizer = OPTIMIZERS[name]()
    x, grads = numbers(size), numbers(4, size, seed=2)
    tensor, dx = Tensor(x.copy()), np.empty(size, np.float32)
    optimizer.build([tensor])
    memory = [np.zeros(size, np.float32) for _ in optimizer.slots]
    if isinstance(optimizer, optimizers.Adam):
        more = {"m": memory[0], "v": memory[1]}
    else:
        assert isinstance(optimizer, optimizers.SGD)
        more = {"v": memory[0]} if memory else {}
    op = "adam" if name == "Adam" else "sgd"
    executor = Executor([(op, {"y": x, "dy": dx, "units": size, **more})], 1)
    for number, grad in enumerate(grads):
        optimizer.learning_rate = 0.1 / (number + 1)
        rate, hyperparameters = optimizer.fused_step()
        optimizer.iterations.assign_sub(1)
        optimizer.apply([grad], [tensor])
        dx[...] = grad
        executor.run(0, 1, None, rate, hyperparameters)
        np.testing.assert_allclose(x, tensor.data, rtol=1e-6, atol=1e-6)
        for mine, its in zip(memory, kept(optimizer), strict=True):
            np.testing.assert_allclose(mine, its, rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(dx, grad)


def test_confident_logits_are_not_rounded_away() -> None:
    x = np.array([[20.0, 0, 0], [0, 20, 20], [-40, 3, -np.inf], [0, 88, 0]], np.float32)
    t = np.array([[1.0, 0, 0], [0, 0.5, 0.5], [0, 1, 0], [0.25, 0.5, 0.25]], np.float32)
    y, dx, each = np.empty_like(x), np.empty_like(x), np.empty(4, np.float32)
    step = {"x": x, "labels": t, "y": y, "loss": each, "dx": dx, "units": 3, "from_logits": True}
    executor = Executor([("softmax_loss", step)], 4)
    executor.run(0, 4)
    exact = x.astype(np.float64) - x.max(1, keepdims=True)
    rest = np.exp(exact)
    rest[np.arange(4), x.argmax(1)] = 0
    log_p = exact - np.log1p(rest.sum(1, keepdims=True))
    expected = -(t * np.where(t > 0, log_p, 0)).sum(1)
    np.testing.assert_allclose(each, expected, rtol=1e-6)
    assert each[0] == pytest.approx(2 * 2.061153622e-9, rel=1e-6)
    p = np.exp(log_p)
    np.testing.assert_allclose(dx[[0, 3]] * 4, (p - t)[[0, 3]], rtol=1e-5, atol=1e-35)
    assert dx[0, 0] * 4 == pytest.approx(-2 * 2.061153622e-9, rel=1e-6)


def test_matrices_of_odd_sizes() -> None:
    for n, r, k, units in itertools.product((1, 3), (1, 5, 50), (1, 7, 65, 255, 301), (1, 8, 17)):
        x, w, bias = numbers(n, r, k), numbers(k, units), numbers(units)
        y, dx, dw, db = (np.full_like(a, 7) for a in (numbers(n, r, units), x, w, bias))
        dy, sizes = numbers(n, r, units, seed=3), {"rows": r, "k": k, "units": units}
        steps: list[tuple[str, dict[str, Any]]] = [
            ("dense", {"x": x, "w": w, "bias": bias, "y": y, "relu": True, **sizes}),
            ("dense_dw", {"x": x, "dy": dy, "dw": dw, "db": db, **sizes}),
            ("dense_dx", {"dy": dy, "w": w, "dx": dx, **sizes}),
        ]
        Executor(steps, n).run(0, n)
        exact = [np.maximum(x.astype(np.float64) @ w + bias, 0), np.einsum("nrk,nru->ku", x, dy)]
        exact += [dy.sum((0, 1)), dy.astype(np.float64) @ w.T]
        for found, expected in zip((y, dw, db, dx), exact, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------ state


def both(call: Callable[[Sequential], object], lowered: bool = True, **how: Any) -> None:
    """What the call leaves behind is the same by a program and layer by layer.

    lowered: whether there is a program at all.
    """
    found = []
    for eagerly in (False, True):
        model = small(**{"optimizer": optimizers.Adam(0.05), **how}, run_eagerly=eagerly)
        utils.set_random_seed(8)
        call(model)
        assert model.optimizer is not None
        found.append([*model.get_weights(), *kept(model.optimizer), model.predict(X)])
        assert has_program(model) == (lowered and not eagerly)
    assert_close(*found, rtol=2e-5)


def fit(model: Sequential, epochs: int = 2, **how: Any) -> dict[str, list[float]]:
    return model.fit(X, Y, 4, epochs, 0, **how).history


def replace(model: Sequential) -> None:
    for weight in model.weights:
        weight.data = weight.data * 0.9


def test_weights_may_be_replaced() -> None:
    def between(model: Sequential) -> None:
        replace(model)
        fit(model)
        replace(model)
        fit(model)
        replace(model)
        model.evaluate(X, Y, verbose=0)
        fit(model, 1)
        model.layers[0].weights[0].data = model.layers[0].weights[0].data.copy()
        fit(model, 1)
        replace(model)

    both(between)
    for moment in MOMENTS:
        both(lambda model, moment=moment: fit(model, callbacks=[Each(replace, moment)]))  # type: ignore[misc]


def test_weights_may_be_replaced_by_arrays_of_any_layout() -> None:
    def odd(model: Sequential) -> None:
        first, second = model.weights[0], model.weights[1]
        first.data = np.asfortranarray(first.data)
        second.data = np.repeat(second.data, 2)[::2]

    def call(model: Sequential) -> None:
        odd(model)
        fit(model, callbacks=[Each(odd)])
        odd(model)
        fit(model)

    both(call)


@pytest.mark.parametrize("moment", ["test_begin", "test_batch_end"])
def test_an_evaluation_sees_weights_replaced_meanwhile(moment: str) -> None:
    found = []
    for eagerly in (False, True):
        model = small(run_eagerly=eagerly, optimizer=optimizers.SGD(0.5))
        change = Each(replace, moment)
        found.append(
            [np.array(fit(model, 1, validation_data=(X, Y), callbacks=[change])["val_loss"])]
        )
    np.testing.assert_allclose(*found, rtol=1e-5)


def test_an_evaluation_sees_what_is_fitted_meanwhile() -> None:
    model = small(optimizer=optimizers.SGD(0.5))
    change = Each(lambda model: model.fit(X, Y, 4, verbose=0), "test_begin")
    found = fit(model, 1, validation_data=(X, Y), callbacks=[change])["val_loss"]
    assert found == [model.evaluate(X, Y, 4, verbose=0)]


def test_set_weights_between_fits() -> None:
    start = [0.5 * numbers(*weight.shape) for weight in small().weights]

    def call(model: Sequential) -> None:
        fit(model)
        kept = model.get_weights()
        model.set_weights(start)
        fit(model)
        model.set_weights(kept)
        fit(model, callbacks=[Each(lambda m: m.set_weights(start), "epoch_begin")])

    both(call)


def test_predictions_follow_the_weights() -> None:
    model = small()
    for change in (
        lambda: fit(model),
        lambda: replace(model),
        lambda: model.set_weights([w + 1 for w in model.get_weights()]),
        lambda: model.fit(X, Y, 8, verbose=0),
        lambda: model.weights[0].data.__imul__(2),
    ):
        before = model.predict(X)
        change()  # type: ignore[no-untyped-call]
        after = model.predict(X)
        assert (before != after).any()
        np.testing.assert_allclose(after, model(X).data, rtol=1e-5, atol=1e-7)
        expected = losses.CategoricalCrossentropy()(Y, Tensor(after)).item()
        assert model.evaluate(X, Y, 3, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_two_models_of_the_same_layers() -> None:
    found = []
    for eagerly in (False, True):
        one = small(optimizer=optimizers.Adam(0.05), run_eagerly=eagerly)
        two = Sequential([L.Input((4,)), one.layers[0], L.Dense(2, "softmax", name="other")])
        two.weights[-2].data[...] = numbers(5, 2)
        two.compile(optimizers.SGD(0.1, 0.9), "categorical_crossentropy", run_eagerly=eagerly)
        utils.set_random_seed(8)
        other = one_hot(11, 2)
        for _ in range(3):
            fit(one)
            two.fit(X, other, 5, verbose=0)
        two.fit(X, other, 5, verbose=0, callbacks=[Each(lambda _, one=one: fit(one, 1))])
        found.append([*one.get_weights(), *two.get_weights(), one.predict(X), two.predict(X)])
    assert_close(*found, rtol=5e-5)


def test_one_optimizer_for_two_models() -> None:
    found = []
    for eagerly in (False, True):
        shared = optimizers.Adam(0.05)
        one = small(optimizer=shared, run_eagerly=eagerly)
        two = Sequential([L.Input((4,)), *one.layers])
        two.compile(shared, losses.CategoricalCrossentropy(), run_eagerly=eagerly)
        utils.set_random_seed(8)
        for _ in range(2):
            fit(one)
            fit(two)
        assert shared.iterations == 24
        found.append([*one.get_weights(), *kept(shared)])
    assert_close(*found, rtol=2e-5)


def test_the_optimizer_goes_on_where_it_was() -> None:
    def call(model: Sequential) -> None:
        fit(model)
        fit(model, 1)
        model.fit(X, Y, 11, verbose=0)
        model.compile(model.optimizer, "categorical_crossentropy", run_eagerly=model.run_eagerly)  # type: ignore[arg-type]
        fit(model)
        assert model.optimizer is not None
        assert model.optimizer.iterations == 16
        model.compile(
            optimizers.SGD(0.1, 0.9),
            losses.CategoricalCrossentropy(),
            run_eagerly=model.run_eagerly,
        )
        fit(model)
        assert model.optimizer.iterations == 6

    both(call)


def test_compiling_again_with_another_loss_or_kind_of_optimizer() -> None:
    def call(model: Sequential) -> None:
        one, two = optimizers.SGD(0.1, 0.5), Backwards(0.1, 0.5)
        vars(two).update(vars(one))  # they differ in nothing but their class
        name = "categorical_crossentropy"
        for how in ((one, name), (two, name), (two, squares), (one, squares), (one, name)):
            model.compile(*how, run_eagerly=model.run_eagerly)
            fit(model)
            model.evaluate(X, Y, verbose=0)

    both(call)


def test_from_program_to_layers_and_back() -> None:
    def call(model: Sequential) -> None:
        eagerly = model.run_eagerly
        for _ in range(2):
            fit(model)
            model.run_eagerly = True
            fit(model)
            model.run_eagerly = eagerly
            fit(model, 1)

    both(call)
    both(call, optimizer=optimizers.SGD(0.1, 0.9))


def test_the_learning_rate_may_change_while_training() -> None:
    def halve(model: Sequential) -> None:
        assert model.optimizer is not None
        model.optimizer.learning_rate *= 0.5

    for moment in ("train_batch_end", "epoch_begin"):
        both(lambda model, moment=moment: fit(model, callbacks=[Each(halve, moment)]))  # type: ignore[misc]


def attribute(name: str, value: Any) -> Callable[[Sequential], None]:
    return lambda model: setattr(model.optimizer, name, value)


@pytest.mark.parametrize("change", [("momentum", 0.3), ("nesterov", True), ("momentum", 0.0)])
def test_other_settings_may_change_between_fits(change: tuple[str, Any]) -> None:
    for how in (optimizers.SGD(0.1, 0.9), optimizers.SGD(0.1)):

        def call(model: Sequential, how: Any = how) -> None:
            model.optimizer = copy.deepcopy(how)
            fit(model)
            attribute(*change)(model)
            fit(model)

        both(call)


@pytest.mark.parametrize("change", [("beta_1", 0.5), ("beta_2", 0.9), ("epsilon", 0.1)])
def test_settings_of_adam_may_change_between_fits(change: tuple[str, Any]) -> None:
    def call(model: Sequential) -> None:
        fit(model)
        attribute(*change)(model)
        fit(model)

    both(call)


@pytest.mark.parametrize("change", [("beta_1", 0.5), ("epsilon", 0.1)])
def test_settings_of_adam_may_change_while_training(change: tuple[str, Any]) -> None:
    both(lambda model: fit(model, callbacks=[Each(attribute(*change), "epoch_end")]))


def test_an_optimizer_may_start_anew_while_training() -> None:
    def forget(model: Sequential) -> None:
        assert model.optimizer is not None
        model.optimizer.build(model.trainable_weights)

    both(lambda model: fit(model, callbacks=[Each(forget)]))


def test_an_optimizer_may_start_anew_between_fits() -> None:
    def call(model: Sequential) -> None:
        fit(model)
        assert model.optimizer is not None
        model.optimizer.build(model.trainable_weights)
        fit(model)
        for kind in model.optimizer.slots:
            for variable in kind:
                variable.data = 2 * variable.data
        fit(model)

    both(call)


def another_kernel(layer: Any) -> None:
    layer.kernel = layer._weights[0] = Variable(0.1 * numbers(*layer.kernel.shape))


CHANGES: dict[str, Callable[[Any], None]] = {
    "activation": lambda model: setattr(model.layers[1], "activation", ops.tanh),
    "no bias": lambda model: setattr(model.layers[1], "bias", None),
    "scale": lambda model: setattr(model.layers[0], "scale", 0.25),
    "offset": lambda model: setattr(model.layers[0], "offset", 3.0),
    "padding of a pooling": lambda model: setattr(model.layers[2], "padding", "same"),
    "another kernel": lambda model: another_kernel(model.layers[1]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_layers_may_change_between_calls(change: str) -> None:
    x, y = numbers(9, 6, 6, 1), one_hot(9)
    found = []
    for eagerly in (False, True):
        parts = [L.Rescaling(0.5), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2)]
        model = made(
            [L.Input((6, 6, 1)), *parts, L.Flatten(), L.Dense(3, "softmax")], run_eagerly=eagerly
        )
        utils.set_random_seed(8)
        seen = []
        for _ in range(2):
            history = model.fit(x, y, 4, verbose=0).history
            seen += [model.predict(x), np.array(history["loss"])]
            seen += [np.array(model.evaluate(x, y, verbose=0))]
            CHANGES[change](model)
            seen += [model.predict(x), np.array(model.evaluate(x, y, verbose=0))]
        found.append(seen)
    assert_close(*found, rtol=2e-5)


MISFITS = """
model.layers[0].strides = (2, 2)
model.layers[0].padding = "same"
model.layers.pop(1)
model.layers.insert(1, MaxPooling2D(2))
model.layers[0].kernel.data = np.zeros((3, 3, 1, 2), np.float32)
model.layers[0].kernel.data = np.zeros((2, 2, 1, 4), np.float32)
model.layers[0].bias.data = np.zeros(3, np.float32)
model.layers[2].kernel.data = np.zeros((10, 3), np.float32)
model.layers[2].kernel.data = np.zeros((100, 3), np.float32)
model.layers[2].bias.data = np.zeros(2, np.float32)
"""


def test_what_does_not_fit_any_more_is_an_error() -> None:
    """As it is layer by layer. Nothing may be read or written that is not there."""
    done = alone(
        f"""
        from micrograd_ext.layers import *
        x = np.ones((5, 6, 6, 1))
        for misfit in {MISFITS.split(chr(10))[1:-1]}:
            for eagerly in (True, False):
                model = mg.Sequential([Input((6, 6, 1)), Conv2D(4, 3), Flatten(), Dense(3)])
                model.compile(run_eagerly=eagerly)
                model.predict(x)
                exec(misfit)
                try:
                    model.predict(x)
                    print(misfit, eagerly)
                except ValueError as error:
                    assert "shape" in str(error) or "values" in str(error), error
        """
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-500:]


def test_a_kernel_that_is_not_one_of_the_weights_is_not_trained() -> None:
    def call(model: Sequential) -> None:
        model.layers[0].kernel = Tensor(numbers(4, 5))  # type: ignore[attr-defined]
        fit(model)

    both(call, lowered=False)


@pytest.mark.parametrize(("name", "value"), [("filters", 2), ("kernel_size", (2, 2))])
def test_attributes_that_say_what_was_built_change_nothing(name: str, value: Any) -> None:
    x = numbers(5, 6, 6, 1)
    model = made([L.Input((6, 6, 1)), L.Conv2D(4, 3), L.Flatten()])
    before = model.predict(x)
    setattr(model.layers[0], name, value)
    np.testing.assert_allclose(model(x).data, before, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.predict(x), before, rtol=1e-5, atol=1e-6)


def test_layers_may_be_added_between_calls() -> None:
    def call(model: Sequential) -> None:
        fit(model)
        model.predict(X)
        model.evaluate(X, Y, verbose=0)
        model.layers[-1].activation = ops.relu  # type: ignore[attr-defined]
        utils.set_random_seed(2)
        model.add(L.Dense(3, "softmax", name=f"more{len(model.layers)}"))
        fit(model)
        model.evaluate(X, Y, verbose=0)

    both(call)


def test_a_weight_that_needs_no_gradient_stays() -> None:
    def call(model: Sequential) -> None:
        model.weights[0].requires_grad = False
        before = model.get_weights()
        fit(model)
        after = model.get_weights()
        assert [(a != b).any() for a, b in zip(before, after, strict=True)] == [
            False,
            True,
            True,
            True,
        ]

    both(call, lowered=False)


def test_a_weight_that_is_used_twice() -> None:
    x, y = numbers(9, 4), one_hot(9, 4)
    found = []
    for eagerly in (False, True):
        model = made(
            [L.Input((4,)), L.Dense(4, "tanh"), L.Dense(4, "softmax")], run_eagerly=eagerly
        )
        one, two = model.layers
        two.kernel = two._weights[0] = one.weights[0]  # type: ignore[attr-defined]
        model.fit(x, y, 4, 2, 0, shuffle=False)
        found.append(model.get_weights())
    assert_close(*found)


def test_weights_may_become_float64() -> None:
    model = small()
    fit(model)
    in_float64(model)
    fit(model)
    assert [weight.dtype for weight in model.weights] == [np.float64] * 4


@pytest.mark.parametrize("how", ["labels", "layout", "float64"])
def test_a_program_comes_when_its_obstacle_has_gone(how: str) -> None:
    model = small()
    if how == "labels":
        with pytest.raises(ValueError, match="one-hot"):
            model.fit(X, Y[:, :2], verbose=0)
    elif how == "layout":
        model.weights[0].data = np.asfortranarray(model.weights[0].data)
        with pytest.warns(UserWarning, match="dense float32"):
            model.predict(X)
        model.weights[0].data = np.ascontiguousarray(model.weights[0].data)
    else:
        in_float64(model).fit(X, Y, verbose=0)
        for weight in model.weights:
            weight.data = weight.data.astype(np.float32)
    model.fit(X, Y, verbose=0)
    model.predict(X)
    assert has_program(model)
    assert has_program(model, "predict")


@pytest.mark.parametrize("after", ["nothing", "fit"])
def test_a_model_can_be_copied(after: str) -> None:
    model = small()
    if after == "fit":
        fit(model)
    reference = copy.deepcopy(model)
    np.testing.assert_array_equal(reference.predict(X), model.predict(X))
    kept = model.predict(X)
    fit(reference)
    np.testing.assert_array_equal(model.predict(X), kept)


# ------------------------------------------------------------------ one inside another


def test_predicting_and_evaluating_inside_fit_change_nothing() -> None:
    def look(model: Sequential) -> None:
        expected = model(X).data
        np.testing.assert_allclose(model.predict(X, 3), expected, rtol=1e-5, atol=1e-7)
        found = model.evaluate(X, Y, 5, verbose=0)
        loss = losses.CategoricalCrossentropy()(Y, Tensor(expected)).item()
        assert found[0] == pytest.approx(loss, rel=1e-5)  # type: ignore[index]

    found = []
    for moments in ([], ["train_begin", "epoch_begin", "train_batch_begin", "train_batch_end"]):
        model = small(metrics=["accuracy"], optimizer="adam")
        utils.set_random_seed(8)
        more = [Each(look, moment) for moment in moments]
        more += [Each(look, moment) for moment in ("test_begin", "epoch_end") if moments]
        seen: list[Any] = []
        more.append(Each(lambda m, seen=seen: seen.append(m.predict(X))))
        history = fit(model, validation_data=(X[:7], Y[:7]), callbacks=more)
        found.append([*model.get_weights(), np.array(history["loss"]), *seen])
    assert_same_bits(*found)


def test_predicting_and_evaluating_inside_an_evaluation() -> None:
    def look(model: Sequential) -> None:
        np.testing.assert_allclose(model.predict(X, 3), model(X).data, rtol=1e-5, atol=1e-7)
        model.evaluate(X[:3], Y[:3], 2, verbose=0)

    found = []
    for more in ([], [Each(look, "test_batch_end"), Each(look, "test_begin")]):
        model = small()
        utils.set_random_seed(8)
        found.append(fit(model, validation_data=(X, Y), callbacks=more))
    assert found[0] == found[1]


@pytest.mark.parametrize("moment", ["train_batch_end", "epoch_end", "train_begin", "epoch_begin"])
def test_fitting_inside_fit(moment: str) -> None:
    def call(model: Sequential) -> None:
        inner = Each(lambda m: m.fit(X[:5], Y[:5], 2, verbose=0, shuffle=False), moment)
        model.fit(X, Y, 4, 2, 0, shuffle=False, callbacks=[inner])
        fit(model, 1)

    both(call)


def test_two_threads_predict_with_one_model() -> None:
    model, x, y = lenet()
    expected = model.predict(x, 8)
    loss = model.evaluate(x, y, 8, verbose=0)
    wrong: list[object] = []
    start = threading.Barrier(3)

    def predict() -> None:
        start.wait()
        try:
            for _ in range(6):
                if not np.array_equal(model.predict(x, 8), expected):
                    wrong.append("other predictions")
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=predict) for _ in range(2)]
    for thread in threads:
        thread.start()
    start.wait()
    for _ in range(4):
        if model.evaluate(x, y, 8, verbose=0) != loss:
            wrong.append("another loss")
    for thread in threads:
        thread.join()
    assert not wrong


class Stop(Exception):
    pass


@pytest.mark.parametrize("error", [Stop, KeyboardInterrupt])
@pytest.mark.parametrize("moment", [*MOMENTS, "test_begin", "test_batch_end", "test_end"])
def test_a_model_goes_on_after_an_error(moment: str, error: type[BaseException]) -> None:
    def fail(model: Sequential) -> None:
        raise error

    def call(model: Sequential) -> None:
        x, y = X.copy(), Y.copy()
        kept = weakref.ref(x), weakref.ref(y)
        with pytest.raises(error):
            model.fit(
                x, y, 4, 2, 0, callbacks=[Each(fail, moment)], validation_data=(x, y), shuffle=False
            )
        del x, y
        gc.collect()
        assert [reference() for reference in kept] == [None, None]
        model.evaluate(X, Y, verbose=0)
        fit(model)

    both(call)


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8", "int64"])
@pytest.mark.parametrize("purpose", ["fit", "evaluate", "predict"])
def test_examples_are_let_go(purpose: str, dtype: str) -> None:
    gc.collect()
    gc.disable()
    try:
        model = small()
        x, y = X.astype(dtype), Y.astype(dtype)
        kept = weakref.ref(x), weakref.ref(y)
        getattr(model, purpose)(*([x] if purpose == "predict" else [x, y]), verbose=0)
        assert has_program(model, purpose)
        del x, y
        assert [reference() for reference in kept] == [None, None]
    finally:
        gc.enable()


def test_a_loss_that_fails_leaves_the_model_usable() -> None:
    angry = [True]

    def loss(y_true: Array, y_pred: Tensor) -> Tensor:
        if angry[0]:
            raise Stop
        return squares(y_true, y_pred)

    model = small(loss=loss)
    for call in (model.fit, model.evaluate):
        with pytest.raises(Stop):
            call(X, Y, verbose=0)
    angry[0] = False
    fit(model)
    assert has_program(model)
    model.evaluate(X, Y, verbose=0)


# ------------------------------------------------------------------ layer by layer after all


class Twice(layers.Layer):
    def call(self, inputs: Tensor) -> Tensor:
        return inputs * 2


class MyDense(layers.Dense):
    """It might do anything."""


def softplus(x: Tensor) -> Tensor:
    return ops.log(ops.exp(x) + 1)


WEIGHT = Variable([2.0], name="own")

NOT_LOWERED: dict[str, tuple[Parts, str]] = {
    "own layer": (lambda: [L.Dense(3), Twice(name="mine")], "mine is a Twice"),
    "derived layer": (lambda: [MyDense(3, name="mine")], "mine is a MyDense"),
    "asking for truth": (
        lambda: [L.Dense(3, lambda x: x if np.isfinite(x.data).all() else x * 0, name="d")],
        "<lambda> of d asks for .all of what is traced",
    ),
    "asking for numbers": (
        lambda: [L.Activation(lambda x: x * float(2 + 0 * x.data[0, 0]), name="a")],
        "<lambda> of a ",
    ),
    "over the batch": (
        lambda: [L.Activation(lambda x: x - ops.mean(x, axis=0), name="a")],
        "<lambda> of a calls sum over other axes than the last one, kept",
    ),
    "the batch's size": (
        lambda: [L.Activation(lambda x: x / len(x), name="a")],
        "<lambda> of a is not the same each time, or for each size of batch",
    ),
    "a weight": (
        lambda: [L.Activation(lambda x: x * WEIGHT, name="a")],
        "<lambda> of a has a weight in it, own",
    ),
}

#: Activations and the like that are traced: nobody has listed them.
TRACED: dict[str, Parts] = {
    "own": lambda: [L.Dense(3, softplus)],
    "log_softmax": lambda: [L.Dense(3, "log_softmax")],
    "log_sigmoid": lambda: [L.Dense(3, "log_sigmoid")],
    "softplus": lambda: [L.Activation("softplus")],
    "a lambda": lambda: [L.Activation(lambda x: x * 2)],
    "nothing": lambda: [L.Activation(lambda x: x)],
    "ops": lambda: [L.Activation(lambda x: ops.sin(x) * ops.cos(x) + ops.absolute(x) ** 1.5)],
    "rows": lambda: [L.Activation(lambda x: x / ops.sqrt(ops.sum(x * x, -1, True) + 1e-3))],
    "limits": lambda: [L.Activation(lambda x: ops.clip(x, -0.5, 0.5) + ops.minimum(x, 0.1))],
    "scales": lambda: [L.Rescaling([1, 2, 3, 4])],
    "scales and offsets": lambda: [L.Dense(3), L.Rescaling([1, 2, 3], [0.5, 0, -1])],
    "ReLU with all": lambda: [L.ReLU(1.5, 0.1, 0.2)],
    "ReLU6": lambda: [L.Dense(5), L.ReLU(6)],
    "LeakyReLU": lambda: [L.Dense(5), L.LeakyReLU(0.05)],
    "where": lambda: [L.Activation(lambda x: ops.where(x > 0.2, x, x * x))],
    "huge": lambda: [L.Dense(600, lambda x: ops.softmax(x * 3)), L.Dense(3, "tanh")],
}


@pytest.mark.parametrize("case", TRACED)
def test_any_function_of_numbers_is_traced(case: str) -> None:
    found = []
    for eagerly in (False, True):
        model = made([L.Input((4,)), *TRACED[case](), L.Dense(3, "softmax")], run_eagerly=eagerly)
        utils.set_random_seed(8)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(2):
                fit(model, validation_data=(X, Y))
                outputs = model.predict(X)
                loss = model.evaluate(X, Y, verbose=0)
        assert has_program(model) == has_program(model, "predict") == (not eagerly)
        found.append([*model.get_weights(), outputs, np.array(loss)])
    assert_close(*found, rtol=2e-5)


@pytest.mark.parametrize("case", NOT_LOWERED)
def test_it_says_once_that_it_goes_layer_by_layer(
    case: str, request: pytest.FixtureRequest
) -> None:
    parts, why = NOT_LOWERED[case]
    found = []
    for eagerly in (False, True):
        model = made([L.Input((4,)), *parts(), L.Dense(3, "softmax")], run_eagerly=eagerly)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            utils.set_random_seed(8)
            for _ in range(2):
                fit(model, validation_data=(X, Y))
                outputs = model.predict(X)
                loss = model.evaluate(X, Y, verbose=0)
        found.append([*model.get_weights(), outputs, np.array(loss)])
        assert len(told) == (not eagerly)
        for warning in told:
            assert warning.category is UserWarning
            text = f"{model.name} runs layer by layer, which is slower: "
            assert str(warning.message).startswith(text)
            assert why in str(warning.message)
        if not eagerly:
            with pytest.raises(RuntimeError, match=re.escape(why)):
                _ = model.program
    assert_close(*found, rtol=2e-5)


@pytest.mark.parametrize("purpose", ["fit", "predict", "evaluate"])
def test_it_says_so_where_it_was_called(purpose: str) -> None:
    model = made([L.Input((4,)), L.Dense(3, "softmax"), Twice()])
    with pytest.warns(UserWarning, match="layer by layer") as told:
        getattr(model, purpose)(*([X] if purpose == "predict" else [X, Y]), verbose=0)
    assert [warning.filename for warning in told] == [__file__]


def test_a_model_of_float64_runs_layer_by_layer_quietly() -> None:
    model = in_float64(small(metrics=["accuracy"]))
    fit(model, validation_data=(X, Y))
    assert not has_program(model)
    assert model.predict(X).dtype == np.float64
    with pytest.raises(RuntimeError, match="its weights are not float32"):
        _ = model.program


def test_a_derived_model() -> None:
    class Doubled(Sequential):
        def __call__(self, inputs: Any) -> Tensor:
            return super().__call__(inputs) * 2

    class Named(Sequential):
        """Nothing of its own in the way from inputs to outputs."""

    plain = small()
    doubled, named = Doubled(plain.layers), Named(plain.layers)
    np.testing.assert_allclose(doubled.predict(X), 2 * plain.predict(X), rtol=1e-5)
    np.testing.assert_array_equal(named.predict(X), plain.predict(X))
    assert has_program(named, "predict")
    assert not has_program(doubled, "predict")
    doubled.compile("sgd", squares)
    assert doubled.evaluate(X, Y, verbose=0) == pytest.approx(
        squares(Y, Tensor(2 * plain.predict(X))).data.mean(), rel=1e-5
    )
    with pytest.raises(RuntimeError, match="Doubled has a call of its own"):
        _ = doubled.program


LABELS = [(11,), (11, 2), (11, 4), (11, 3, 1), (11, 1, 3), (11, 1)]


@pytest.mark.parametrize("shape", LABELS)
@pytest.mark.parametrize("caller", ["fit", "evaluate"])
@pytest.mark.parametrize("before", [False, True])
def test_labels_of_the_wrong_shape(shape: tuple[int, ...], caller: str, before: bool) -> None:
    model = small()
    if before:
        getattr(model, caller)(X, Y, verbose=0)
    message = rf"y_true: expected shape \(11, 3\) \(one-hot.*got {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        getattr(model, caller)(X, np.zeros(shape), verbose=0)


def test_examples_of_any_length() -> None:
    """One model, a program for each length."""
    parts = [L.Dense(3, "relu"), L.Activation("softmax"), L.Dense(2, "tanh")]
    model = made([L.Input((None, 4)), *parts], loss=squares)  # type: ignore[list-item]
    for length in (8, 5, 8, 30):
        x = numbers(5, length, 4)
        found = model.predict(x, 2)
        np.testing.assert_allclose(found, model(x).data, rtol=1e-5, atol=1e-6)
        loss = model.fit(x, np.zeros_like(found), verbose=0).history["loss"]
        np.testing.assert_allclose(loss, [(found**2).mean()], rtol=1e-5)
        assert has_program(model, "predict")
        assert has_program(model)


# ------------------------------------------------------------------ model.program, Executor


def test_the_program_of_a_model() -> None:
    model = made(
        [
            L.Input((9, 9, 1)),
            L.Rescaling(0.5, 1, name="scaling"),
            L.Conv2D(4, 2, activation="relu", name="c"),
            L.MaxPooling2D(2, name="p"),
            L.Conv2D(3, 2, activation="sigmoid", use_bias=False, name="c2"),
            L.MaxPooling2D(2, 1, name="p2"),
            L.Flatten(name="f"),
            L.Rescaling(2, name="again"),
            L.Dense(5, "relu", name="d"),
            L.Dense(3, "softmax", name="e"),
        ],
        optimizer="adam",
        metrics=["accuracy"],
    )
    expected = [
        ("forward", "conv2d + bias + relu + max_pool2d", "c, p", "9x9x1 -> 4x4x4"),
        ("forward", "conv2d", "c2", "4x4x4 -> 3x3x3"),
        ("forward", "sigmoid", "c2", "3x3x3 -> 3x3x3"),
        ("forward", "max_pool2d", "p2", "3x3x3 -> 2x2x3"),
        ("forward", "rescaling", "again", "12 -> 12"),
        ("forward", "dense + bias + relu", "d", "12 -> 5"),
        ("forward", "dense + bias", "e", "5 -> 3"),
        ("loss", "softmax + cross entropy", "categorical_crossentropy", "3 -> 3"),
        ("backward", "dw, db of dense", "e", "5, 3 -> 5x3"),
        ("backward", "dx of dense", "e", "3 -> 5"),
        ("backward", "adam", "e", "32"),
        ("backward", "dx of relu", "d", "5 -> 5"),
        ("backward", "dw, db of dense", "d", "12, 5 -> 12x5"),
        ("backward", "dx of dense", "d", "5 -> 12"),
        ("backward", "adam", "d", "80"),
        ("backward", "dx of rescaling", "again", "12 -> 12"),
        ("backward", "dx of max_pool2d", "p2", "2x2x3 -> 3x3x3"),
        ("backward", "dx of sigmoid", "c2", "3x3x3 -> 3x3x3"),
        ("backward", "dw of conv2d", "c2", "4x4x4, 3x3x3 -> 2x2x4x3"),
        ("backward", "dx of conv2d", "c2", "3x3x3 -> 4x4x4"),
        ("backward", "adam", "c2", "48"),
        ("backward", "dw, db of conv2d + relu + max_pool2d", "c, p", "9x9x1, 4x4x4 -> 2x2x1x4"),
        ("backward", "adam", "c, p", "32"),
    ]
    for trained in (False, True):
        if trained:
            model.fit(numbers(6, 9, 9, 1), one_hot(6), 4, verbose=0)
        program = model.program
        assert program.capacity == (4 if trained else 32)
        found = [(s.part, s.name, s.layers, s.shapes) for s in program.steps]
        assert found == expected
        text = str(program)
        assert text == repr(program)
        assert f"batches of up to {program.capacity}" in text
        assert "gather * 0.5 + 1" in text
        for _, name, layer, shapes in expected:
            assert any(
                name in line and layer in line and shapes in line for line in text.splitlines()
            )
    assert model.program is model.program
    model.run_eagerly = True
    with pytest.raises(RuntimeError, match="compiled with run_eagerly"):
        _ = model.program


def test_the_program_of_what_is_not_trained() -> None:
    model = Sequential([L.Dense(3, "softmax", name="d")])
    with pytest.raises(ValueError, match="shape is not known"):
        _ = model.program
    model.build((None, 4))
    assert [step.name for step in model.program.steps] == ["dense + bias", "softmax"]
    model.predict(X, 5)
    assert model.program.capacity == 5
    model.compile("sgd", squares)
    assert [step.name for step in model.program.steps] == [
        "dense + bias",
        "dw, db of dense",
        "sgd",
    ]
    model.compile(Halves(), "categorical_crossentropy")
    assert [step.part for step in model.program.steps] == ["forward", "loss", "backward"]


def test_looking_at_the_program_changes_nothing() -> None:
    both(lambda model: (fit(model), model.run_eagerly or str(model.program), fit(model)))
    model = small()
    arrays = [weight.data for weight in model.weights]
    str(model.program)
    assert all(weight.data is array for weight, array in zip(model.weights, arrays, strict=True))
    fit(model, callbacks=[Each(lambda m: str(m.program))])


def test_the_program_knows_about_new_layers() -> None:
    model = small()
    fit(model)
    model.add(L.Dense(2, "softmax", name="new"))
    assert "new" in str(model.program)
    model.layers.pop()
    assert "new" not in str(model.program)


def test_the_program_knows_about_the_first_layer() -> None:
    model = Sequential([L.Input((4,))])
    model.predict(X)
    model.add(L.Dense(3, name="new"))
    assert "new" in str(model.program)


def executor(count: int = 6) -> Executor:
    """Feeds examples of 2 numbers, up to 4 at once."""
    found = Executor([], 4)
    found.feed(0, np.ones((count, 2)), np.zeros((4, 2), np.float32))
    return found


F = np.zeros((4, 2), np.float32)
ORDER = np.arange(6)
CONV = ((1, 4, 4, 1), (3, 3, 1, 1), 1, "valid")
POOL = ((1, 4, 4, 1), 2, None, "valid")
CONV = ((1, 4, 4, 1), (3, 3, 1, 1), 1, "valid")
POOL = ((1, 4, 4, 1), 2, None, "valid")
ROW = {"function": "relu", "x": F, "y": F, "rows": 1, "units": 2}

WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "n 0": (lambda: executor().run(0, 0), ValueError, "n: expected 1 to 4 examples, got 0"),
    "n 5": (lambda: executor().run(0, 5), ValueError, "n: expected 1 to 4 examples, got 5"),
    "n -1": (lambda: executor().run(0, -1), ValueError, "n: expected 1 to 4 examples, got -1"),
    "first -1": (lambda: executor().run(-1, 2), ValueError, "some of 6 examples, got 2 from -1 on"),
    "first 5": (lambda: executor().run(5, 2), ValueError, "some of 6 examples, got 2 from 5 on"),
    "order too short": (
        lambda: executor().run(0, 2, ORDER[:5]),
        ValueError,
        r"6 places, got shape \(5,\)",
    ),
    "order too long": (
        lambda: executor(5).run(0, 2, ORDER),
        ValueError,
        r"5 places, got shape \(6,\)",
    ),
    "order of int32": (
        lambda: executor().run(0, 2, ORDER.astype("i4")),
        TypeError,
        r"run: order: expected int64 \(native byte order\), got int32",
    ),
    "order of floats": (
        lambda: executor().run(0, 2, ORDER * 1.0),
        TypeError,
        r"run: order: expected int64 \(native byte order\), got float64",
    ),
    "order not dense": (
        lambda: executor().run(0, 2, np.arange(12)[::2]),
        ValueError,
        r"run: order: expected a C-contiguous array, got strides \(16,\)",
    ),
    "order 2-D": (lambda: executor().run(0, 2, ORDER[:, None]), ValueError, r"shape \(6, 1\)"),
    "an op unknown": (
        lambda: Executor([("reul", {})], 1),
        ValueError,
        "op: expected one of matmul, .*, dense, .*, got 'reul'",
    ),
    "an instruction unknown": (
        lambda: Executor([("elementwise", {"code": np.full((1, 5), 99, np.int32)})], 1),
        ValueError,
        r"code: instruction 0: expected what mg.h says of one, got \[99, 99, 99, 99, 99\]",
    ),
    "an operand unknown": (
        lambda: Executor([("dense", {"z": F})], 1),
        ValueError,
        "dense: no operand of this step is called 'z': expected rows, k",
    ),
    "an operand of float64": (
        lambda: Executor([("dense", {"x": F.astype("f8")})], 1),
        TypeError,
        r"dense: x: expected float32 \(native byte order\), got float64",
    ),
    "an operand that is a list": (
        lambda: Executor([("dense", {"w": [[1.0]]})], 1),
        TypeError,
        "dense: w: expected a numpy array, got list",
    ),
    "an operand that is not dense": (
        lambda: Executor([("dense", {"w": F[:, :1]})], 1),
        ValueError,
        r"dense: w: expected a C-contiguous array, got strides \(8, 4\)",
    ),
    "an operand that is not aligned": (
        lambda: Executor([("dense", {"w": unaligned(F)})], 1),
        ValueError,
        "dense: w: expected an aligned array",
    ),
    "places of int64": (
        lambda: Executor([("max_pool2d", {"argmax": F.astype("i8")})], 1),
        TypeError,
        "max_pool2d: argmax: .*got int64",
    ),
    "places of another kind": (
        lambda: Executor([("max_pool2d", {"pool": POOL, "argmax": np.zeros(9, "u1")})], 1),
        TypeError,
        r"max_pool2d: argmax: expected int32 \(native byte order\), got uint8",
    ),
    "a gradient that is too short": (
        lambda: Executor([("softmax_loss", {"units": 2, "dx": F[:1]})], 4),
        ValueError,
        r"softmax_loss: dx: expected an array of 8 numbers at least, got shape \(1, 2\)",
    ),
    "a window that does not fit": (
        lambda: Executor([("conv2d_relu_pool", {"conv": CONV, "window": 3})], 1),
        ValueError,
        "conv2d_relu_pool: pool_size: a window of 3 x 3 does not fit",
    ),
    "a size below 0": (lambda: Executor([("dense", {"k": -1})], 1), ValueError, "below 0, got -1"),
    "a product too large": (
        lambda: Executor([("dense", {"rows": 2**40, "k": 2**40, "x": F})], 1),
        ValueError,
        f"dense: x: expected an array of {2**80} numbers",
    ),
    "nothing": (lambda: Executor([("conv2d", {})], 1), ValueError, "expected the operand 'conv'"),
    "too few sizes": (lambda: Executor([("conv2d", {"conv": (1, 2)})], 1), ValueError, "unpack"),
    "sizes that are none": (lambda: Executor([("dense", {"k": "2"})], 1), TypeError, "integer"),
    "a step that is none": (lambda: Executor([3], 1), TypeError, "not iterable"),  # type: ignore[list-item]
    "examples of int64": (
        lambda: Executor([], 4).feed(0, np.ones((6, 2), np.int64), F),
        TypeError,
        "feed: expected float32, float64 or uint8, got int64",
    ),
    "examples, big-endian": (
        lambda: Executor([], 4).feed(0, np.ones((6, 2), ">f4"), F),
        TypeError,
        "got >f4",
    ),
    "examples of another size": (
        lambda: Executor([], 4).feed(0, np.ones((6, 3)), F),
        ValueError,
        r"feed: expected examples like those of \(4, 2\), got \(6, 3\)",
    ),
    "examples that are not dense": (
        lambda: Executor([], 4).feed(0, np.ones((6, 4))[:, ::2], F),
        ValueError,
        "feed: expected examples that are dense",
    ),
    "examples to float64": (
        lambda: Executor([], 4).feed(0, np.ones((6, 2)), F.astype("f8")),
        TypeError,
        r"feed: to: expected float32 \(native byte order\), got float64",
    ),
    "examples to what is not dense": (
        lambda: Executor([], 4).feed(0, np.ones((6, 1)), F[:, :1]),
        ValueError,
        "feed: to: expected a C-contiguous array",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_steps_and_runs(case: str) -> None:
    call, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        call()


def test_an_executor_goes_on_after_an_error() -> None:
    found = executor()
    for _ in range(2):
        with pytest.raises(ValueError, match="n: expected"):
            found.run(0, 9)
        with pytest.raises(TypeError, match="feed: expected float32"):
            found.feed(1, np.ones((3, 2), np.int32), F)
        found.run(2, 4, ORDER)


CRASHES = """
executor.run(0, 4, np.array([10**12, 1, 2, 3, 4, 5]))
executor.run(0, 4, np.array([-1, 1, 2, 3, 4, 5]))
executor.run(2**63 - 1, 1)
executor.feed(-1, x, to)
executor.feed(2, x, to)
Executor([], 4000).feed(0, np.ones((4000, 2)), to)
Executor([("dense", {"rows": 1, "k": 1, "units": 1})], 1).run(0, 1)
"""


def test_no_wrong_input_crashes() -> None:
    done = alone(
        f"""
        for wrong in {CRASHES.split(chr(10))[1:-1]}:
            x, to = np.ones((6, 2)), np.zeros((4, 2), np.float32)
            executor = Executor([], 4)
            executor.feed(0, x, to)
            try:
                exec(wrong)
                print(wrong)
            except (ValueError, IndexError, TypeError):
                pass
        """
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr[-500:]
