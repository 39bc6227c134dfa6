"""Small programs on which this package once differed from what users of Keras expect.

The numbers are those of Keras 3.15.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import micrograd_ext as mg
from micrograd_ext import activations, callbacks, layers, losses, metrics, optimizers


def small(**how: Any) -> mg.Sequential:
    model = mg.Sequential([mg.Input((3,)), layers.Dense(1)])
    model.compile(**{"optimizer": "sgd", "loss": "mse", **how})
    return model


X, Y = np.ones((4, 3)), np.ones((4, 1))


def test_a_layer_built_by_hand() -> None:
    layer = layers.Dense(2)
    layer.build((1, 3))
    assert layer.built
    layer.set_weights([np.ones((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(layer(np.ones((1, 3), "float32")).data, [[3, 3]])
    assert len(layer.weights) == 2


def test_a_layer_that_builds_the_one_in_it() -> None:
    class A(layers.Layer):
        def __init__(self, **k: Any) -> None:
            super().__init__(**k)
            self.d = layers.Dense(2)

        def build(self, s: Any) -> None:
            self.d.build(s)
            super().build(s)

        def call(self, x: Any) -> Any:
            return self.d(x)

    model = mg.Sequential([mg.Input((3,)), A()])
    assert (model.count_params(), len(model.get_weights())) == (8, 2)


def test_batches_begin_and_end() -> None:
    out: list[Any] = []

    class C(callbacks.Callback):
        def on_batch_begin(self, b: int, logs: Any = None) -> None:
            out.append("begin")

        def on_batch_end(self, b: int, logs: Any = None) -> None:
            out.append("end")

    small().fit(X, Y, verbose=0, callbacks=[C()])
    assert out == ["begin", "end"]
    out.clear()
    begin = callbacks.LambdaCallback(on_train_batch_begin=lambda batch, logs: out.append(batch))
    small().fit(X, Y, verbose=0, callbacks=[begin])
    assert out == [0]


def test_logs_are_given_at_every_moment() -> None:
    seen = []

    class Mine(callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any) -> None:
            seen.append((epoch, logs.get("loss")))

    small().fit(X, Y, verbose=0, callbacks=[Mine()])
    assert seen == [(0, None)]


def test_binary_accuracy() -> None:
    metric = metrics.BinaryAccuracy()
    metric.update_state([1, 1, 1], [1.0, 1.0, 1.0])
    metric.update_state([1], [0.0])
    assert metric.result() == 0.75
    found = metrics.binary_accuracy([[1, 0], [1, 1]], [[0.7, 0.6], [0.9, 0.8]])
    np.testing.assert_array_equal(found, [[1, 0], [1, 1]])
    metric = metrics.BinaryAccuracy()
    metric.update_state([[1, 1], [1, 1]], [[1.0, 0.0], [1.0, 1.0]], sample_weight=[[1, 0], [0, 1]])
    assert metric.result() == 1


def test_a_step_without_a_gradient() -> None:
    optimizer = optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="No gradients provided for any variable"):
        optimizer.apply([None], [mg.Tensor([1.0])])
    assert optimizer.iterations == 0


def test_tensors_and_numbers() -> None:
    assert mg.Tensor(1.0) == 1.0
    np.testing.assert_array_equal(mg.Tensor([1.0, 2.0]) == [1.0, 2.0], [True, True])


def test_types_of_inputs() -> None:
    class A(layers.Layer):
        def call(self, x: Any) -> Any:
            return x

    assert A()(np.array([[1, 2]], "int32")).dtype == "int32"
    assert layers.Dense(1)(np.ones((2, 3))).dtype == "float32"


@pytest.mark.parametrize("gradient", [mg.Tensor([1.0]), [1.0], np.array([1])])
def test_gradients_of_any_kind(gradient: Any) -> None:
    variable = mg.Tensor([1.0])
    optimizers.SGD(0.1).apply([gradient], [variable])
    assert variable.data == pytest.approx(0.9)


def test_configurations_by_super() -> None:
    class A(layers.Layer):
        def __init__(self, units: int, **k: Any) -> None:
            super().__init__(**k)
            self._u = units

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self._u}

    assert A(3).get_config()["units"] == 3


def test_a_model_in_a_model() -> None:
    model = mg.Sequential([mg.Sequential([layers.Dense(2)]), layers.Dense(1)])
    assert model.predict(np.ones((4, 3)), verbose=0).shape == (4, 1)


def test_dtypes_are_taken() -> None:
    for made in (
        layers.Dense(1, dtype="float32"),
        losses.MeanSquaredError(dtype="float32"),
        metrics.Mean(dtype="float32"),
    ):
        assert made.dtype == "float32"
    assert mg.Input((3,), dtype="float32").input_dtype == "float32"


def test_a_metric_of_ones_own() -> None:
    class M(metrics.Metric):
        def __init__(self, name: str = "mm") -> None:
            super().__init__(name=name)

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            pass

        def result(self) -> float:
            return 7.0

    assert small(metrics=[M()]).fit(X, Y, verbose=0).history.keys() == {"loss", "mm"}


def test_assigning_to_variables() -> None:
    model = small()
    assert len(model.trainable_variables) == 2
    np.testing.assert_array_equal(model.layers[0].kernel.assign(np.zeros((3, 1))).numpy(), 0)  # type: ignore[attr-defined]
    assert model.optimizer is not None
    assert model.optimizer.learning_rate.assign(0.5) == 0.5
    assert float(model.optimizer.learning_rate) == 0.5


def test_arguments_of_training() -> None:
    model = small()
    assert model.fit(X, Y, verbose=0, steps_per_epoch=1).history.keys() == {"loss"}
    how: dict[str, Any] = {"validation_data": (X, Y), "validation_freq": 2}
    assert model.fit(X, Y, verbose=0, **how).history.keys() == {"loss"}
    assert model.predict(X, callbacks=[]).shape == (4, 1)


def test_arguments_of_layers() -> None:
    for kind, argument in (
        (layers.Dense, "kernel_constraint"),
        (layers.Dense, "activity_regularizer"),
        (layers.MaxPooling2D, "data_format"),
    ):
        kind(2, **{argument: None})  # type: ignore[arg-type]
    layer = layers.Conv2D(2, 3, (1, 1), "same", "channels_last", (1, 1), 1, "relu")
    assert layer.activation is activations.relu
    found = activations.relu(
        mg.Tensor([-2.0, 3.0, 9.0]), negative_slope=0.5, max_value=6, threshold=1
    )
    np.testing.assert_array_equal(found.data, [-1.5, 3, 6])
    found = activations.softmax(mg.Tensor(np.zeros((1, 2, 2))), axis=(1, 2))
    np.testing.assert_array_equal(found.data, np.full((1, 2, 2), 0.25))


def test_shapes_of_inputs() -> None:
    first = mg.Input(batch_shape=(None, 3)), mg.Input(shape=(3,), batch_size=4)
    shapes = [mg.Sequential([each, layers.Dense(1)]).output_shape for each in first]
    assert shapes == [(None, 1), (4, 1)]


def test_arguments_of_weights() -> None:
    layer = layers.Layer()
    assert layer.add_weight().shape == ()
    assert layer.add_weight(shape=(3,), dtype="float32").shape == (3,)
    with pytest.raises(ValueError, match="name='my_weight'"):
        layer.add_weight(shape="my_weight")


def test_what_is_refused() -> None:
    for call in (
        lambda: layers.Dense(1, trainable="False"),  # type: ignore[arg-type]
        lambda: layers.Dropout(0.5, noise_shape=(1, -2)),
        lambda: optimizers.AdamW(weight_decay=None),  # type: ignore[arg-type]
        lambda: callbacks.BackupAndRestore(""),
        lambda: losses.SparseCategoricalCrossentropy(axis=1)(
            np.zeros((2, 3, 1)), np.full((2, 4, 3), 0.25)
        ),
    ):
        with pytest.raises(ValueError):  # noqa: PT011 - other tests look at the words
            call()


def test_labels_that_do_not_count() -> None:
    p = mg.Tensor(np.full((2, 2), 0.5, np.float32))
    loss = losses.SparseCategoricalCrossentropy(ignore_class=-1)
    assert loss([0, -1], p).item() == pytest.approx(0.6931472)


def test_weights_of_classes_are_not_for_validation() -> None:
    model = mg.Sequential([mg.Input((1,)), layers.Dense(1, "sigmoid")])
    model.compile(optimizers.SGD(0.0), "binary_crossentropy")
    model.set_weights([np.zeros((1, 1)), np.zeros(1)])
    history = model.fit(
        np.zeros((4, 1)),
        np.array([1.0, 0, 1, 1]),
        class_weight={1: 10.0},
        validation_split=0.5,
        batch_size=2,
        verbose=0,
    )
    assert history.history["val_loss"] == [pytest.approx(0.6931472)]


def test_a_batch_that_does_not_count() -> None:
    loss = losses.MeanSquaredError(reduction="mean_with_sample_weight")
    assert loss([[1.0]], mg.Tensor([[2.0]]), sample_weight=[0.0]).item() == 0


def test_logits_of_0() -> None:
    z = mg.Tensor(np.zeros((2, 1), np.float32))
    losses.BinaryCrossentropy(from_logits=True)([[0.0], [1.0]], z).backward()
    np.testing.assert_allclose(z.grad, [[0.25], [-0.25]])
    model = mg.Sequential([mg.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    model.compile("sgd", losses.BinaryCrossentropy(from_logits=True))
    model.train_on_batch(np.ones((2, 1)), np.zeros((2, 1)))
    assert model.get_weights()[0].item() == pytest.approx(-0.005)
