"""Layers that differ in training, simple ones, regularizers, frozen weights, configurations."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Tensor, gradcheck, initializers, layers, models, regularizers, utils

Array = npt.NDArray[Any]
L = layers


def numbers(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def model_of(*parts: layers.Layer, shape: tuple[int, ...] = (6,), **how: Any) -> models.Sequential:
    utils.set_random_seed(4)
    model = models.Sequential([L.Input(shape), *parts, L.Dense(3, "softmax")])
    model.compile(**{"optimizer": "sgd", "loss": "categorical_crossentropy", **how})
    return model


X, Y = numbers(20, 6), np.eye(3)[np.arange(20) % 3]

# ------------------------------------------------------------------ simple ones

SIMPLE: dict[str, tuple[layers.Layer, Callable[[Array], Array]]] = {
    "relu": (L.ReLU(), lambda x: np.maximum(x, 0)),
    "relu6": (L.ReLU(0.5), lambda x: np.clip(x, 0, 0.5)),
    "relu with a slope": (L.ReLU(negative_slope=0.1), lambda x: np.where(x > 0, x, 0.1 * x)),
    "relu with all": (
        L.ReLU(0.9, 0.1, 0.3),
        lambda x: np.minimum(np.where(x > 0.3, x, 0.1 * (x - 0.3)), 0.9),
    ),
    "leaky relu": (L.LeakyReLU(), lambda x: np.where(x > 0, x, 0.3 * x)),
    "leaky relu, steep": (L.LeakyReLU(0.5), lambda x: np.where(x > 0, x, 0.5 * x)),
    "softmax": (L.Softmax(), lambda x: np.exp(x) / np.exp(x).sum(-1, keepdims=True)),
    "softmax of an axis": (L.Softmax(1), lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    "reshape": (L.Reshape((3, 2, 4)), lambda x: x.reshape(-1, 3, 2, 4)),
    "reshape to what is left": (L.Reshape((4, -1)), lambda x: x.reshape(len(x), 4, 6)),
    "dropout": (L.Dropout(0.5), lambda x: x),
}


@pytest.mark.filterwarnings("ignore:.*runs layer by layer")
@pytest.mark.parametrize("name", SIMPLE)
def test_simple_layers(name: str) -> None:
    layer, reference = SIMPLE[name]
    x = numbers(5, 4, 6)
    y = layer(x)
    np.testing.assert_allclose(y.data, reference(x.astype(np.float64)), rtol=1e-5, atol=1e-7)
    assert layer.compute_output_shape((None, 4, 6)) == (None, *y.shape[1:])
    assert gradcheck(layer, Tensor(x.astype(np.float64)))
    # the same by a program, before and behind weights, and trained
    runs = []
    for eagerly in (False, True):
        model = model_of(L.Dense(6), layer, L.Flatten(), shape=(4, 6), run_eagerly=eagerly)
        history = model.fit(x, Y[:5], epochs=2, verbose=0, batch_size=3)
        runs.append([history.history["loss"], model.predict(x), *model.get_weights()])
    if name == "dropout":  # nothing to compare: each run draws anew
        return
    for a, b in zip(*runs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["AveragePooling2D", "GlobalAveragePooling2D"])
def test_means_of_images(name: str) -> None:
    x = numbers(3, 7, 5, 2)
    if name == "AveragePooling2D":
        pooled = L.AveragePooling2D((2, 3), 2, "same")(x)
        assert pooled.shape == (3, 4, 3, 2)
        np.testing.assert_allclose(pooled.data[:, 0, 1], x[:, :2, 1:4].mean((1, 2)), rtol=1e-5)
        np.testing.assert_allclose(pooled.data[:, 3, 2], x[:, 6:, 3:].mean((1, 2)), rtol=1e-5)
    else:
        np.testing.assert_allclose(L.GlobalAvgPool2D()(x).data, x.mean((1, 2)), rtol=1e-5)
        assert L.GlobalAvgPool2D(keepdims=True)(x).shape == (3, 1, 1, 2)
        assert L.GlobalAveragePooling2D().compute_output_shape((None, None, None, 2)) == (None, 2)


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "rate": (lambda: L.Dropout(1.5), "rate: expected a number from 0 to 1, got 1.5"),
    "noise shape": (lambda: L.Dropout(0.5, (2, 5))(X), "noise_shape: expected 1, None or the size"),
    "slope": (lambda: L.LeakyReLU(-1), "negative_slope: expected a number >= 0, got -1"),
    "largest": (lambda: L.ReLU(max_value="a"), "max_value: expected a number >= 0, got 'a'"),  # type: ignore[arg-type]
    "axis no number": (lambda: L.Softmax("a"), "axis: expected the number of an axis"),
    "no such axis": (lambda: L.Softmax(2)(X), "axis: expected one of the axes .* got 2"),
    "shape": (lambda: L.Reshape((4, 2))(X), r"expected a shape of 6 numbers, .* got \(4, 2\)"),
    "open shape": (lambda: L.Reshape((4, -1))(X), r"expected a shape of 6 numbers"),
    "two open sizes": (lambda: L.Reshape((-1, -1)), "at most one -1"),
    "sizes that are none": (lambda: L.Reshape(6), "target_shape: expected sizes"),  # type: ignore[arg-type]
    "momentum": (lambda: L.BatchNormalization(momentum=2), "momentum: expected a number from 0"),
    "epsilon": (lambda: L.BatchNormalization(epsilon=-1), "epsilon: expected a number >= 0"),
    "features": (lambda: L.BatchNormalization(axis=0)(X), "axis: expected one of the axes"),
    "images": (lambda: L.GlobalAvgPool2D()(X), "expected images of shape"),
    "regularizer": (lambda: L.Dense(3, kernel_regularizer="l3"), "regularizer: expected one of l1"),
    "penalty": (lambda: regularizers.L2(-1), "l2: expected a number >= 0, got -1"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_arguments(case: str) -> None:
    call, message = WRONG[case]
    with pytest.raises(ValueError, match=message):
        call()


def test_an_unknown_argument() -> None:
    with pytest.raises(TypeError, match="colour"):
        L.Dense(3, colour="red")  # type: ignore[call-arg]


# ------------------------------------------------------------------ training or not


def test_dropout_in_training() -> None:
    x = Tensor(np.ones((200, 100), np.float32))
    y = L.Dropout(0.3, seed=2)(x, training=True)
    assert set(np.unique(y.data)) == {0, np.float32(1 / 0.7)}
    assert abs((y.data == 0).mean() - 0.3) < 0.01
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)
    assert L.Dropout(1.0)(x, training=True).data.max() == 0
    rows = L.Dropout(0.5, (None, 1), seed=3)(x, training=True).data
    assert (rows == rows[:, :1]).all()
    assert 0 < (rows[:, 0] == 0).sum() < 200


def test_dropout_draws_from_the_one_stream_or_its_own() -> None:
    def draw(layer: layers.Dropout) -> Array:
        utils.set_random_seed(1)
        return layer(np.ones(50), training=True).data

    assert (draw(L.Dropout(0.5)) == draw(L.Dropout(0.5))).all()
    own = L.Dropout(0.5, seed=7)
    first = draw(own)
    assert (first != draw(own)).any()
    assert (first == draw(L.Dropout(0.5, seed=7))).all()


def test_batch_normalization() -> None:
    layer = L.BatchNormalization(momentum=0.9, epsilon=0.1)
    x = 3 * numbers(30, 4, 5) + 1
    y = layer(x, training=True).data
    mean, var = x.astype(np.float64).mean((0, 1)), x.astype(np.float64).var((0, 1))
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 0.1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean.data, 0.1 * mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance.data, 0.9 + 0.1 * var, rtol=1e-5)
    expected = (x - 0.1 * mean) / np.sqrt(0.9 + 0.1 * var + 0.1)
    np.testing.assert_allclose(layer(x).data, expected, rtol=1e-4, atol=1e-5)
    names = [w.name.split("/")[1] for w in layer.weights if w.name]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert layer.trainable_weights == layer.weights[:2]
    assert layer.non_trainable_weights == layer.weights[2:]
    layer.trainable = False
    np.testing.assert_allclose(layer(x, training=True).data, expected, rtol=1e-4, atol=1e-5)
    assert layer.trainable_weights == []


def test_batch_normalization_s_gradients() -> None:
    for axis in (1, 2):
        layer = L.BatchNormalization(axis, center=axis == 1, scale=axis == 2)
        assert gradcheck(
            lambda x, layer=layer: layer(x, training=True) ** 3,
            Tensor(np.float64(numbers(4, 3, 2))),
        )
        assert len(layer.trainable_weights) == 1


def test_models_train_with_what_differs_in_training() -> None:
    model = model_of(L.Dense(8), L.BatchNormalization(), L.ReLU(), L.Dropout(0.2))
    with pytest.warns(UserWarning, match="layer by layer.*BatchNormalization"):
        history = model.fit(X, Y, 10, epochs=60, verbose=0).history
    assert np.mean(history["loss"][-10:]) < np.mean(history["loss"][:10])
    assert model.layers[1].moving_mean.data.any()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(model.predict(X), model.predict(X))
    assert (model(X, training=True).data != model(X, training=True).data).any()
    np.testing.assert_allclose(model(X).data, model.predict(X), rtol=1e-6)


# ------------------------------------------------------------------ regularizers, frozen weights


def test_regularizers_add_to_the_loss() -> None:
    parts = {"kernel_regularizer": regularizers.L1L2(0.01, 0.02), "bias_regularizer": "l2"}
    model = model_of(L.Dense(4, bias_initializer="ones", **parts))  # type: ignore[arg-type]
    kernel = model.layers[0].weights[0].data.astype(np.float64)
    penalty = 0.01 * np.abs(kernel).sum() + 0.02 * (kernel**2).sum() + 0.01 * 4
    assert sum(loss.item() for loss in model.losses) == pytest.approx(penalty, rel=1e-5)
    plain = model_of(L.Dense(4, bias_initializer="ones"))
    plain.set_weights(model.get_weights())
    with pytest.warns(UserWarning, match="layer by layer.*regularizers"):
        assert model.evaluate(X, Y, verbose=0) == pytest.approx(
            plain.evaluate(X, Y, verbose=0) + penalty, rel=1e-5
        )
    before = model.get_weights()
    model.fit(X, Y, batch_size=20, verbose=0)
    plain.fit(X, Y, batch_size=20, verbose=0)
    sent = 0.01 * (np.sign(kernel) * 0.01 + 0.04 * kernel)  # rate * gradient of the penalty
    np.testing.assert_allclose(model.get_weights()[0], plain.get_weights()[0] - sent, atol=1e-6)
    assert (before[1] == 1).all()


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_stay(frozen: int, eagerly: bool) -> None:
    parts = [L.Dense(5, "relu"), L.Dense(4, "tanh")]
    model = model_of(*parts, optimizer="adam", run_eagerly=eagerly)
    model.layers[frozen].trainable = False
    before = model.get_weights()
    model.fit(X, Y, epochs=2, verbose=0, batch_size=8)
    after = model.get_weights()
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    assert changed == [i // 2 != frozen for i in range(6)]
    if not eagerly:
        assert model.programs.find(model, "fit") is not None
        other = model_of(L.Dense(5, "relu"), L.Dense(4, "tanh"), optimizer="adam", run_eagerly=True)
        other.layers[frozen].trainable = False
        other.set_weights(before)
        other.layers[frozen].trainable = False
        utils.set_random_seed(9)
        other.fit(X, Y, epochs=2, verbose=0, batch_size=8, shuffle=False)
        model.set_weights(before)
        model.compile("adam", "categorical_crossentropy")
        model.fit(X, Y, epochs=2, verbose=0, batch_size=8, shuffle=False)
        for a, b in zip(model.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    model.layers[frozen].weights[0].data = np.zeros_like(before[2 * frozen])  # it is followed
    model.fit(X, Y, verbose=0)
    assert not model.layers[frozen].weights[0].data.any()
    np.testing.assert_allclose(model.predict(X), model(X).data, rtol=1e-5)


def test_a_model_may_be_frozen_whole() -> None:
    model = model_of(L.Dense(4))
    model.trainable = False
    assert model.trainable_weights == []
    assert model.non_trainable_weights == model.weights
    assert not model.trainable
    model.trainable = True
    assert model.trainable_weights == model.weights


# ------------------------------------------------------------------ configurations

LAYERS = [
    L.Dense(4, "relu", kernel_regularizer="l2", kernel_initializer=initializers.HeNormal(3)),
    L.Conv2D(4, 3, 2, "same", activation="tanh", use_bias=False),
    L.MaxPooling2D(2, 1, "same"),
    L.AveragePooling2D((1, 2)),
    L.GlobalAveragePooling2D(keepdims=True),
    L.Flatten(),
    L.Reshape((2, 3)),
    L.Activation("sigmoid"),
    L.ReLU(6, 0.1, 0.2),
    L.LeakyReLU(0.1),
    L.Softmax(1),
    L.Dropout(0.4, (None, 3), 5),
    L.BatchNormalization(1, 0.9, center=False),
    L.Rescaling([1.0, 2.0], 3),
    L.Input((3, 4)),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
def test_configurations_come_back(layer: layers.Layer) -> None:
    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.name == layer.name


def test_a_layer_of_one_s_own_has_a_configuration() -> None:
    class Scale(layers.Layer):
        def __init__(self, by: float) -> None:
            super().__init__()
            self.by = by

    class Forgetful(layers.Layer):
        def __init__(self, by: Any, **options: Any) -> None:
            super().__init__(**options)

    layer = Scale(2.0)
    layer.trainable = False
    again = Scale.from_config(layer.get_config())
    assert (again.by, again.name, again.trainable) == (2.0, layer.name, False)
    assert Forgetful(1.0).get_config()["by"] == 1.0
    with pytest.raises(TypeError, match=r"Forgetful: get_config: by: .* override get_config"):
        Forgetful(object()).get_config()


# ------------------------------------------------------------------ initializers

VARIANCES = {
    "glorot_normal": 2 / (300 + 400),
    "glorot_uniform": 2 / (300 + 400),
    "he_normal": 2 / 300,
    "he_uniform": 2 / 300,
    "lecun_normal": 1 / 300,
    "lecun_uniform": 1 / 300,
    "random_normal": 0.05**2,
    "random_uniform": 0.1**2 / 12,
    "truncated_normal": (0.05 * 0.87962566) ** 2,
    "variance_scaling": 1 / 300,
}


@pytest.mark.parametrize("name", VARIANCES)
def test_initializers_have_the_variance_they_say(name: str) -> None:
    utils.set_random_seed(5)
    drawn = initializers.get(name)((3, 100, 400)[1:] if "random" in name else (300, 400))
    assert drawn.dtype == np.float32
    assert abs(drawn.mean()) < 0.001
    assert drawn.var() == pytest.approx(VARIANCES[name], rel=0.02)
    again = initializers.get({"class_name": type(initializers.get(name)).__name__, "config": {}})
    utils.set_random_seed(5)
    np.testing.assert_array_equal(again(drawn.shape), drawn)
