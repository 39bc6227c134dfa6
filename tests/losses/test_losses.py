"""Losses: masks, weights, ranks, names, types; what is refused. What is right is Keras 3.15's."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Sequential, Tensor, layers, losses, ops, optimizers

Array = npt.NDArray[Any]
REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight")


class Itself(losses.Loss):
    """The predictions are the losses."""

    def call(self, y_true: Array, y_pred: Tensor) -> Tensor:
        return y_pred


LOSSES = [
    getattr(losses, name)
    for name in losses.__all__
    if isinstance(getattr(losses, name), type) and name not in ("Loss", "LossFunctionWrapper")
]

# ------------------------------------------------------------------ ignore_class

LABELS = np.array([[0, 1], [-1, 2]])
SHARES = np.tile(np.array([0.5, 0.3, 0.2], np.float32), (2, 2, 1))
EACH = -np.log([[0.5, 0.3], [1.0, 0.2]])


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_ignored_labels_are_not_among_those_of_the_mean(reduction: str, from_logits: bool) -> None:
    loss = losses.SparseCategoricalCrossentropy(from_logits, -1, reduction)
    y_pred = np.log(SHARES) if from_logits else SHARES
    total = EACH.sum()
    weights = np.array([[1.0], [2.0]])
    weighted = (EACH * weights).sum()
    assert loss(LABELS, y_pred).item() == pytest.approx(total if reduction == "sum" else total / 3)
    by = {"sum": 1, "mean_with_sample_weight": 1 + 1 + 2}.get(reduction, 3)
    assert loss(LABELS, y_pred, weights).item() == pytest.approx(weighted / by)


@pytest.mark.parametrize("reduction", [None, "none"])
def test_ignored_labels_have_loss_0(reduction: str | None) -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1, reduction=reduction)
    expected = pytest.approx(EACH)
    assert loss(LABELS, SHARES).data == expected
    assert losses.sparse_categorical_crossentropy(LABELS, SHARES, False, -1).data == expected


@pytest.mark.parametrize("ignored", [255, -1, 0, -100])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_that_counts_is_0(ignored: int, reduction: str) -> None:
    loss = losses.SparseCategoricalCrossentropy(ignore_class=ignored, reduction=reduction)
    y_pred = Tensor(SHARES)
    found = loss(np.full((2, 2), ignored), y_pred)
    found.backward()
    assert found.item() == 0
    np.testing.assert_array_equal(y_pred.grad, 0 * SHARES)


@pytest.mark.parametrize("how", ["probabilities", "logits", "softmax"])
def test_what_was_predicted_for_ignored_labels_does_not_matter(how: str) -> None:
    """Not even if it is no number."""
    given = np.array([[0.5, 0.5], [np.nan, 0.2]], np.float32)
    y_pred = Tensor(given)
    p = ops.softmax(y_pred) if how == "softmax" else y_pred
    loss = losses.SparseCategoricalCrossentropy(how == "logits", ignore_class=9)
    found = loss(np.array([0, 9]), p)
    found.backward()
    assert found.item() == pytest.approx(np.log(2))
    expected = [[-1, 1], [0, 0]] if how == "probabilities" else [[-0.5, 0.5], [0, 0]]
    np.testing.assert_allclose(y_pred.grad, expected, rtol=1e-6)


def linear_model() -> tuple[Sequential, Array]:
    model = Sequential([layers.Input((2,)), layers.Dense(3)])
    x = np.array([[1.0, 2.0], [0.5, -1.0], [-1.0, 1.0], [2.0, 0.0]], np.float32)
    return model, x


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("kind", ["object", "function"])
@pytest.mark.parametrize("weighted", [False, True])
def test_fit_leaves_ignored_labels_out(kind: str, eager: bool, weighted: bool) -> None:
    model, x = linear_model()
    y = np.array([0, 255, 2, 255])
    weights = np.array([1.0, 5.0, 3.0, 7.0]) if weighted else None

    def function(y_true: Array, y_pred: Tensor) -> Tensor:
        return losses.sparse_categorical_crossentropy(y_true, y_pred, True, 255)

    loss = losses.SparseCategoricalCrossentropy(True, 255) if kind == "object" else function
    model.compile(optimizers.SGD(0.1), loss, run_eagerly=eager)
    before = model.get_weights()
    logits = (x @ before[0] + before[1]).astype(np.float64)
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    each = -np.log(p[[0, 2], [0, 2]])
    w = np.array([1.0, 3.0]) if weighted else np.ones(2)
    found = model.train_on_batch(x, y, sample_weight=weights)
    assert found == pytest.approx((each * w).sum() / 2, rel=1e-5)
    dy = (p - np.eye(3)[[0, 0, 2, 0]]) * np.array([w[0], 0, w[1], 0])[:, None] / 2
    np.testing.assert_allclose(model.get_weights()[0], before[0] - 0.1 * x.T @ dy, atol=1e-6)


# ------------------------------------------------------------------ weights


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("kind", LOSSES)
def test_no_weight_at_all_is_0(kind: Any, reduction: str) -> None:
    y_pred = Tensor(np.full((2, 2), 0.4))
    labels = [0, 1] if kind is losses.SparseCategoricalCrossentropy else np.eye(2)
    found = kind(reduction=reduction)(labels, y_pred, np.zeros(2))
    found.backward()
    assert found.item() == 0
    np.testing.assert_array_equal(y_pred.grad, np.zeros((2, 2)))


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("eager", [False, True])
def test_a_batch_without_weight_changes_nothing(reduction: str, eager: bool) -> None:
    model, x = linear_model()
    model.compile("sgd", losses.MeanSquaredError(reduction), run_eagerly=eager)
    before = model.get_weights()
    assert model.train_on_batch(x, np.ones((4, 3)), sample_weight=np.zeros(4)) == 0
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


VALUES = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "weights",
    [
        2.0, np.array([2.0]), np.array([[1.0], [3.0]]), np.array([[1.0, 2, 3]]), [1.0, 2, 3],
        VALUES + 1, (VALUES + 1)[..., None], [[True, False, True], [False, True, True]],
    ],
    ids=lambda weights: str(np.shape(weights)),
)  # fmt: skip
@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
def test_weights_are_broadcast(weights: Any, reduction: str | None) -> None:
    w = np.asarray(weights, float)
    w = w[..., 0] if w.ndim == 3 else w
    total = (VALUES * w).sum()
    found = Itself(reduction=reduction)(VALUES, VALUES, weights)
    if reduction is None:
        np.testing.assert_allclose(found.data, VALUES * w)
    else:
        by = {"sum": 1, "mean_with_sample_weight": w.sum()}.get(reduction, 6)
        assert found.item() == pytest.approx(total / by)


def test_weights_of_one_loss_each_may_be_a_column() -> None:
    found = Itself(reduction=None)([1.0, 2.0], [1.0, 2.0], [[3.0], [4.0]])
    assert found.tolist() == [[3.0], [8.0]]  # as in Keras
    assert Itself()([1.0, 2.0], [1.0, 2.0], [[3.0], [4.0]]).item() == 5.5


def test_a_single_loss_may_have_several_weights() -> None:
    assert Itself()(2.0, 2.0, [1.0, 3.0]).item() == 4
    assert Itself("sum", "sum")(2.0, 2.0, [1.0, 3.0]).item() == 8
    assert Itself()(2.0, 2.0, 3.0).item() == 6


@pytest.mark.parametrize("shape", [(2,), (2, 2), (3, 2), (3, 2, 3), (2, 3, 2), (4,)])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, None])
def test_weights_that_do_not_fit(shape: tuple[int, ...], reduction: str | None) -> None:
    with pytest.raises(ValueError, match=r"sample_weight: .*\(2, 3\), got shape"):
        Itself(reduction=reduction)(VALUES, VALUES, np.ones(shape))


@pytest.mark.parametrize("weights", ["a", [None], [[1.0], [2.0, 3.0]]])
def test_weights_that_are_no_numbers(weights: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="sample_weight: expected"):
        Itself()(VALUES, VALUES, weights)


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("kind", ["object", "function"])
def test_weights_of_examples_whose_losses_have_more_axes(kind: str, eager: bool) -> None:
    """As many examples as there are losses of one: weights are still the examples'."""
    model = Sequential([layers.Input((3, 2)), layers.Dense(1, use_bias=False)])
    loss: Any = losses.MeanSquaredError() if kind == "object" else losses.mean_squared_error
    model.compile("sgd", loss, run_eagerly=eager)
    model.set_weights([np.array([[1.0], [0.0]])])
    x = np.stack([np.full((3, 2), i + 1.0) for i in range(3)])
    found = model.train_on_batch(x, np.zeros((3, 3, 1)), sample_weight=np.array([1.0, 0, 0]))
    assert found == pytest.approx(1 / 3)


