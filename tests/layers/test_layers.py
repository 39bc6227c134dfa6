"""The layers: shapes, names and first weights; values and gradients against float64 numpy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from micrograd_ext import Sequential, Tensor, initializers, layers, models, ops, utils

Array = npt.NDArray[Any]
RANDOM = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def fresh_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test counts its layers from the beginning."""
    monkeypatch.setattr("micrograd_ext.common.naming._names", Counter())


def lenet(padding: str = "valid") -> Sequential:
    """The network of the text."""
    return Sequential(
        [
            layers.Input(shape=(28, 28, 1)),
            layers.Conv2D(32, (3, 3), activation="relu", padding=padding),
            layers.MaxPooling2D((2, 2)),
            layers.Conv2D(64, (3, 3), activation="relu", padding=padding),
            layers.MaxPooling2D((2, 2)),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )


def numbers(*shape: int) -> Array:
    """Normally distributed float64 numbers."""
    return RANDOM.standard_normal(shape)


def in_float64(layer: layers.Layer, input_shape: Sequence[int]) -> layers.Layer:
    """The layer, built, its weights (biases too) random float64 numbers."""
    layer.ensure_built((None, *input_shape))
    for weight in layer.weights:
        weight.data = numbers(*weight.shape)
    return layer


# ------------------------------------------------------------------ references in float64


def padded(x: Array, window: Sequence[int], strides: Sequence[int], fill: float) -> Array:
    """Images with the border that padding 'same' means: the odd row or column goes to the end."""
    border = [(0, 0)]
    for size, k, step in zip(x.shape[1:3], window, strides, strict=True):
        missing = max((int(np.ceil(size / step)) - 1) * step + k - size, 0)
        border.append((missing // 2, missing - missing // 2))
    return np.pad(x, [*border, (0, 0)], constant_values=fill)


def windows(x: Array, window: Sequence[int], strides: Sequence[int]) -> Array:
    """(N, OH, OW, C, KH, KW): what each output looks at."""
    every = np.lib.stride_tricks.sliding_window_view(x, tuple(window), axis=(1, 2))
    return every[:, :: strides[0], :: strides[1]]


def conv_reference(
    x: Array, w: Array, strides: Sequence[int] = (1, 1), padding: str = "valid"
) -> Array:
    """Convolution as one sum over each window."""
    if padding == "same":
        x = padded(x, w.shape[:2], strides, 0.0)
    return np.einsum("nhwcij,ijcf->nhwf", windows(x, w.shape[:2], strides), w)


def pool_reference(
    x: Array, size: Sequence[int], strides: Sequence[int], padding: str = "valid"
) -> Array:
    """The largest number of each window."""
    if padding == "same":
        x = padded(x, size, strides, -np.inf)
    return windows(x, size, strides).max((-2, -1))


def softmax_reference(x: Array) -> Array:
    """One over the sum of what the others are, seen from each."""
    return 1 / np.exp(x[..., None, :] - x[..., :, None]).sum(-1)


ACTIVATIONS: dict[str | None, Callable[[Array], Array]] = {
    None: lambda x: x,
    "exponential": lambda x: np.e**x,
    "leaky_relu": lambda x: x * (0.6 + 0.4 * np.sign(x)),
    "linear": lambda x: x,
    "log_softmax": lambda x: np.log(softmax_reference(x)),
    "relu": lambda x: (x + np.abs(x)) / 2,
    "sigmoid": lambda x: (1 + np.tanh(x / 2)) / 2,
    "softmax": softmax_reference,
    "tanh": lambda x: 1 - 2 / (np.exp(2 * x) + 1),
}

# ------------------------------------------------------------------ shapes, parameters, names


@pytest.mark.parametrize(
    ("padding", "shapes"),
    [
        (
            "valid",
            [(26, 26, 32), (13, 13, 32), (11, 11, 64), (5, 5, 64), (1600,), (128,), (10,)],
        ),
        (
            "same",
            [(28, 28, 32), (14, 14, 32), (14, 14, 64), (7, 7, 64), (3136,), (128,), (10,)],
        ),
    ],
)
def test_shapes_of_lenet(padding: str, shapes: list[tuple[int, ...]]) -> None:
    model = lenet(padding)
    x = Tensor(np.zeros((2, 28, 28, 1), np.float32), requires_grad=False)
    announced: layers.Shape = (None, 28, 28, 1)
    for layer, shape in zip(model.layers, shapes, strict=True):
        x, announced = layer(x), layer.compute_output_shape(announced)
        assert x.shape == (2, *shape), layer.name
        assert announced == (None, *shape), layer.name
    assert model.output_shape == (None, 10)


def test_parameters_of_lenet() -> None:
    model = lenet()
    assert [layer.count_params() for layer in model.layers] == [
        3 * 3 * 1 * 32 + 32,
        0,
        3 * 3 * 32 * 64 + 64,
        0,
        0,
        1600 * 128 + 128,
        128 * 10 + 10,
    ]
    assert model.count_params() == 225_034
    assert lenet("same").count_params() == 225_034 + (3136 - 1600) * 128


def test_parameters_of_a_perceptron() -> None:
    dense = [layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(10, "softmax")]
    model = Sequential([layers.Input((784,)), *dense])
    assert model.count_params() == 55_050
    assert [w.shape for w in model.weights] == [
        (784, 64),
        (64,),
        (64, 64),
        (64,),
        (64, 10),
        (10,),
    ]


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("strides", [1, 2, (1, 3), (3, 2)])
@pytest.mark.parametrize("window", [1, 2, 3, 5, (2, 4), (5, 1)])
@pytest.mark.parametrize("size", [(5, 5), (8, 7), (14, 6)])
def test_announced_shapes_come_out(size: Any, window: Any, strides: Any, padding: str) -> None:
    x = np.zeros((2, *size, 3), np.float32)
    for layer in (
        layers.Conv2D(4, window, strides, padding),
        layers.MaxPooling2D(window, strides, padding),
    ):
        announced = layer.compute_output_shape((None, *x.shape[1:]))
        assert layer(x).shape == (2, *announced[1:])


def test_names_are_counted_by_creation() -> None:
    made: list[Any] = [
        layers.Conv2D(1, 1),
        layers.Conv2D(1, 1),
        layers.MaxPooling2D(),
        layers.MaxPool2D(),
        layers.Flatten(),
        layers.Dense(1),
        layers.Dense(1, name="head"),
        layers.Dense(1),
        layers.Activation("relu"),
        layers.Input((1,)),
        Sequential(),
        Sequential(name="mine"),
        Sequential(),
    ]
    assert [each.name for each in made] == [
        "conv2d",
        "conv2d_1",
        "max_pooling2d",
        "max_pooling2d_1",
        "flatten",
        "dense",
        "head",
        "dense_1",
        "activation",
        "input_layer",
        "sequential",
        "mine",
        "sequential_1",
    ]


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("Scale", "scale"),
        ("MyLayer", "my_layer"),
        ("Conv2DTranspose", "conv2d_transpose"),
        ("RMSNorm", "rms_norm"),
        ("LSTM", "lstm"),
    ],
)
def test_names_of_own_layers_are_those_keras_gives(class_name: str, name: str) -> None:
    assert type(class_name, (layers.Layer,), {})().name == name


def test_weights_are_named_after_their_layer() -> None:
    layer = layers.Dense(2, name="head")
    layer.build((None, 3))
    assert [weight.name for weight in layer.weights] == ["head/kernel", "head/bias"]
    assert (layer.kernel, layer.bias) == tuple(layer.weights) == tuple(layer.trainable_weights)


def test_repr_of_a_layer() -> None:
    layer = layers.Dense(2)
    assert repr(layer) == "<Dense name=dense, built=False>"
    layer(np.zeros((1, 2), np.float32))
    assert repr(layer) == "<Dense name=dense, built=True>"


# ------------------------------------------------------------------ initial weights


@pytest.mark.parametrize(
    ("make", "input_shape", "fans"),
    [
        (lambda **how: layers.Dense(300, **how), (200,), (200, 300)),
        (lambda **how: layers.Conv2D(64, (3, 5), **how), (9, 9, 32), (15 * 32, 15 * 64)),
    ],
    ids=["Dense", "Conv2D"],
)
@pytest.mark.parametrize("kind", ["glorot_uniform", "he_uniform"])
def test_initial_weights(
    make: Callable[..., Any], input_shape: tuple[int, ...], fans: tuple[int, int], kind: str
) -> None:
    utils.set_random_seed(0)
    layer = make(kernel_initializer=kind)
    layer.build((None, *input_shape))
    kernel = layer.kernel.data
    limit = (6 / (sum(fans) if kind == "glorot_uniform" else fans[0])) ** 0.5
    assert kernel.dtype == np.float32
    for end in (kernel.max(), -kernel.min()):
        assert 0.999 * limit < end <= limit * (1 + 1e-6)
    assert abs(kernel.mean()) < 5 * limit / 3**0.5 / kernel.size**0.5  # five standard errors
    assert kernel.var() == pytest.approx(limit**2 / 3, rel=0.03)
    assert not layer.bias.data.any()


def test_glorot_is_the_default() -> None:
    for layer in (layers.Dense(1), layers.Conv2D(1, 1)):
        assert isinstance(layer.kernel_initializer, initializers.GlorotUniform)
        assert isinstance(layer.bias_initializer, initializers.Zeros)


def test_own_initializers() -> None:
    def steps(shape: Sequence[int]) -> Array:
        return np.arange(np.prod(shape)).reshape(shape)

    layer = layers.Dense(2, kernel_initializer=steps, bias_initializer="ones")
    layer.build((None, 3))
    np.testing.assert_array_equal(layer.kernel.data, [[0, 1], [2, 3], [4, 5]])
    np.testing.assert_array_equal(layer.bias.data, [1, 1])
    assert layer.kernel.dtype == layer.bias.dtype == np.float32


def test_initializers_repeat_with_a_seed() -> None:
    one, two = (initializers.GlorotUniform(seed=5)((4, 3)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert (one != initializers.GlorotUniform(seed=6)((4, 3))).any()
    drawn = []
    for _ in range(2):
        utils.set_random_seed(1)
        drawn.append([initializers.GlorotUniform()((4, 3)) for _ in range(2)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[0][1]).any()


# ------------------------------------------------------------------ values


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("input_shape", [(5,), (4, 5), (2, 3, 5)])
def test_dense(input_shape: tuple[int, ...], use_bias: bool) -> None:
    layer = in_float64(layers.Dense(3, use_bias=use_bias), input_shape)
    x = numbers(6, *input_shape)
    kernel = layer.weights[0].data
    expected = np.einsum("...i,io->...o", x, kernel)
    if use_bias:
        expected = expected + layer.weights[1].data
    else:
        assert len(layer.weights) == 1
        assert layer.bias is None
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["Dense", "Conv2D", "Activation"])
def test_activations(kind: str, name: str | None) -> None:
    reference = ACTIVATIONS[name]
    if kind == "Activation":
        x = numbers(4, 3, 5)
        y, before = layers.Activation(name)(Tensor(x)), x
    elif kind == "Dense":
        x = numbers(4, 5)
        layer = in_float64(layers.Dense(3, activation=name), (5,))
        y, before = layer(Tensor(x)), x @ layer.weights[0].data + layer.weights[1].data
    else:
        x = numbers(2, 5, 4, 3)
        layer = in_float64(layers.Conv2D(2, 3, activation=name), (5, 4, 3))
        y, before = (
            layer(Tensor(x)),
            conv_reference(x, layer.weights[0].data) + layer.weights[1].data,
        )
    np.testing.assert_allclose(y.data, reference(before), rtol=1e-12, atol=1e-12)


def test_activation_by_function() -> None:
    x = numbers(3, 5)
    layer = in_float64(layers.Dense(2, activation=lambda t: ops.square(t) + 1), (5,))
    before = x @ layer.weights[0].data + layer.weights[1].data
    np.testing.assert_allclose(layer(Tensor(x)).data, before * before + 1, rtol=1e-12)


SCALES: dict[str, Any] = {
    "number": 0.3,
    "whole number": 3,
    "numpy number": np.float64(1 / 3),
    "array of no axes": np.array(-2),
    "list": [1.0, -2, 0.1],
    "array": np.array([[3.0], [1 / 3]]),
    "of bool": np.array([True, False, True]),
    "of one number": [7],
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("offset", SCALES)
def test_rescaling(scale: str, offset: str) -> None:
    layer = layers.Rescaling(SCALES[scale], SCALES[offset], input_shape=(2, 3))
    bytes_ = RANDOM.integers(0, 256, (4, 2, 3)).astype(np.uint8)
    a, b = (np.float64(np.float32(SCALES[name])) for name in (scale, offset))
    for x in (bytes_, bytes_.astype(np.float32), bytes_.tolist()):
        y = layer(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y.data, bytes_ * a + b, rtol=1e-6, atol=5e-5)
    exact = layer(Tensor(bytes_.astype(np.float64))).data
    assert exact.dtype == np.float64
    np.testing.assert_allclose(exact, bytes_ * a + b, rtol=1e-6, atol=1e-6)
    assert layer.compute_output_shape((None, 2, 3)) == (None, 2, 3)
    assert layer.weights == []


def test_rescaling_in_a_model() -> None:
    images = RANDOM.integers(0, 256, (5, 4, 4, 3)).astype(np.uint8)
    model = Sequential([layers.Input((4, 4, 3)), layers.Rescaling(1 / 255, offset=-0.5)])
    assert model.output_shape == (None, 4, 4, 3)
    assert [layer.name for layer in model.layers] == ["rescaling"]
    np.testing.assert_allclose(model.predict(images), images / 255 - 0.5, atol=1e-7)
    model.add(layers.Rescaling([2, 3, 4]))
    found = model.predict(images)
    np.testing.assert_allclose(found, (images / 255 - 0.5) * [2, 3, 4], atol=1e-6)


def test_arrays_of_a_rescaling_are_copied() -> None:
    scale = np.array([1.0, 2.0], np.float32)
    layer = layers.Rescaling(scale)
    scale[...] = 0
    np.testing.assert_array_equal(layer(np.ones((1, 2), np.float32)).data, [[1, 2]])


def test_a_scale_makes_no_example_larger() -> None:
    with pytest.raises(ValueError, match="scale: expected a shape that broadcasts"):
        layers.Rescaling([1.0, 2.0])(np.zeros((3, 1), np.float32))


@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("padding", ["valid", "same", "SAME"])
@pytest.mark.parametrize("strides", [(1, 1), (2, 2), (1, 3)])
@pytest.mark.parametrize("window", [(1, 1), (3, 3), (2, 5), (4, 3)])
def test_conv2d(window: Any, strides: Any, padding: str, use_bias: bool) -> None:
    layer = in_float64(layers.Conv2D(4, window, strides, padding, use_bias=use_bias), (9, 10, 3))
    x = numbers(2, 9, 10, 3)
    expected = conv_reference(x, layer.weights[0].data, strides, padding.lower())
    if use_bias:
        expected = expected + layer.weights[1].data
    assert len(layer.weights) == 1 + use_bias
    np.testing.assert_allclose(layer(Tensor(x)).data, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(
    ("size", "strides"),
    [((2, 2), None), ((3, 2), None), ((2, 2), (1, 1)), ((3, 3), (2, 2)), ((2, 3), (3, 2))],
)
def test_max_pooling(size: Any, strides: Any, padding: str) -> None:
    x = numbers(2, 11, 7, 3)
    y = layers.MaxPooling2D(size, strides, padding)(Tensor(x))
    np.testing.assert_array_equal(y.data, pool_reference(x, size, strides or size, padding))


def test_max_pooling_of_the_text() -> None:
    x = np.array([[10.0, 6, 4, 6], [8, 2, 12, 5], [1, 0, 3, 7], [9, 4, 2, 2]])
    y = layers.MaxPooling2D((2, 2))(x.reshape(1, 4, 4, 1))
    np.testing.assert_array_equal(y.data[0, :, :, 0], [[10, 12], [9, 7]])


def test_flatten_goes_row_by_row_with_channels_last() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    y = layers.Flatten()(x).data
    assert y.shape == (2, 60)
    assert y[1, (2 * 4 + 3) * 5 + 1] == x[1, 2, 3, 1]
    assert layers.Flatten()(np.zeros(4)).shape == (4, 1)
    assert layers.Flatten()(np.zeros((0, 3, 4))).shape == (0, 12)
    assert layers.Flatten().compute_output_shape((None, None, 4)) == (None, None)


def test_a_number_stands_for_height_and_width() -> None:
    conv, pool = layers.Conv2D(2, 3, 2), layers.MaxPooling2D(3)
    assert (conv.kernel_size, conv.strides) == ((3, 3), (2, 2))
    assert (pool.pool_size, pool.strides) == ((3, 3), (3, 3))
    assert layers.Conv2D(np.int64(2), np.int64(3)).kernel_size == (3, 3)
    assert layers.MaxPool2D is layers.MaxPooling2D


# ------------------------------------------------------------------ gradients

GRADIENTS = {
    "Dense": (lambda: layers.Dense(3, "tanh"), (4,)),
    "Dense, no bias": (lambda: layers.Dense(3, "sigmoid", use_bias=False), (4,)),
    "Dense, 3-D": (lambda: layers.Dense(2, "relu"), (3, 4)),
    "Dense, softmax": (lambda: layers.Dense(4, "softmax"), (3,)),
    "Dense, log_softmax": (lambda: layers.Dense(4, "log_softmax"), (3,)),
    "Dense, leaky_relu": (lambda: layers.Dense(4, "leaky_relu"), (3,)),
    "Dense, exponential": (lambda: layers.Dense(4, "exponential"), (3,)),
    "Conv2D, valid": (lambda: layers.Conv2D(3, (2, 3), activation="tanh"), (4, 5, 2)),
    "Conv2D, same": (lambda: layers.Conv2D(2, 3, padding="same", activation="relu"), (4, 5, 2)),
    "Conv2D, strides": (lambda: layers.Conv2D(2, 3, (2, 1), "same"), (5, 4, 2)),
    "Conv2D, no bias": (lambda: layers.Conv2D(2, 2, use_bias=False), (3, 4, 3)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(2), (5, 4, 3)),
    "MaxPooling2D, overlapping": (lambda: layers.MaxPooling2D(3, 1, "same"), (4, 4, 2)),
    "Flatten": (layers.Flatten, (2, 3)),
    "Activation": (lambda: layers.Activation("tanh"), (2, 3)),
    "Rescaling": (lambda: layers.Rescaling(-2.5, 1), (2, 3)),
    "Rescaling, arrays": (lambda: layers.Rescaling([1, 2, -3], [[1], [0.5]]), (2, 3)),
}


def slope(value: Callable[[], float], x: Array) -> Array:
    """The gradient of `value` with respect to x by central differences, changing x in place."""
    dx = np.empty_like(x)
    for place in np.ndindex(x.shape):
        middle = x[place]
        x[place] = middle + 1e-5
        above = value()
        x[place] = middle - 1e-5
        below = value()
        x[place] = middle
        dx[place] = (above - below) / 2e-5
    return dx


@pytest.mark.parametrize("case", GRADIENTS)
def test_gradients_against_central_differences(case: str) -> None:
    make, input_shape = GRADIENTS[case]
    layer = in_float64(make(), input_shape)
    x = Tensor(numbers(2, *input_shape))
    direction = numbers(*layer(x).shape)

    layer(x).backward(direction)
    for each in (x, *layer.weights):
        expected = slope(lambda: float((layer(x).data * direction).sum()), each.data)
        np.testing.assert_allclose(each.grad, expected, rtol=1e-7, atol=1e-7)


def test_no_gradient_for_plain_inputs() -> None:
    layer = layers.Dense(2)
    y = layer(np.ones((3, 2), np.float32))
    assert y.requires_grad
    y.backward(np.ones((3, 2)))
    np.testing.assert_array_equal(layer.kernel.grad, np.full((2, 2), 3))
    assert layer.kernel.grad.dtype == np.float32


# ------------------------------------------------------------------ building


def test_a_layer_is_built_by_its_first_batch() -> None:
    layer = layers.Dense(3)
    assert not layer.built
    assert layer.weights == layer.get_weights() == []
    assert layer.count_params() == 0
    assert layer(np.zeros((7, 4), np.float32)).shape == (7, 3)
    assert layer.built
    assert layer.input_shape == (None, 4)
    kernel = layer.kernel
    layer(np.zeros((2, 4), np.float32))
    assert layer.kernel is kernel
    assert len(layer.weights) == 2


def test_a_model_without_input_is_built_by_its_first_batch() -> None:
    model = Sequential([layers.Dense(3), layers.Dense(2)])
    assert not model.built
    assert model.weights == []
    with pytest.raises(ValueError, match="input's shape is not known"):
        _ = model.output_shape
    assert model(np.zeros((5, 4), np.float32)).shape == (5, 2)
    assert model.built
    assert model.input_shape == (None, 4)
    assert model.output_shape == (None, 2)
    assert model.count_params() == 4 * 3 + 3 + 3 * 2 + 2


@pytest.mark.parametrize("how", ["Input", "input_shape", "build", "add"])
def test_ways_to_say_the_shape_of_the_input(how: str) -> None:
    if how == "Input":
        model = Sequential([layers.Input((4,)), layers.Dense(3), layers.Dense(2)])
    elif how == "input_shape":
        model = Sequential([layers.Dense(3, input_shape=(4,)), layers.Dense(2)])
    elif how == "build":
        model = Sequential([layers.Dense(3), layers.Dense(2)])
        model.build((None, 4))
    else:
        model = Sequential()
        model.add(layers.Input(shape=(4,)))
        model.add(layers.Dense(3))
        model.add(layers.Dense(2))
    assert model.built
    assert [type(layer) for layer in model.layers] == [layers.Dense, layers.Dense]
    assert [weight.shape for weight in model.weights] == [(4, 3), (3,), (3, 2), (2,)]
    assert (model.input_shape, model.output_shape) == ((None, 4), (None, 2))


def test_axes_of_any_size() -> None:
    model = Sequential([layers.Input((None, 4)), layers.Dense(3)])
    for length in (2, 7):
        assert model(np.zeros((5, length, 4), np.float32)).shape == (5, length, 3)
        assert model.predict(np.zeros((5, length, 4)), verbose=0).shape == (5, length, 3)


def test_a_failed_add_changes_nothing() -> None:
    model = Sequential()
    with pytest.raises(ValueError, match="does not fit"):
        model.add(layers.Conv2D(1, 30, input_shape=(28, 28, 1)))
    assert model.layers == []
    model.add(layers.Conv2D(1, 30, input_shape=(32, 32, 1)))
    assert model.output_shape == (None, 3, 3, 1)


def test_a_failed_build_can_be_repeated() -> None:
    model = Sequential([layers.Conv2D(2, 1), layers.Conv2D(1, 5)])
    with pytest.raises(ValueError, match="does not fit"):
        model(np.zeros((1, 3, 3, 1), np.float32))
    assert not model.built
    assert not hasattr(model, "input_shape")
    assert model(np.zeros((1, 8, 8, 1), np.float32)).shape == (1, 4, 4, 1)


def test_a_failed_build_leaves_no_layer_built_for_the_wrong_channels() -> None:
    model = Sequential([layers.Conv2D(2, 1), layers.Conv2D(1, 5)])
    with pytest.raises(ValueError, match="does not fit"):
        model(np.zeros((1, 3, 3, 1), np.float32))
    assert model(np.zeros((1, 8, 8, 3), np.float32)).shape == (1, 4, 4, 1)


def test_a_built_model_takes_no_other_shape() -> None:
    model = Sequential([layers.Dense(3)])
    model.build((None, 4))
    model.build((None, 4))
    with pytest.raises(ValueError, match=r"4.*5"):
        model.build((None, 5))


def test_a_built_layer_is_not_added_where_it_does_not_fit() -> None:
    layer = layers.Dense(3)
    layer(np.zeros((1, 4), np.float32))
    assert Sequential([layers.Input((4,)), layer]).output_shape == (None, 3)
    with pytest.raises(ValueError, match="expected"):
        Sequential([layers.Input((5,)), layer])


# ------------------------------------------------------------------ one's own layers


class Scale(layers.Layer):
    """Each feature times a weight."""

    def build(self, input_shape: layers.Shape) -> None:
        self.factor = self.add_weight((int(input_shape[-1] or 0),), "ones", name="factor")
        self.shift = self.add_weight((1,), lambda shape: np.full(shape, 0.5, np.float64))

    def call(self, inputs: Tensor) -> Tensor:
        return inputs * self.factor + self.shift


class Double(layers.Layer):
    """The features twice."""

    def call(self, inputs: Tensor) -> Tensor:
        return ops.concatenate([inputs, inputs], axis=-1)

    def compute_output_shape(self, input_shape: layers.Shape) -> layers.Shape:
        return *input_shape[:-1], 2 * int(input_shape[-1] or 0)


def test_own_layers_in_a_model() -> None:
    model = Sequential([layers.Input((3,)), Scale(), Double(), layers.Dense(2)])
    assert [layer.name for layer in model.layers] == ["scale", "double", "dense"]
    assert model.output_shape == (None, 2)
    assert model.count_params() == 3 + 1 + 6 * 2 + 2
    scale, _, dense = model.layers
    assert [weight.name for weight in scale.weights] == ["scale/factor", "scale/1"]
    assert {weight.dtype for weight in scale.weights} == {np.dtype(np.float32)}

    x = numbers(5, 3)
    kernel = dense.weights[0].data
    y = model(Tensor(x))
    np.testing.assert_allclose(y.data, np.tile(x + 0.5, 2) @ kernel, rtol=1e-6)
    y.backward(np.ones((5, 2)))
    each = kernel.sum(1).reshape(2, 3).sum(0)  # what a scaled feature is worth
    np.testing.assert_allclose(scale.weights[0].grad, x.sum(0) * each, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scale.weights[1].grad, [5 * each.sum()], rtol=1e-5, atol=1e-5)


def test_own_layers_are_trained() -> None:
    model = Sequential([Scale()])
    model.compile("sgd", lambda y_true, y_pred: (y_pred - y_true) ** 2)
    x = np.ones((4, 1))
    with pytest.warns(UserWarning, match="runs layer by layer, which is slower: scale is a Scale"):
        model.fit(x, x * 3, verbose=0)
    model.fit(x, x * 3, epochs=99, verbose=0)  # said once
    np.testing.assert_allclose(model.predict(x, verbose=0), x * 3, atol=0.05)


def test_a_layer_without_call() -> None:
    class Idle(layers.Layer):
        pass

    with pytest.raises(NotImplementedError, match=r"Idle\.call"):
        Idle()(np.zeros((1, 1)))


# ------------------------------------------------------------------ get_weights, set_weights


def test_weights_come_as_copies_in_order() -> None:
    model = lenet()
    shapes = [(3, 3, 1, 32), (32,), (3, 3, 32, 64), (64,), (1600, 128), (128,), (128, 10), (10,)]
    found = model.get_weights()
    assert [array.shape for array in found] == shapes
    assert all(type(array) is np.ndarray and array.dtype == np.float32 for array in found)
    for array, weight in zip(found, model.weights, strict=True):
        np.testing.assert_array_equal(array, weight.data)
        assert not np.shares_memory(array, weight.data)


def test_set_weights_copies() -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(2)])
    tensors = model.weights
    new = [numbers(*weight.shape) for weight in tensors]
    model.set_weights(new)
    for array, weight, tensor in zip(new, model.weights, tensors, strict=True):
        assert weight is tensor
        assert weight.dtype == np.float32
        np.testing.assert_array_equal(weight.data, array.astype(np.float32))
        array[...] = 0
        assert weight.data.any()


def test_weights_go_from_model_to_model() -> None:
    one, two = lenet(), lenet()
    x = RANDOM.random((3, 28, 28, 1))
    assert (one.predict(x, verbose=0) != two.predict(x, verbose=0)).any()
    two.set_weights(one.get_weights())
    np.testing.assert_array_equal(one.predict(x, verbose=0), two.predict(x, verbose=0))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ([], r"expected 2 arrays, got 0"),
        ([np.zeros((3, 2))], r"expected 2 arrays, got 1"),
        ([np.zeros((3, 2)), np.zeros(2), np.zeros(2)], r"expected 2 arrays, got 3"),
        ([np.zeros((2, 3)), np.zeros(2)], r"kernel.*expected shape \(3, 2\), got \(2, 3\)"),
        ([np.zeros((3, 2)), np.zeros(3)], r"bias.*expected shape \(2,\), got \(3,\)"),
        ([np.zeros((3, 2)), np.zeros((1, 2))], r"bias.*expected shape \(2,\), got \(1, 2\)"),
        ([np.zeros((3, 2)), 0.0], r"bias.*expected shape \(2,\), got \(\)"),
    ],
)
def test_set_weights_that_do_not_fit(arrays: list[Array], message: str) -> None:
    layer = layers.Dense(2, kernel_initializer="ones")
    layer.ensure_built((None, 3))
    for target in (layer, Sequential([layers.Input((3,)), layer])):
        with pytest.raises(ValueError, match=message):
            target.set_weights(arrays)
        assert layer.kernel.data.all(), "a refused call changed the weights"


def test_refused_weights_change_no_layer() -> None:
    model = Sequential([layers.Input((3,)), layers.Dense(2), layers.Dense(1)])
    before = model.get_weights()
    wrong = [array + 1 for array in before]
    wrong[-1] = np.zeros(5)
    with pytest.raises(ValueError, match=r"expected shape \(1,\), got \(5,\)"):
        model.set_weights(wrong)
    for old, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, now)


