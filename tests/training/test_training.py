"""Losses, metrics, optimizers, and what compile, fit, evaluate and predict make of them."""

from __future__ import annotations

import os
import random
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import (
    Sequential,
    Tensor,
    __version__,
    callbacks,
    datasets,
    get_num_threads,
    layers,
    losses,
    metrics,
    no_grad,
    ops,
    optimizers,
    set_num_threads,
    show_config,
    utils,
)

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(23)


@pytest.fixture(autouse=True)
def fresh_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test counts its layers from the beginning."""
    monkeypatch.setattr("micrograd_ext.common.naming._names", Counter())


@pytest.fixture(autouse=True)
def plain_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is printed depends on nobody's settings."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "JUPYTER_COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def _threads_restored() -> Iterator[None]:
    before = get_num_threads()
    yield
    set_num_threads(before)


def numbers(*shape: int) -> Array:
    """Normally distributed float64 numbers that float32 holds exactly."""
    return RANDOM.standard_normal(shape, dtype=np.float32).astype(np.float64)


def one_hot(labels: Sequence[int], classes: int) -> Array:
    """Rows of the identity."""
    return np.eye(classes)[np.asarray(labels)]


def softmax_reference(x: Array) -> Array:
    """One over the sum of what the others are, seen from each."""
    with np.errstate(over="ignore"):
        return 1 / np.exp(x[..., None, :] - x[..., :, None]).sum(-1)


def entropy_reference(y: Array, logits: Array) -> Array:
    """Categorical cross entropy of each row of logits."""
    return y.sum(-1) * np.logaddexp.reduce(logits, axis=-1) - (y * logits).sum(-1)


def small_model(seed: int = 0, inputs: int = 4, classes: int = 3) -> Sequential:
    """A perceptron with one hidden layer, the same for the same seed."""
    utils.set_random_seed(seed)
    return Sequential(
        [
            layers.Input((inputs,)),
            layers.Dense(5, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )


def compiled(model: Sequential | None = None, optimizer: Any = "adam") -> Sequential:
    """The model, ready to be trained as a classifier."""
    model = model or small_model()
    model.compile(optimizer, "categorical_crossentropy", metrics=["accuracy"])
    return model


def examples(count: int, inputs: int = 4, classes: int = 3) -> tuple[Array, Array]:
    """Random inputs and one-hot labels."""
    return numbers(count, inputs), one_hot(RANDOM.integers(0, classes, count), classes)


# ------------------------------------------------------------------ losses


def test_cross_entropy_of_probabilities() -> None:
    p = RANDOM.dirichlet(np.ones(5), size=7)
    y = one_hot([0, 4, 2, 2, 1, 3, 0], 5)
    found = losses.categorical_crossentropy(y, Tensor(p))
    assert found.shape == (7,)
    np.testing.assert_allclose(found.data, -np.log(p[y == 1]), rtol=1e-12)


def test_cross_entropy_of_soft_labels() -> None:
    p, y = (RANDOM.dirichlet(np.ones(4), size=6) for _ in range(2))
    expected = -(y * np.log(p)).sum(-1)
    for labels in (y, y.tolist(), Tensor(y)):
        found = losses.categorical_crossentropy(labels, Tensor(p))
        np.testing.assert_allclose(found.data, expected, rtol=1e-12)


def test_cross_entropy_divides_by_the_sum() -> None:
    p = RANDOM.dirichlet(np.ones(5), size=3)
    y = one_hot([1, 0, 4], 5)
    scaled = p * np.array([[2.0], [0.1], [30]])
    found = losses.categorical_crossentropy(y, Tensor(scaled))
    np.testing.assert_allclose(found.data, -np.log(p[y == 1]), rtol=1e-12)


@pytest.mark.parametrize("y", [[0, 1, 0], [1, 0, 0]])
def test_cross_entropy_keeps_off_0_and_1(y: list[int]) -> None:
    p = Tensor(np.array([[0.0, 1.0, 0.0]]))
    loss = losses.categorical_crossentropy([y], p)
    expected = -np.log(1 - 1e-7) if y[1] else -np.log(1e-7)
    np.testing.assert_allclose(loss.data, [expected], rtol=1e-9)
    loss.backward()
    np.testing.assert_array_equal(p.grad, [[0, 0, 0]])


def test_cross_entropy_keeps_off_0_and_1_in_float32() -> None:
    for y, expected in (([0, 1], 1e-7), ([1, 0], 16.118096)):
        loss = losses.categorical_crossentropy([y], [[0.0, 1.0]])
        assert loss.dtype == np.float32
        np.testing.assert_allclose(loss.data, [expected], rtol=1e-6, atol=3e-8)


def test_cross_entropy_of_logits() -> None:
    x = Tensor(3 * numbers(8, 4))
    y = one_hot([0, 1, 2, 3, 0, 1, 2, 3], 4)
    found = losses.categorical_crossentropy(y, x, from_logits=True)
    np.testing.assert_allclose(found.data, entropy_reference(y, x.data), rtol=1e-12)


@pytest.mark.parametrize("how", ["from_logits", "softmax", "softmax, its axis named"])
def test_gradient_of_cross_entropy_is_p_minus_y(how: str) -> None:
    x = Tensor(3 * numbers(8, 4))
    y = one_hot([0, 1, 2, 3, 0, 1, 2, 3], 4)
    if how == "from_logits":
        loss = losses.CategoricalCrossentropy(from_logits=True)(y, x)
    else:
        p = ops.softmax(x) if how == "softmax" else ops.softmax(x, axis=1)
        loss = losses.CategoricalCrossentropy()(y, p)
    loss.backward()
    np.testing.assert_allclose(loss.item(), entropy_reference(y, x.data).mean(), rtol=1e-12)
    np.testing.assert_allclose(x.grad, (softmax_reference(x.data) - y) / 8, rtol=1e-12, atol=1e-15)


def test_cross_entropy_of_probabilities_has_the_right_gradient() -> None:
    p = Tensor(RANDOM.random((3, 4)) + 0.1)  # not divided by their sum
    y = one_hot([3, 1, 0], 4)
    losses.CategoricalCrossentropy()(y, p).backward()
    # -log(p_k / s) with s = sum p: 1 / s everywhere, less 1 / p_k at the true class
    expected = (1 / p.data.sum(-1, keepdims=True) - y / p.data) / 3
    np.testing.assert_allclose(p.grad, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(dtype: str) -> None:
    logits = [[1000.0, -1000, 0], [1000, -1000, 0], [-1000, -1000, -1000]]
    x = Tensor(logits, dtype=dtype)
    y = one_hot([1, 0, 2], 3)
    each = losses.categorical_crossentropy(y, ops.softmax(x))
    np.testing.assert_allclose(each.data, [2000, 0, np.log(3)], rtol=1e-6)
    ops.mean(each).backward()
    p = np.array([[1, 0, 0], [1, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
    np.testing.assert_allclose(x.grad, (p - y) / 3, rtol=1e-6)


def test_softmax_over_another_axis_is_taken_by_its_values() -> None:
    x = Tensor(numbers(4, 4))
    y = one_hot([1, 0, 3, 2], 4)
    p = softmax_reference(x.data.T).T
    rows = p / p.sum(1, keepdims=True)
    found = losses.categorical_crossentropy(y, ops.softmax(x, axis=0))
    np.testing.assert_allclose(found.data, -np.log(rows[y == 1]), rtol=1e-12)
    assert (abs(found.data - entropy_reference(y, x.data)) > 0.01).any()


def test_from_logits_does_not_undo_a_softmax() -> None:
    x = Tensor(numbers(3, 4))
    y = one_hot([1, 0, 3], 4)
    found = losses.categorical_crossentropy(y, ops.softmax(x), from_logits=True)
    np.testing.assert_allclose(
        found.data, entropy_reference(y, softmax_reference(x.data)), rtol=1e-12
    )


@pytest.mark.parametrize("gap", [1.0, 100.0])
def test_loss_is_the_same_whether_recorded_or_not(gap: float) -> None:
    x = Tensor([[gap, -gap]])
    recorded = losses.categorical_crossentropy([[0, 1]], ops.softmax(x))
    with no_grad():
        plain = losses.categorical_crossentropy([[0, 1]], ops.softmax(x))
    constant = losses.categorical_crossentropy([[0, 1]], ops.softmax(x.detach()))
    np.testing.assert_allclose(plain.data, recorded.data, rtol=1e-6)
    np.testing.assert_allclose(constant.data, recorded.data, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (4, 1), (1, 3), (4, 2), (5, 3), (4, 3, 1), ()])
def test_labels_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    message = rf"y_true: expected shape \(4, 3\) \(one-hot.*got {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        losses.categorical_crossentropy(np.ones(shape), Tensor(np.ones((4, 3))))


def test_losses_by_name_and_object() -> None:
    assert losses.get("categorical_crossentropy") is losses.categorical_crossentropy
    one = losses.CategoricalCrossentropy(from_logits=True)
    assert losses.get(one) is one
    assert one.name == "categorical_crossentropy"
    y, x = one_hot([0, 1], 3), Tensor(numbers(2, 3))
    assert one(y, x).shape == ()
    np.testing.assert_allclose(one(y, x).data, entropy_reference(y, x.data).mean(), rtol=1e-12)


# ------------------------------------------------------------------ metrics


def test_categorical_accuracy() -> None:
    y = one_hot([0, 1, 2, 2], 3)
    p = [[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2]]
    found = metrics.categorical_accuracy(y, p)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [1, 0, 1, 0])
    np.testing.assert_array_equal(metrics.categorical_accuracy(y.tolist(), Tensor(p)), found)
    # of equals, the first counts
    np.testing.assert_array_equal(metrics.categorical_accuracy([[0, 1]], [[0.5, 0.5]]), [0])


@pytest.mark.parametrize("shape", [(4,), (4, 2), (3, 3), ()])
def test_categorical_accuracy_of_the_wrong_shape(shape: tuple[int, ...]) -> None:
    message = rf"y_true: expected shape \(4, 3\).*got {re.escape(str(shape))}"
    with pytest.raises(ValueError, match=message):
        metrics.categorical_accuracy(np.ones(shape), np.ones((4, 3)))


@pytest.mark.parametrize(
    ("y_true", "y_pred", "expected"),
    [
        ([[0, 1], [1, 0]], [[0.4, 0.6], [0.3, 0.7]], [1, 0]),  # one-hot
        ([1, 0], [[0.4, 0.6], [0.3, 0.7]], [1, 0]),  # class numbers
        ([[1], [0]], [[0.4, 0.6], [0.3, 0.7]], [1, 0]),
        ([[1], [0], [1], [0]], [[0.7], [0.6], [0.5], [0.5]], [1, 0, 0, 1]),  # one output
        ([1, 0, 1], [[0.7], [0.6], [0.2]], [1, 0, 0]),
    ],
)
def test_accuracy_goes_by_the_shapes(y_true: Any, y_pred: Any, expected: list[int]) -> None:
    metric = metrics.get("accuracy")
    metric.update_state(y_true, y_pred)
    np.testing.assert_array_equal(metrics.accuracy(y_true, y_pred), expected)
    assert metric.result() == pytest.approx(np.mean(expected))


@pytest.mark.parametrize("make", [metrics.CategoricalAccuracy, lambda: metrics.get("accuracy")])
def test_a_metric_is_the_mean_over_examples_not_batches(make: Callable[[], Any]) -> None:
    metric = make()
    assert metric.result() == 0
    for guesses in ([1, 1, 1], [0]):
        metric.update_state(one_hot([1] * len(guesses), 2), one_hot(guesses, 2))
    assert metric.result() == 0.75
    metric.reset_state()
    assert metric.result() == 0
    metric.update_state(one_hot([1], 2), one_hot([0], 2))
    assert metric.result() == 0


def test_mean() -> None:
    mean = metrics.Mean()
    assert (mean.name, mean.result()) == ("mean", 0)
    mean.update_state([1.0, 2, 3])
    mean.update_state(10.0, sample_weight=7)
    assert mean.result() == pytest.approx((1 + 2 + 3 + 70) / 10)
    mean.update_state(np.zeros((0,)))
    assert mean.result() == pytest.approx(7.6)


def test_metrics_by_name_and_function() -> None:
    names = ("acc", "accuracy", "categorical_accuracy")
    assert tuple(metrics.get(name).name for name in names) == names
    assert metrics.CategoricalAccuracy().name == "categorical_accuracy"
    mine = metrics.CategoricalAccuracy("mine")
    assert metrics.get(mine) is mine

    def distance(y_true: Array, y_pred: Array) -> Array:
        return abs(y_true - y_pred).sum(-1)

    metric = metrics.get(distance)
    metric.update_state(np.zeros((2, 3)), np.array([[1.0, 1, 1], [0, 0, 2]]))
    assert (metric.name, metric.result()) == ("distance", 2.5)


# ------------------------------------------------------------------ optimizers
# The references are closed forms: sums over all gradients so far, not a state that is updated.


def sgd_reference(
    x: Array, grads: list[Array], lr: float, momentum: float, nesterov: bool
) -> Array:
    """Sutskever et al. 2013, eqs. 1-4, in Keras's form for Nesterov."""
    for t in range(1, len(grads) + 1):
        v = -lr * sum(momentum ** (t - i) * g for i, g in enumerate(grads[:t], 1))
        x = x + (momentum * v - lr * grads[t - 1] if nesterov else v)
    return x


