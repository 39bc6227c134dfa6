"""Every function at its kinks and far out: value and gradient against float64, without a warning.

What is right is computed in another way than in `ops`, from the same numbers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Tensor, losses, ops

Array = npt.NDArray[Any]

SIZES = (1e-45, 1e-8, 0.5, 1.0, 3.0, 9.0, 20.0, 88.0, 104.0, 1e4)
FINITE = (*(-size for size in SIZES), -0.0, 0.0, *SIZES)
ALL = (*FINITE, -np.inf, np.inf, np.nan)
POSITIVE = (0.0, *SIZES, np.inf, np.nan)
SHARES = (0.0, 1e-45, 1e-8, 1e-6, 1e-3, 0.25, 0.5, 0.999, 1.0)


class Row(NamedTuple):
    """A function of one number, what it and its derivative are, where, and how near.

    That is in units in the last place, of what is right or of `least` if that is more.
    """

    name: str
    f: Callable[[Tensor], Tensor]
    exact: Callable[[Array], Any]
    slope: Callable[[Array], Any]
    at: tuple[float, ...] = ALL
    within: float = 4
    least: float = 0.0


def beside_0(f: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """f of rows of the number and 0."""
    return lambda x: f(ops.stack([x, Tensor(np.zeros_like(x.data), requires_grad=False)], -1))


def up(x: Array) -> Array:
    """The logistic function."""
    return 1 / (1 + np.exp(-x))


def bce(label: float) -> Row:
    def exact(x: Array) -> Array:
        parts = [w * np.logaddexp(0, s * x) for w, s in ((label, -1), (1 - label, 1)) if w]
        return sum(parts[1:], parts[0])

    return Row(
        f"binary_crossentropy of logits, label {label}",
        lambda x: losses.binary_crossentropy(np.full((*x.shape, 1), label), x[:, None], True),
        exact,
        lambda x: (
            (0.5 - label) + np.tanh(x / 2) / 2 if 0 < label < 1 else up(x) if not label else -up(-x)
        ),
        least=min(label, 1 - label) if label != 0.5 else 0.0,
    )


def bce_of_shares(label: float) -> Row:
    low, high = float(np.float32(1e-7)), 1 - 1e-7

    def exact(x: Array) -> Array:
        one = np.clip(x, 1e-7, 1 - 1e-7)
        return -(np.log(one) if label else np.log1p(-one))

    return Row(
        f"binary_crossentropy of probabilities, label {label}",
        lambda x: losses.binary_crossentropy(np.full((*x.shape, 1), label), x[:, None]),
        exact,
        lambda x: np.where((x < low) | (x > high), 0, -1 / x if label else 1 / (1 - x)),
        tuple(each for each in SHARES if each < 1),  # 1 - 1e-7 is another number in float32
    )


ROWS = [
    Row("absolute", ops.absolute, np.abs, np.sign, within=0),
    Row("square", ops.square, lambda x: x * x, lambda x: 2 * x, within=1),
    Row("negative", ops.negative, lambda x: -x, lambda x: -np.ones_like(x), within=0),
    Row("exp", ops.exp, np.exp, np.exp),
    Row("log", ops.log, np.log, lambda x: 1 / x, POSITIVE[1:]),
    Row("sqrt", ops.sqrt, np.sqrt, lambda x: 0.5 / np.sqrt(x), POSITIVE),
    Row("cube", lambda x: ops.power(x, 3), lambda x: x * x * x, lambda x: 3 * x * x),
    Row("x ** 1", lambda x: ops.power(x, 1), lambda x: x, np.ones_like, FINITE),
    Row("x ** 0", lambda x: ops.power(x, 0), np.ones_like, np.zeros_like, FINITE),
    Row("x ** 0.5", lambda x: ops.power(x, 0.5), np.sqrt, lambda x: 0.5 / np.sqrt(x), POSITIVE),
    Row("2 ** x", lambda x: ops.power(2.0, x), np.exp2, lambda x: np.log(2) * np.exp2(x),
        tuple(each for each in FINITE if each < 100)),
    Row("0 ** x", lambda x: ops.power(0.0, x), lambda x: np.where(x == 0, 1.0, 0.0),
        np.zeros_like, POSITIVE[:-2]),
    Row("divide by it", lambda x: ops.divide(1.0, x), lambda x: 1 / x, lambda x: -1 / x / x,
        tuple(each for each in ALL if not abs(each) < 1e-8)),
    Row("sin", ops.sin, np.sin, np.cos, tuple(x for x in FINITE if abs(x) < 30)),
    Row("cos", ops.cos, np.cos, lambda x: -np.sin(x), tuple(x for x in FINITE if abs(x) < 30)),
    Row("maximum with 1", lambda x: ops.maximum(x, 1.0), lambda x: np.maximum(x, 1),
        lambda x: np.where(x >= 1, 1, 0), FINITE, 0),
    Row("minimum with 1", lambda x: ops.minimum(1.0, x), lambda x: np.minimum(x, 1),
        lambda x: np.where(x < 1, 1, 0), FINITE, 0),
    Row("clip to 0 and 1", lambda x: ops.clip(x, 0, 1), lambda x: np.clip(x, 0, 1),
        lambda x: np.where((x >= 0) & (x <= 1), 1, 0), (*FINITE, -np.inf, np.inf), 0),
    Row("where x > 1, else 0", lambda x: ops.where(x > 1, x, 0.0), lambda x: np.where(x > 1, x, 0),
        lambda x: np.where(x > 1, 1, 0), ALL, 0),
    Row("relu", ops.relu, lambda x: np.maximum(x, 0), lambda x: np.where(x > 0, 1, 0),
        (*FINITE, np.inf, -np.inf), 0),
    Row("leaky_relu", lambda x: ops.leaky_relu(x, 0.25), lambda x: np.maximum(x, 0.25 * x),
        lambda x: np.where(x > 0, 1, 0.25), (*FINITE, np.inf, -np.inf), 1),
    Row("sigmoid", ops.sigmoid, up, lambda x: 1 / (2 + np.exp(x) + np.exp(-x))),
    Row("tanh", ops.tanh, np.tanh, lambda x: 1 / np.square(np.cosh(x))),
    Row("softplus", ops.softplus, lambda x: np.logaddexp(0, x), up),
    Row("log_sigmoid", ops.log_sigmoid, lambda x: -np.logaddexp(0, -x), lambda x: up(-x)),
    Row("softmax", beside_0(lambda x: ops.softmax(x)[..., 0]), up,
        lambda x: 1 / (2 + np.exp(x) + np.exp(-x)), (*FINITE, -np.inf, np.nan), 6),
    Row("log_softmax", beside_0(lambda x: ops.log_softmax(x)[..., 0]),
        lambda x: -np.logaddexp(0, -x), lambda x: up(-x), (*FINITE, -np.inf, np.nan), 6),
    Row("var of it and 0", beside_0(lambda x: ops.var(x, -1)), lambda x: x * x / 4,
        lambda x: x / 2, (*FINITE, np.nan)),
    Row("mean of it and 0", beside_0(lambda x: ops.mean(x, -1)), lambda x: x / 2,
        lambda x: np.full_like(x, 0.5)),
    Row("max of it and 0", beside_0(lambda x: ops.max(x, -1)), lambda x: np.maximum(x, 0),
        lambda x: np.where(x >= 0, 1, 0), (*FINITE, np.inf, -np.inf), 0),
    bce(0.0), bce(1.0), bce(0.25), bce(0.5), bce_of_shares(0.0), bce_of_shares(1.0),
    Row("categorical_crossentropy of logits",
        beside_0(lambda x: losses.categorical_crossentropy(np.eye(2)[np.zeros(len(x), int)], x,
        True)), lambda x: np.logaddexp(0, -x), lambda x: -up(-x), (*FINITE, -np.inf, np.nan), 6),
    Row("categorical_crossentropy of logits, the other class",
        beside_0(lambda x: losses.categorical_crossentropy(np.eye(2)[np.ones(len(x), int)], x,
        True)), lambda x: np.logaddexp(0, x), up, (*FINITE, -np.inf, np.nan), 6),
    Row("sparse_categorical_crossentropy of logits, the other class",
        beside_0(lambda x: losses.sparse_categorical_crossentropy(np.ones(len(x), int), x, True)),
        lambda x: np.logaddexp(0, x), up, (*FINITE, -np.inf, np.nan), 6),
    Row("mean_squared_error", lambda x: losses.mean_squared_error(np.zeros((*x.shape, 1)),
        x[:, None]), lambda x: x * x, lambda x: 2 * x),
    Row("mean_absolute_error", lambda x: losses.mean_absolute_error(np.zeros((*x.shape, 1)),
        x[:, None]), np.abs, np.sign),
]  # fmt: skip


def as_near(got: Array, true: Array, within: float, least: float) -> list[bool]:
    """Equal, both nan, or so many units in the last place away."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = true.astype(got.dtype)
        unit = np.spacing(np.abs(rounded).clip(least)).astype(true.dtype)
        good = (got == rounded) | (np.isnan(got) & np.isnan(rounded))
        good |= np.abs(got - true) <= within * unit
    return [bool(each) for each in good]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_values_and_gradients(row: Row, dtype: Any) -> None:
    x = Tensor(np.array(row.at, dtype))
    y = row.f(x)
    y.backward(np.ones_like(y.data))
    with np.errstate(all="ignore"):
        given = x.data.astype(np.longdouble)
        exact, slope = (np.asarray(f(given), np.longdouble) for f in (row.exact, row.slope))
    assert y.dtype == x.grad.dtype == dtype
    for got, true in ((y.data, exact), (x.grad, slope)):
        near = as_near(got, true, row.within, row.least)
        wrong = [
            (at, one, right)
            for at, one, right, good in zip(row.at, got, true, near, strict=True)
            if not good
        ]
        assert not wrong, f"at, found, right: {wrong}"


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_a_logit_of_0_has_the_gradient_of_both_sides(label: float) -> None:
    z = Tensor(np.array([[0.0], [-0.0]], np.float32))
    losses.BinaryCrossentropy(from_logits=True)([[label]] * 2, z).backward()
    np.testing.assert_array_equal(z.grad, [[(0.5 - label) / 2]] * 2)


