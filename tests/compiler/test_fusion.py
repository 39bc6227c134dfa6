"""Layers that are computed as one give what they give one by one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from micrograd_ext import Tensor, gradcheck, layers, models, ops, utils
from micrograd_ext.callbacks import Callback
from micrograd_ext.compiler.fusion import fuse

Array = np.ndarray[Any, np.dtype[Any]]


class Mine(layers.Conv2D):
    """It might do anything."""


def kinds(*parts: layers.Layer) -> list[str]:
    return [type(stage).__name__ for stage in fuse(parts)]


FUSED = "ConvolutionAndPooling"


def test_what_is_fused() -> None:
    def convolution(**how: Any) -> layers.Conv2D:
        return layers.Conv2D(4, 3, **{"activation": "relu", **how})

    relu, pool = layers.Activation("relu"), layers.MaxPooling2D()
    assert kinds(convolution(), pool) == [FUSED]
    assert kinds(convolution(activation=ops.relu), layers.MaxPooling2D((3, 1))) == [FUSED]
    assert kinds(convolution(activation=None), relu, pool) == [FUSED]
    assert kinds(convolution(strides=2, padding="same", use_bias=False), pool) == [FUSED]
    assert kinds(layers.Flatten(), convolution(), pool, convolution(), pool, relu) == [
        "Flatten",
        FUSED,
        FUSED,
        "Activation",
    ]
    assert kinds(convolution(activation=None), convolution(), pool) == ["Conv2D", FUSED]
    for parts in (
        [convolution()],
        [convolution(), relu, pool],
        [convolution(activation="tanh"), pool],
        [convolution(activation=None), pool],
        [convolution(activation=None), relu],
        [convolution(activation=None), layers.Activation("tanh"), pool],
        [convolution(activation=None), layers.Dense(3, activation="relu"), pool],
        [convolution(activation=lambda x: x), pool],
        [convolution(), layers.MaxPooling2D(2, strides=1)],
        [convolution(), layers.MaxPooling2D(2, padding="same")],
        [convolution(), layers.MaxPooling2D(16)],
        [convolution(), layers.Flatten(), pool],
        [pool, convolution()],
        [Mine(4, 3, activation="relu"), pool],
    ):
        assert kinds(*parts) == [type(part).__name__ for part in parts]
    assert fuse([]) == []


def network() -> models.Sequential:
    utils.set_random_seed(1)
    return models.Sequential(
        [
            layers.Input((14, 13, 2)),
            layers.Conv2D(5, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(6, (3, 2), padding="same", use_bias=False),
            layers.Activation("relu"),
            layers.MaxPooling2D((1, 2)),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def examples(count: int) -> tuple[Array, Array]:
    random = np.random.default_rng(0)
    x = random.standard_normal((count, 14, 13, 2)).astype(np.float32)
    return x, utils.to_categorical(random.integers(0, 3, count), 3)


def test_training_evaluating_and_predicting_are_the_same() -> None:
    x, y = examples(50)
    found = []
    for eagerly in (False, True):
        model = network()
        model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly)
        history = model.fit(x, y, batch_size=16, epochs=3, validation_data=(x, y), verbose=0)
        outputs = model.predict(x, verbose=0)
        np.testing.assert_allclose(outputs, model(x).data, rtol=1e-5, atol=1e-7)
        logs = [value for values in history.history.values() for value in values]
        found.append(
            [np.array(logs), model.evaluate(x, y, verbose=0), outputs, *model.get_weights()]
        )
    for fused, eager in zip(*found, strict=True):
        np.testing.assert_allclose(fused, eager, rtol=1e-4, atol=1e-6)


def test_layers_are_built_when_the_shape_is_known() -> None:
    x, y = examples(4)
    model = models.Sequential(
        [
            layers.Conv2D(5, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile("sgd", "categorical_crossentropy")
    model.fit(x, y, verbose=0)
    assert [layer.built for layer in model.layers] == [True] * 4


def test_layers_added_between_calls_are_seen() -> None:
    x, _ = examples(4)
    model = models.Sequential([layers.Input((14, 13, 2)), layers.Conv2D(5, 3, activation="relu")])
    assert model.predict(x, verbose=0).shape == (4, 12, 11, 5)
    model.add(layers.MaxPooling2D(3))
    assert model.predict(x, verbose=0).shape == (4, 4, 3, 5)


def test_a_derived_model_is_called() -> None:
    class Doubled(models.Sequential):
        def __call__(self, inputs: Any) -> Tensor:
            return super().__call__(inputs) * 2

    x, _ = examples(3)
    plain = network()
    doubled = Doubled(plain.layers)
    np.testing.assert_allclose(
        doubled.predict(x, verbose=0), 2 * plain.predict(x, verbose=0), rtol=1e-5
    )


def test_a_called_model_goes_layer_by_layer() -> None:
    x, _ = examples(2)
    names = []
    node = network()(x)
    while node.inputs:
        names.append(node.op)
        node = node.inputs[0]
    assert "conv2d_relu_pool" not in names
    assert {"conv2d", "relu", "max_pool2d"} <= set(names)


def test_images_that_do_not_fit_are_an_error() -> None:
    stage = fuse([layers.Conv2D(5, 3, activation="relu"), layers.MaxPooling2D(2)])[0]
    with pytest.raises(ValueError, match="a window of 2x2 does not fit images of 1x1"):
        stage(Tensor(np.zeros((1, 3, 3, 1))))


def test_two_gradients_one_after_the_other() -> None:
    x, w, b = (
        Tensor(np.random.default_rng(0).random(s)) for s in ((2, 6, 6, 1), (3, 3, 1, 2), (2,))
    )
    y = ops.conv2d_relu_pool(x, w, b)
    y.backward(np.ones(y.shape))
    first = [t.grad.copy() for t in (x, w, b)]
    y.backward(np.full(y.shape, 3.0))
    for t, before in zip((x, w, b), first, strict=True):
        np.testing.assert_allclose(t.grad, 4 * before, rtol=1e-12)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("pool", "strides"), [(2, 1), ((3, 1), 1), ((1, 2), (2, 1))])
def test_gradients(pool: Any, strides: Any, padding: str) -> None:
    random = np.random.default_rng(3)
    inputs = [random.standard_normal(s) for s in ((2, 7, 6, 2), (3, 2, 2, 3), (3,))]
    assert gradcheck(lambda x, w, b: ops.conv2d_relu_pool(x, w, b, pool, strides, padding), *inputs)

    def f(x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
        return ops.conv2d_relu_pool(x, w, b, pool, strides, padding)

    assert gradcheck(f, *inputs)
    assert gradcheck(f, *inputs[:2])


def test_nan_goes_through() -> None:
    class Watch(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            losses.append(logs["loss"])

    losses: list[float] = []
    x, y = examples(2)
    x[0, 3, 3, 0] = np.nan
    model = network()
    model.compile("sgd", "categorical_crossentropy")
    with pytest.raises(ValueError, match="x: expected finite numbers"):
        model.fit(x, y, verbose=0, callbacks=[Watch()])
    assert np.isnan(losses).all()