def adam_reference(
    x: Array, grads: list[Array], lr: float, b1: float, b2: float, epsilon: float
) -> Array:
    """Kingma and Ba 2015: m and v as the weighted sums of their eq. 1, epsilon as in Keras."""
    for t in range(1, len(grads) + 1):
        m = (1 - b1) * sum(b1 ** (t - i) * g for i, g in enumerate(grads[:t], 1))
        v = (1 - b2) * sum(b2 ** (t - i) * g**2 for i, g in enumerate(grads[:t], 1))
        x = x - lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + epsilon)
    return x


OPTIMIZERS: dict[str, tuple[Callable[[], optimizers.Optimizer], Callable[..., Array]]] = {
    "SGD": (optimizers.SGD, lambda x, g: sgd_reference(x, g, 0.01, 0.0, False)),
    "SGD, momentum": (
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda x, g: sgd_reference(x, g, 0.1, 0.9, False),
    ),
    "SGD, nesterov": (
        lambda: optimizers.SGD(0.1, momentum=0.8, nesterov=True),
        lambda x, g: sgd_reference(x, g, 0.1, 0.8, True),
    ),
    "SGD, nesterov without momentum": (
        lambda: optimizers.SGD(0.1, nesterov=True),
        lambda x, g: sgd_reference(x, g, 0.1, 0.0, True),
    ),
    "Adam": (optimizers.Adam, lambda x, g: adam_reference(x, g, 0.001, 0.9, 0.999, 1e-7)),
    "Adam, others": (
        lambda: optimizers.Adam(0.05, beta_1=0.5, beta_2=0.9, epsilon=0.01),
        lambda x, g: adam_reference(x, g, 0.05, 0.5, 0.9, 0.01),
    ),
    "Adam, no momentum": (
        lambda: optimizers.Adam(0.05, beta_1=0),
        lambda x, g: adam_reference(x, g, 0.05, 0, 0.999, 1e-7),
    ),
}


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 3e-6), ("float64", 1e-12)])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps(name: str, dtype: str, rtol: float) -> None:
    make, reference = OPTIMIZERS[name]
    shapes = [(3, 4), (4,), (2, 1, 3)]
    begin = [numbers(*shape) for shape in shapes]
    grads = [[numbers(*shape) * 10.0 ** -(t % 3) for shape in shapes] for t in range(10)]
    variables = [Tensor(np.array(x), dtype=dtype) for x in begin]
    arrays = [variable.data for variable in variables]

    optimizer = make()
    for each in grads:
        given = [g.astype(dtype) for g in each]
        kept = [g.copy() for g in given]
        optimizer.apply(given, variables)
        for g, k in zip(given, kept, strict=True):
            np.testing.assert_array_equal(g, k)  # gradients stay as they are

    assert optimizer.iterations == 10
    for i, (x, variable, array) in enumerate(zip(begin, variables, arrays, strict=True)):
        assert variable.data is array, "changed in place"
        assert array.dtype == dtype
        expected = reference(x, [each[i] for each in grads])
        np.testing.assert_allclose(array, expected, rtol=rtol, atol=rtol)
        assert (array != x).all()


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_variables_without_axes(name: str) -> None:
    make, reference = OPTIMIZERS[name]
    x, optimizer = Tensor(np.array(2.0)), make()
    for _ in range(3):
        optimizer.apply([np.array(0.5)], [x])
    np.testing.assert_allclose(x.data, reference(np.array(2.0), [np.array(0.5)] * 3), rtol=1e-12)


