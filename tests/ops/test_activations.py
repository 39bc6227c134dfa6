"""Activations with arguments, at their kinks as Keras on JAX; regularizers; both by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Sequential, Tensor, activations, gradcheck, layers, ops, regularizers
from micrograd_ext.compiler.fusion import fuse

Array = npt.NDArray[Any]
INF = np.inf
AT = [-INF, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 6.0, 20.0, INF]

#: arguments; values and derivatives at AT, as Keras 3.15 has them on JAX
RELU: list[tuple[dict[str, Any], list[float], list[float]]] = [
    ({}, [0, 0, 0, 0, 0, 0.5, 1, 1.5, 2, 6, 20, INF], [0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1]),
    ({"negative_slope": 0.5}, [-INF, -1, -0.5, -0.25, 0, 0.5, 1, 1.5, 2, 6, 20, INF],
        [0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1, 1, 1, 1, 1]),
    ({"max_value": 1.5}, [0, 0, 0, 0, 0, 0.5, 1, 1.5, 1.5, 1.5, 1.5, 1.5],
        [0, 0, 0, 0, 0, 1, 1, 0.5, 0, 0, 0, 0]),
    ({"max_value": 6}, [0, 0, 0, 0, 0, 0.5, 1, 1.5, 2, 6, 6, 6],
        [0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0]),
    ({"max_value": 0}, [0] * 12, [0] * 12),
    ({"threshold": 1}, [0, 0, 0, 0, 0, 0, 0, 1.5, 2, 6, 20, INF],
        [0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
    ({"threshold": -1.0}, [0, 0, 0, -0.5, 0, 0.5, 1, 1.5, 2, 6, 20, INF],
        [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    ({"negative_slope": 0.5, "threshold": 1},
        [-INF, -1.5, -1, -0.75, -0.5, -0.25, 0, 1.5, 2, 6, 20, INF],
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 1, 1, 1, 1, 1]),
    ({"negative_slope": 0.5, "max_value": 1.5},
        [-INF, -1, -0.5, -0.25, 0, 0.5, 1, 1.5, 1.5, 1.5, 1.5, 1.5],
        [0.5, 0.5, 0.5, 0.5, 0, 1, 1, 0.5, 0, 0, 0, 0]),
    ({"negative_slope": 0.5, "max_value": 6, "threshold": 1},
        [-INF, -1.5, -1, -0.75, -0.5, -0.25, 0, 1.5, 2, 6, 6, 6],
        [0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0, 1, 1, 0.5, 0, 0]),
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("how", "values", "slopes"), RELU, ids=lambda x: str(x)[:60])
def test_relu(how: dict[str, Any], values: list[float], slopes: list[float], dtype: Any) -> None:
    x = Tensor(np.array(AT, dtype))
    y = activations.relu(x, **how)
    y.backward(np.ones_like(y.data))
    assert y.dtype == x.grad.dtype == dtype
    np.testing.assert_array_equal(y.data, values)
    np.testing.assert_array_equal(x.grad, slopes)
    np.testing.assert_array_equal(activations.relu(AT, **how).data, values)
    assert gradcheck(lambda x: activations.relu(x, **how), [-3.1, -0.3, 0.4, 1.3, 1.7, 7.0])


@pytest.mark.parametrize("how", [each for each, *_ in RELU], ids=str)
def test_nan_goes_on_through_relu(how: dict[str, Any]) -> None:
    assert np.isnan(activations.relu([np.nan], **how).data).all()


@pytest.mark.parametrize(
    "how", [{"negative_slope": np.nan}, {"max_value": -1}, {"threshold": "1"}, {"max_value": "6"}]
)
def test_relu_refuses(how: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(how))}: expected"):
        activations.relu([1.0], **how)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("axis", [-1, 0, (1, 2), (0, -1), (2, 0, 1)])
def test_softmax_over_axes(name: str, axis: Any) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    powers = np.exp(x)
    expected = powers / powers.sum(axis, keepdims=True)
    found = getattr(activations, name)(Tensor(x), axis=axis)
    np.testing.assert_allclose(found.data, expected if name == "softmax" else np.log(expected))
    assert gradcheck(lambda x: getattr(activations, name)(x, axis=axis), x)


@pytest.mark.parametrize("axis", [3, (0, 0), (0, -3), (0, 5)])
def test_axes_that_are_not_there(axis: Any) -> None:
    for f in (activations.softmax, activations.log_softmax):
        with pytest.raises(ValueError, match="axis"):
            f(np.ones((2, 3, 4)), axis=axis)


def test_names() -> None:
    for name in activations.__all__:
        if name in ("get", "serialize", "deserialize"):
            continue
        function = getattr(activations, name)
        assert activations.get(name) is function
        assert activations.deserialize(activations.serialize(function)) is function
    assert activations.get(None) is activations.linear
    with pytest.raises(ValueError, match="activation: expected one of"):
        activations.get("typo")
    with pytest.raises(ValueError, match="'mine' is none of"):
        activations.deserialize(">mine")
    assert activations.deserialize(">mine", {"mine": ops.sin}) is ops.sin


@pytest.mark.parametrize("activation", ["relu", activations.relu, ops.relu])
def test_relu_is_recognised_by_any_name(activation: Any) -> None:
    parts = [layers.Conv2D(2, 3, activation=activation), layers.MaxPooling2D(2)]
    assert len(fuse(parts)) == 1
    model = Sequential([layers.Input((3,)), layers.Dense(2, activation)])
    assert [step.name for step in model.program.steps] == ["dense + bias + relu"]
    assert layers.Dense(2, activation).get_config()["activation"] == "relu"
    alone = Sequential([layers.Input((3,)), layers.Activation(activation)])
    assert [step.name for step in alone.program.steps] == ["relu"]


def test_plain_relu_is_the_op() -> None:
    y = activations.relu(Tensor([-1.0, 2.0]))
    assert (y.op, len(y.inputs), y.tolist()) == ("relu", 1, [0, 2])


# ------------------------------------------------------------------ regularizers

W = np.array([[3.0, -4.0], [1.0, 0.0]], np.float32)


@pytest.mark.parametrize("kind", ["list", "array", "tensor"])
@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        (regularizers.L1(0.5), 4),
        (regularizers.L2(0.5), 13),
        (regularizers.L1L2(0.5, 0.25), 10.5),
        (regularizers.L1L2(), 0),
        (regularizers.L1(None), 0.08),
        (regularizers.L2(None), 0.26),
        (regularizers.L1L2(None, None), 0),
        (regularizers.OrthogonalRegularizer(0.5), 0.5 * 0.6),
        (regularizers.OrthogonalRegularizer(0.5, "columns"), 0.5 * 3 / np.sqrt(10)),
    ],
    ids=str,
)
def test_penalties(regularizer: Any, expected: float, kind: str) -> None:
    given: Any = {"list": W.tolist(), "array": W, "tensor": Tensor(W)}[kind]
    found = regularizer(given)
    assert float(found) == pytest.approx(expected, rel=1e-6)
    again = type(regularizer).from_config(regularizer.get_config())
    assert float(again(given)) == float(found)
    assert type(regularizers.deserialize(regularizers.serialize(again))) is type(regularizer)


def test_their_gradients() -> None:
    w = np.array([[0.3, -0.4, 1.0], [0.5, 0.7, -0.2]])
    for mode in ("rows", "columns"):
        assert gradcheck(regularizers.OrthogonalRegularizer(0.5, mode), w)
    assert gradcheck(regularizers.L1L2(0.5, 0.25), w)


def test_regularizers_by_name() -> None:
    kinds = {
        "l1": regularizers.L1, "L1": regularizers.L1, "l2": regularizers.L2, "L2": regularizers.L2,
        "l1_l2": regularizers.L1L2, "l1l2": regularizers.L1L2, "L1L2": regularizers.L1L2,
        "orthogonal_regularizer": regularizers.OrthogonalRegularizer,
        "OrthogonalRegularizer": regularizers.OrthogonalRegularizer,
    }  # fmt: skip
    for name, kind in kinds.items():
        assert type(regularizers.get(name)) is kind
        assert type(regularizers.get(kind)) is kind
    assert regularizers.get(None) is None
    assert regularizers.get({"class_name": "L2", "config": {"l2": 0.5}}).l2 == 0.5


@pytest.mark.parametrize(
    ("call", "match"),
    [
        *[(lambda value=value: regularizers.L1(value), "l1: expected") for value in (-1, INF, "a")],
        *[
            (lambda value=value: regularizers.L2(value), "l2: expected")
            for value in (np.nan, [0.1])
        ],
        (lambda: regularizers.L1L2(0.1, -0.1), "l2: expected a number >= 0, got -0.1"),
        (lambda: regularizers.OrthogonalRegularizer(-1), "factor: expected"),
        (lambda: regularizers.OrthogonalRegularizer(mode="both"), "mode: expected 'rows' or 'col"),
        (lambda: regularizers.OrthogonalRegularizer()(np.ones((2, 2, 2))), "expected a matrix"),
        (lambda: regularizers.get("typo"), "regularizer: expected one of"),
    ],
)
def test_what_regularizers_refuse(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_a_regularizer_of_ones_own_in_a_layer() -> None:
    class Cubes(regularizers.Regularizer):
        def __init__(self, factor: float = 0.5) -> None:
            self.factor = factor

        def __call__(self, x: Any) -> Any:
            return self.factor * ops.sum(ops.absolute(x) ** 3)

    model = Sequential([layers.Input((1,)), layers.Dense(1, kernel_regularizer=Cubes())])
    model.set_weights([np.array([[2.0]]), np.zeros(1)])
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.evaluate(np.zeros((2, 1)), np.zeros((2, 1)), verbose=0) == 4
    config = layers.serialize(model.layers[0])
    again = layers.deserialize(config, {"Cubes": Cubes})
    assert again.kernel_regularizer.factor == 0.5  # type: ignore[attr-defined]
