"""Random expressions of Values beside PyTorch's float64; needs torch."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import Value, grad

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

OPS: list[tuple[Any, Any]] = [
    (lambda x, y: x + y, lambda x, y: x + y),
    (lambda x, y: x - 2 * y, lambda x, y: x - 2 * y),
    (lambda x, y: x * y, lambda x, y: x * y),
    (lambda x, y: x / (y * y + 1), lambda x, y: x / (y * y + 1)),
    (lambda x, y: abs(x + 0.1) ** y.tanh(), lambda x, y: abs(x + 0.1) ** y.tanh()),
    (lambda x, y: 2 ** y.tanh(), lambda x, y: 2 ** y.tanh()),
    (lambda x, y: x.max(y + 0.01), lambda x, y: torch.maximum(x, y + 0.01)),
    (lambda x, y: x.min(y + 0.01), lambda x, y: torch.minimum(x, y + 0.01)),
    (lambda x, y: -x.relu(), lambda x, y: -x.relu()),
    (
        lambda x, y: x.leaky_relu(0.1),
        lambda x, y: torch.nn.functional.leaky_relu(x, 0.1),
    ),
    *(
        (lambda x, y, op=op: getattr(x, op)(), lambda x, y, op=op: getattr(x, op)())
        for op in ("tanh", "sigmoid", "sin", "cos", "abs")
    ),
    (lambda x, y: x.tanh().exp(), lambda x, y: x.tanh().exp()),
    (lambda x, y: (x * x + 0.5).log(), lambda x, y: (x * x + 0.5).log()),
    (lambda x, y: (x * x + 0.5).sqrt(), lambda x, y: (x * x + 0.5).sqrt()),
]


@given(seed=st.integers(0, 10**9), size=st.integers(1, 30))
@settings(max_examples=200, deadline=None)
def test_random_expressions(seed: int, size: int) -> None:
    choose = random.Random(seed)
    numbers = [choose.uniform(-2, 2) for _ in range(3)]
    ours: list[Any] = [Value(x) for x in numbers]
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    leaves = list(zip(ours, theirs, strict=True))
    for _ in range(size):
        here, there = choose.choice(OPS)
        i, j = choose.randrange(len(ours)), choose.randrange(len(ours))
        ours.append(here(ours[i], ours[j]))
        theirs.append(there(theirs[i], theirs[j]))
    root, reference = sum(ours[1:], ours[0]), sum(theirs[1:], theirs[0])
    root.backward()
    reference.backward()
    assert root.data == pytest.approx(reference.item(), rel=1e-9, abs=1e-9)
    for leaf, other in leaves:
        assert leaf.grad == pytest.approx(other.grad.item(), rel=1e-7, abs=1e-9)


# ------------------------------------------------------------------ one op

UNARY = ["neg", "abs", "relu", "tanh", "sigmoid", "exp", "log", "sqrt", "sin", "cos"]
BINARY: dict[str, tuple[Any, Any]] = {
    "+": (lambda x, y: x + y, torch.add),
    "-": (lambda x, y: x - y, torch.sub),
    "*": (lambda x, y: x * y, torch.mul),
    "/": (lambda x, y: x / y, torch.div),
    "**": (lambda x, y: x**y, torch.pow),
    "max": (lambda x, y: x.max(y), torch.maximum),
    "min": (lambda x, y: x.min(y), torch.minimum),
    "leaky_relu": (
        lambda x, y: x.leaky_relu(y),
        lambda x, y: torch.where(x > 0, x, y * x),
    ),
}


def compare(here: Any, there: Any, *numbers: float) -> None:
    """Value and gradients, tightly; nan equals nan."""
    ours = [Value(x) for x in numbers]
    theirs = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in numbers]
    root, reference = here(*ours), there(*theirs)
    root.backward()
    reference.backward()
    assert root.data == pytest.approx(reference.item(), rel=1e-12, abs=1e-300, nan_ok=True)
    for leaf, other in zip(ours, theirs, strict=True):
        assert leaf.grad == pytest.approx(other.grad.item(), rel=1e-9, abs=1e-300, nan_ok=True)


@pytest.mark.parametrize("op", UNARY)
@given(x=st.floats(-8, 8, allow_subnormal=False))
@settings(max_examples=60, deadline=None)
def test_unary_ops(op: str, x: float) -> None:
    # abs and relu have a kink at 0, where torch has the same derivative
    here = (lambda v: -v) if op == "neg" else (lambda v: getattr(v, op)())
    compare(here, getattr(torch, op), x)


@pytest.mark.parametrize("op", BINARY)
@given(x=st.floats(-8, 8, allow_subnormal=False), y=st.floats(-8, 8, allow_subnormal=False))
@settings(max_examples=60, deadline=None)
def test_binary_ops(op: str, x: float, y: float) -> None:
    if op in ("max", "min") and x == y:
        return  # see test_ties
    if op in ("/", "**") and (abs(x) < 1e-3 or abs(y) < 1e-3):
        return  # what overflows, and when, depends on the order of multiplications
    compare(*BINARY[op], x, y)


@pytest.mark.parametrize(
    ("x", "y"), [(0.0, 0.0), (0.0, 1.0), (0.0, 2.0), (0.0, 2.5), (3.0, 0.0), (-2.0, 3.0)]
)
def test_powers_where_it_matters(x: float, y: float) -> None:
    compare(*BINARY["**"], x, y)


@pytest.mark.parametrize("slope", [0.2, 0.0, -0.5])
@pytest.mark.parametrize("x", [-3.0, 0.0, 3.0])
def test_a_slope_that_is_a_number(slope: float, x: float) -> None:
    compare(lambda v: v.leaky_relu(slope), lambda v: torch.where(v > 0, v, slope * v), x)


def test_ties() -> None:
    # of equals, ours gives the first one all of the gradient, torch halves it
    for op in ("max", "min"):
        ours = [Value(2.0), Value(2.0)]
        theirs = [torch.tensor(2.0, dtype=torch.float64, requires_grad=True) for _ in range(2)]
        here, there = BINARY[op]
        here(*ours).backward()
        there(*theirs).backward()
        assert [v.grad for v in ours] == [1.0, 0.0]
        assert [v.grad.item() for v in theirs] == [0.5, 0.5]


# ------------------------------------------------------------------ second derivatives


def test_the_hessian_of_a_network() -> None:
    choose = random.Random(3)
    numbers = [choose.uniform(-1, 1) for _ in range(13)]
    points = [(0.5, -1.0, 1.0), (-0.25, 0.75, 0.0), (1.5, 0.25, 1.0)]

    def loss(p: Any) -> Any:
        total: Any = 0.0
        for x1, x2, y in points:
            hidden = [(p[3 * i] * x1 + p[3 * i + 1] * x2 + p[3 * i + 2]).tanh() for i in range(3)]
            score = sum((p[9 + i] * hidden[i] for i in range(3)), p[12]).sigmoid()
            total = total - (y * score.log() + (1 - y) * (1 - score).log())
        return total

    p = [Value(x) for x in numbers]
    found = [[d.data for d in grad(g, p)] for g in grad(loss(p), p)]
    expected = torch.autograd.functional.hessian(loss, torch.tensor(numbers, dtype=torch.float64))
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-9, atol=1e-12)