def test_a_loss_far_out_is_not_rounded_away() -> None:
    z = Tensor(np.array([[20.0]], np.float32))
    loss = losses.BinaryCrossentropy(from_logits=True)([[1.0]], z)
    loss.backward()
    expected = np.log1p(np.exp(-20.0))
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert z.grad.item() == pytest.approx(-expected, rel=1e-6)


@pytest.mark.parametrize("name", ["categorical", "sparse_categorical", "from a softmax"])
def test_a_class_that_is_masked_out_costs_nothing(name: str) -> None:
    """Its logit is -inf, its label 0."""
    logits = Tensor(np.array([[0.5, -np.inf, 1.5], [-np.inf, -np.inf, 2.0]], np.float32))
    labels = np.array([2, 2])
    if name == "categorical":
        each = losses.categorical_crossentropy(np.eye(3)[labels], logits, from_logits=True)
    elif name == "sparse_categorical":
        each = losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    else:
        each = losses.categorical_crossentropy(np.eye(3)[labels], ops.softmax(logits))
    share = 1 / (1 + np.exp(-1.0))
    np.testing.assert_allclose(each.data, [-np.log(share), 0], rtol=1e-6)
    each.sum().backward()
    np.testing.assert_allclose(logits.grad, [[1 - share, 0, share - 1], [0, 0, 0]], atol=1e-7)


