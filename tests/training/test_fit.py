"""What `fit` and its relatives take beside examples and labels: weights, splits, single batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Sequential, callbacks, layers, losses, optimizers, utils

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(8)
X = RANDOM.standard_normal((20, 4), dtype=np.float32)
CLASSES = RANDOM.integers(0, 3, 20)
Y = np.eye(3)[CLASSES]
WEIGHTS = RANDOM.random(20) * 2


def compiled(**how: Any) -> Sequential:
    utils.set_random_seed(2)
    model = Sequential([layers.Input((4,)), layers.Dense(5, "tanh"), layers.Dense(3, "softmax")])
    model.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy", **how})
    return model


def trained(y: Any = Y, x: Any = X, *, model: Sequential | None = None, **how: Any) -> list[Array]:
    """Losses and weights after two epochs without shuffling."""
    model = model or compiled()
    history = model.fit(
        x, y, **{"batch_size": 8, "epochs": 2, "shuffle": False, "verbose": 0, **how}
    )
    return [*map(np.asarray, history.history.values()), *model.get_weights()]


def assert_close(a: list[Array], b: list[Array], rtol: float = 1e-5) -> None:
    assert len(a) == len(b)
    for one, other in zip(a, b, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=1e-6)


@pytest.mark.parametrize(
    "loss", ["categorical_crossentropy", losses.CategoricalCrossentropy(), "mse"]
)
def test_sample_weights(loss: Any) -> None:
    """A step by the gradient of the weighted losses' mean, written out for one batch."""
    model = compiled(loss=loss)
    before = model.get_weights()
    y_pred = model.predict(X).astype(np.float64)
    each = -(Y * np.log(y_pred)).sum(1) if loss != "mse" else ((Y - y_pred) ** 2).mean(1)
    expected = (each * WEIGHTS).mean()
    assert model.evaluate(X, Y, 7, 0, WEIGHTS) == pytest.approx(expected, rel=1e-5)
    history = model.fit(X, Y, 20, sample_weight=WEIGHTS, verbose=0)
    assert history.history["loss"] == pytest.approx([expected], rel=1e-5)
    # the bias of the last layer moves against the mean of weight * (y_pred - y)
    moved = -0.01 * (WEIGHTS[:, None] * (y_pred - Y)).mean(0)
    if loss != "mse":
        np.testing.assert_allclose(model.get_weights()[3] - before[3], moved, atol=1e-6)
    eager = trained(sample_weight=WEIGHTS, model=compiled(loss=loss, run_eagerly=True))
    assert_close(trained(sample_weight=WEIGHTS[:, None], model=compiled(loss=loss)), eager)


def test_weights_may_come_and_go() -> None:
    model = compiled()
    plain = trained(model=model)
    assert_close(plain, trained(sample_weight=np.ones(20)))
    model.set_weights(compiled().get_weights())
    weighted = trained(model=model, sample_weight=WEIGHTS)
    assert_close(weighted, trained(sample_weight=WEIGHTS))
    model.set_weights(compiled().get_weights())
    assert_close(trained(model=model), plain)


def test_examples_that_weigh_nothing_are_as_good_as_not_there() -> None:
    some = WEIGHTS * (CLASSES != 1)
    other = Y.copy()
    other[CLASSES == 1] = [1, 0, 0]
    assert_close(trained(sample_weight=some), trained(other, sample_weight=some))


def test_class_weights() -> None:
    of_classes = {0: 0.5, 2: 3.0}
    expected = trained(sample_weight=np.array([0.5, 1.0, 3.0])[CLASSES])
    assert_close(trained(class_weight=of_classes), expected)
    sparse = compiled(loss="sparse_categorical_crossentropy")
    assert_close(trained(CLASSES, model=sparse, class_weight=of_classes), expected)
    sparse = compiled(loss="sparse_categorical_crossentropy")
    assert_close(trained(CLASSES[:, None], model=sparse, class_weight=of_classes), expected)
    both = trained(class_weight=of_classes, sample_weight=WEIGHTS)
    product = WEIGHTS * np.array([0.5, 1.0, 3.0])[CLASSES]
    assert_close(both, trained(sample_weight=product))


