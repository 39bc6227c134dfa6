"""Metrics: of batches as of all at once, of any shape and weights; metrics of one's own."""

from __future__ import annotations

import copy
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import Sequential, Tensor, Variable, callbacks, layers, losses, metrics, ops

Array = npt.NDArray[Any]
CASES = settings().max_examples

# ------------------------------------------------------------------ batches, and all at once

#: What is a number for each example of predictions (N, ..., C), by other means, in float64.
TWINS: dict[str, Callable[[Array, Array], Array]] = {
    "BinaryAccuracy": lambda y, p: (y == (p > 0.5)).astype(float),
    "Accuracy": lambda y, p: (y == p).astype(float),
    "RootMeanSquaredError": lambda y, p: (y - p) ** 2,
    "MeanSquaredError": lambda y, p: ((y - p) ** 2).mean(-1),
    "MeanAbsoluteError": lambda y, p: abs(y - p).mean(-1),
    "BinaryCrossentropy": lambda y, p: -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(-1),
    "CategoricalAccuracy": lambda y, p: (y.argmax(-1) == p.argmax(-1)).astype(float),
    "TopKCategoricalAccuracy": lambda y, p: (
        np.argsort(-p, -1)[..., :2] == y.argmax(-1)[..., None]
    ).any(-1).astype(float),
    "CategoricalCrossentropy": lambda y, p: -np.log((y * p).sum(-1) / p.sum(-1)),
    "SparseCategoricalAccuracy": lambda y, p: (y == p.argmax(-1)).astype(float),
    "SparseTopKCategoricalAccuracy": lambda y, p: (
        np.argsort(-p, -1)[..., :2] == y[..., None]
    ).any(-1).astype(float),
    "SparseCategoricalCrossentropy": lambda y, p: -np.log(
        np.take_along_axis(p, y[..., None], -1)[..., 0] / p.sum(-1)
    ),
}  # fmt: skip
ONE_HOT = ("CategoricalAccuracy", "TopKCategoricalAccuracy", "CategoricalCrossentropy")


def test_every_metric_has_a_reference() -> None:
    kinds = {name for name in metrics.__all__ if isinstance(getattr(metrics, name), type)}
    assert kinds == {*TWINS, "Mean", "MeanMetricWrapper", "Metric", "Sum"}


def mean_reference(each: Array, weights: Array | None) -> float:
    """The mean of the values, weights standing at their first axes."""
    w = np.ones(each.shape[:1]) if weights is None else weights
    w = np.broadcast_to(w.reshape(w.shape + (1,) * (each.ndim - w.ndim)), each.shape)
    return float((each * w).sum() / w.sum()) if w.sum() else 0.0


@pytest.mark.parametrize("name", TWINS)
@settings(max_examples=CASES)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_of_batches_as_of_all_at_once(
    name: str, data: st.DataObject, seed: int, ran: Counter[str]
) -> None:
    rng, draw = np.random.default_rng(seed), data.draw
    sparse, one_hot = name.startswith("Sparse"), name in ONE_HOT
    n = draw(st.integers(1, 9))
    inner = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))
    classes = (draw(st.integers(2, 4)),) if sparse or one_hot or draw(st.booleans()) else ()
    shape = (n, *inner, *classes)
    p = (0.05 + 0.9 * rng.random(shape)).astype(np.float32).astype(np.float64)
    if sparse:
        y = rng.integers(0, shape[-1], shape[:-1])
    elif one_hot:
        y = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
    else:
        y = rng.integers(0, 2, shape).astype(float)
    if name == "Accuracy":
        p = np.round(p)
    elementwise = name in ("BinaryAccuracy", "Accuracy", "RootMeanSquaredError")
    each = (
        TWINS[name](y, p if p.ndim > 1 or elementwise else p[:, None])
        if p.ndim > 1
        else (TWINS[name](y, p) if elementwise else TWINS[name](y[:, None], p[:, None]))
    )  # a batch without axes is of examples of one number
    weights = None
    if how := draw(st.sampled_from(["", "examples", "elements", "some axes", "column", "zeros"])):
        axes = {"examples": 1, "elements": each.ndim, "column": 1, "zeros": 1}.get(how)
        axes = draw(st.integers(1, each.ndim)) if axes is None else axes
        kept = [size if i == 0 or draw(st.booleans()) else 1 for i, size in enumerate(each.shape)]
        weights = rng.random(kept[:axes] if how == "some axes" else each.shape[:axes])
        weights = weights * 0 if how == "zeros" else weights
    how_many = {"k": 2} if "TopK" in name else {}
    metric = getattr(metrics, name)(**how_many)
    ends = sorted({*draw(st.lists(st.integers(1, n), max_size=4)), n})
    kind = draw(st.sampled_from([np.float32, np.float64]))
    for first, last in zip([0, *ends[:-1]], ends, strict=True):
        w = None if weights is None else weights[first:last]
        if how == "column" and w is not None and each.ndim == 1:
            w = w[:, None]
        metric.update_state(y[first:last], p[first:last].astype(kind), sample_weight=w)
    expected = mean_reference(each, weights)
    expected = expected**0.5 if name == "RootMeanSquaredError" else expected
    found = metric.result()
    assert type(found) is float
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)
    ran[f"metrics: {name} of batches, against numpy on all at once"] += 1