# ------------------------------------------------------------------ shapes

MISSING = [
    ((3,), (3, 1), (3,)), ((3, 1), (3,), (3,)), ((3, 2, 1), (3, 2), (3,)),
    ((3, 2), (3, 2, 1), (3,)), ((3,), (3,), ()), ((3, 2), (3, 2), (3,)),
    ((2, 3, 4), (2, 3, 4), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize(("y_true", "y_pred", "expected"), MISSING, ids=str)
@pytest.mark.parametrize(
    "name", ["mean_squared_error", "mean_absolute_error", "binary_crossentropy"]
)
def test_an_axis_of_size_1_may_be_missing(
    name: str, y_true: Any, y_pred: Any, expected: Any
) -> None:
    y, p = np.ones(y_true), np.full(y_pred, 0.5)
    each = getattr(losses, name)(y, p)
    assert each.shape == expected
    value = {"mean_squared_error": 0.25, "mean_absolute_error": 0.5}.get(name, np.log(2))
    np.testing.assert_allclose(each.data, np.full(expected, value), rtol=1e-6)


def test_a_single_example() -> None:
    p = [0.2, 0.8]
    for found in (
        losses.categorical_crossentropy([0.0, 1.0], p),
        losses.sparse_categorical_crossentropy(1, p),
        losses.sparse_categorical_crossentropy([1], p),
    ):
        assert found.shape == ()
        assert found.item() == pytest.approx(-np.log(0.8))


@pytest.mark.parametrize("axis", [1, -2])
@pytest.mark.parametrize("shape", [(2, 3), (2, 1, 3)])
def test_classes_along_another_axis(axis: int, shape: tuple[int, ...]) -> None:
    p = np.random.default_rng(1).dirichlet(np.ones(4), (2, 3)).transpose(0, 2, 1)
    labels = np.array([[0, 1, 2], [3, 3, 1]])
    expected = -np.log(np.take_along_axis(p, labels[:, None], 1)[:, 0])
    loss = losses.SparseCategoricalCrossentropy(axis=axis, reduction=None)
    np.testing.assert_allclose(loss(labels.reshape(shape), p).data, expected, rtol=1e-5)
    one_hot = np.moveaxis(np.eye(4)[labels], -1, 1)
    loss = losses.CategoricalCrossentropy(axis=axis, reduction=None)
    np.testing.assert_allclose(loss(one_hot, p).data, expected, rtol=1e-5)


P23 = np.full((2, 3), 1 / 3)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: losses.sparse_categorical_crossentropy(np.zeros((2, 3, 1)),
            np.full((2, 4, 3), 0.25), axis=1), r"y_true: .*shape \(2, 3\), got shape \(2, 3, 1\)"),
        (lambda: losses.sparse_categorical_crossentropy(np.zeros((2, 2)), P23), "y_true: .*shape"),
        (lambda: losses.sparse_categorical_crossentropy(np.zeros(3), P23), "y_true: .*shape"),
        (lambda: losses.sparse_categorical_crossentropy(np.zeros(1), P23), "y_true: .*shape"),
        (lambda: losses.sparse_categorical_crossentropy(np.eye(3)[:2], P23), "y_true: .*shape"),
        (lambda: losses.sparse_categorical_crossentropy([0, 3], P23), "y_true: .*0 to 2, got 3"),
        (lambda: losses.sparse_categorical_crossentropy([0, -1], P23), "y_true: .*0 to 2, got -1"),
        (lambda: losses.sparse_categorical_crossentropy([0, -1], P23, ignore_class=9), "got -1"),
        (lambda: losses.sparse_categorical_crossentropy([0, 1.5], P23), "y_true: .*whole"),
        (lambda: losses.sparse_categorical_crossentropy([0, np.nan], P23), "y_true: .*whole"),
        (lambda: losses.sparse_categorical_crossentropy([0, 1], P23, ignore_class=0.5),
            "ignore_class: expected a whole number"),
        (lambda: losses.SparseCategoricalCrossentropy(ignore_class="a"), "ignore_class: "),
        (lambda: losses.sparse_categorical_crossentropy(0, 0.5), "y_pred: expected an axis"),
        (lambda: losses.mean_squared_error(1.0, 2.0), "y_pred: expected an axis"),
        (lambda: losses.mean_squared_error(np.ones((2, 1)), P23), r"y_true: .*\(2, 3\), got"),
        (lambda: losses.mean_absolute_error(np.ones(3), P23), r"y_true: .*\(2, 3\), got"),
        (lambda: losses.binary_crossentropy(np.ones((2, 1)), P23), r"y_true: .*\(2, 3\), got"),
        (lambda: losses.categorical_crossentropy(np.ones((2, 1)), P23), "y_true: .*one-hot"),
        (lambda: losses.categorical_crossentropy(P23, P23, axis=True), "axis: expected a whole"),
        (lambda: losses.categorical_crossentropy(P23, P23, axis=2), "axis 2 is out of bounds"),
        (lambda: losses.binary_crossentropy(P23, P23, axis=2), "axis 2 is out of bounds"),
        (lambda: losses.CategoricalCrossentropy(axis=True), "axis: expected a whole"),
        (lambda: losses.BinaryCrossentropy(label_smoothing=1.5), "label_smoothing: .*0 to 1"),
        (lambda: losses.binary_crossentropy(P23, P23, label_smoothing=-0.1), "label_smoothing: "),
        (lambda: losses.categorical_crossentropy(P23, P23, label_smoothing=2), "label_smoothing: "),
        (lambda: losses.MeanSquaredError(reduction="max"), "reduction: expected one of"),
        (lambda: losses.MeanSquaredError(reduction=["sum"]), "reduction: expected one of"),
        (lambda: losses.MeanSquaredError(dtype="float16"), "dtype: .*'float32'.* got 'float16'"),
        (lambda: losses.Loss(dtype="no type"), "dtype: .*'float32'.* got 'no type'"),
        (lambda: losses.get("typo"), "loss: expected one of .*got 'typo'"),
        (lambda: Itself()([[1.0], [1.0, 2.0]], P23), "y_true: expected an array of numbers"),
    ],
)  # fmt: skip
def test_what_is_refused(call: Any, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_one_class_is_warned_of() -> None:
    with pytest.warns(SyntaxWarning, match=r"expected y_pred.shape to be \(batch_size, num_classe"):
        losses.categorical_crossentropy([[1.0]], [[0.5]])


# ------------------------------------------------------------------ types, names, configurations


@pytest.mark.parametrize("kind", LOSSES)
def test_arrays_of_float64_are_taken_as_float32_and_tensors_are_not(kind: Any) -> None:
    y_pred = np.full((2, 2), 0.4)
    labels = [0, 1] if kind is losses.SparseCategoricalCrossentropy else np.eye(2)
    for given in (y_pred, y_pred.tolist(), Tensor(y_pred.astype(np.float32))):
        assert kind()(labels, given).dtype == np.float32
    assert kind()(labels, Tensor(y_pred)).dtype == np.float64
    assert kind(reduction=None)(labels, np.array([[1, 0], [0, 1]])).dtype == np.float32


@pytest.mark.parametrize("dtype", [None, "float32", np.float32, np.dtype("float32")])
@pytest.mark.parametrize("kind", LOSSES)
def test_dtype(kind: Any, dtype: Any) -> None:
    loss = kind(dtype=dtype)
    assert loss.dtype == "float32"
    with pytest.raises(AttributeError):
        loss.dtype = "float64"


def test_a_loss_of_ones_own_gets_arrays_of_float32() -> None:
    class Look(losses.Loss):
        def call(self, y_true: Any, y_pred: Tensor) -> Tensor:
            assert y_true.dtype == y_pred.dtype == np.float32
            return ops.mean((y_true - y_pred) ** 2, -1)

    assert Look()([[1, 2]], [[1, 4]]).item() == 2
    assert Look()(np.uint8([[1, 2]]), np.array([[1.0, 4.0]])).item() == 2


@pytest.mark.usefixtures("_fresh_names")
def test_names() -> None:
    class MyLoss(losses.Loss):
        pass

    assert [MyLoss().name, MyLoss().name, MyLoss("x").name] == ["my_loss", "my_loss_1", "x"]
    assert losses.LossFunctionWrapper(losses.mean_squared_error).name == "loss_function_wrapper"
    assert losses.MeanSquaredError().name == losses.MeanSquaredError().name == "mean_squared_error"


@pytest.fixture
def _fresh_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micrograd_ext.common.naming._names", Counter())


def test_configurations() -> None:
    loss = losses.BinaryCrossentropy(True, 0.1, 1, "sum", "bce")
    config = {
        "name": "bce", "reduction": "sum", "from_logits": True, "label_smoothing": 0.1, "axis": 1,
    }  # fmt: skip
    assert loss.get_config() == config
    assert losses.BinaryCrossentropy.from_config(config).get_config() == config
    assert losses.MeanSquaredError().get_config() == {
        "name": "mean_squared_error", "reduction": "sum_over_batch_size",
    }  # fmt: skip
    sparse = losses.SparseCategoricalCrossentropy(True, 3)
    assert losses.deserialize(losses.serialize(sparse)).get_config() == sparse.get_config()
    assert losses.get(losses.serialize(losses.mean_squared_error)) is losses.mean_squared_error


def test_a_function_with_arguments() -> None:
    def huber(y_true: Array, y_pred: Tensor, delta: float = 1.0) -> Tensor:
        return ops.mean(ops.minimum(ops.absolute(y_true - y_pred), delta), -1)

    loss = losses.LossFunctionWrapper(huber, "sum", "mine", delta=0.5)
    assert loss([0.0, 0.0], [[0.25], [3.0]]).item() == 0.75  # of one rank first
    config = loss.get_config()
    assert config == {"name": "mine", "reduction": "sum", "fn": ">huber", "delta": 0.5}
    again = losses.deserialize(losses.serialize(loss), {"huber": huber})
    assert again.get_config() == config
    with pytest.raises(ValueError, match="fn: 'huber' is none of"):
        losses.LossFunctionWrapper.from_config(config)


def test_the_idiom_of_get_config() -> None:
    class Scaled(losses.MeanSquaredError):
        def __init__(self, factor: float, **options: Any) -> None:
            super().__init__(**options)
            self._factor = factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self._factor}

    loss = Scaled(3, reduction="sum")
    config = {"name": "mean_squared_error", "reduction": "sum", "factor": 3}
    assert loss.get_config() == Scaled.from_config(loss.get_config()).get_config() == config
    assert "reduction='sum'" in repr(loss)

    class Forgets(losses.Loss):
        def __init__(self, factor: Any) -> None:
            super().__init__()

    assert Forgets(3).get_config() == {"factor": 3}
    with pytest.raises(TypeError, match=r"Forgets: get_config: factor: .*override get_config"):
        Forgets(object()).get_config()


def test_get() -> None:
    assert losses.get(None) is None
    for name in ("mse", "MSE", "mean_squared_error"):
        assert losses.get(name) is losses.mean_squared_error
    for name in ("mae", "MAE"):
        assert losses.get(name) is losses.mean_absolute_error
    for name in ("bce", "BCE"):
        assert losses.get(name) is losses.binary_crossentropy
    assert type(losses.get("MeanSquaredError")) is losses.MeanSquaredError
    assert type(losses.get(losses.MeanSquaredError)) is losses.MeanSquaredError
