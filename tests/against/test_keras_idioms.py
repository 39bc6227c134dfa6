"""What programs written for Keras do with layers, models and callbacks."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from micrograd_ext import (
    Input,
    Sequential,
    Tensor,
    Variable,
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    ops,
    optimizers,
    utils,
)

X = np.linspace(-1, 1, 24, dtype=np.float32).reshape(8, 3)
Y = np.stack([X.sum(1), X[:, 0] ** 2], axis=1)


def compiled(*stack: layers.Layer, **how: Any) -> Sequential:
    model = Sequential([Input((3,)), *stack])
    model.compile(**{"optimizer": optimizers.SGD(0.1), "loss": "mse", **how})
    return model


# ------------------------------------------------------------------ building


def test_a_layer_built_by_hand_stays_as_it_is() -> None:
    layer = layers.Dense(2, kernel_regularizer="l2")
    layer.build((1, 3))
    assert layer.built
    layer.set_weights([np.ones((3, 2)), np.zeros(2)])
    np.testing.assert_array_equal(layer(np.ones((1, 3))).data, [[3, 3]])
    assert (len(layer.weights), len(layer.losses)) == (2, 1)
    layer.build((None, 3))
    assert layer.get_weights()[0].sum() == 6
    with pytest.raises(ValueError, match="expected inputs with 3 values"):
        layer.build((None, 4))


@pytest.mark.parametrize("given", [3, "ab", (), (None, 2.5), None])
def test_what_is_no_shape_is_refused(given: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        layers.Dense(2).build(given)


class Inner(layers.Layer):
    """Builds the layer in it as Keras's guides do, `super().build` where asked for."""

    def __init__(self, when: str, **options: Any) -> None:
        super().__init__(**options)
        self.when = when
        self.dense = layers.Dense(2, kernel_regularizer="l2", kernel_initializer="ones")

    def build(self, input_shape: layers.Shape) -> None:
        if self.when == "first":
            super().build(input_shape)
        self.dense.build(input_shape)
        self.own = self.add_weight(shape=(2,), initializer="zeros")
        if self.when == "last":
            super().build(input_shape)
        if self.when == "by hand":
            self.built = True

    def call(self, inputs: Tensor) -> Tensor:
        return self.dense(inputs) + self.own


@pytest.mark.parametrize("when", ["first", "last", "never", "by hand"])
def test_layers_built_in_build_are_built_once(when: str) -> None:
    model = compiled(Inner(when), run_eagerly=True)
    assert (model.count_params(), len(model.get_weights()), len(model.losses)) == (10, 3, 1)
    model.set_weights([np.zeros(2), np.ones((3, 2)), np.zeros(2)])
    assert model.evaluate(np.zeros((2, 3)), np.zeros((2, 2)), verbose=0) == pytest.approx(0.06)
    layer = Inner(when)
    layer.build((None, 3))
    assert len(layer.weights) == 3


def test_a_build_that_failed_can_be_tried_again() -> None:
    class Picky(layers.Layer):
        def build(self, input_shape: layers.Shape) -> None:
            self.first = self.add_weight((1,))
            self.second = self.add_weight((input_shape[-1] or 0,))
            if input_shape[-1] == 2:
                raise ValueError("not two")

        def call(self, inputs: Tensor) -> Tensor:
            return inputs * self.second * self.first

    layer = Picky()
    with pytest.raises(ValueError, match="not two"):
        layer(np.ones((1, 2)))
    assert (layer.built, layer.weights) == (False, [])
    assert layer(np.ones((1, 3))).shape == (1, 3)
    assert len(layer.weights) == 2