@pytest.mark.parametrize("name", sorted(losses.FUNCTIONS))
def test_a_loss_by_name_counts_single_numbers_as_examples(name: str) -> None:
    if "categorical" in name:
        pytest.skip("a loss of classes")
    metric = metrics.get(name)
    metric.update_state(np.ones(3, np.float32), np.array([0.75, 0.5, 0.25], np.float32))
    metric.update_state(np.ones(1, np.float32), np.array([0.125], np.float32))
    alone = metrics.get(name)
    alone.update_state(np.ones((4, 1), np.float32), np.float32([[0.75], [0.5], [0.25], [0.125]]))
    assert metric.result() == pytest.approx(alone.result())


def test_batches_of_single_numbers() -> None:
    metric = metrics.BinaryAccuracy()
    metric.update_state([1, 1, 1], [1.0, 1.0, 1.0])
    metric.update_state([1], [0.0])
    assert metric.result() == 0.75
    squares = metrics.MeanSquaredError()
    for name in ("mse", losses.mean_squared_error, squares):
        metric = metrics.get(name)
        metric.update_state([1.0, 1, 1], [0.0, 0, 0])
        metric.update_state([1.0], [1.0], sample_weight=[1.0])
        assert metric.result() == 0.75


def test_a_scalar_weight_is_of_every_example() -> None:
    mean = metrics.Mean()
    mean.update_state([1.0, 2, 3], sample_weight=2)
    mean.update_state([5.0], sample_weight=2)
    assert mean.result() == 11 / 4
    assert (mean.total.item(), mean.count.item()) == (22, 8)


@pytest.mark.parametrize("ignored", [0, -1, 255])
def test_ignored_labels(ignored: int) -> None:
    """As in Keras: left out where there are weights, else of loss 0."""
    labels = np.array([ignored, 1, 2])
    p = np.array([[0.8, 0.1, 0.1], [0.05, 0.95, 0], [0.1, 0.8, 0.1]])
    each = -np.log([0.95, 0.1])
    metric = metrics.SparseCategoricalCrossentropy(ignore_class=ignored)
    assert metric(labels, p) == pytest.approx(each.sum() / 3, rel=1e-5)
    metric.reset_state()
    expected = (each * [1.5, 2]).sum() / 3.5
    assert metric(labels, p, sample_weight=[0.5, 1.5, 2]) == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------------ functions


def test_binary_accuracy_is_of_each_element() -> None:
    found = metrics.binary_accuracy([[1, 0], [1, 1]], [[0.7, 0.6], [0.9, 0.8]])
    np.testing.assert_array_equal(found, [[1, 0], [1, 1]])
    assert metrics.binary_accuracy(1, 0.7).shape == ()
    assert metrics.binary_accuracy([1, 0, 1], [[0.7], [0.6], [0.2]]).tolist() == [[1], [0], [0]]
    assert metrics.binary_accuracy([True, False], [True, True]).tolist() == [1, 0]
    metric = metrics.BinaryAccuracy()
    metric.update_state([[1, 1], [1, 1]], [[1.0, 0.0], [1.0, 1.0]], sample_weight=[[1, 0], [0, 1]])
    assert metric.result() == 1


