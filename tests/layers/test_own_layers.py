"""Layers of one's own: made of weights, or of other layers, without a rule for their shapes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from micrograd_ext import Tensor, layers, ops, utils
from micrograd_ext.models import Sequential


class Linear(layers.Layer):
    """inputs @ kernel, in ten lines."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units

    def build(self, input_shape: layers.Shape) -> None:
        self.kernel = self.add_weight((int(input_shape[-1] or 0), self.units), name="kernel")

    def call(self, inputs: Tensor) -> Tensor:
        return ops.matmul(inputs, self.kernel)


class Mixed(layers.Layer):
    """Layers in attributes, a list, a dict and a model; one of them twice."""

    def __init__(self, units: int, **options: Any) -> None:
        super().__init__(**options)
        self.units = units
        self.first = layers.Dense(units, "tanh", kernel_regularizer="l2")
        self.stack = [Linear(units), layers.Dropout(0.5, seed=3)]
        self.by_name = {"norm": layers.BatchNormalization(), "again": self.first}
        self.model = Sequential([layers.Dense(2, use_bias=False)])

    def build(self, input_shape: layers.Shape) -> None:
        self.shift = self.add_weight((1,), "ones")

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        y = self.stack[0](self.first(inputs)) + self.shift
        y = self.stack[1](y, training=training)
        y = self.by_name["norm"](y, training=training)
        return self.model(y, training=training)


def test_shapes_are_found_by_trying() -> None:
    utils.set_random_seed(1)
    layer = Linear(3)
    assert layer.compute_output_shape((None, 4)) == (None, 3)
    assert layer.compute_output_shape((7, None, 4)) == (None, None, 3)
    assert not layer.built
    assert layer.weights == []
    kernel = layer(np.zeros((1, 4), np.float32))
    utils.set_random_seed(1)  # trying drew nothing
    again = Linear(3)
    again(np.zeros((1, 4), np.float32))
    np.testing.assert_array_equal(layer.kernel.data, again.kernel.data)
    assert kernel.shape == (1, 3)
    model = Sequential([layers.Input((5,)), Linear(4), Linear(6), layers.Dense(2)])
    assert [w.shape for w in model.weights] == [(5, 4), (4, 6), (6, 2), (2,)]


def test_names_of_inner_layers_count_on_as_if_nothing_had_been_tried() -> None:
    class Late(layers.Layer):
        def build(self, input_shape: layers.Shape) -> None:
            self.inner = layers.Dense(2)

        def call(self, inputs: Tensor) -> Tensor:
            return self.inner(inputs)

    before = layers.Dense(1).name.rpartition("_")[2]
    start = int(before) if before.isdigit() else 0
    model = Sequential([layers.Input((3,)), Late()])
    assert [w.name for w in model.weights] == [
        f"dense_{start + 1}/kernel",
        f"dense_{start + 1}/bias",
    ]


def test_inner_layers_weights_are_the_layers() -> None:
    layer = Mixed(4)
    layer(np.zeros((3, 5), np.float32))
    shapes = [(1,), (5, 4), (4,), (4, 4), (4,), (4,), (4,), (4,), (4, 2)]
    assert [w.shape for w in layer.weights] == shapes
    assert [w.shape for w in layer.trainable_weights] == [*shapes[:6], (4, 2)]
    assert [w.shape for w in layer.non_trainable_weights] == [(4,), (4,)]
    assert layer.count_params() == 1 + 20 + 4 + 16 + 16 + 8
    assert len(layer.losses) == 1
    expected = 0.01 * float(np.square(layer.first.kernel.data.astype(np.float64)).sum())
    assert float(layer.losses[0].data) == pytest.approx(expected, rel=1e-6)
    layer.set_weights([np.full(shape, 0.25) for shape in shapes])
    assert all((w == 0.25).all() for w in layer.get_weights())
    layer.trainable = False
    assert layer.trainable_weights == []
    assert not layer.by_name["norm"].trainable
    assert not layer.model.trainable


def test_layers_made_of_layers_are_trained() -> None:
    utils.set_random_seed(2)
    x = np.linspace(-1, 1, 60, dtype=np.float32).reshape(20, 3)
    y = np.stack([x.sum(1), x[:, 0] ** 2], axis=1)
    losses = []
    for eagerly in (True, False):
        utils.set_random_seed(3)
        model = Sequential([layers.Dense(5, "relu"), Mixed(8)])
        model.compile("adam", "mse", run_eagerly=eagerly)
        model.build((None, 3))
        before = model.get_weights()
        if eagerly:
            history = model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        else:
            with pytest.warns(UserWarning, match="is a Mixed"):
                history = model.fit(x, y, batch_size=8, epochs=3, verbose=0)
        changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
        assert all(changed)
        losses.append(history.history["loss"])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


def test_a_layer_that_returns_something_else_is_named() -> None:
    class Wrong(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            return inputs.data  # type: ignore[return-value]

    class Number(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            return ops.sum(inputs)

    with pytest.raises(
        TypeError, match=r"wrong.*: call: expected it to return a Tensor, got array"
    ):
        Sequential([layers.Input((3,)), Wrong()])
    with pytest.raises(ValueError, match=r"number.*: call: expected it to return a Tensor \(batch"):
        Sequential([layers.Input((3,)), Number()])