def test_a_build_from_beside_is_wrapped_too() -> None:
    class Builds:
        def build(self, input_shape: layers.Shape) -> None:
            self.w = self.add_weight((1,))  # type: ignore[attr-defined]

    class Both(Builds, layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            return inputs * self.w

    layer = Both()
    layer.build((None, 3))
    layer(X)
    assert (layer.built, len(layer.weights)) == (True, 1)


def test_weights_are_made_while_building_only() -> None:
    class Late(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            return inputs * self.add_weight()

    with pytest.raises(ValueError, match="add_weight: expected to be called in build or __init__"):
        Late()(X)


def test_variables_in_attributes_are_weights() -> None:
    class Holds(layers.Layer):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            self.scale = Variable(2.0, name="scale")
            self.more = [Variable([1.0], trainable=False), {"a": Variable([0.5])}]

        def call(self, inputs: Tensor) -> Tensor:
            return inputs * self.scale + self.more[1]["a"]

    layer = Holds()
    assert [weight.numpy().tolist() for weight in layer.weights] == [2.0, [0.5], [1.0]]
    model = compiled(layer, layers.Dense(2), run_eagerly=True)
    model.fit(X, Y, verbose=0)
    assert float(layer.scale) != 2
    assert len(model.trainable_weights) == 4


def test_several_inputs_reach_a_layer_of_ones_own() -> None:
    class Both(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.dense = layers.Dense(3)

        def build(self, input_shape: Any) -> None:
            self.shapes = input_shape

        def call(self, inputs: Any) -> Tensor:
            x, y = inputs["x"], inputs["y"][0]
            if len(x) > 1:  # not one that is tried
                assert (x.dtype, y.dtype) == (np.float32, np.int32)
            return self.dense(x) + y

    layer = Both()
    y = layer({"x": np.ones((5, 2)), "y": [np.ones((5, 3), np.int32)]})
    assert y.shape == (5, 3)
    assert layer.shapes == {"x": (5, 2), "y": [(5, 3)]}
    assert layer.input_shape == {"x": (None, 2), "y": [(None, 3)]}
    assert len(layer.weights) == 2


def test_what_a_mask_leaves_out() -> None:
    x = np.array([[[1.0, 10.0], [3.0, 20.0]], [[5.0, 60.0], [np.nan, np.inf]]], np.float32)
    mask = np.array([[True, True], [True, False]])
    layer = layers.BatchNormalization(momentum=0.0, epsilon=0.0)
    y = layer(x, training=True, mask=mask)
    kept = x[mask].astype(np.float64)
    np.testing.assert_allclose(layer.moving_mean.numpy(), kept.mean(0), rtol=1e-6)
    np.testing.assert_allclose(layer.moving_variance.numpy(), kept.var(0), rtol=1e-6)
    expected = (kept - kept.mean(0)) / kept.std(0)
    np.testing.assert_allclose(y.data[mask], expected, rtol=1e-5, atol=1e-6)
    for mask in (np.ones((1, 3)), np.ones((3, 1, 2, 2))):
        with pytest.raises(ValueError, match="mask: expected a shape that broadcasts"):
            layers.Softmax()(np.zeros((1, 2)), mask=mask)


def test_layers_in_layers_train_as_the_model_does() -> None:
    seen = []

    class Noted(layers.Layer):
        def call(self, inputs: Tensor, training: bool = False) -> Tensor:
            if len(inputs) > 1:  # not one that is tried
                seen.append(training)
            return inputs

    class Silent(layers.Layer):
        def __init__(self, told: Any = None, **options: Any) -> None:
            super().__init__(**options)
            self.noted, self.told = Noted(), told

        def call(self, inputs: Tensor) -> Tensor:
            return self.noted(inputs, training=self.told)

    x = np.ones((2, 3))
    silent, strict = Silent(), Silent(False)
    silent(x), strict(x)
    seen.clear()
    silent(x), silent(x, training=True), strict(x, training=True), silent(x, training=np.True_)
    assert seen == [False, True, False, True]
    seen.clear()
    model = compiled(Silent(), layers.Dense(2), run_eagerly=True)
    seen.clear()
    model.train_on_batch(X, Y)
    model.test_on_batch(X, Y)
    model.predict(X)
    assert seen == [True, False, False]
    model(X, training=True)
    assert seen[-1]
    assert Noted()(x, True).shape == (2, 3)
    assert seen[-1] is True


# ------------------------------------------------------------------ numbers in, numbers out


def test_whole_numbers_reach_layers_of_ones_own() -> None:
    class Same(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            return inputs

    same = Same()
    for kind in (np.int32, np.int64, np.uint8, np.bool_):
        assert same(np.ones((1, 2), kind)).dtype == kind
    assert same([[1, 2]]).dtype.kind == "i"
    assert same(np.ones((2, 3))).dtype == np.float32
    assert Same(autocast=False)(np.ones((2, 3))).dtype == np.float64
    assert same(Tensor(np.ones((2, 3)))).dtype == np.float64  # a Tensor is what it was made as


@pytest.mark.parametrize(
    "layer",
    [
        layers.Dense(2),
        layers.Flatten(),
        layers.Rescaling(0.5, 1.0),
        layers.Rescaling([0.5, 1.0, 2.0]),
        layers.BatchNormalization(),
        layers.Dropout(0.3, seed=1),
        layers.ReLU(2.5, 0.1, 1.0),
        layers.LeakyReLU(),
        layers.Softmax(),
        layers.Activation("sigmoid"),
        layers.Reshape((3, 1)),
    ],
    ids=lambda layer: type(layer).__name__,
)
@pytest.mark.parametrize("training", [False, True])
def test_our_layers_compute_with_whole_numbers_as_with_floats(
    layer: layers.Layer, training: bool
) -> None:
    x = np.array([[1, 2, 3], [4, 0, 2]], np.int32)
    if isinstance(layer, layers.Dropout):
        found = [layers.Dropout(0.3, seed=1)(each, training=training) for each in (x, x * 1.0)]
    else:
        found = [layer(each, training=training) for each in (x, x * 1.0)]
    np.testing.assert_allclose(found[0].data, found[1].data, rtol=1e-6)


def test_images_of_bytes() -> None:
    x = np.random.default_rng(1).integers(0, 256, (2, 6, 5, 2)).astype(np.uint8)
    for layer in (
        layers.Conv2D(3, 2),
        layers.Conv2D(4, 2, groups=2, dilation_rate=2),
        layers.MaxPooling2D(),
        layers.AveragePooling2D(),
        layers.GlobalAveragePooling2D(),
    ):
        np.testing.assert_allclose(layer(x).data, layer(x * 1.0).data, rtol=1e-6)


def test_a_model_whose_inputs_are_whole_numbers() -> None:
    class Embed(layers.Layer):
        def build(self, input_shape: layers.Shape) -> None:
            self.table = self.add_weight((10, 4), name="table")

        def call(self, inputs: Tensor) -> Tensor:
            return self.table[inputs].mean(axis=1)

    model = Sequential([Input((3,), dtype="int32"), Embed(), layers.Dense(2, "softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    x = np.random.default_rng(2).integers(0, 10, (20, 3))
    before = model.evaluate(x, x[:, 0] % 2, verbose=0)
    model.fit(x, x[:, 0] % 2, epochs=30, verbose=0)
    assert model.evaluate(x, x[:, 0] % 2, verbose=0) < before  # type: ignore[operator]
    again = Sequential.from_config(model.get_config(), custom_objects={"Embed": Embed})
    assert again.input_dtype == np.int32
    with pytest.raises(ValueError, match="dtype: expected 'float32', a type of whole numbers"):
        Input((3,), dtype="float64")


def test_dropped_is_0_even_if_it_was_infinite() -> None:
    x = Tensor(np.full((1, 200), np.inf, np.float32))
    y = layers.Dropout(0.5, seed=0)(x, training=True)
    assert set(np.unique(y.data)) == {0, np.inf}
    y.sum().backward()
    assert set(np.unique(x.grad)) == {0, 2}
    assert not layers.Dropout(1.0)(x, training=True).data.any()


@pytest.mark.parametrize("shape", [(1, -2), (1, 0), "ab", 3, (1, 2.5)])
def test_noise_shapes_that_are_none(shape: Any) -> None:
    with pytest.raises(ValueError, match="noise_shape"):
        layers.Dropout(0.5, noise_shape=shape)


# ------------------------------------------------------------------ convolution


def conv_reference(x: Any, w: Any, padding: str, rate: tuple[int, int], groups: int) -> Any:
    """Window by window, in float64, with holes and groups."""
    height, width = ((n - 1) * r + 1 for n, r in zip(w.shape[:2], rate, strict=True))
    if padding == "same":
        x = np.pad(
            x,
            [(0, 0), *(((n - 1) // 2, n // 2) for n in (height, width)), (0, 0)],
        )
    n, channels, filters = len(x), x.shape[3] // groups, w.shape[3] // groups
    y = np.zeros((n, x.shape[1] - height + 1, x.shape[2] - width + 1, w.shape[3]))
    for i, row, col in np.ndindex(y.shape[:3]):
        window = x[i, row : row + height : rate[0], col : col + width : rate[1]]
        for f in range(w.shape[3]):
            g = f // filters
            seen = window[..., g * channels : (g + 1) * channels]
            y[i, row, col, f] = (seen * w[..., f]).sum()
    return y


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("rate", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_holes_and_groups(padding: str, rate: tuple[int, int], groups: int) -> None:
    random = np.random.default_rng(0)
    layer = layers.Conv2D(8, (3, 2), padding=padding, dilation_rate=rate, groups=groups)
    x = random.normal(size=(2, 7, 6, 4))
    y = layer(x)
    assert y.shape == (2, *layer.compute_output_shape((None, 7, 6, 4))[1:])
    expected = conv_reference(x, layer.kernel.data.astype(np.float64), padding, rate, groups)
    np.testing.assert_allclose(y.data, expected, rtol=1e-4, atol=1e-5)

    # gradients, by the adjoint: <y, g> is linear in x and in the kernel
    images = Tensor(x)
    kernel = Tensor(layer.kernel.data.astype(np.float64))
    y = ops.conv2d(images, kernel, None, 1, padding, rate, groups)
    g = random.normal(size=y.shape)
    y.backward(g)
    along = random.normal(size=x.shape)
    sent = (conv_reference(along, kernel.data, padding, rate, groups) * g).sum()
    assert (images.grad * along).sum() == pytest.approx(sent, rel=1e-9)
    along = random.normal(size=kernel.shape)
    sent = (conv_reference(x, along, padding, rate, groups) * g).sum()
    assert (kernel.grad * along).sum() == pytest.approx(sent, rel=1e-9)


def test_holes_do_not_see_what_is_in_them() -> None:
    x = np.ones((1, 5, 5, 1))
    x[0, 1] = np.inf
    y = layers.Conv2D(1, (2, 1), dilation_rate=(2, 1), kernel_initializer="ones")(x)
    assert np.isfinite(y.data[0, [0, 2]]).all()


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "groups and filters": (lambda: layers.Conv2D(3, 2, groups=2), "groups: expected a divisor"),
    "groups and channels": (
        lambda: layers.Conv2D(4, 2, groups=2)(np.ones((1, 4, 4, 3))),
        "groups: expected a divisor of the 3 channels",
    ),
    "holes and strides": (
        lambda: layers.Conv2D(4, 2, strides=2, dilation_rate=2),
        "dilation_rate: expected 1 where strides",
    ),
    "too large with holes": (
        lambda: layers.Conv2D(4, 3, dilation_rate=2)(np.ones((1, 4, 4, 3))),
        "window of 5x5 does not fit",
    ),
    "channels first": (lambda: layers.Conv2D(4, 3, data_format="channels_first"), "data_format"),
    "channels first, pooling": (
        lambda: layers.MaxPooling2D(data_format="channels_first"),
        "data_format: expected 'channels_last'",
    ),
    "channels first, flatten": (lambda: layers.Flatten("channels_first"), "data_format"),
    "trainable": (lambda: layers.Dense(1, trainable="False"), "trainable: expected True or False"),
    "dtype": (lambda: layers.Dense(1, dtype="float16"), "dtype: expected None or 'float32'"),
    "dtype no name": (lambda: layers.Dense(1, dtype="abc"), "dtype: expected None or 'float32'"),
    "name": (lambda: layers.Dense(1, name="a/b"), "name: expected a string without '/'"),
    "name no string": (lambda: layers.Dense(1, name=3), "name: expected a string"),
    "weight's shape": (lambda: layers.Layer().add_weight("w"), "name='w'"),
    "weight's sizes": (lambda: layers.Layer().add_weight((2, None)), "add_weight: shape"),
    "weight's dtype": (lambda: layers.Layer().add_weight((2,), dtype="int32"), "dtype: expected"),
    "both shapes": (lambda: Input((3,), batch_shape=(None, 3)), "either shape"),
    "no shape": (Input, "either shape"),
    "folder None": (lambda: callbacks.BackupAndRestore(None), "backup_dir: expected a folder"),  # type: ignore[arg-type]
    "no folder": (lambda: callbacks.BackupAndRestore(""), "backup_dir: expected a folder"),
    "assigned": (lambda: Variable([1.0, 2.0]).assign([1.0]), r"assign: expected numbers of shape"),
    "loss weights": (
        lambda: Sequential().compile("sgd", "mse", ["accuracy"]),
        r"loss_weights: .*metrics=\[",
    ),
    "validation_freq": (
        lambda: compiled(layers.Dense(2)).fit(X, Y, validation_freq=0, verbose=0),
        "validation_freq",
    ),
    "steps_per_epoch": (
        lambda: compiled(layers.Dense(2)).fit(X, Y, steps_per_epoch=0, verbose=0),
        "steps_per_epoch",
    ),
    "initializer's shape": (lambda: initializers.Zeros()("ab"), "Zeros: shape"),
    "initializer's dtype": (lambda: initializers.Ones()((2,), dtype="int8"), "Ones: dtype"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_keras_refuses_is_refused(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()


# ------------------------------------------------------------------ what adds to the loss


def test_penalties_of_outputs() -> None:
    layer = layers.Dense(2, activity_regularizer="l2", kernel_initializer="ones")
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    layer(x)
    (loss,) = layer.losses
    assert loss.item() == pytest.approx(0.01 * 2 * (9 + 49) / 2)  # a mean over the batch
    layer(x)
    assert len(layer.losses) == 1

    model = compiled(layers.Dense(2, activity_regularizer="l1"), layers.Dense(2))
    with pytest.warns(UserWarning, match="regularizers of what layers put out"):
        history = model.fit(X, Y, batch_size=3, epochs=2, verbose=0).history
    outputs = model.layers[0](X).data
    plain = np.square(model.predict(X) - Y).mean()
    assert model.evaluate(X, Y, batch_size=8, verbose=0) == pytest.approx(
        plain + 0.01 * np.abs(outputs).sum() / 8, rel=1e-5
    )
    assert history["loss"][1] < history["loss"][0]
    model.predict(X)
    pickle.loads(pickle.dumps(model.layers[0]))


def test_losses_of_ones_own_are_of_the_last_call() -> None:
    class Adds(layers.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            self.add_loss([inputs.sum(), 1.0])
            return inputs

    class Twice(layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.adds, self.sometimes = Adds(), Adds()

        def call(self, inputs: Tensor, also: bool = False) -> Tensor:
            return self.sometimes(inputs) if also else self.adds(self.adds(inputs))

    layer = Twice()
    layer(np.ones((1, 2)), also=True)
    assert [loss.item() for loss in layer.losses] == [2, 1]
    layer(np.ones((1, 2)))
    assert [loss.item() for loss in layer.losses] == [2, 1, 2, 1]
    layer.compute_output_shape((None, 2))
    assert [loss.item() for loss in layer.losses] == [2, 1, 2, 1]
    model = compiled(Adds(), layers.Dense(2), run_eagerly=True)
    with_it = model.evaluate(X[:1], Y[:1], verbose=0)
    plain = np.square(model.predict(X[:1]) - Y[:1]).mean()
    assert with_it == pytest.approx(plain + X[:1].sum() + 1, rel=1e-5)


def test_a_slope_by_its_old_name() -> None:
    with pytest.warns(UserWarning, match="alpha: it is called negative_slope"):
        layer = layers.LeakyReLU(alpha=0.01)
    assert layer.negative_slope == 0.01
    assert layers.LeakyReLU.from_config(layer.get_config()).negative_slope == 0.01


def test_frozen_weights_have_no_penalty() -> None:
    layer = layers.Dense(2, kernel_regularizer="l2", bias_regularizer="l1")
    layer.build((None, 3))
    assert len(layer.losses) == 2
    layer.trainable = False
    assert layer.losses == []


# ------------------------------------------------------------------ configurations


class Hidden(layers.Layer):
    """Keeps its arguments under other names, and says what they were in Keras's way."""

    def __init__(self, units: int, scale: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self._units, self._scale = units, scale
        self.dense = layers.Dense(units)

    def call(self, inputs: Tensor) -> Tensor:
        return self.dense(inputs) * self._scale


class Told(Hidden):
    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self._units, "scale": self._scale}


class Wide(layers.Dense):
    """Adds an argument to those of a layer of ours."""

    def __init__(self, extra: str, **options: Any) -> None:
        super().__init__(**options)
        self._extra = extra

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "extra": self._extra}


@pytest.mark.parametrize(
    "layer", [Hidden(2, 3.0, name="a"), Told(2, scale=3.0), Wide("x", units=2, activation="relu")]
)
def test_configurations_in_keras_way(tmp_path: Path, layer: layers.Layer) -> None:
    config = layer.get_config()
    assert config["units"] == 2
    again = type(layer).from_config(config)
    assert again.get_config() == config
    model = compiled(layer, run_eagerly=True)
    model.save(tmp_path / "own")
    loaded = models.load_model(
        tmp_path / "own", custom_objects={"Hidden": Hidden, "Told": Told, "Wide": Wide}
    )
    np.testing.assert_array_equal(loaded.predict(X), model.predict(X))
    assert pickle.loads(pickle.dumps(layer)).get_config() == config


def test_everything_of_ones_own_says_how_it_is_made() -> None:
    class Loss(losses.Loss):
        def __init__(self, weight: float, **options: Any) -> None:
            super().__init__(**options)
            self.w = weight

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "weight": self.w}

    class Schedule(optimizers.schedules.LearningRateSchedule):
        def __init__(self, rate: float) -> None:
            self.r = rate

        def __call__(self, step: Any) -> float:
            return self.r

        def get_config(self) -> dict[str, Any]:
            return {"rate": self.r}

    class Start(initializers.Initializer):
        def __init__(self, value: float) -> None:
            self.v = value

        def __call__(self, shape: Any, dtype: Any = None) -> Any:
            return np.full(shape, self.v)

    for made, name in ((Loss(2.0), "weight"), (Schedule(2.0), "rate"), (Start(2.0), "value")):
        assert made.get_config()[name] == 2.0
        assert type(made).from_config(made.get_config()).get_config() == made.get_config()


# ------------------------------------------------------------------ models in models


def test_a_model_is_a_layer() -> None:
    inner = Sequential([layers.Dense(4, "relu"), layers.BatchNormalization()], name="inner")
    model = compiled(inner, layers.Dense(2), metrics=["mae"], run_eagerly=True)
    assert model.layers[0] is inner
    assert model.count_params() == 3 * 4 + 4 + 4 * 4 + 4 * 2 + 2
    assert len(model.trainable_variables) == 6
    flat = compiled(*inner.layers, model.layers[1])
    np.testing.assert_array_equal(model(X).data, flat(X).data)
    model.fit(X, Y, verbose=0)
    again = Sequential.from_config(model.get_config())
    again.build((None, 3))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(X).data, model(X).data)


def test_models_in_models_have_a_program(tmp_path: Path) -> None:
    def made() -> Sequential:
        utils.set_random_seed(3)
        encoder = Sequential([layers.Dense(4, "relu"), layers.Dense(3)])
        return compiled(encoder, Sequential([layers.Dense(2)]), optimizer="adam")

    model = made()
    assert [step.name for step in model.program.steps][:3] == [
        "dense + bias + relu",
        "dense + bias",
        "dense + bias",
    ]
    eager = made()
    eager.run_eagerly = True
    for each in (model, eager):
        each.fit(X, Y, batch_size=3, epochs=3, shuffle=False, verbose=0)
    for a, b in zip(model.get_weights(), eager.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
    model.save(tmp_path / "nested")
    again = models.load_model(tmp_path / "nested")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    model.layers[0].trainable = False
    before = model.get_weights()
    model.fit(X, Y, verbose=0)
    changed = [(a != b).any() for a, b in zip(before, model.get_weights(), strict=True)]
    assert changed == [False] * 4 + [True] * 2
    model.layers[0].add(layers.Dense(3, name="more"))
    assert len(model.program.steps) > 0
    assert model.predict(X).shape == (8, 2)
    model.summary(print_fn=lambda text: None)


# ------------------------------------------------------------------ variables


def test_variables() -> None:
    model = compiled(layers.Dense(1), loss="mse")
    kernel = model.layers[0].kernel
    assert kernel.assign(np.zeros((3, 1))).numpy().tolist() == [[0]] * 3
    assert len(model.trainable_variables) == len(model.variables) == 2
    before = kernel.numpy()
    kernel.assign_add(np.ones((3, 1)))
    kernel.assign_sub(Tensor(np.full((3, 1), 0.25)))
    assert (before.sum(), kernel.numpy().sum()) == (0, 2.25)
    seen = np.asarray(kernel)
    model.fit(X, Y[:, :1], verbose=0)
    assert seen.sum() == 2.25, "a copy"
    kernel.assign(np.zeros((3, 1)))  # where the program keeps it
    assert not model.layers[0].get_weights()[0].any()
    assert (kernel.value * 2).requires_grad
    assert (kernel.path, kernel.trainable) == ("dense/kernel", True) or kernel.path.endswith(
        "/kernel"
    )
    with pytest.raises(TypeError, match="assign: expected numbers"):
        kernel.assign("abc")
    count = Variable(3, dtype="int64", trainable=True)
    assert (int(count), f"{count:03d}", count.trainable) == (3, "003", False)
    drawn = Variable(np.ones, shape=(2,), name="drawn")
    assert (drawn.numpy() == [1, 1]).all()
    with pytest.raises(ValueError, match="shape: expected one"):
        Variable(np.ones)


def test_weights_with_everything_that_keras_takes() -> None:
    layer = layers.Layer()
    number = layer.add_weight()
    assert (number.shape, number.dtype) == ((), np.float32)
    weight = layer.add_weight(
        shape=(2, 3),
        initializer=initializers.Ones,
        dtype="float32",
        trainable=False,
        autocast=True,
        regularizer="l2",
        constraint=lambda w: w * 0.5,
        aggregation="mean",
        overwrite_with_gradient=False,
        name="w",
    )
    assert (weight.numpy() == 1).all()
    assert not weight.trainable
    assert callable(weight.constraint)
    drawn = layer.add_weight((2,), lambda shape, dtype: np.full(shape, 3, dtype))
    assert (drawn.numpy() == 3).all()


# ------------------------------------------------------------------ training


class Hooks(callbacks.Callback):
    """Every moment by Keras's names, `logs` without a default."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []


def _hook(name: str) -> Callable[..., None]:
    def hook(self: Hooks, *args: Any) -> None:
        assert isinstance(args[-1], dict)
        self.seen.append((name, args[0] if len(args) > 1 else None))

    return hook


for _name in dir(callbacks.Callback):
    if _name.startswith("on_") and "train_batch" not in _name:
        setattr(Hooks, _name, _hook(_name))


@pytest.mark.parametrize("eagerly", [False, True])
def test_moments_are_keras_s(eagerly: bool) -> None:
    model, hooks = compiled(layers.Dense(2), run_eagerly=eagerly), Hooks()
    model.fit(X, Y, batch_size=4, validation_data=(X, Y), verbose=0, callbacks=[hooks])
    assert hooks.seen == [
        ("on_train_begin", None),
        ("on_epoch_begin", 0),
        ("on_batch_begin", 0),
        ("on_batch_end", 0),
        ("on_batch_begin", 1),
        ("on_batch_end", 1),
        ("on_test_begin", None),
        ("on_test_batch_begin", 0),
        ("on_test_batch_end", 0),
        ("on_test_batch_begin", 1),
        ("on_test_batch_end", 1),
        ("on_test_end", None),
        ("on_epoch_end", 0),
        ("on_train_end", None),
    ]
    hooks.seen.clear()
    y = model.predict(X, batch_size=5, callbacks=[hooks])
    np.testing.assert_array_equal(y, model.predict(X))
    assert hooks.seen == [
        ("on_predict_begin", None),
        ("on_predict_batch_begin", 0),
        ("on_predict_batch_end", 0),
        ("on_predict_batch_begin", 1),
        ("on_predict_batch_end", 1),
        ("on_predict_end", None),
    ]


def test_outputs_are_told() -> None:
    found = []
    follow = callbacks.LambdaCallback(
        on_predict_batch_end=lambda batch, logs: found.append(logs["outputs"]),
        on_batch_end=None,
    )
    model = compiled(layers.Dense(2))
    y = model.predict(X, batch_size=3, callbacks=follow)
    np.testing.assert_array_equal(np.concatenate(found), y)
    assert model.predict(X, batch_size=3, steps=2).shape == (6, 2)
    assert model.evaluate(X, Y, batch_size=3, steps=2, verbose=0) == pytest.approx(
        model.evaluate(X[:6], Y[:6], verbose=0)
    )


def test_a_batch_s_end_can_end_training() -> None:
    class Stop(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            self.model.stop_training = batch == 1

    model = compiled(layers.Dense(2))
    model.fit(X, Y, batch_size=1, epochs=5, verbose=0, callbacks=[Stop()])
    assert model.optimizer is not None
    assert int(model.optimizer.iterations) == 2


def test_a_history_of_ones_own_is_used() -> None:
    history = callbacks.History()
    model = compiled(layers.Dense(2))
    assert model.fit(X, Y, verbose=0, callbacks=[history]) is history
    assert len(history.history["loss"]) == 1


def test_a_backup_within_an_epoch(tmp_path: Path) -> None:
    class Broken(callbacks.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 3:
                raise KeyboardInterrupt

    def made() -> Sequential:
        utils.set_random_seed(4)
        return compiled(layers.Dense(2))

    keep = callbacks.BackupAndRestore(tmp_path, save_freq=3, double_checkpoint=True)
    with pytest.raises(KeyboardInterrupt):
        made().fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[keep, Broken()])
    model = made()
    before = model.get_weights()
    assert model.fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[keep]).epoch == [0, 1]
    assert int(model.optimizer.iterations) == 3 + 8  # type: ignore[union-attr]
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    for wrong in (0, "batch", 1.5):
        with pytest.raises(ValueError, match="save_freq"):
            callbacks.BackupAndRestore(tmp_path, save_freq=wrong)


def test_nan_may_be_an_error() -> None:
    x = X.copy()
    x[0, 0] = np.nan
    stop = callbacks.TerminateOnNaN(raise_error=True)
    with pytest.raises(RuntimeError, match="the loss of batch 0 is nan"):
        compiled(layers.Dense(2)).fit(x, Y, verbose=0, callbacks=[stop])


def test_checkpoints_count_batches(tmp_path: Path) -> None:
    keep = callbacks.ModelCheckpoint(str(tmp_path / "{epoch:02d}-{batch:02d}.keras"), save_freq=2)
    compiled(layers.Dense(2)).fit(X, Y, batch_size=2, epochs=2, verbose=0, callbacks=[keep])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "01-02.keras",
        "01-04.keras",
        "02-02.keras",
        "02-04.keras",
    ]
    by_epoch = callbacks.ModelCheckpoint(str(tmp_path / "{batch}.keras"))
    with pytest.raises(ValueError, match=r"filepath: expected epoch, .*in braces"):
        compiled(layers.Dense(2)).fit(X, Y, verbose=0, callbacks=[by_epoch])


def test_epochs_of_so_many_steps_go_on_where_the_last_ended() -> None:
    def seen(**how: Any) -> list[float]:
        found: list[float] = []

        def squares(y_true: Any, y_pred: Tensor) -> Tensor:
            found.extend(np.asarray(y_true)[:, 0])
            return ops.square(y_pred - y_true)

        model = compiled(layers.Dense(2), loss=squares, run_eagerly=True)
        y = np.arange(10.0).reshape(10, 1) * np.ones((1, 2))
        model.fit(np.ones((10, 3)), y, batch_size=3, shuffle=False, verbose=0, **how)
        return found

    assert seen(steps_per_epoch=2, epochs=3) == [*range(6), *range(6, 10), *range(6)]
    with pytest.warns(UserWarning, match="there are 4 batches, fewer than the 5"):
        assert seen(steps_per_epoch=5) == [*range(10)]
    utils.set_random_seed(1)
    shuffled = seen(steps_per_epoch=2, epochs=2)
    assert sorted(shuffled) == [*range(10)]


def test_validation_now_and_then() -> None:
    def epochs_with(**how: Any) -> int:
        model = compiled(layers.Dense(2))
        return len(model.fit(X, Y, epochs=5, verbose=0, **how).history["val_loss"])

    assert epochs_with(validation_data=(X, Y), validation_freq=2) == 2
    assert epochs_with(validation_split=0.5, validation_freq=[1, 4, 9]) == 2
    sizes = []

    class Sizes(callbacks.Callback):
        def on_test_batch_begin(self, batch: int, logs: Any) -> None:
            sizes.append(batch)

    model = compiled(layers.Dense(2))
    data = {"validation_data": (X, Y), "callbacks": [Sizes()], "verbose": 0}
    model.fit(X, Y, batch_size=8, validation_batch_size=2, **data)
    assert sizes == [0, 1, 2, 3]
    sizes.clear()
    model.fit(X, Y, batch_size=8, validation_batch_size=2, validation_steps=3, **data)
    assert sizes == [0, 1, 2]


def test_classes_count_in_training_alone() -> None:
    model = Sequential([Input((1,)), layers.Dense(1, "sigmoid", kernel_initializer="zeros")])
    model.compile(optimizers.SGD(0.0), "binary_crossentropy")
    x, y = np.zeros((4, 1)), np.array([1.0, 0, 1, 1])
    how: dict[str, Any] = {"class_weight": {1: 10.0}, "validation_split": 0.5, "verbose": 0}
    history = model.fit(x, y, **how).history
    assert history["val_loss"] == [pytest.approx(0.6931472)]
    assert history["loss"] == [pytest.approx(0.6931472 * 5.5)]
    # labels that are not whole count as the class that is nearest
    how = {"class_weight": {0: 1.0, 1: 10.0}, "verbose": 0, "shuffle": False}
    history = model.fit(x, np.array([0.9, 0.1, 0.6, 0.4]), **how).history
    assert history["loss"] == [pytest.approx(0.6931472 * 5.5, rel=1e-6)]


def test_metrics_that_count_weights() -> None:
    x, y, w = np.eye(4, dtype=np.float32), np.array([0, 1, 1, 0]), np.array([1.0, 0, 2, 1])
    model = Sequential([Input((4,)), layers.Dense(2, "softmax", use_bias=False)])
    model.compile(
        optimizers.SGD(0.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        weighted_metrics=["accuracy", metrics.SparseCategoricalAccuracy(name="sparse")],
    )
    model.set_weights([np.array([[5.0, 0], [0, 5], [5, 0], [5, 0]])])
    found: Any = model.evaluate(x, y, sample_weight=w, verbose=0, return_dict=True)
    assert found["accuracy"] == 0.75
    assert found["weighted_accuracy"] == found["sparse"] == 0.5
    assert model.evaluate(x, y, sample_weight=w, verbose=0)[1:] == [0.75, 0.5, 0.5]  # type: ignore[index]
    assert [*found] == sorted(found)


def test_a_spoilt_weight_is_named() -> None:
    model = compiled(layers.Dense(2, name="spoilt"))
    weights = model.get_weights()
    weights[0][1, 1] = np.nan
    model.set_weights(weights)
    with pytest.raises(ValueError, match="weight spoilt/kernel was not finite before training"):
        model.fit(X, Y, verbose=0)


def test_a_model_without_weights_reports() -> None:
    model = compiled(layers.Activation("relu"), metrics=["mae"])
    with pytest.warns(UserWarning, match="no weights that training adjusts"):
        history = model.fit(X, np.zeros_like(X), epochs=2, verbose=0).history
    assert history["loss"] == [pytest.approx(np.square(np.maximum(X, 0)).mean())] * 2


@pytest.mark.parametrize(
    "thing",
    [
        Sequential(),
        compiled(layers.Dropout(0.5)),
        layers.Dense(3),
        Input((3,)),
        Tensor([1.0, 2.0]),
        Variable(1.0),
        optimizers.Adam(),
        losses.MeanSquaredError(),
        metrics.Mean(),
        callbacks.History(),
        initializers.Zeros(),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_asking_for_attributes_never_raises(thing: Any) -> None:
    for name in dir(thing):
        hasattr(thing, name)
    assert not any(hasattr(Sequential(), name) for name in ("input_shape", "output_shape"))
    with pytest.raises(ValueError, match="not known yet"):
        Sequential().output_shape  # noqa: B018 - it is a ValueError, too