@pytest.mark.parametrize("threshold", [0.3, np.float64(0.3), np.float32(0.3)])
def test_a_threshold_itself_is_not_above_it(threshold: Any) -> None:
    found = metrics.binary_accuracy([0, 1], np.array([0.3, 0.31], np.float32), threshold)
    assert found.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "y_true", "y_pred", "expected"),
    [
        ("categorical_accuracy", [0, 1], [0.4, 0.6], 1),
        ("sparse_categorical_accuracy", 1, [0.4, 0.6], 1),
        ("sparse_categorical_accuracy", [1], [0.4, 0.6], 1),
        ("sparse_categorical_accuracy", [[1], [0]], [[0.4, 0.6], [0.3, 0.7]], [1, 0]),
        ("sparse_categorical_accuracy", [[1, 0]], [[[0.4, 0.6], [0.3, 0.7]]], [[1, 0]]),
        ("top_k_categorical_accuracy", [0, 1, 0], [0.6, 0.4, 0.1], 0),
        ("top_k_categorical_accuracy", [[[0, 1, 0]]], [[[0.4, 0.6, 0.1]]], [[1]]),
        ("sparse_top_k_categorical_accuracy", 1, [0.4, 0.6, 0.1], 1),
        ("sparse_top_k_categorical_accuracy", [[1], [2]], [[0.4, 0.6, 0.1]] * 2, [1, 0]),
        ("sparse_top_k_categorical_accuracy", [5, -1], [[0.4, 0.6, 0.1]] * 2, [0, 0]),
        # of equals all are the largest; nan is none, infinity may be
        ("top_k_categorical_accuracy", np.eye(3), [[np.nan, 1, 2], [1, np.inf, np.inf], [1, 1, 1]],
            [0, 1, 1]),
    ],
)  # fmt: skip
def test_functions_of_one_example_and_of_many_axes(
    name: str, y_true: Any, y_pred: Any, expected: Any
) -> None:
    how = {"k": 1} if "top_k" in name else {}
    found = getattr(metrics, name)(y_true, y_pred, **how)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    assert found.shape == np.shape(expected)


def test_sorted_class_numbers() -> None:
    metric = metrics.SparseTopKCategoricalAccuracy(k=1, from_sorted_ids=True)
    assert metric([2, 1], [[1, 0, 3], [1, 2, 3]], sample_weight=[0.7, 0.3]) == pytest.approx(0.3)


# ------------------------------------------------------------------ weights that do not fit


@pytest.mark.parametrize("shape", [(2,), (3, 3), (1, 3, 1), (3, 2, 2), (4,)])
def test_weights_that_do_not_fit(shape: tuple[int, ...]) -> None:
    for metric in (metrics.Mean(), metrics.Sum()):
        with pytest.raises(ValueError, match=r"sample_weight: .*\(3, 2\), got shape"):
            metric.update_state(np.ones((3, 2)), sample_weight=np.ones(shape))
    with pytest.raises(ValueError, match=r"sample_weight: .*shape \(\), got shape"):
        metrics.Mean().update_state(1.0, sample_weight=np.ones(2))


def test_sum() -> None:
    total = metrics.Sum()
    total.update_state([[1.0, 2], [3, 4]])
    total.update_state([[1.0, 2], [3, 4]], sample_weight=[10.0, 100])
    total.update_state(5)
    assert total.result() == 10 + 30 + 700 + 5


# ------------------------------------------------------------------ of one's own


class Positives(metrics.Metric):
    def __init__(self, name: str = "positives") -> None:
        super().__init__(name=name)
        self.count = self.add_weight(name="count")
        self.batches = self.add_variable((), "zeros", dtype="int32", name="batches")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.count.assign_add(np.sum(np.asarray(y_pred) > 0))
        self.batches.assign(self.batches + 1)

    def result(self) -> Any:
        return self.count


def test_variables() -> None:
    metric = Positives()
    assert [variable.name for variable in metric.variables] == ["count", "batches"]
    assert [str(variable.dtype) for variable in metric.variables] == ["float32", "int32"]
    assert not any(variable.trainable for variable in metric.variables)
    assert metric([0], [1.0, -1.0]).item() == 1
    assert metric.batches.item() == 1
    metric.reset_state()
    assert [variable.item() for variable in metric.variables] == [0, 0]
    for reference in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        reference([0], [1.0])
        assert (reference.count.item(), metric.count.item()) == (1, 0)