# ------------------------------------------------------------------ wrong inputs


def images(*shape: int) -> Array:
    return np.zeros(shape, np.float32)


def model_of(*parts: Any) -> Sequential:
    return models.Sequential(list(parts))


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "units 0": (lambda: layers.Dense(0), ValueError, r"dense.*units: .*>= 1, got 0"),
    "units -1": (lambda: layers.Dense(-1), ValueError, r"units: .*got -1"),
    "units 2.5": (lambda: layers.Dense(2.5), ValueError, r"units: .*whole number.*got 2\.5"),
    "units True": (lambda: layers.Dense(True), ValueError, r"units: .*got True"),
    "units '3'": (lambda: layers.Dense("3"), ValueError, r"units: .*got '3'"),
    "filters 0": (lambda: layers.Conv2D(0, 3), ValueError, r"conv2d.*filters: .*got 0"),
    "kernel_size 0": (lambda: layers.Conv2D(1, 0), ValueError, r"kernel_size: .*got 0"),
    "kernel_size of three": (
        lambda: layers.Conv2D(1, (3, 3, 3)),
        ValueError,
        r"kernel_size: expected a number or two \(height, width\), got \(3, 3, 3\)",
    ),
    "kernel_size of one": (lambda: layers.Conv2D(1, (3,)), ValueError, r"kernel_size: .*\(3,\)"),
    "kernel_size fraction": (lambda: layers.Conv2D(1, (3, 1.5)), ValueError, r"got 1\.5"),
    "kernel_size '33'": (lambda: layers.Conv2D(1, "33"), ValueError, r"kernel_size: .*got '33'"),
    "strides 0": (lambda: layers.Conv2D(1, 3, (1, 0)), ValueError, r"strides: .*got 0"),
    "padding 'full'": (
        lambda: layers.Conv2D(1, 3, padding="full"),
        ValueError,
        r"padding: expected 'valid' or 'same', got 'full'",
    ),
    "padding 1": (lambda: layers.Conv2D(1, 3, padding=1), ValueError, r"padding: .*got 1"),
    "pool_size 0": (lambda: layers.MaxPooling2D(0), ValueError, r"max_pooling2d.*pool_size.*0"),
    "pool strides -1": (lambda: layers.MaxPooling2D(2, -1), ValueError, r"strides: .*got -1"),
    "pool padding": (
        lambda: layers.MaxPooling2D(2, padding=None),
        ValueError,
        r"max_pooling2d.*padding: expected 'valid' or 'same', got None",
    ),
    "activation unknown": (
        lambda: layers.Dense(1, activation="rleu"),
        ValueError,
        r"activation: expected one of .*relu.*got 'rleu'",
    ),
    "activation no name": (lambda: layers.Dense(1, activation=3), TypeError, r"activation: .*3"),
    "Activation unknown": (
        lambda: layers.Activation("soft"),
        ValueError,
        r"activation: expected one of .*softmax.*got 'soft'",
    ),
    "Rescaling by words": (
        lambda: layers.Rescaling("0.5"),
        TypeError,
        r"rescaling: scale: expected numbers, got '0\.5'",
    ),
    "Rescaling, complex offset": (
        lambda: layers.Rescaling(1, 1j),
        TypeError,
        r"rescaling: offset: expected numbers, got 1j",
    ),
    "Rescaling by nothing": (lambda: layers.Rescaling(None), TypeError, r"scale: .*got None"),
    "Rescaling, too many scales": (
        lambda: model_of(layers.Input((5, 3)), layers.Rescaling([1, 2])),
        ValueError,
        r"rescaling: scale: expected a shape that broadcasts to \(5, 3\), got \(2,\)",
    ),
    "Rescaling, offsets of too many axes": (
        lambda: model_of(layers.Input((5, 3)), layers.Rescaling(1, np.ones((1, 5, 3)))),
        ValueError,
        r"rescaling: offset: expected a shape that .*got \(1, 5, 3\)",
    ),
    "Rescaling, it would grow": (
        lambda: model_of(layers.Rescaling([1, 2]), layers.Dense(2)).predict(images(2, 1)),
        ValueError,
        r"rescaling: scale: expected a shape that broadcasts to \(1,\), got \(2,\)",
    ),
    "initializer unknown": (
        lambda: layers.Dense(1, kernel_initializer="glorot"),
        ValueError,
        r"initializer: expected one of .*glorot_uniform.*got 'glorot'",
    ),
    "initializer no name": (
        lambda: layers.Conv2D(1, 1, bias_initializer=0),
        TypeError,
        r"initializer: .*got 0",
    ),
    "argument unknown": (lambda: layers.Dense(1, unit=3), TypeError, r"unit"),
    "Dense on a vector": (lambda: layers.Dense(1)(images(3)), ValueError, r"dense: .*got \(3,\)"),
    "Dense, other size": (
        lambda: model_of(layers.Dense(2, input_shape=(4,))).layers[0](images(1, 5)),
        ValueError,
        r"dense: expected inputs with 4 values.*got shape \(1, 5\)",
    ),
    "Conv2D, rank 3": (
        lambda: layers.Conv2D(1, 3)(images(1, 28, 28)),
        ValueError,
        r"conv2d: expected images of shape \(batch, height, width, channels\), .*\(1, 28, 28\)",
    ),
    "Conv2D, rank 5": (
        lambda: layers.Conv2D(1, 3)(images(1, 1, 28, 28, 1)),
        ValueError,
        r"conv2d: expected images .*got shape \(1, 1, 28, 28, 1\)",
    ),
    "Conv2D, other channels": (
        lambda: model_of(layers.Conv2D(1, 3, input_shape=(5, 5, 3))).layers[0](images(1, 5, 5, 1)),
        ValueError,
        r"conv2d.*3 input channels.*\(1, 5, 5, 1\)",
    ),
    "Conv2D, kernel too large": (
        lambda: layers.Conv2D(1, (3, 6))(images(1, 5, 5, 1)),
        ValueError,
        r"conv2d: a window of 3x6 does not fit images of 5x5",
    ),
    "MaxPooling2D, rank 2": (
        lambda: layers.MaxPooling2D()(images(4, 4)),
        ValueError,
        r"max_pooling2d: expected images .*\(4, 4\)",
    ),
    "MaxPooling2D too large": (
        lambda: model_of(layers.Input((3, 3, 1)), layers.MaxPooling2D((4, 2))),
        ValueError,
        r"max_pooling2d: a window of 4x2 does not fit images of 3x3",
    ),
    "Conv2D behind Dense": (
        lambda: model_of(layers.Dense(3, input_shape=(4,)), layers.Conv2D(1, 1)),
        ValueError,
        r"conv2d: expected images of shape",
    ),
    "Input in the middle": (
        lambda: model_of(layers.Dense(3, input_shape=(4,)), layers.Input((3,))),
        ValueError,
        r"input_layer.*Input can only be a model's first layer",
    ),
    "Input in the middle, not built": (
        lambda: model_of(layers.Dense(3), layers.Input((3,))),
        ValueError,
        r"Input can only be a model's first layer",
    ),
    "Input twice": (
        lambda: model_of(layers.Input((3,)), layers.Input((3,))),
        ValueError,
        r"Input can only be a model's first layer",
    ),
    "the same name twice": (
        lambda: model_of(layers.Dense(3, name="a"), layers.Dense(3, name="a")),
        ValueError,
        r"a layer called 'a' already",
    ),
    "the same layer twice": (
        lambda: model_of(*[layers.Dense(3)] * 2),
        ValueError,
        r"a layer called 'dense' already",
    ),
    "no layer": (lambda: model_of("relu"), TypeError, r"expected a Layer object, got 'relu'"),
    "a layer's class": (lambda: model_of(layers.Flatten), TypeError, r"expected a Layer object"),
    "model, other size": (
        lambda: model_of(layers.Dense(2, input_shape=(4,)))(images(1, 5)),
        ValueError,
        r"sequential: expected inputs of shape \(None, 4\), got \(1, 5\)",
    ),
    "model, other rank": (
        lambda: lenet()(images(1, 28, 28)),
        ValueError,
        r"expected inputs of shape \(None, 28, 28, 1\), got \(1, 28, 28\)",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_inputs(case: str) -> None:
    make, error, message = WRONG[case]
    with pytest.raises(error, match=message):
        make()


def test_an_initializer_of_the_wrong_shape() -> None:
    layer = layers.Dense(3, kernel_initializer=lambda shape: np.zeros(3))
    with pytest.raises(ValueError, match=r"expected it to return shape \(4, 3\), got \(3,\)"):
        layer.build((None, 4))
