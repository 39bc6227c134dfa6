"""Optimizers: twenty steps against float64 references, their variables, and what they are asked."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import (
    Input,
    Sequential,
    Tensor,
    Variable,
    constraints,
    layers,
    models,
    optimizers,
    utils,
)
from micrograd_ext.optimizers import schedules

Array = npt.NDArray[Any]
FILES = Path(__file__).parent / "files"
STEPS = 20


class Reference:
    """Keras's step, written down in float64 as its documentation has it."""

    def __init__(self, kind: str, how: dict[str, Any], start: list[Array]) -> None:
        self.kind, self.how = kind, how
        self.x = [array.astype(np.float64) for array in start]
        self.t = 0
        zeros = [np.zeros_like(array) for array in self.x]
        self.m, self.v, self.top, self.sums, self.average = (copy.deepcopy(zeros) for _ in "12345")

    def rate(self) -> float:
        rate = self.how.get("learning_rate", 0.01)
        if isinstance(rate, schedules.LearningRateSchedule):
            return rate(self.t)
        return float(rate() if callable(rate) else rate)

    def step(self, grads: list[Array]) -> None:
        how = self.how
        grads = [g.astype(np.float64) for g in grads]
        every = how.get("gradient_accumulation_steps")
        due = True
        if every:
            self.sums = [a + g for a, g in zip(self.sums, grads, strict=True)]
            due = (self.t + 1) % every == 0
            if due:
                grads = [a / every for a in self.sums]
                self.sums = [a * 0 for a in self.sums]
        if due:
            self.update(self.clipped(grads))
        if how.get("use_ema"):
            steps = self.t // every if every else self.t
            momentum = how.get("ema_momentum", 0.99) if steps else 0.0
            for i, x in enumerate(self.x):
                self.average[i] = momentum * self.average[i] + (1 - momentum) * x
            often = how.get("ema_overwrite_frequency")
            if often and (steps + 1) % often == 0:
                self.x = [a.copy() for a in self.average]
        self.t += 1

    def clipped(self, grads: list[Array]) -> list[Array]:
        how = self.how
        if how.get("clipvalue"):
            return [np.clip(g, -how["clipvalue"], how["clipvalue"]) for g in grads]
        norms = [np.sqrt((g * g).sum()) for g in grads]
        if how.get("clipnorm"):
            return [g * min(1, how["clipnorm"] / n) for g, n in zip(grads, norms, strict=True)]
        if how.get("global_clipnorm"):
            whole = np.sqrt(sum(n * n for n in norms))
            return [g * min(1, how["global_clipnorm"] / whole) for g in grads]
        return grads

    def decayed(self, i: int, rate: float) -> Array:
        return self.x[i] - self.x[i] * (self.how.get("weight_decay") or 0) * rate

    def update(self, grads: list[Array]) -> None:
        how, rate = self.how, self.rate()
        every = how.get("gradient_accumulation_steps") or 1
        t = self.t // every + 1
        decay = how.get("weight_decay", 0.004 if self.kind == "AdamW" else 0) or 0
        for i, g in enumerate(grads):
            x, m, v = self.x[i], self.m[i], self.v[i]
            x = x - x * decay * rate
            if self.kind == "SGD":
                mu = how.get("momentum", 0.0)
                m = mu * m - rate * g
                x = x + (mu * m - rate * g if how.get("nesterov") else m)
            elif self.kind == "RMSprop":
                rho, mu = how.get("rho", 0.9), how.get("momentum", 0.0)
                v = rho * v + (1 - rho) * g * g
                below = v + 1e-7
                if how.get("centered"):
                    self.top[i] = rho * self.top[i] + (1 - rho) * g
                    below = below - self.top[i] ** 2
                m = mu * m + rate * g / np.sqrt(below)
                x = x - m
            elif self.kind in ADAPTIVE:
                x = ADAPTIVE[self.kind](self, i, g, t, rate)
                m, v = self.m[i], self.v[i]
            else:
                assert self.kind in ("Adam", "AdamW"), f"no formula of {self.kind}"
                m = 0.9 * m + 0.1 * g
                v = 0.999 * v + 0.001 * g * g
                self.top[i] = np.maximum(self.top[i], v) if how.get("amsgrad") else v
                scale = rate * np.sqrt(1 - 0.999**t) / (1 - 0.9**t)
                x = x - scale * m / (np.sqrt(self.top[i]) + 1e-7)
            self.x[i], self.m[i], self.v[i] = x, m, v


