"""Derivatives of derivatives."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import Tensor, Value, grad
from micrograd_ext.graph import topological_order

OPS: dict[str, Any] = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "max": lambda x, y: x.max(y) ** 2,
    "min": lambda x, y: x.min(y) ** 2,
    "leaky_relu": lambda x, y: (-x).leaky_relu(y) ** 2,
    "neg": lambda x, y: (-x) ** 3,
    "abs": lambda x, y: abs(-x) ** 3,
    "ReLU": lambda x, y: x.relu() ** 3,
    "tanh": lambda x, y: x.tanh(),
    "sigmoid": lambda x, y: x.sigmoid(),
    "exp": lambda x, y: x.exp(),
    "log": lambda x, y: x.log(),
    "sqrt": lambda x, y: x.sqrt(),
    "sin": lambda x, y: x.sin(),
    "cos": lambda x, y: x.cos(),
}


def test_a_cube_four_times() -> None:
    x = Value(3.0)
    y = x**3
    for expected in (27.0, 18.0, 6.0, 0.0):
        y = grad(y, x)
        assert y.data == expected


@pytest.mark.parametrize("power", [0, 1, 2, 3])
def test_powers_at_zero(power: int) -> None:
    x = Value(0.0)
    y = x**power
    assert y.data == (1.0 if power == 0 else 0.0)
    for order in range(1, 5):
        y = grad(y, x)
        assert y.data == (math.factorial(power) if order == power else 0.0), order


@pytest.mark.parametrize("op", OPS)
@given(x=st.floats(0.3, 2), y=st.floats(0.3, 2))
@settings(max_examples=30, deadline=None)
def test_second_derivatives(op: str, x: float, y: float) -> None:
    if abs(x - y) < 0.01:  # a tie of max and min
        y = x + 0.02
    eps = 1e-5

    def slopes(x: float, y: float) -> list[float]:
        a, b = Value(x), Value(y)
        return [g.data for g in grad(OPS[op](a, b), [a, b])]

    a, b = Value(x), Value(y)
    first = grad(OPS[op](a, b), [a, b])
    along_x = (np.array(slopes(x + eps, y)) - slopes(x - eps, y)) / (2 * eps)
    along_y = (np.array(slopes(x, y + eps)) - slopes(x, y - eps)) / (2 * eps)
    for i, g in enumerate(first):
        found = [d.data for d in grad(g, [a, b])]
        np.testing.assert_allclose(found, [along_x[i], along_y[i]], rtol=1e-5, atol=1e-6)


@given(seed=st.integers(0, 10**9), size=st.integers(1, 25))
@settings(max_examples=100, deadline=None)
def test_first_derivatives_are_backwards(seed: int, size: int) -> None:
    choose = random.Random(seed)
    leaves = [Value(choose.uniform(0.5, 1.5)) for _ in range(3)]
    nodes = list(leaves)
    for _ in range(size):
        x, y = choose.choice(nodes), choose.choice(nodes)
        nodes.append((OPS[choose.choice(list(OPS))](x, y)).tanh() + 1.1)
    root = sum(nodes[1:], nodes[0])
    found = grad(root, leaves)
    assert all(node.grad == 0.0 for node in topological_order(root)), "nobody's grad changes"
    root.backward()
    np.testing.assert_allclose(
        [g.data for g in found], [leaf.grad for leaf in leaves], rtol=1e-10, atol=1e-300
    )


@given(seed=st.integers(0, 10**9), size=st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_second_derivatives_of_random_graphs(seed: int, size: int) -> None:
    smooth = [op for op in OPS if op not in ("max", "min", "leaky_relu", "abs", "ReLU")]

    def build(numbers: list[float]) -> tuple[list[Value], Value]:
        choose = random.Random(seed)
        leaves = [Value(x) for x in numbers]
        nodes = list(leaves)
        for _ in range(size):
            x, y = choose.choice(nodes), choose.choice(nodes)
            nodes.append((OPS[choose.choice(smooth)](x, y) * 0.5).tanh() + 1.1)
        return leaves, sum(nodes[1:], nodes[0])

    def slopes(numbers: list[float]) -> list[float]:
        leaves, root = build(numbers)
        root.backward()
        return [leaf.grad for leaf in leaves]

    start, eps = [0.7, 1.2], 1e-5
    leaves, root = build(start)
    hessian = [[d.data for d in grad(g, leaves)] for g in grad(root, leaves)]
    np.testing.assert_allclose(hessian, np.transpose(hessian), rtol=1e-9, atol=1e-9)
    for i in range(2):
        up, down = list(start), list(start)
        up[i] += eps
        down[i] -= eps
        expected = (np.array(slopes(up)) - slopes(down)) / (2 * eps)
        scale = max(1.0, np.abs(hessian).max())
        np.testing.assert_allclose(hessian[i], expected, rtol=1e-4, atol=1e-5 * scale)


def test_nobodys_grad_changes() -> None:
    x, y = Value(2.0), Value(3.0)
    product = x * y
    root = product.tanh() + x
    nodes = topological_order(root)
    for i, node in enumerate(nodes):
        node.grad = float(i + 1)
    grad(grad(root, x), y)
    assert [node.grad for node in nodes] == [i + 1.0 for i in range(len(nodes))]
    assert [node.data for node in (x, y, product)] == [2.0, 3.0, 6.0]


def test_a_negative_base() -> None:
    x = Value(-2.0)
    y = x**3
    for expected in (12.0, -12.0, 6.0, 0.0):
        y = grad(y, x)
        assert y.data == expected


def test_kinks_and_ties_are_the_engines() -> None:
    for f in (
        lambda x, y: x.max(y),
        lambda x, y: x.min(y),
        lambda x, y: (x - 2).relu() * y,
        lambda x, y: abs(x - 2) * y,
        lambda x, y: (x - 2).leaky_relu(y),
    ):
        x, y = Value(2.0), Value(2.0)
        root = f(x, y)
        found = [g.data for g in grad(root, [x, y])]
        root.backward()
        assert found == [x.grad, y.grad]


def test_sine_four_times_is_sine() -> None:
    x = Value(0.7)
    y = x.sin()
    for _ in range(4):
        y = grad(y, x)
    assert y.data == pytest.approx(math.sin(0.7), rel=1e-15)


def test_mixed_derivatives_do_not_mind_the_order() -> None:
    x, y = Value(1.7), Value(2.3)
    xy, yx = grad(grad(x**y, x), y), grad(grad(x**y, y), x)
    expected = 1.7**1.3 * (1 + 2.3 * math.log(1.7))
    assert xy.data == pytest.approx(expected, rel=1e-14)
    assert yx.data == pytest.approx(expected, rel=1e-14)


def test_sigmoids_tails_keep_their_slope() -> None:
    for x in (-40.0, 40.0):
        v = Value(x)
        assert grad(v.sigmoid(), v).data == pytest.approx(math.exp(-40), rel=1e-12, abs=0)


def test_a_trained_slope() -> None:
    x, slope = Value(-2.0), Value(0.25)
    y = x.leaky_relu(slope) ** 2
    dx, dslope = grad(y, [x, slope])
    assert (dx.data, dslope.data) == (2 * -0.5 * 0.25, 2 * -0.5 * -2.0)
    y.backward()
    assert (x.grad, slope.grad) == (dx.data, dslope.data)


def test_what_x_may_be() -> None:
    a = Value(2.0)
    square = a * a
    y = square * 3
    assert grad(y, square).data == 3.0  # a node inside
    assert grad(y, y).data == 1.0
    assert grad(y, Value(1.0)).data == 0.0
    assert grad(square, y).data == 0.0
    assert [g.data for g in grad(y, (a, square))] == [12.0, 3.0]
    assert [g.data for g in grad(y, [a, a])] == [12.0, 12.0]
    assert [g.data for g in grad(y, [y, Value(1.0)])] == [1.0, 0.0]
    assert grad(y, []) == []


def test_a_derivative_can_be_stepped_through(capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(3.0, name="x")
    slope = grad(x**3, x)
    slope.stepper().finish()
    assert x.grad == 18.0
    assert capsys.readouterr().out.endswith("edges\n")


def test_a_long_chain() -> None:
    x = y = Value(1.0)
    for _ in range(2**17):
        y = y * 1.0
    assert grad(y, x).data == 1.0


def test_what_cannot_be_derived() -> None:
    x = Value(2.0)
    with pytest.raises(TypeError, match=r"grad: y: expected a Value, got 3\.0"):
        grad(3.0, x)  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="grad: x: expected a Value, got 'x'"):
        grad(x, ["x"])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="grad: y: expected a Value, got Tensor"):
        grad(Tensor(3.0), x)  # type: ignore[call-overload]
    own = Value(4.0, (x,), "square", [4.0])
    with pytest.raises(ValueError, match="no formula is known for the derivative of 'square'"):
        grad(own + 1, x)
    assert grad(own * x, own).data == 2.0  # it does not stand between


@pytest.mark.parametrize("x", [1e-310, 0.0, -0.0, math.nan, math.inf, -2.0])
def test_the_power_0_is_a_constant(x: float) -> None:
    v = Value(x)
    y = v**0
    y.backward()
    assert (grad(y, v).data, v.grad) == (0.0, 0.0)


def test_an_own_op_with_a_known_name(capsys: pytest.CaptureFixture[str]) -> None:
    a = Value(2.0, name="a")
    own = Value(4.0, (a,), "*", [4.0])
    with pytest.raises(ValueError, match="no formula is known"):
        grad(own, a)
    own.stepper().explain("a")
    assert "no central difference: what '*' computes is not known" in capsys.readouterr().out