def test_where_adam_has_its_epsilon() -> None:
    x = Tensor(np.array([1.0]))
    g = 1e-7
    optimizers.Adam(learning_rate=1.0).apply([np.array([g])], [x])
    # on the first step m = 0.1 g and v = 0.001 g**2; epsilon is added to the root of v itself
    step = np.sqrt(0.001) / 0.1 * 0.1 * g / (np.sqrt(0.001) * g + 1e-7)
    np.testing.assert_allclose(1 - x.data, [step], rtol=1e-9)
    assert step == pytest.approx(0.0306534, rel=1e-5)  # 0.5 if it were added to sqrt(v / 0.001)


def test_gradients_of_the_wrong_shape() -> None:
    x = Tensor(np.ones((2, 3)))
    for name in ("sgd", "adam"):
        with pytest.raises(
            ValueError, match=r"expected a gradient of shape \(2, 3\) for .*, got \(1,\)"
        ):
            optimizers.get(name).apply([np.ones(1)], [x])
    np.testing.assert_array_equal(x.data, 1)


def test_epsilon_is_not_negative() -> None:
    with pytest.raises(ValueError, match="epsilon: expected a number >= 0, got -1"):
        optimizers.Adam(epsilon=-1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_gradient_of_none_leaves_a_variable_alone(name: str) -> None:
    make, reference = OPTIMIZERS[name]
    x, y = Tensor(np.array([1.0, 2])), Tensor(np.array([3.0]), name="y")
    g = np.array([0.5, -0.5])
    optimizer = make()
    for _ in range(3):
        with pytest.warns(UserWarning, match=r"grads: there is none for the variables \['y'\]"):
            optimizer.apply([g, None], [x, y])
    np.testing.assert_array_equal(y.data, [3])
    np.testing.assert_allclose(x.data, reference(np.array([1.0, 2]), [g] * 3), rtol=1e-12)
    assert optimizer.iterations == 3


def test_the_learning_rate_may_change() -> None:
    x = Tensor(np.array([0.0]))
    optimizer = optimizers.SGD(0.5)
    optimizer.apply([np.array([1.0])], [x])
    optimizer.learning_rate = 0.25
    optimizer.apply([np.array([1.0])], [x])
    np.testing.assert_array_equal(x.data, [-0.75])


def test_apply_gradients_takes_pairs() -> None:
    one, two = ([Tensor(np.array([1.0])), Tensor(np.array([2.0]))] for _ in range(2))
    grads = [np.array([0.3]), np.array([-4.0])]
    a, b = optimizers.Adam(), optimizers.Adam()
    for _ in range(2):
        a.apply(grads, one)
        b.apply_gradients(zip(grads, two, strict=True))
    for x, y in zip(one, two, strict=True):
        np.testing.assert_array_equal(x.data, y.data)


def test_build_starts_anew() -> None:
    optimizer = optimizers.Adam()
    x = Tensor(np.array([0.0]))
    optimizer.apply([np.array([5.0])], [x])
    optimizer.build([x])
    assert optimizer.iterations == 0
    x.data[...] = 0
    optimizer.apply([np.array([-2.0])])
    np.testing.assert_allclose(x.data, [0.001], rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optimizers.SGD(-0.1), r"learning_rate: expected a number >= 0, got -0\.1"),
        (lambda: optimizers.SGD(float("nan")), r"learning_rate: .*got nan"),
        (lambda: optimizers.Adam(-1), r"learning_rate: .*got -1"),
        (lambda: optimizers.SGD(momentum=-0.5), r"momentum: expected .*0 to 1, got -0\.5"),
        (lambda: optimizers.SGD(momentum=1.5), r"momentum: .*got 1\.5"),
        (lambda: optimizers.SGD(momentum=float("nan")), r"momentum: .*got nan"),
        (lambda: optimizers.Adam(beta_1=1.0), r"beta_1: expected a number below 1, got 1\.0"),
        (lambda: optimizers.Adam(beta_1=-0.1), r"beta_1: .*got -0\.1"),
        (lambda: optimizers.Adam(beta_2=1), r"beta_2: .*got 1"),
        (lambda: optimizers.Adam(beta_2=float("nan")), r"beta_2: .*got nan"),
    ],
)
def test_bad_hyperparameters(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_gradients_and_variables_that_do_not_fit() -> None:
    x, y = Tensor(np.array([1.0])), Tensor(np.array([1.0]))
    g = np.array([1.0])
    optimizer = optimizers.SGD()
    optimizer.apply([], [x])  # as in Keras: nothing to do
    with pytest.raises(ValueError, match=r"expected 1 gradients, got 2"):
        optimizer.apply([g, g], [x])
    with pytest.raises(ValueError, match=r"variables: expected those .* built with"):
        optimizer.apply([g], [y])
    assert optimizer.iterations == 0
    np.testing.assert_array_equal([x.data, y.data], [[1], [1]])


def test_optimizers_by_name_and_object() -> None:
    for name, kind in (("adam", optimizers.Adam), ("sgd", optimizers.SGD)):
        for spelling in (name, name.upper(), name.title()):
            found = optimizers.get(spelling)
            assert isinstance(found, kind)
            assert found.name.startswith(name)
        assert optimizers.get(name) is not optimizers.get(name)
    mine = optimizers.SGD(0.3)
    assert optimizers.get(mine) is mine


def test_an_optimizer_of_ones_own() -> None:
    class Signs(optimizers.Optimizer):
        def __init__(self) -> None:
            super().__init__(0.5, name="signs")

        def update_step(self, gradient: Any, variable: Any, learning_rate: float) -> None:
            self.assign_sub(variable, learning_rate * np.sign(gradient))

    x = Tensor(np.array([1.0, 1.0]))
    Signs().apply([np.array([-7.0, 0.1])], [x])
    np.testing.assert_array_equal(x.data, [1.5, 0.5])
    with pytest.raises(NotImplementedError, match=r"Optimizer\.update_step"):
        optimizers.Optimizer(0.1).apply([np.array([1.0])], [Tensor([1.0])])


# ------------------------------------------------------------------ whole networks by hand


def test_gradients_of_a_perceptron() -> None:
    model = small_model()
    for weight in model.weights:
        weight.data = numbers(*weight.shape)
    w1, b1, w2, b2 = (weight.data for weight in model.weights)
    x, y = examples(6)

    loss = losses.CategoricalCrossentropy()(y, model(x))
    loss.backward()

    hidden = x @ w1 + b1
    active = hidden > 0
    logits = hidden * active @ w2 + b2
    np.testing.assert_allclose(loss.item(), entropy_reference(y, logits).mean(), rtol=1e-12)
    dlogits = (softmax_reference(logits) - y) / 6
    dhidden = dlogits @ w2.T * active
    expected = [x.T @ dhidden, dhidden.sum(0), (hidden * active).T @ dlogits, dlogits.sum(0)]
    for weight, dw in zip(model.weights, expected, strict=True):
        np.testing.assert_allclose(weight.grad, dw, rtol=1e-11, atol=1e-13)


def test_gradients_of_the_text() -> None:
    """y = W2 sigma(W1 x + b1) + b2, L = (yhat - y)**2, all of them numbers."""
    model = Sequential([layers.Input((1,)), layers.Dense(1, "sigmoid"), layers.Dense(1)])
    for weight, value in zip(model.weights, (0.7, -0.2, 1.5, 0.3), strict=True):
        weight.data = np.full(weight.shape, value)
    x, y = 0.9, 2.0
    yhat = model(np.array([[x]]))
    ops.sum((yhat - y) ** 2).backward()

    sigma = 1 / (1 + np.exp(-(0.7 * x - 0.2)))
    assert yhat.item() == pytest.approx(1.5 * sigma + 0.3)
    off = yhat.item() - y
    expected = [2 * x * 1.5 * off * sigma * (1 - sigma), 2 * 1.5 * off * sigma * (1 - sigma)]
    expected += [2 * off * sigma, 2 * off]
    np.testing.assert_allclose([weight.grad.item() for weight in model.weights], expected)


def conv_net(seed: int = 3) -> Sequential:
    """Images 7x6x2 through a convolution, a pooling that drops a row, and a classifier."""
    utils.set_random_seed(seed)
    return Sequential(
        [
            layers.Input((7, 6, 2)),
            layers.Conv2D(3, (2, 3), activation="relu", padding="valid"),  # 6 x 4 x 3
            layers.MaxPooling2D((2, 3)),  # 3 x 1 x 3: one column is dropped
            layers.Flatten(),
            layers.Dense(4, activation="softmax"),
        ]
    )


def conv_net_reference(x: Array, y: Array, weights: list[Array]) -> tuple[float, list[Array]]:
    """Loss and gradients of `conv_net`, position by position."""
    w, b, v, c = weights
    n = len(x)
    z = np.zeros((n, 6, 4, 3)) + b
    for i in range(2):
        for j in range(3):
            z += x[:, i : i + 6, j : j + 4] @ w[i, j]
    pooled = np.zeros((n, 3, 1, 3))
    dpooled_dz = np.zeros((n, 3, 3, 6, 4))  # image, row, channel: which z it comes from
    for example, row, channel in np.ndindex(n, 3, 3):
        window = np.maximum(z[example, 2 * row : 2 * row + 2, :3, channel], 0)
        pooled[example, row, 0, channel] = window.max()
        if window.max() > 0:
            i, j = np.unravel_index(window.argmax(), (2, 3))
            dpooled_dz[example, row, channel, 2 * row + i, j] = 1
    flat = pooled.reshape(n, 9)
    logits = flat @ v + c
    dlogits = (softmax_reference(logits) - y) / n
    dz = np.einsum("nrc,nrchw->nhwc", (dlogits @ v.T).reshape(n, 3, 3), dpooled_dz)
    dw = np.zeros_like(w)
    for i in range(2):
        for j in range(3):
            dw[i, j] = np.tensordot(x[:, i : i + 6, j : j + 4], dz, ((0, 1, 2), (0, 1, 2)))
    grads = [dw, dz.sum((0, 1, 2)), flat.T @ dlogits, dlogits.sum(0)]
    return float(entropy_reference(y, logits).mean()), grads


@pytest.mark.parametrize(("dtype", "rtol"), [("float32", 2e-4), ("float64", 1e-10)])
@pytest.mark.parametrize("name", ["SGD, momentum", "Adam"])
def test_training_a_conv_net(name: str, dtype: str, rtol: float) -> None:
    make, reference = OPTIMIZERS[name]
    model = conv_net()
    for weight in model.weights:
        weight.data = weight.data.astype(dtype)
    model.compile(make(), "categorical_crossentropy")
    x, y = numbers(8, 7, 6, 2), one_hot([0, 1, 2, 3, 3, 1, 2, 0], 4)

    begin = [weight.data.astype(np.float64) for weight in model.weights]
    weights, history, shown = begin, [], []
    for _ in range(2):
        seen = []
        for part in (slice(0, 3), slice(3, 6), slice(6, 8)):  # the last batch is smaller
            loss, grads = conv_net_reference(x[part], y[part], weights)
            history.append(grads)
            seen.append((loss, len(x[part])))
            weights = [reference(w, [g[i] for g in history]) for i, w in enumerate(begin)]
        shown.append(sum(loss * n for loss, n in seen) / 8)

    found = model.fit(x, y, batch_size=3, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_allclose(found.history["loss"], shown, rtol=rtol)
    for weight, old, new in zip(model.weights, begin, weights, strict=True):
        moved = weight.data - old
        np.testing.assert_allclose(moved, new - old, rtol=rtol, atol=rtol * abs(new - old).max())
        assert weight.dtype == dtype


def test_xor_is_learned() -> None:
    utils.set_random_seed(0)
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = utils.to_categorical([0, 1, 1, 0])
    model = Sequential([layers.Input((2,)), layers.Dense(8, "tanh"), layers.Dense(2, "softmax")])
    model.compile(optimizers.Adam(0.02), "categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=300, verbose=0).history
    assert history["accuracy"][-1] == 1
    assert history["loss"][-1] < 0.1 < 0.5 < history["loss"][0]
    assert model.predict(x, verbose=0).argmax(1).tolist() == [0, 1, 1, 0]


# ------------------------------------------------------------------ fit


def test_history() -> None:
    model = compiled()
    x, y = examples(10)
    history = model.fit(x, y, epochs=3, verbose=0)
    assert isinstance(history, callbacks.History)
    assert list(history.history) == ["accuracy", "loss"]
    assert model.history is history
    assert history.epoch == [0, 1, 2]
    assert len(history.seconds) == 3
    assert all(seconds > 0 for seconds in history.seconds)
    for values in history.history.values():
        assert [type(value) for value in values] == [float] * 3

    history = model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y))
    assert list(history.history) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert {len(values) for values in history.history.values()} == {2}


def test_without_metrics() -> None:
    model = small_model()
    model.compile("sgd", "categorical_crossentropy")
    x, y = examples(5)
    assert list(model.fit(x, y, verbose=0).history) == ["loss"]
    assert type(model.evaluate(x, y, verbose=0)) is float


def test_the_last_batch_counts_by_its_examples() -> None:
    model = compiled(optimizer=optimizers.SGD(0.0))
    x, y = examples(7)
    w1, b1, w2, b2 = (weight.data.astype(np.float64) for weight in model.weights)
    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    each = entropy_reference(y, logits)
    right = (logits.argmax(1) == y.argmax(1)).mean()
    assert abs(each.mean() - (each[:3].mean() + each[3:6].mean() + each[6]) / 3) > 1e-3
    history = model.fit(x, y, batch_size=3, verbose=0).history
    np.testing.assert_allclose(history["loss"], [each.mean()], rtol=1e-6)
    np.testing.assert_allclose(history["accuracy"], [right], rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(x, y, 3, verbose=0), [each.mean(), right], rtol=1e-6)


@pytest.mark.parametrize("gap", [1.0, 100.0])
def test_fit_and_evaluate_agree_on_the_loss(gap: float) -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(3, "softmax", use_bias=False)])
    model.set_weights([gap * np.eye(3)])
    model.compile(optimizers.SGD(0.0), "categorical_crossentropy")
    x, y = np.eye(3), np.eye(3)[[1, 2, 0]]  # every guess is wrong, and sure if the gap is large
    history = model.fit(x, y, verbose=0).history
    np.testing.assert_allclose(history["loss"], [entropy_reference(y, gap * x).mean()], rtol=1e-6)
    np.testing.assert_allclose(model.evaluate(x, y, verbose=0), history["loss"][0], rtol=1e-6)