def adagrad(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    if t == 1:
        self.v[i] = self.v[i] + self.how.get("initial_accumulator_value", 0.1)
    self.v[i] = self.v[i] + g * g
    return self.decayed(i, rate) - rate * g / np.sqrt(self.v[i] + 1e-7)


def adadelta(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    rho = self.how.get("rho", 0.95)
    self.v[i] = rho * self.v[i] + (1 - rho) * g * g
    step = np.sqrt((self.m[i] + 1e-7) / (self.v[i] + 1e-7)) * g
    self.m[i] = rho * self.m[i] + (1 - rho) * step**2
    return self.decayed(i, rate) - rate * step


def adamax(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    beta = self.how.get("beta_1", 0.9)
    self.m[i] = beta * self.m[i] + (1 - beta) * g
    self.v[i] = np.maximum(0.999 * self.v[i], np.abs(g))
    return self.decayed(i, rate) - rate / (1 - beta**t) * self.m[i] / (self.v[i] + 1e-7)


def nadam(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    momenta = [self.how.get("beta_1", 0.9) * (1 - 0.5 * 0.96**n) for n in range(1, t + 2)]
    beta = self.how.get("beta_1", 0.9)
    self.m[i] = beta * self.m[i] + (1 - beta) * g
    self.v[i] = 0.999 * self.v[i] + 0.001 * g * g
    mean = momenta[t] * self.m[i] / (1 - math.prod(momenta))
    mean = mean + (1 - momenta[t - 1]) * g / (1 - math.prod(momenta[:t]))
    return self.decayed(i, rate) - rate * mean / (np.sqrt(self.v[i] / (1 - 0.999**t)) + 1e-7)


def lion(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    first, second = self.how.get("beta_1", 0.9), self.how.get("beta_2", 0.99)
    direction = np.sign(first * self.m[i] + (1 - first) * g)
    self.m[i] = second * self.m[i] + (1 - second) * g
    return self.decayed(i, rate) - rate * direction


def ftrl(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    how, x = self.how, self.decayed(i, rate)
    l1, l2 = (how.get(f"l{n}_regularization_strength", 0.0) for n in (1, 2))
    beta, power = how.get("beta", 0.0), -how.get("learning_rate_power", -0.5)
    if t == 1:
        self.v[i] = self.v[i] + how.get("initial_accumulator_value", 0.1)
    grown = self.v[i] + g * g
    shrinkage = how.get("l2_shrinkage_regularization_strength", 0.0)
    self.m[i] = self.m[i] + g + 2 * shrinkage * x - (grown**power - self.v[i] ** power) / rate * x
    self.v[i] = grown
    below = (grown**power + beta) / rate + 2 * l2
    return -np.sign(self.m[i]) * np.maximum(np.abs(self.m[i]) - l1, 0) / below


def adafactor(self: Reference, i: int, g: Array, t: int, rate: float) -> Array:
    how, x = self.how, self.decayed(i, rate)
    rate = min(rate, t**-0.5) if how.get("relative_step", True) else rate
    keep, squares = 1 - t ** how.get("beta_2_decay", -0.8), g * g + 1e-30
    self.v[i] = keep * self.v[i] + (1 - keep) * squares  # of a matrix, its rows and columns count
    v = self.v[i]
    if v.ndim == 2:
        v = np.outer(v.mean(1), v.mean(0)) / v.mean()
    step = g / np.sqrt(v)
    step = step / max(1, np.sqrt((step**2).mean()) / how.get("clip_threshold", 1.0))
    return np.asarray(x - rate * max(1e-3, np.sqrt((x**2).mean())) * step)


ADAPTIVE: dict[str, Callable[[Reference, int, Array, int, float], Array]] = {
    "Adagrad": adagrad,
    "Adadelta": adadelta,
    "Adamax": adamax,
    "Nadam": nadam,
    "Lion": lion,
    "Ftrl": ftrl,
    "Adafactor": adafactor,
}

HOWS: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "momentum": ("SGD", {"momentum": 0.9}),
    "nesterov": ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    "Adam": ("Adam", {}),
    "amsgrad": ("Adam", {"amsgrad": True}),
    "amsgrad, clipnorm, decay": ("Adam", {"amsgrad": True, "clipnorm": 0.5, "weight_decay": 0.1}),
    "AdamW": ("AdamW", {}),
    "AdamW, amsgrad": ("AdamW", {"amsgrad": True, "weight_decay": 0.2, "global_clipnorm": 0.3}),
    "RMSprop": ("RMSprop", {"rho": 0.8}),
    "RMSprop, all": ("RMSprop", {"momentum": 0.5, "centered": True, "clipvalue": 0.4}),
    **{kind: (kind, {}) for kind in ADAPTIVE},
    "Adagrad, decay": ("Adagrad", {"initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    "Adadelta, rho": ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    "Adamax, clipnorm": ("Adamax", {"beta_1": 0.7, "clipnorm": 0.5}),
    "Nadam, accumulation": ("Nadam", {"beta_1": 0.7, "gradient_accumulation_steps": 2}),
    "Lion, betas": ("Lion", {"beta_1": 0.7, "beta_2": 0.8, "weight_decay": 0.1}),
    "Ftrl, all": (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.4,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.3,
            "beta": 0.4,
        },
    ),
    "Adafactor, all": (
        "Adafactor",
        {"relative_step": False, "learning_rate": 0.1, "clip_threshold": 0.5, "beta_2_decay": -0.6},
    ),
    "clipnorm": ("SGD", {"clipnorm": 0.3}),
    "clipnorm 0": ("SGD", {"clipnorm": 0.0}),
    "clipvalue": ("Adam", {"clipvalue": 0.3}),
    "global_clipnorm": ("SGD", {"global_clipnorm": 0.3}),
    "schedule": ("Adam", {"learning_rate": schedules.ExponentialDecay(0.1, 3, 0.5)}),
    "function": ("SGD", {"learning_rate": lambda: 0.25}),
    "averages": ("Adam", {"use_ema": True, "ema_momentum": 0.7}),
    "averages that overwrite": (
        "SGD",
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 3, "momentum": 0.5},
    ),
    "accumulation": ("Adam", {"gradient_accumulation_steps": 3, "clipnorm": 0.5}),
    "accumulation, averages": (
        "SGD",
        {"gradient_accumulation_steps": 2, "use_ema": True, "ema_overwrite_frequency": 2},
    ),
    "accumulation, schedule": (
        "SGD",
        {
            "gradient_accumulation_steps": 2,
            "learning_rate": schedules.InverseTimeDecay(0.5, 1, 1.0),
        },
    ),
}


def made(name: str) -> optimizers.Optimizer:
    kind, how = HOWS[name]
    found: optimizers.Optimizer = getattr(optimizers, kind)(**{"learning_rate": 0.01, **how})
    return found


def gradients(seed: int = 0) -> list[list[Array]]:
    random = np.random.default_rng(seed)
    return [
        [random.normal(size=s).astype(np.float32) for s in ((3, 2), (4,))] for _ in range(STEPS)
    ]


@pytest.mark.parametrize("name", HOWS)
def test_twenty_steps(name: str) -> None:
    start = gradients(1)[0]
    variables = [Variable(array) for array in start]
    reference, optimizer = Reference(*HOWS[name], start), made(name)
    for number, grads in enumerate(gradients()):
        if number == 10:  # a copy goes on
            variables, optimizer = (
                pickle.loads(pickle.dumps((variables, optimizer)))
                if name != "function"
                else copy.deepcopy((variables, optimizer))
            )
        optimizer.apply(grads, variables)
        reference.step(grads)
        for variable, x in zip(variables, reference.x, strict=True):
            np.testing.assert_allclose(variable.numpy(), x, rtol=2e-6, atol=2e-6)
    steps = optimizer.gradient_accumulation_steps or 1
    assert int(optimizer.iterations) == STEPS // steps
    optimizer.finalize_variable_values(variables)
    expected = reference.average if optimizer.use_ema else reference.x
    for variable, x in zip(variables, expected, strict=True):
        np.testing.assert_allclose(variable.numpy(), x, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("eagerly", [False, True])
def test_in_fit(name: str, eagerly: bool) -> None:
    utils.set_random_seed(1)
    model = Sequential([Input((3,)), layers.Dense(2)])
    x = np.random.default_rng(2).normal(size=(24, 3)).astype(np.float32)
    y = x[:, :2] * 0.5
    start = model.get_weights()
    model.compile(made(name), "mse", run_eagerly=eagerly)
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    reference = Reference(*HOWS[name], start)
    for first in [*range(0, 24, 4)] * 2:
        part, kernel, bias = x[first : first + 4].astype(np.float64), *reference.x
        error = (part @ kernel + bias - y[first : first + 4]) * 2 / 8
        reference.step([part.T @ error, error.sum(0)])
    expected = reference.average if HOWS[name][1].get("use_ema") else reference.x
    for weight, array in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, array, rtol=2e-5, atol=2e-6)


def test_the_loss_may_be_scaled() -> None:
    found = []
    for scale in (None, 1024.0):
        utils.set_random_seed(1)
        model = Sequential([Input((3,)), layers.Dense(2)])
        model.compile(optimizers.SGD(0.1, loss_scale_factor=scale), "mse")
        x = np.linspace(0, 1, 24).reshape(8, 3)
        model.fit(x, x[:, :2], epochs=2, shuffle=False, verbose=0)
        found.append(model.get_weights())
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=1e-6)


# ------------------------------------------------------------------ variables


def test_variables_are_the_optimizer_s() -> None:
    x = Variable([[1.0, 2.0]], name="dense/kernel")
    optimizer = optimizers.Adam(0.5, amsgrad=True)
    assert [v.name for v in optimizer.variables] == ["iteration", "learning_rate"]
    optimizer.build([x])
    assert [v.name for v in optimizer.variables] == [
        "iteration",
        "learning_rate",
        "dense_kernel_momentum",
        "dense_kernel_velocity",
        "dense_kernel_velocity_hat",
    ]
    assert [v.shape for v in optimizer.variables] == [(), (), (1, 2), (1, 2), (1, 2)]
    optimizer.apply([[[3.0, 4.0]]])
    store: dict[str, Array] = {}
    optimizer.save_own_variables(store)
    again = optimizers.Adam(0.1, amsgrad=True)
    again.build([x])
    again.load_own_variables(store)
    for a, b in zip(optimizer.variables, again.variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert again.learning_rate == 0.5
    again.set_weights([v.numpy() * 0 for v in optimizer.variables])
    assert int(again.iterations) == 0


def test_learning_rates() -> None:
    optimizer = optimizers.SGD(0.5)
    rate = optimizer.learning_rate
    assert (float(rate), f"{rate:.2f}", rate == 0.5, rate.numpy()) == (0.5, "0.50", True, 0.5)
    optimizer.learning_rate = 0.25
    assert rate.value == 0.25
    optimizer.learning_rate = Variable(0.125)
    assert float(rate) == 0.125
    optimizer.learning_rate = lambda: 2.0
    assert optimizer.learning_rate == 2.0
    assert len(optimizer.variables) == 1
    optimizer.learning_rate = 0.5
    assert len(optimizer.variables) == 2
    optimizer.learning_rate = schedules.ExponentialDecay(rate, 1, 0.5)
    assert optimizer.learning_rate == 0.125
    with pytest.raises(TypeError, match="it follows a schedule"):
        optimizer.learning_rate = 0.5


def test_names() -> None:
    first, second = optimizers.AdamW(), optimizers.AdamW()
    assert first.name.startswith("adam_w")
    assert first.name != second.name
    assert optimizers.SGD(name="mine").name == "mine"


def test_what_does_not_decay() -> None:
    kernel, bias, free = (Variable([1.0], name=name) for name in ("kernel", "bias", "free"))
    optimizer = optimizers.SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=[free], var_names=["bias"])
    optimizer.apply([[0.0]] * 3, [kernel, bias, free])
    assert [float(v) for v in (kernel, bias, free)] == [0.75, 1, 1]
    with pytest.raises(ValueError, match=r"exclude_from_weight_decay: .* not built yet"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_one_of_ones_own_in_keras_way() -> None:
    class Momentum(optimizers.Optimizer):
        def __init__(self, learning_rate: float = 0.5, decay_by: float = 0.5, **k: Any) -> None:
            super().__init__(learning_rate=learning_rate, **k)
            self._decay_by = decay_by

        def build(self, variables: Any) -> None:
            super().build(variables)
            self.velocities = [
                self.add_variable_from_reference(each, name="velocity") for each in variables
            ]

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            v = self.velocities[self._get_variable_index(variable)]
            self.assign(v, v * self._decay_by + gradient)
            self.assign_sub(variable, v * learning_rate)

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "decay_by": self._decay_by}

    optimizer = Momentum(clipnorm=10.0)
    x = Variable([1.0])
    for _ in range(2):
        optimizer.apply([[1.0]], [x])
    assert float(x) == 1 - 0.5 - 0.75
    config = optimizer.get_config()
    assert (config["learning_rate"], config["decay_by"], config["clipnorm"]) == (0.5, 0.5, 10)
    again = Momentum.from_config(config)
    assert again.get_config() == config
    model = Sequential([Input((3,)), layers.Dense(1)])
    model.compile(Momentum(0.01), "mse")
    model.fit(np.ones((4, 3)), np.ones(4), epochs=2, verbose=0)
    assert int(model.optimizer.iterations) == 2  # type: ignore[union-attr]


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "lr": (lambda: optimizers.SGD(lr=0.1), "unknown arguments: lr"),
    "steps": (lambda: optimizers.SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps"),
    "momentum of averages": (lambda: optimizers.SGD(use_ema=True, ema_momentum=2), "ema_momentum"),
    "frequency": (lambda: optimizers.SGD(ema_overwrite_frequency=0), "ema_overwrite_frequency"),
    "decay of AdamW": (lambda: optimizers.AdamW(weight_decay=None), "AdamW: weight_decay"),  # type: ignore[arg-type]
    "no variables": (lambda: optimizers.SGD().apply([[1.0]]), "trainable_variables: expected them"),
    "shape": (
        lambda: optimizers.SGD().apply([[1.0]], [Variable([1.0, 2.0], name="w")]),
        r"expected a gradient of shape \(2,\) for w, got \(1,\)",
    ),
    "two limits": (lambda: optimizers.SGD(clipnorm=1.0, clipvalue=1.0), "expected one of"),
    "min above max": (lambda: constraints.MinMaxNorm(2.0, 1.0), "max_value: expected"),
    "constraint's name": (lambda: constraints.get("typo"), "constraint: expected one of"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()


def test_an_argument_of_old() -> None:
    with pytest.warns(UserWarning, match="decay is none of Keras's arguments"):
        optimizers.SGD(decay=0.1)


# ------------------------------------------------------------------ constraints


def clipped(norms: Array, least: float, most: float, rate: float = 1.0) -> Array:
    return (rate * np.clip(norms, least, most) + (1 - rate) * norms) / (1e-7 + norms)


CONSTRAINTS: dict[str, tuple[Any, Callable[[Array], Array]]] = {
    "MaxNorm": (
        constraints.MaxNorm(1.5),
        lambda w: w * clipped(np.sqrt((w * w).sum(0, keepdims=True)), 0, 1.5),
    ),
    "MaxNorm of all": (
        constraints.MaxNorm(1.5, axis=[0, 1]),
        lambda w: w * clipped(np.sqrt((w * w).sum((0, 1), keepdims=True)), 0, 1.5),
    ),
    "NonNeg": (constraints.NonNeg(), lambda w: w * (w > 0)),
    "UnitNorm": (
        constraints.UnitNorm(1),
        lambda w: w / (1e-7 + np.sqrt((w * w).sum(1, keepdims=True))),
    ),
    "MinMaxNorm": (
        constraints.MinMaxNorm(0.5, 1.0, 0.7),
        lambda w: w * clipped(np.sqrt((w * w).sum(0, keepdims=True)), 0.5, 1.0, 0.7),
    ),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints(name: str) -> None:
    constraint, reference = CONSTRAINTS[name]
    w = np.random.default_rng(0).normal(size=(4, 3))
    np.testing.assert_allclose(constraint(Tensor(w)).data, reference(w), rtol=1e-6)
    np.testing.assert_allclose(constraint(w.astype(np.float32)).data, reference(w), rtol=1e-5)
    again = constraints.deserialize(constraints.serialize(constraint))
    np.testing.assert_array_equal(again(w).data, constraint(w).data)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "rmsprop"])
@pytest.mark.parametrize("eagerly", [False, True])
def test_constraints_hold_in_training(optimizer: str, eagerly: bool) -> None:
    model = Sequential(
        [
            Input((3,)),
            layers.Dense(4, "relu", kernel_constraint="unit_norm", bias_constraint="non_neg"),
            layers.Dense(2, kernel_constraint=lambda w: w.data.round(1)),
        ]
    )
    model.compile(optimizer, "mse", run_eagerly=eagerly)
    x = np.random.default_rng(3).normal(size=(20, 3))
    model.fit(x, x[:, :2] - 3, batch_size=6, epochs=2, verbose=0)
    kernel, bias, last, _ = model.get_weights()
    np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
    assert (bias >= 0).all()
    np.testing.assert_allclose(last, last.round(1), atol=1e-6)
    copied = layers.deserialize(layers.serialize(model.layers[0]))
    assert type(copied.kernel_constraint) is constraints.UnitNorm  # type: ignore[attr-defined]


# ------------------------------------------------------------------ files of the first version


@pytest.mark.parametrize("name", ["adam", "rmsprop"])
def test_files_of_the_first_version(name: str) -> None:
    model = models.load_model(FILES / f"version-1-{name}.keras")
    expected = np.load(FILES / f"version-1-{name}.npz")
    assert int(model.optimizer.iterations) == 6
    x, y = expected["x"], expected["y"]
    np.testing.assert_array_equal(model.predict(x), expected["before"])
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.predict(x), expected["after"], rtol=1e-5, atol=1e-6)