def test_class_numbers_are_as_good_as_one_hot_labels() -> None:
    sparse = compiled(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    assert_close(trained(CLASSES, model=sparse), trained(model=compiled(metrics=["accuracy"])))


@pytest.mark.parametrize("loss", [losses.CategoricalCrossentropy(label_smoothing=0.3), "mae"])
def test_losses_by_a_program_and_eagerly(loss: Any) -> None:
    a, b = (trained(model=compiled(loss=loss, run_eagerly=eager)) for eager in (False, True))
    assert_close(a, b)


def test_a_split_is_validation_data() -> None:
    for weights in (None, WEIGHTS):
        split = trained(validation_split=0.3, sample_weight=weights, shuffle=True)
        rest = (slice(None, 14), slice(14, None))
        data = (
            [X[rest[1]], Y[rest[1]]] if weights is None else [X[rest[1]], Y[rest[1]], weights[14:]]
        )
        given = None if weights is None else weights[:14]
        expected = trained(
            Y[:14], X[:14], validation_data=tuple(data), sample_weight=given, shuffle=True
        )
        assert len(split) == 6
        assert_close(split, expected)


def test_epochs_go_on_where_they_stopped() -> None:
    model = compiled()
    history = model.fit(X, Y, epochs=5, initial_epoch=3, verbose=0)
    assert history.epoch == [3, 4]
    assert model.fit(X, Y, epochs=2, initial_epoch=2, verbose=0).epoch == []


def test_single_batches() -> None:
    model, other = compiled(metrics=["accuracy"]), compiled(metrics=["accuracy"])
    for first in (0, 8, 16, 0, 8, 16):
        part = slice(first, first + 8)
        before = model.test_on_batch(X[part], Y[part])
        assert model.train_on_batch(X[part], Y[part]) == pytest.approx(before, rel=1e-5)
    assert_close(model.get_weights(), trained(model=other)[2:])
    assert model.optimizer is not None
    assert model.optimizer.iterations == 6
    logs = model.train_on_batch(X, Y, WEIGHTS, return_dict=True)
    assert isinstance(logs, dict)
    assert logs.keys() == {"loss", "accuracy"}
    assert model.evaluate(X, Y, verbose=0, return_dict=True).keys() == logs.keys()  # type: ignore[union-attr]
    np.testing.assert_array_equal(model.predict_on_batch(X), model.predict(X))


def test_metrics_by_their_names() -> None:
    names = ["accuracy", "categorical_accuracy", "top_k_categorical_accuracy", "mse", "mae"]
    names += ["binary_accuracy", "categorical_crossentropy", "RootMeanSquaredError"]
    found = []
    for eagerly in (False, True):
        model = compiled(metrics=names, run_eagerly=eagerly)
        found.append(model.evaluate(X, Y, 7, 0, return_dict=True))
    assert isinstance(found[0], dict)
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    y = model.predict(X)
    assert found[0]["mse"] == pytest.approx(((Y - y) ** 2).mean(), rel=1e-5)
    assert found[0]["root_mean_squared_error"] == pytest.approx(found[0]["mse"] ** 0.5, rel=1e-5)
    assert found[0]["categorical_crossentropy"] == pytest.approx(found[0]["loss"], rel=1e-5)
    assert found[0]["accuracy"] == found[0]["categorical_accuracy"]
    assert found[0]["top_k_categorical_accuracy"] == 1


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "weights too few": (lambda: trained(sample_weight=WEIGHTS[1:]), "each of the 20 examples"),
    "weights no numbers": (lambda: trained(sample_weight=["a"] * 20), "sample_weight: expected"),
    "classes no dict": (lambda: trained(class_weight=[1.0, 2.0]), "class_weight: expected a dict"),
    "split too large": (
        lambda: trained(validation_split=1.0),
        "validation_split: expected a share",
    ),
    "split of all": (lambda: trained(Y[:1], X[:1], validation_split=0.5), "leaves none"),
    "epoch": (lambda: trained(initial_epoch=1.5), "initial_epoch: expected a whole number"),
    "validation data": (lambda: trained(validation_data=(X,)), "expected a pair"),
    "no such class": (
        lambda: trained(CLASSES + 1, model=compiled(loss="sparse_categorical_crossentropy")),
        "expected class numbers from 0 to 2, got 3",
    ),
    "one-hot for class numbers": (
        lambda: trained(model=compiled(loss="sparse_categorical_crossentropy")),
        "categorical_crossentropy",
    ),
    "reduction": (lambda: losses.MeanSquaredError(reduction="max"), "reduction: expected one of"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------ labels, and other bad calls


ROWS = np.random.default_rng(8).random((6, 4)).astype(np.float32)
GOOD = np.eye(3)[[0, 1, 2, 0, 1, 2]]


def head(units: int, activation: str, loss: Any) -> Sequential:
    model = Sequential([layers.Input((4,)), layers.Dense(units, activation)])
    model.compile("sgd", loss)
    return model


@pytest.mark.parametrize("wrong", [GOOD * 2, GOOD - 0.5, GOOD * 0, np.where(GOOD, np.nan, GOOD)])
def test_labels_that_are_no_probabilities(wrong: npt.NDArray[Any]) -> None:
    y = GOOD.copy()
    y[4] = wrong[4]
    for loss in ("categorical_crossentropy", losses.CategoricalCrossentropy()):
        model = head(3, "softmax", loss)
        before = model.get_weights()
        for call in ("fit", "evaluate", "train_on_batch"):
            match = rf"{call}: y: expected one-hot labels, .*, as categorical_cross.* in example 4"
            with pytest.raises(ValueError, match=match):
                getattr(model, call)(ROWS, y)
        with pytest.raises(ValueError, match="validation_data: y: expected one-hot labels"):
            model.fit(ROWS, GOOD, validation_data=(ROWS, y), verbose=0)
        for a, b in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    head(3, "softmax", "mse").fit(ROWS, np.nan_to_num(y), verbose=0)
    soft = (0.25 * GOOD + 0.25).astype(np.float16)
    head(3, "softmax", "categorical_crossentropy").fit(ROWS, soft, verbose=0)


def test_binary_labels_are_from_0_to_1() -> None:
    model = head(1, "sigmoid", "binary_crossentropy")
    model.fit(ROWS, [[0], [1], [0.5], [0], [1], [0]], verbose=0)
    match = r"fit: y: expected labels from 0 to 1, as binary_crossentropy .* got 2 in example 1"
    with pytest.raises(ValueError, match=match):
        model.fit(ROWS, [[0], [2], [0], [0], [1], [0]], verbose=0)


def test_no_epochs_and_single_callbacks() -> None:
    model = head(3, "softmax", "categorical_crossentropy")
    begun = []
    note = callbacks.LambdaCallback(on_train_begin=lambda logs=None: begun.append(logs))
    assert model.fit(ROWS, GOOD, epochs=0, callbacks=note, verbose=0).history == {}
    assert len(begun) == 1


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: m.fit(ROWS, None), ValueError, "fit: y: expected a label for each"),
        (lambda m: m.fit([[1], [2, 3]], GOOD), ValueError, "fit: x: expected an array of numbers"),
        (lambda m: m.fit(ROWS, GOOD, initial_epoch=-1), ValueError, "initial_epoch: .* got -1"),
        (lambda m: Sequential(layers.Dense(2)), TypeError, "layers: expected a list of layers"),
        (lambda m: m.compile("sgd", "mse", metrics="mae"), TypeError, "metrics: expected a list"),
        (lambda m: optimizers.SGD("fast"), ValueError, "learning_rate: .* got 'fast'"),
        (lambda m: optimizers.Adam(epsilon=None), ValueError, "epsilon: .* got None"),
        (
            lambda m: m.fit(ROWS, GOOD, validation_data=(ROWS[:, :2], GOOD)),
            ValueError,
            r"fit: validation_data: x: expected shape \(None, 4\)",
        ),
        (
            lambda m: Sequential([layers.Dense(3)]).fit(ROWS, GOOD),
            RuntimeError,
            "fit: this model has no loss yet",
        ),
    ],
)
def test_bad_calls_are_named(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(head(3, "softmax", "categorical_crossentropy"))