def orders(shuffle: bool, seed: int = 0, epochs: int = 3) -> list[list[int]]:
    """In what order 10 examples come in each epoch; each example must come with its own label."""
    seen: list[int] = []

    def loss(y_true: Array, y_pred: Tensor) -> Tensor:
        np.testing.assert_array_equal(y_true, y_pred.data)
        seen.extend(int(i) for i in y_true[:, 0])
        return (y_pred - y_true) ** 2

    model = Sequential([layers.Dense(1, kernel_initializer="ones", input_shape=(1,))])
    model.compile(optimizers.SGD(0.0), loss)
    utils.set_random_seed(seed)
    x = np.arange(10)[:, None]
    model.fit(x, x, batch_size=4, epochs=epochs, shuffle=shuffle, verbose=0)
    return [seen[i : i + 10] for i in range(0, 10 * epochs, 10)]


def test_examples_come_in_order_or_shuffled() -> None:
    in_order = list(range(10))
    assert orders(shuffle=False) == [in_order] * 3
    shuffled = orders(shuffle=True)
    assert [sorted(order) for order in shuffled] == [in_order] * 3
    assert in_order not in shuffled
    assert len({tuple(order) for order in shuffled}) == 3, "a new order for each epoch"
    assert orders(shuffle=True) == shuffled
    assert orders(shuffle=True, seed=1) != shuffled


