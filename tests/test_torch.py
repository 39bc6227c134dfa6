"""Random expressions of Values beside PyTorch's float64; needs torch."""

from __future__ import annotations

import random
import warnings
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import Value

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
    root, twin = sum(ours[1:], ours[0]), sum(theirs[1:], theirs[0])
    root.backward()
    twin.backward()
    assert root.data == pytest.approx(twin.item(), rel=1e-9, abs=1e-9)
    for leaf, other in leaves:
        assert leaf.grad == pytest.approx(other.grad.item(), rel=1e-7, abs=1e-9)