def test_a_class_that_cannot_be_costs_all() -> None:
    logits = Tensor(np.array([[0.5, -np.inf]], np.float32))
    for labels in ([[0.0, 1.0]], [[0.5, 0.5]]):
        each = losses.categorical_crossentropy(labels, logits, from_logits=True)
        assert each.tolist() == [np.inf]


@pytest.mark.parametrize("f", [ops.softmax, ops.log_softmax], ids=["softmax", "log_softmax"])
@pytest.mark.parametrize(
    "x", [[np.inf, 0.0], [np.inf, -np.inf], [-np.inf, -np.inf], [np.nan, 0.0], [np.inf, np.inf]]
)
def test_a_softmax_of_what_has_no_order_is_nan_in_silence(
    f: Callable[..., Tensor], x: list[float]
) -> None:
    assert np.isnan(f(Tensor(x)).data).all()


@pytest.mark.parametrize("name", ["categorical", "sparse_categorical", "binary"])
def test_nan_goes_on_through_a_loss(name: str) -> None:
    for from_logits, place in itertools.product((False, True), (0, 1)):
        y = np.array([[0.3, 0.7]], np.float32)
        y[0, place] = np.nan
        labels = [0] if name == "sparse_categorical" else [[1.0, 0.0]]
        f = getattr(losses, f"{name}_crossentropy")
        assert np.isnan(f(labels, Tensor(y), from_logits=from_logits).data).all()