def trained(seed: int) -> tuple[dict[str, list[float]], list[bytes]]:
    """History and weights of a small LeNet after two epochs of 150 digits."""
    (x, y), _ = datasets.mnist.load_sample()
    utils.set_random_seed(seed)
    model = Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(16, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    history = compiled(model).fit(
        x[:150, ..., None] / 255, utils.to_categorical(y[:150]), batch_size=64, epochs=2, verbose=0
    )
    return history.history, [weight.tobytes() for weight in model.get_weights()]


@pytest.mark.usefixtures("_threads_restored")
def test_training_repeats_bit_by_bit() -> None:
    set_num_threads(1)
    one = trained(seed=5)
    assert trained(seed=5) == one
    assert trained(seed=6)[1] != one[1]
    set_num_threads(2)
    assert trained(seed=5) == one, "two threads give other bits than one"


def test_fit_goes_on_where_it_was() -> None:
    x, y = examples(8)
    whole, parts = (compiled(small_model(seed=1)) for _ in range(2))
    whole.fit(x, y, epochs=3, shuffle=False, verbose=0)
    for epochs in (1, 2):
        parts.fit(x, y, epochs=epochs, shuffle=False, verbose=0)
    assert parts.optimizer is not None
    assert parts.optimizer.iterations == 3
    for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    compiled(parts)
    parts.fit(x, y, verbose=0)
    assert parts.optimizer.iterations == 1


def test_layers_added_after_training_are_trained() -> None:
    model = compiled()
    x, y = examples(8)
    model.fit(x, y, verbose=0)
    model.add(layers.Dense(3, activation="softmax"))
    before = model.get_weights()
    model.fit(x, y, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        assert (old != new).any()


def test_a_model_without_input_is_built_by_fit() -> None:
    model = compiled(Sequential([layers.Dense(5, "relu"), layers.Dense(3, "softmax")]))
    x, y = examples(8)
    model.fit(x, y, verbose=0)
    assert [weight.shape for weight in model.weights] == [(4, 5), (5,), (5, 3), (3,)]
    assert model.layers[1].get_weights()[1].any(), "its weights are trained at once"


def test_run_eagerly_gives_the_same() -> None:
    x, y = examples(8)
    found = []
    for eagerly in (False, True):
        model = small_model()
        model.compile("adam", "categorical_crossentropy", run_eagerly=eagerly)
        model.fit(x, y, epochs=2, batch_size=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_loss_as_function_and_object() -> None:
    x, y = examples(8)
    found = []
    for loss in (
        "categorical_crossentropy",
        losses.categorical_crossentropy,
        losses.CategoricalCrossentropy(),
        lambda y_true, y_pred: -ops.sum(y_true * ops.log(y_pred), axis=-1),
    ):
        model = small_model()
        model.compile("sgd", loss)
        model.fit(x, y, epochs=2, batch_size=3, shuffle=False, verbose=0)
        found.append(model.get_weights())
    for other in found[1:]:
        for a, b in zip(found[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_a_loss_of_another_length() -> None:
    model = small_model()
    model.compile("sgd", lambda y_true, y_pred: ops.sum(y_pred - y_true, axis=0))
    with pytest.raises(ValueError, match=r"loss: expected one number, or one per.*\(3,\)"):
        model.fit(*examples(8), verbose=0)


# ------------------------------------------------------------------ evaluate and predict


def test_evaluate() -> None:
    model = compiled()
    model.compile("sgd", "categorical_crossentropy", metrics=["acc", metrics.categorical_accuracy])
    x, y = examples(10)
    before = model.get_weights()
    found = model.evaluate(x, y, verbose=0)
    assert isinstance(found, list)
    assert [type(value) for value in found] == [float] * 3
    p = model.predict(x, verbose=0)
    right = (p.argmax(1) == y.argmax(1)).mean()
    np.testing.assert_allclose(found, [-np.log(p[y == 1]).mean(), right, right], rtol=1e-6)
    for batch_size in (1, 3, 10, 64):
        again = model.evaluate(x, y, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(again, found, rtol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert all(weight.grad is None for weight in model.weights)


def test_validation_is_evaluation() -> None:
    model = compiled()
    x, y = examples(10)
    history = model.fit(*examples(20), 8, 2, verbose=0, validation_data=(x, y)).history
    loss, accuracy = model.evaluate(x, y, batch_size=8, verbose=0)
    assert (history["val_loss"][-1], history["val_accuracy"][-1]) == (loss, accuracy)
    assert history["val_loss"][0] != loss


def test_validation_changes_nothing() -> None:
    x, y = examples(10)
    found = []
    for more in ({}, {"validation_data": examples(7)}):
        model = compiled(small_model(seed=2))
        history = model.fit(x, y, 4, 3, verbose=0, **more)
        found.append((history.history["loss"], [w.tobytes() for w in model.get_weights()]))
    assert found[0] == found[1]


def test_only_training_is_recorded() -> None:
    recorded = []

    def loss(y_true: Array, y_pred: Tensor) -> Tensor:
        recorded.append((y_pred.requires_grad, bool(y_pred.inputs)))
        return losses.categorical_crossentropy(y_true, y_pred)

    model = small_model()
    model.compile("sgd", loss)
    x, y = examples(4)
    model.fit(x, y, validation_data=(x, y), verbose=0)
    model.evaluate(x, y, verbose=0)
    assert recorded == [(True, True), (False, False), (False, False)]


def test_predict() -> None:
    model = small_model()  # needs no compile
    x = numbers(10, 4)
    p = model.predict(x, verbose=0)
    assert type(p) is np.ndarray
    assert p.dtype == np.float32
    assert p.shape == (10, 3)
    w1, b1, w2, b2 = (weight.data.astype(np.float64) for weight in model.weights)
    expected = softmax_reference(np.maximum(x @ w1 + b1, 0) @ w2 + b2)
    np.testing.assert_allclose(p, expected, rtol=1e-5)
    for batch_size in (1, 3, 10, 64):
        again = model.predict(x, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(again, p, rtol=1e-6, atol=1e-6)


def test_predict_nothing() -> None:
    assert small_model().predict(np.zeros((0, 4)), verbose=0).shape == (0, 3)
    deferred = Sequential([layers.Conv2D(2, 3), layers.Flatten()])
    empty = deferred.predict(np.zeros((0, 5, 4, 1)), verbose=0)
    assert (empty.shape, empty.dtype) == ((0, 3 * 2 * 2), np.float32)


CONVERSIONS: dict[str, Callable[[Array], Any]] = {
    "uint8": lambda x: x.astype(np.uint8),
    "int64": lambda x: x.astype(np.int64),
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x.astype(np.float32),
    "bool": lambda x: x.astype(bool),
    "big-endian": lambda x: x.astype(">f8"),
    "list": lambda x: x.tolist(),
    "Tensor": Tensor,
    "column-major": np.asfortranarray,
    "every second": lambda x: np.repeat(x, 2, axis=0)[::2],
}


@pytest.mark.parametrize("kind", CONVERSIONS)
def test_inputs_of_any_type(kind: str) -> None:
    convert = CONVERSIONS[kind]
    x = RANDOM.integers(0, 2, (9, 4)).astype(np.float64)
    y = one_hot(RANDOM.integers(0, 3, 9), 3)
    found = []
    for a, b in ((x, y), (convert(x), convert(y))):
        model = compiled(small_model(seed=3))
        model.fit(a, b, batch_size=4, shuffle=False, verbose=0)
        score = model.evaluate(a, b, verbose=0)
        found.append((model.predict(a, verbose=0).tobytes(), score))
    assert found[0] == found[1]


def test_inputs_stay_as_they_are() -> None:
    x, y = (array.astype(np.float32) for array in examples(9))
    for array in (x, y):
        array.flags.writeable = False
    kept = x.copy(), y.copy()
    compiled().fit(x, y, batch_size=4, epochs=2, verbose=0)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(y, kept[1])


# ------------------------------------------------------------------ wrong inputs

X, Y = np.zeros((6, 4)), np.eye(3)[[0, 1, 2] * 2]

WRONG: dict[str, tuple[Callable[[Sequential], Any], type[Exception], str]] = {
    "y of other classes": (
        lambda m: m.fit(X, np.zeros((6, 2)), verbose=0),
        ValueError,
        r"y_true: expected shape \(6, 3\) .*got \(6, 2\)",
    ),
    "y are class numbers": (
        lambda m: m.fit(X, np.zeros(6, int), verbose=0),
        ValueError,
        r"y_true: expected shape \(6, 3\).*got \(6,\).*to_categorical",
    ),
    "x of another size": (
        lambda m: m.fit(np.zeros((6, 5)), Y, verbose=0),
        ValueError,
        r"fit: x: expected shape \(None, 4\).*got \(6, 5\)",
    ),
    "x of another rank": (
        lambda m: m.evaluate(np.zeros((6, 2, 2)), Y, verbose=0),
        ValueError,
        r"evaluate: x: expected shape \(None, 4\).*got \(6, 2, 2\)",
    ),
    "x is one example": (
        lambda m: m.predict(np.zeros(4), verbose=0),
        ValueError,
        r"predict: x: expected shape \(None, 4\).*got \(4,\)",
    ),
    "x is a number": (lambda m: m.predict(3.0), ValueError, r"predict: x: .*got a number"),
    "y is a number": (lambda m: m.fit(X, 3.0), ValueError, r"fit: y: .*got a number"),
    "x are words": (
        lambda m: m.fit([["a"] * 4] * 6, Y),
        TypeError,
        r"fit: x: expected numbers, got <U1",
    ),
    "y are complex": (lambda m: m.fit(X, Y + 1j), TypeError, r"fit: y: .*complex128"),
    "x are objects": (lambda m: m.predict(None), TypeError, r"predict: x: .*object"),
    "lengths differ": (
        lambda m: m.fit(X, Y[:5], verbose=0),
        ValueError,
        r"fit: x has 6 examples, but y has 5",
    ),
    "lengths differ in evaluate": (
        lambda m: m.evaluate(X[:2], Y),
        ValueError,
        r"evaluate: x has 2 examples, but y has 6",
    ),
    "lengths of validation_data differ": (
        lambda m: m.fit(X, Y, validation_data=(X, Y[:1])),
        ValueError,
        r"fit: validation_data: x has 6 examples, but y has 1",
    ),
    "validation_data of another size": (
        lambda m: m.fit(X, Y, validation_data=(X[:, :3], Y)),
        ValueError,
        r"fit: validation_data: x: expected shape \(None, 4\).*got \(6, 3\)",
    ),
    "no example": (lambda m: m.fit(X[:0], Y[:0]), ValueError, r"fit: x: .*at least one example"),
    "no example to evaluate": (
        lambda m: m.evaluate(X[:0], Y[:0]),
        ValueError,
        r"evaluate: x: .*at least one example",
    ),
    "epochs -1": (lambda m: m.fit(X, Y, epochs=-1), ValueError, r"fit: epochs: .*>= 0, got -1"),
    "epochs 1.5": (lambda m: m.fit(X, Y, epochs=1.5), ValueError, r"fit: epochs: .*got 1\.5"),
    "epochs True": (lambda m: m.fit(X, Y, epochs=True), ValueError, r"fit: epochs: .*got True"),
    "batch_size 0": (lambda m: m.fit(X, Y, 0), ValueError, r"fit: batch_size: .*>= 1, got 0"),
    "batch_size -1": (
        lambda m: m.evaluate(X, Y, batch_size=-1),
        ValueError,
        r"evaluate: batch_size: .*got -1",
    ),
    "batch_size '8'": (
        lambda m: m.predict(X, batch_size="8"),
        ValueError,
        r"predict: batch_size: .*got '8'",
    ),
    "verbose 3": (
        lambda m: m.fit(X, Y, verbose=3),
        ValueError,
        r"fit: verbose: expected 'auto', 0, 1 or 2, got 3",
    ),
    "verbose 'yes'": (
        lambda m: m.evaluate(X, Y, verbose="yes"),
        ValueError,
        r"evaluate: verbose: .*got 'yes'",
    ),
    "callbacks: no callback": (
        lambda m: m.fit(X, Y, callbacks=[print], verbose=0),
        TypeError,
        r"callbacks: expected Callback objects, got <built-in function print>",
    ),
    "callbacks: its class": (
        lambda m: m.fit(X, Y, callbacks=[callbacks.Callback], verbose=0),
        TypeError,
        r"callbacks: expected Callback objects",
    ),
    "optimizer unknown": (
        lambda m: m.compile("adma", "categorical_crossentropy"),
        ValueError,
        r"optimizer: expected one of adadelta, .*, adam, .*, sgd, got 'adma'",
    ),
    "optimizer no name": (
        lambda m: m.compile(0.1, "categorical_crossentropy"),
        TypeError,
        r"optimizer: .*got 0\.1",
    ),
    "loss unknown": (
        lambda m: m.compile("adam", "crossentropy"),
        ValueError,
        r"loss: expected one of .*categorical_crossentropy.*got 'crossentropy'",
    ),
    "loss no name": (lambda m: m.compile("adam", 3), TypeError, r"loss: .*got 3"),
    "metric unknown": (
        lambda m: m.compile("adam", "categorical_crossentropy", metrics=["speed"]),
        ValueError,
        r"metric: expected one of .*accuracy.*got 'speed'",
    ),
    "metric no name": (
        lambda m: m.compile("adam", "categorical_crossentropy", metrics=[None]),
        TypeError,
        r"metric: .*got None",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    call, error, message = WRONG[case]
    model = compiled()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        call(model)
    assert capsys.readouterr().out == ""
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("caller", ["fit", "evaluate"])
@pytest.mark.parametrize("compile_first", [False, True])
def test_before_compile(caller: str, compile_first: bool) -> None:
    model = small_model()
    if compile_first:
        model.compile("adam")  # says no loss
    with pytest.raises(RuntimeError, match=rf"{caller}: .*call model\.compile\("):
        getattr(model, caller)(X, Y)


# ------------------------------------------------------------------ callbacks


class Recorder(callbacks.Callback):
    """Writes down what is called: the moment, its number, the names in its logs."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []
        self.logs: list[dict[str, float]] = []


def _recording(moment: str) -> Callable[..., None]:
    def method(self: Recorder, *args: Any) -> None:
        *numbers, logs = args
        assert isinstance(logs, dict)
        self.seen.append((moment, *numbers, *([sorted(logs)] if logs else [])))
        self.logs += [dict(logs)] if logs else []

    return method


for _moment in [name for name in dir(callbacks.Callback) if name.startswith("on_")]:
    setattr(Recorder, _moment, _recording(_moment))


def test_callbacks_are_called_in_order() -> None:
    model, recorder = compiled(), Recorder()
    logs = ["accuracy", "loss"]
    history = model.fit(
        *examples(7), 4, 2, callbacks=[recorder], validation_data=examples(3), verbose=0
    )
    expected: list[tuple[Any, ...]] = [("on_train_begin",)]
    for epoch in range(2):
        expected += [
            ("on_epoch_begin", epoch),
            ("on_train_batch_begin", 0),
            ("on_train_batch_end", 0, logs),
            ("on_train_batch_begin", 1),
            ("on_train_batch_end", 1, logs),
            ("on_test_begin",),
            ("on_test_batch_begin", 0),
            ("on_test_batch_end", 0, logs),
            ("on_test_end", logs),
            ("on_epoch_end", epoch, ["accuracy", "loss", "val_accuracy", "val_loss"]),
        ]
    assert recorder.seen == [
        *expected,
        ("on_train_end", ["accuracy", "loss", "val_accuracy", "val_loss"]),
    ]
    assert recorder.model is model
    assert recorder.params == {"epochs": 2, "steps": 2, "verbose": 0}

    *_, last_batch, last_test_batch, tested, epoch, end = recorder.logs
    assert end == epoch
    assert last_test_batch == tested
    assert epoch == {**last_batch, **{f"val_{name}": value for name, value in tested.items()}}
    assert {name: values[-1] for name, values in history.history.items()} == epoch
    first, second = recorder.logs[:2]
    assert first["loss"] != second["loss"], "means over the epoch so far"


def test_set_model_and_params_come_first() -> None:
    seen = []

    class First(callbacks.Callback):
        def set_model(self, model: Sequential) -> None:
            super().set_model(model)
            seen.append("model")

        def set_params(self, params: dict[str, Any]) -> None:
            super().set_params(params)
            seen.append("params")

        def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
            super().on_train_begin(logs)
            seen.append(f"{self.model.name} {self.params['epochs']}")

    compiled().fit(*examples(3), epochs=4, callbacks=[First(), First()], verbose=0)
    assert seen == ["model", "params"] * 2 + ["sequential 4"] * 2


def test_a_callback_may_set_the_learning_rate() -> None:
    class Freeze(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            self.kept = self.model.get_weights()
            self.model.optimizer.learning_rate = 0.0

    freeze, model = Freeze(), compiled()
    begin = model.get_weights()
    model.fit(*examples(8), epochs=1, callbacks=[freeze], verbose=0)
    model.fit(*examples(8), epochs=3, verbose=0)
    for old, kept, new in zip(begin, freeze.kept, model.get_weights(), strict=True):
        assert (old != kept).any()
        np.testing.assert_array_equal(kept, new)


def test_training_ends_properly_when_a_callback_fails() -> None:
    class Fails(callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
            raise KeyboardInterrupt

    recorder = Recorder()
    with pytest.raises(KeyboardInterrupt):
        compiled().fit(*examples(8), callbacks=[recorder, Fails()], verbose=0)
    assert recorder.seen[-1][0] == "on_train_end"


def test_a_callback_may_stop_training() -> None:
    class Enough(callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.model.stop_training = epoch == 1

    model = compiled()
    assert model.fit(*examples(8), epochs=5, callbacks=[Enough()], verbose=0).epoch == [0, 1]
    assert model.fit(*examples(8), epochs=1, verbose=0).epoch == [0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.zeros((3, 4)),), "expected a pair"),
        (np.zeros((3, 4)), "expected a pair"),
        ((np.zeros((3, 9)), np.zeros((3, 3))), "validation_data: x: expected shape"),
        ((np.zeros((3, 4)), np.zeros((3, 2))), "validation_data: y: expected examples like"),
    ],
)
def test_validation_data_of_the_wrong_shape(data: Any, message: str) -> None:
    model = Sequential([layers.Input((4,)), layers.Dense(3, "softmax")])
    model.compile("sgd", "categorical_crossentropy")
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(np.zeros((5, 4)), np.eye(3)[[0, 1, 2, 0, 1]], validation_data=data, verbose=0)
    np.testing.assert_array_equal(before[0], model.get_weights()[0])


# ------------------------------------------------------------------ progress

TIME = r"\d+\.\ds \d+[mu]s/step"
SCORE = r"accuracy: \d\.\d{4} - loss: \d+\.\d{4}"


@pytest.mark.parametrize("verbose", ["auto", 1, 2])
def test_a_line_per_epoch_without_a_terminal(
    verbose: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = compiled()
    x, y = examples(7)
    model.fit(x, y, 3, epochs=2, verbose=verbose)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    for number, line in enumerate(lines, 1):
        assert re.fullmatch(rf"Epoch {number}/2 - 3/3 - {TIME} - {SCORE}", line), line

    model.fit(x, y, 3, verbose=verbose, validation_data=(x, y))
    (line,) = capsys.readouterr().out.splitlines()
    score = r"val_accuracy: \d\.\d{4} - val_loss: \d+\.\d{4}"
    assert re.fullmatch(rf"Epoch 1/1 - 3/3 - {TIME} - {SCORE} - {score}", line), line

    loss, accuracy = model.evaluate(x, y, 3, verbose=verbose)
    (line,) = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"3/3 - {TIME} - {SCORE}", line), line
    assert line.endswith(f"accuracy: {accuracy:.4f} - loss: {loss:.4f}")


def test_silence(capfd: pytest.CaptureFixture[str]) -> None:
    model = compiled()
    x, y = examples(7)
    model.fit(x, y, 3, 2, verbose=0, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    for verbose in ("auto", 0, 1, 2):
        model.predict(x, verbose=verbose)
    assert capfd.readouterr() == ("", "")


def on_terminal(monkeypatch: pytest.MonkeyPatch, columns: int, call: Callable[[], object]) -> str:
    """What `call` prints to a terminal of so many columns, as bytes come out of it."""
    pty = pytest.importorskip("pty", reason="needs a POSIX terminal")
    for name, value in (("TERM", "xterm"), ("COLUMNS", str(columns)), ("LINES", "25")):
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    pieces: list[bytes] = []

    def drain() -> None:
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # how Linux says that the other end is closed
                return
            if not piece:
                return
            pieces.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    try:
        with open(theirs, "w", encoding="utf-8") as terminal, monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", terminal)
            call()
    finally:
        reader.join(10)
        os.close(ours)
    return b"".join(pieces).decode()


def as_seen(printed: str) -> list[str]:
    """The lines that stay on the screen, without colours: what a small terminal makes of it."""
    lines, row = [""], 0
    for token in re.findall(r"\x1b\[\??[\d;]*[a-zA-Z]|[\r\n]|[^\x1b\r\n]+", printed):
        if token == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif token == "\x1b[1A":
            row -= 1
        elif token in ("\r", "\x1b[2K"):  # a line that is begun again is written anew
            lines[row] = lines[row] if token == "\r" else ""
        elif token[0] != "\x1b":
            lines[row] += token
    return [line.rstrip() for line in lines if line]


def test_a_bar_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(7)
    printed = on_terminal(
        monkeypatch, 120, lambda: compiled().fit(x, y, 3, 2, validation_data=(x, y))
    )
    one, first, two, second = as_seen(printed)
    assert (one, two) == ("Epoch 1/2", "Epoch 2/2")
    score = r"val_accuracy: \d\.\d{4} - val_loss: \d+\.\d{4}"
    for line in (first, second):
        assert re.fullmatch(rf"3/3 ━{{20}} {TIME} - {SCORE} - {score}", line), line
    assert printed.count("\x1b[?25h") == printed.count("\x1b[?25l"), "the cursor is back"


def test_a_bar_when_evaluating_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(7)
    (line,) = as_seen(on_terminal(monkeypatch, 120, lambda: compiled().evaluate(x, y, 3)))
    assert re.fullmatch(rf"3/3 ━{{20}} {TIME} - {SCORE}", line), line


def test_a_line_per_epoch_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(7)
    printed = on_terminal(monkeypatch, 120, lambda: compiled().fit(x, y, 3, 2, verbose=2))
    assert "\x1b" not in printed
    for number, line in enumerate(as_seen(printed), 1):
        assert re.fullmatch(rf"Epoch {number}/2 - 3/3 - {TIME} - {SCORE}", line), line


def test_all_numbers_are_seen_in_a_terminal_of_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = examples(7)
    printed = on_terminal(monkeypatch, 80, lambda: compiled().fit(x, y, 3, validation_data=(x, y)))
    text = " ".join(as_seen(printed))
    for name in ("3/3", " accuracy: ", " loss: ", " val_accuracy: ", " val_loss: "):
        assert name in text
    assert "…" not in text


# ------------------------------------------------------------------ summary and repr

LENET = [
    ("conv2d", "Conv2D", "(None, 26, 26, 32)", "320"),
    ("max_pooling2d", "MaxPooling2D", "(None, 13, 13, 32)", "0"),
    ("conv2d_1", "Conv2D", "(None, 11, 11, 64)", "18,496"),
    ("max_pooling2d_1", "MaxPooling2D", "(None, 5, 5, 64)", "0"),
    ("flatten", "Flatten", "(None, 1600)", "0"),
    ("dense", "Dense", "(None, 128)", "204,928"),
    ("dense_1", "Dense", "(None, 10)", "1,290"),
]


def lenet() -> Sequential:
    """The network of the text."""
    return Sequential(
        [
            layers.Conv2D(32, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def cells(text: str) -> list[tuple[str, ...]]:
    """The rows of a printed table."""
    rows = [line for line in text.splitlines() if line[:1] in "│┃|" and line.strip()]
    return [tuple(cell.strip() for cell in re.split("[│┃|]", row)[1:-1]) for row in rows]


@pytest.mark.parametrize("how", ["stdout", "print_fn"])
def test_summary(how: str, capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []
    if how == "stdout":
        assert lenet().summary() is None
        shown.append(capsys.readouterr().out)
    else:
        lenet().summary(print_fn=shown.append)
        assert capsys.readouterr().out == ""
    (text,) = shown
    assert 'Model: "sequential"' in text
    head, *rows = cells(text)
    assert head == ("Layer (type)", "Output Shape", "Param #")
    assert rows == [(f"{name} ({kind})", shape, count) for name, kind, shape, count in LENET]
    assert " Total params: 225,034 (879.04 KB)\n" in text
    assert " Trainable params: 225,034 (879.04 KB)\n" in text


def test_summary_before_building() -> None:
    shown: list[str] = []
    model = Sequential([layers.Dense(3), layers.Dense(2)], name="later [1]")
    model.summary(print_fn=shown.append)
    assert 'Model: "later [1]"' in shown[0]
    assert cells(shown[0])[1:] == [
        ("dense (Dense)", "?", "0 (unbuilt)"),
        ("dense_1 (Dense)", "?", "0 (unbuilt)"),
    ]
    assert "Total params: 0 (0.00 B)" in shown[0]


def test_summary_without_layers(capsys: pytest.CaptureFixture[str]) -> None:
    Sequential().summary()
    assert "Total params: 0 (0.00 B)" in capsys.readouterr().out


def test_print_fn_gets_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    on_terminal(monkeypatch, 100, lambda: lenet().summary(print_fn=shown.append))
    assert "conv2d (Conv2D)" in re.sub(r"\x1b\[[\d;]*m", "", shown[0])
    assert "\x1b" not in shown[0]


def test_what_a_model_has() -> None:
    model = lenet()
    assert [layer.name for layer in model.layers] == [row[0] for row in LENET]
    assert [layer.count_params() for layer in model.layers if layer.weights] == [
        320,
        18_496,
        204_928,
        1_290,
    ]
    assert model.trainable_weights == model.weights
    assert [weight.name for weight in model.weights[:3]] == [
        "conv2d/kernel",
        "conv2d/bias",
        "conv2d_1/kernel",
    ]
    assert (model.input_shape, model.output_shape) == ((None, 28, 28, 1), (None, 10))


def test_repr_of_a_model() -> None:
    assert repr(lenet()) == "<Sequential name=sequential, built=True>"
    assert repr(Sequential(name="mine")) == "<Sequential name=mine, built=False>"


# ------------------------------------------------------------------ utils, show_config


@pytest.mark.parametrize(
    ("x", "classes", "expected"),
    [
        ([0, 2, 1], None, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
        ([0, 1], 4, [[1, 0, 0, 0], [0, 1, 0, 0]]),
        ([[0], [1]], None, [[1, 0], [0, 1]]),
        ([[0, 1], [1, 1]], None, [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]),
        ([[[1]], [[0]]], None, [[[0, 1]], [[1, 0]]]),
        ([2], None, [[0, 0, 1]]),
        (1, 3, [0, 1, 0]),
        (np.array([1.0, 0.0]), None, [[0, 1], [1, 0]]),
        (np.array([1, 0], np.uint8), 2, [[0, 1], [1, 0]]),
        (np.array([True, False]), None, [[0, 1], [1, 0]]),
        (Tensor([1.0, 0.0]), None, [[0, 1], [1, 0]]),
    ],
)
def test_to_categorical(x: Any, classes: int | None, expected: Any) -> None:
    found = utils.to_categorical(x, classes)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, np.array(expected, np.float64), strict=True)


def test_to_categorical_of_nothing() -> None:
    assert utils.to_categorical([], 3).shape == (0, 3)
    assert utils.to_categorical(np.zeros((0, 1), int), 3).shape == (0, 3)
    with pytest.raises(ValueError, match=r"num_classes is needed for an empty x"):
        utils.to_categorical([])


@pytest.mark.parametrize(
    ("x", "classes", "error", "message"),
    [
        ([0, 3], 3, ValueError, r"expected class numbers from 0 to 2, got 3"),
        ([0, -1], None, ValueError, r"expected class numbers from 0 .*got -1"),
        ([-1], 3, ValueError, r"expected class numbers from 0 to 2, got -1"),
        ([0.5, 1], None, ValueError, r"x: expected whole numbers"),
        ([float("nan")], 3, ValueError, r"x: expected whole numbers"),
        ([float("inf")], 3, ValueError, r"x: expected whole numbers"),
        (["1"], None, TypeError, r"x: expected class numbers, got <U1"),
        (None, None, TypeError, r"x: expected class numbers, got object"),
    ],
)
def test_to_categorical_of_no_class_numbers(
    x: Any, classes: int | None, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=f"to_categorical: .*{message}"):
        utils.to_categorical(x, classes)


def test_set_random_seed() -> None:
    def draw() -> tuple[Any, ...]:
        legacy = np.random.rand(3).tolist()  # noqa: NPY002 - what user code may draw from
        return random.random(), legacy, small_model_weights(), orders_of_five()

    def small_model_weights() -> list[bytes]:
        model = Sequential([layers.Dense(3, input_shape=(4,))])
        return [weight.tobytes() for weight in model.get_weights()]

    def orders_of_five() -> list[float]:
        seen: list[float] = []
        model = Sequential([layers.Dense(1, input_shape=(1,))])

        def loss(y_true: Array, y_pred: Tensor) -> Tensor:
            seen.extend(y_true[:, 0].tolist())
            return (y_pred - y_true) ** 2

        model.compile("sgd", loss)
        model.fit(np.arange(5)[:, None], np.arange(5)[:, None], verbose=0)
        return seen

    utils.set_random_seed(1)
    one, two = draw(), draw()
    utils.set_random_seed(1)
    assert draw() == one
    for first, second in zip(one[:3], two[:3], strict=True):
        assert first != second
    utils.set_random_seed(2)
    for first, other in zip(one[:3], draw()[:3], strict=True):
        assert first != other


def test_show_config(capsys: pytest.CaptureFixture[str]) -> None:
    found = show_config(mode="dicts")
    assert capsys.readouterr().out == ""
    assert found is not None
    assert found["version"] == __version__
    assert found["numpy"] == np.__version__
    assert found["threads"] == get_num_threads()
    assert found["isa"] in found["isas available"]

    assert show_config() is None
    lines = capsys.readouterr().out.splitlines()
    printed = {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
    assert list(printed) == list(found)
    assert printed["version"] == __version__
    assert printed["isas available"] == ", ".join(found["isas available"])

    with pytest.raises(ValueError, match=r"mode: expected 'stdout' or 'dicts', got 'json'"):
        show_config(mode="json")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adam_takes_arrays_of_any_layout(dtype: Any) -> None:
    random = np.random.default_rng(0)
    start, grad = random.standard_normal((2, 6, 8)).astype(dtype)
    dense, fortran, sliced, own = (
        Tensor(start.copy()),
        Tensor(np.asfortranarray(start)),
        Tensor(np.repeat(start, 2, axis=1)[:, ::2]),
        Tensor(grad.copy()),
    )
    sliced.data = np.repeat(start, 2, axis=1)[:, ::2]
    optimizers.Adam(0.1).apply([grad], [dense])
    for x, dx in ((fortran, grad.T.copy().T), (sliced, np.repeat(grad, 2, axis=0)[::2])):
        optimizers.Adam(0.1).apply([dx], [x])
        np.testing.assert_array_equal(x.data, dense.data)
    reference = Tensor(grad.copy())
    optimizers.Adam(0.1).apply([own.data], [own])  # the gradient is the variable itself
    optimizers.Adam(0.1).apply([grad], [reference])
    np.testing.assert_array_equal(own.data, reference.data)