def test_variables_in_attributes_and_in_metrics() -> None:
    class Two(metrics.Metric):
        def __init__(self) -> None:
            super().__init__()
            self.own = Variable([1.0, 2.0], trainable=False)
            self.mean = metrics.Mean()
            self.ones = self.add_weight((2,), "ones")

    two = Two()
    assert [v.shape for v in two.variables] == [(2,), (2,), (), ()]
    assert two.ones.tolist() == [1, 1]
    two.mean.update_state(3.0)
    two.reset_state()
    assert (two.own.tolist(), two.mean.result(), two.ones.tolist()) == ([0, 0], 0, [0, 0])


def test_total_and_count() -> None:
    mean = metrics.Mean()
    mean.update_state([1.0, 2, 6])
    assert isinstance(mean.total, Variable)
    assert (mean.total.item(), mean.count.item(), len(mean.variables)) == (9, 3, 2)
    mean.set_state(3.0, 4.0)
    assert mean.result() == 0.75


def fitted(metric: Any, eager: bool) -> tuple[Sequential, Any]:
    model = Sequential([layers.Input((3,)), layers.Dense(2, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy", metric, "mse"],
        run_eagerly=eager)  # fmt: skip
    x, y = np.ones((6, 3), np.float32), np.eye(2)[[0, 1, 0, 0, 1, 0]]
    return model, model.fit(x, y, batch_size=4, epochs=2, verbose=0, validation_data=(x, y))


@pytest.mark.parametrize("eager", [False, True])
@pytest.mark.parametrize("form", ["variable", "array", "float32", "tensor", "int"])
def test_a_metric_of_ones_own_in_training(form: str, eager: bool) -> None:
    class Mine(Positives):
        def result(self) -> Any:
            forms: dict[str, Any] = {
                "variable": self.count, "array": self.count.numpy(), "int": int(self.count.item()),
                "float32": np.float32(self.count.item()), "tensor": ops.add(self.count, 0.0),
            }  # fmt: skip
            return forms[form]

    model, history = fitted(Mine(), eager)
    names = ["accuracy", "loss", "mse", "positives"]
    assert [*history.history] == [*names, *(f"val_{name}" for name in names)]
    assert history.history["positives"] == history.history["val_positives"] == [12.0, 12.0]
    assert all(type(v) is float for values in history.history.values() for v in values)
    x, y = np.ones((4, 3), np.float32), np.eye(2)[[0, 1, 0, 0]]
    found = model.evaluate(x, y, verbose=0)
    logs = model.evaluate(x, y, verbose=0, return_dict=True)
    assert found == [logs[name] for name in ("loss", "accuracy", "positives", "mse")]


@pytest.mark.parametrize("eager", [False, True])
def test_a_metric_that_gives_a_dict(eager: bool) -> None:
    class Several(Positives):
        def result(self) -> Any:
            return {"zz": self.count, "aa": np.float32(2)}

    model, history = fitted(Several("mm"), eager)
    assert [*history.history][:5] == ["accuracy", "loss", "aa", "zz", "mse"]
    assert history.history["zz"] == [12.0, 12.0]
    found = model.evaluate(np.ones((4, 3), np.float32), np.eye(2)[[0, 1, 0, 0]], verbose=0)
    assert found[2:4] == [2.0, 8.0]


def test_a_result_that_is_no_number_stays_as_it_is() -> None:
    assert metrics.as_number([1.0, 2.0]) == [1.0, 2.0]
    np.testing.assert_array_equal(metrics.as_number(np.arange(2)), [0, 1])


def test_a_callback_sees_floats() -> None:
    seen: list[Any] = []
    look = callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs))
    model = Sequential([layers.Input((3,)), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=[Positives()])
    model.fit(np.ones((4, 3)), np.ones((4, 1)), verbose=0, callbacks=[look])
    assert {type(value) for value in seen[0].values()} == {float}


def test_metrics_given_as_classes() -> None:
    assert type(metrics.get(metrics.Mean)) is metrics.Mean
    assert type(metrics.get(Positives)) is Positives


# ------------------------------------------------------------------ names, types, configurations


def test_what_metrics_have_to_define() -> None:
    for name in ("update_state", "result"):
        with pytest.raises(NotImplementedError, match=f"Metric.{name}"):
            getattr(metrics.Metric(), name)()


@pytest.mark.parametrize("name", [*TWINS, "Mean", "Sum"])
def test_configuration(name: str) -> None:
    kind = getattr(metrics, name)
    metric = kind(name="mine", dtype=np.float32)
    config = metric.get_config()
    assert config["name"] == "mine"
    assert config["dtype"] == metric.dtype == "float32"
    assert "fn" not in config
    assert kind.from_config(config).get_config() == config
    again = metrics.deserialize(metrics.serialize(metric))
    assert type(again) is kind
    assert again.get_config() == config
    assert len(metric.variables) == (1 if name == "Sum" else 2)
    with pytest.raises(ValueError, match=r"dtype: expected None or .float32.*got .int32"):
        kind(dtype="int32")


def test_arguments_are_in_the_configuration() -> None:
    assert metrics.BinaryAccuracy("a", None, 0.7).get_config() == {
        "name": "a", "dtype": "float32", "threshold": 0.7,
    }  # fmt: skip
    assert metrics.TopKCategoricalAccuracy(3, "b").get_config()["k"] == 3
    config = metrics.CategoricalCrossentropy("c", None, True, 0.1, 1).get_config()
    assert {**config, "name": 0, "dtype": 0} == {
        "name": 0, "dtype": 0, "from_logits": True, "label_smoothing": 0.1, "axis": 1,
    }  # fmt: skip
    assert metrics.SparseCategoricalCrossentropy(ignore_class=3).get_config()["ignore_class"] == 3
    metric = metrics.MeanMetricWrapper(metrics.binary_accuracy, "d", threshold=0.9)
    assert metric.get_config() == {
        "fn": "binary_accuracy", "name": "d", "dtype": "float32", "threshold": 0.9,
    }  # fmt: skip
    again = metrics.MeanMetricWrapper.from_config(metric.get_config())
    assert again([1, 0], [0.8, 0.8]) == 0.5


def test_the_idiom_of_get_config() -> None:
    class Mine(metrics.Metric):
        def __init__(self, factor: float, **options: Any) -> None:
            super().__init__(**options)
            self._factor = factor

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "factor": self._factor}

    config = Mine(3, name="mine").get_config()
    assert config == {"name": "mine", "dtype": "float32", "factor": 3}
    assert Mine.from_config(config).get_config() == config
    assert "mine" in repr(Mine(3, name="mine"))


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("micrograd_ext.common.naming._names", Counter())
    assert [metrics.Metric().name, metrics.Metric().name] == ["metric", "metric_1"]
    assert metrics.MeanMetricWrapper(abs).name == "mean_metric_wrapper"
    assert metrics.Mean().name == metrics.Mean().name == "mean"
    assert metrics.get("root_mean_squared_error").name == "root_mean_squared_error"
    for name in ("mse", "MSE", "bce", "BCE", "MAE", "acc", "sparse_top_k_categorical_accuracy"):
        assert metrics.get(name).name == name


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: metrics.get("typo"), "metric: expected one of .*got 'typo'"),
        (lambda: metrics.TopKCategoricalAccuracy(k=0), "k: expected a whole number >= 1"),
        (lambda: metrics.BinaryAccuracy(threshold=np.nan), "threshold: expected a finite number"),
        (lambda: metrics.BinaryCrossentropy(label_smoothing=2), "label_smoothing: expected"),
        (lambda: metrics.binary_accuracy([1, 2, 3], [1, 2]), "y_true: expected the shape of"),
        (lambda: metrics.Accuracy()([[1, 2]], [[1], [2]]), "y_true: expected the shape of"),
        (lambda: metrics.RootMeanSquaredError()([[1, 2]], [[1], [2]]), "y_true: expected the sh"),
        (lambda: metrics.sparse_top_k_categorical_accuracy([1], [[1, 2]] * 2), "y_true: expected"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        call()


def test_predictions_may_be_tensors() -> None:
    y_pred = Tensor([[0.25], [0.75]])
    for metric in (metrics.MeanSquaredError(), metrics.BinaryAccuracy(), metrics.get("accuracy")):
        metric.update_state(Tensor([[0.0], [1.0]]), y_pred)
        assert metric.result() == pytest.approx(0.0625 if "squared" in metric.name else 1)
    assert y_pred.grad is None
