"""The same numbers as Keras 3: layers, gradients, losses, metrics, optimizers.

What Keras computed is kept in keras_values.npz. Where Keras is installed it is asked again;
`python tests/against/test_keras.py` writes the file anew (it was written by Keras 3.15.1 on
JAX 0.10.2).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import micrograd_ext
from micrograd_ext import Tensor, ops

try:
    import keras
except ImportError:
    keras = None  # type: ignore[assignment]

Array = npt.NDArray[Any]
STORED = Path(__file__).with_name("keras_values.npz")
TOLERANCE = 1e-5  # of the largest number, or of a number itself where it is larger than 1

IMAGES, ROWS = (2, 7, 6, 3), (3, 6)
ACTIVATIONS = ("exponential", "leaky_relu", "linear", "log_softmax", "relu", "sigmoid", "softmax")
#: class, arguments, shape of the inputs
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Dense", {"units": 4, "activation": "relu"}, ROWS),
    ("Dense", {"units": 4, "activation": "tanh", "use_bias": False}, (3, 5, 6)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "sigmoid"}, IMAGES),
    ("Conv2D", {"filters": 2, "kernel_size": (2, 3), "strides": 2, "padding": "same"}, IMAGES),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, IMAGES),
    ("MaxPooling2D", {"pool_size": (2, 3)}, IMAGES),
    ("AveragePooling2D", {"pool_size": (3, 2), "strides": 2, "padding": "same"}, IMAGES),
    ("AveragePooling2D", {"pool_size": (3, 2), "strides": (1, 3)}, IMAGES),
    ("GlobalAveragePooling2D", {}, IMAGES),
    ("GlobalAveragePooling2D", {"keepdims": True}, IMAGES),
    ("Flatten", {}, IMAGES),
    ("Reshape", {"target_shape": (2, -1)}, ROWS),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, ROWS),
    ("ReLU", {"threshold": 0.5}, ROWS),
    ("LeakyReLU", {}, ROWS),
    ("Softmax", {"axis": 1}, (3, 4, 5)),
    ("BatchNormalization", {}, (8, 5)),
    ("BatchNormalization", {"axis": 1, "momentum": 0.8, "scale": False}, (4, 3, 4, 5)),
    ("Rescaling", {"scale": 2.0, "offset": 1.0}, ROWS),
    *[("Activation", {"activation": name}, ROWS) for name in (*ACTIVATIONS, "tanh")],
]
SCHEDULES: dict[str, dict[str, Any]] = {
    "ExponentialDecay": {"decay_steps": 3, "decay_rate": 0.5, "staircase": True},
    "InverseTimeDecay": {"decay_steps": 3, "decay_rate": 0.5},
    "PolynomialDecay": {"decay_steps": 3, "end_learning_rate": 0.01, "power": 2.0, "cycle": True},
    "CosineDecay": {"decay_steps": 7, "alpha": 0.1, "warmup_target": 0.2, "warmup_steps": 3},
}
OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"clipnorm": 0.5}),
    ("SGD", {"global_clipnorm": 0.5}),
    ("SGD", {"clipvalue": 0.5}),
    ("Adam", {}),
    ("Adam", {"beta_1": 0.8, "beta_2": 0.9, "epsilon": 1e-3, "weight_decay": 0.01}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "rho": 0.8, "epsilon": 1e-3}),
    *[("SGD", {"learning_rate": name}) for name in (*SCHEDULES, "PiecewiseConstantDecay")],
    ("Adagrad", {"initial_accumulator_value": 0.5, "weight_decay": 0.1}),
    ("Adadelta", {"learning_rate": 1.0, "rho": 0.8}),
    ("Adamax", {"learning_rate": 0.1, "beta_1": 0.7, "clipnorm": 0.5}),
    ("Nadam", {"learning_rate": 0.1, "weight_decay": 0.1}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.7, "beta_2": 0.8}),
    (
        "Ftrl",
        {
            "learning_rate": 0.1,
            "learning_rate_power": -0.4,
            "l1_regularization_strength": 0.1,
            "l2_regularization_strength": 0.2,
            "l2_shrinkage_regularization_strength": 0.3,
            "beta": 0.4,
        },
    ),
    ("Adafactor", {"learning_rate": 0.1}),
    ("Adafactor", {"relative_step": False, "clip_threshold": 0.5, "beta_2_decay": -0.6}),
]
#: class, arguments, what the labels are, whether each example has a weight
LOSSES: list[tuple[str, dict[str, Any], str, bool]] = [
    ("MeanSquaredError", {}, "numbers", False),
    ("MeanSquaredError", {"reduction": "sum"}, "numbers", True),
    ("MeanAbsoluteError", {}, "numbers", True),
    ("BinaryCrossentropy", {}, "probabilities", False),
    ("BinaryCrossentropy", {"from_logits": True, "label_smoothing": 0.1}, "probabilities", True),
    ("CategoricalCrossentropy", {}, "one-hot", False),
    ("CategoricalCrossentropy", {"from_logits": True, "label_smoothing": 0.2}, "one-hot", True),
    ("CategoricalCrossentropy", {"reduction": "mean_with_sample_weight"}, "one-hot", True),
    ("SparseCategoricalCrossentropy", {}, "classes", False),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "classes", True),
    ("SparseCategoricalCrossentropy", {"reduction": None, "from_logits": True}, "classes", True),
]
#: class, arguments, what the labels are
METRICS: list[tuple[str, dict[str, Any], str]] = [
    ("BinaryAccuracy", {"threshold": 0.4}, "bits"),
    ("CategoricalAccuracy", {}, "one-hot"),
    ("SparseCategoricalAccuracy", {}, "classes"),
    ("TopKCategoricalAccuracy", {"k": 2}, "one-hot"),
    ("MeanSquaredError", {}, "numbers"),
    ("RootMeanSquaredError", {}, "numbers"),
    ("MeanAbsoluteError", {}, "numbers"),
]

#: layers, shape of the inputs, optimizer, loss
MODELS: dict[str, tuple[list[tuple[str, dict[str, Any]]], tuple[int, ...], str, str]] = {
    "perceptron": (
        [
            ("Dense", {"units": 16, "activation": "relu"}),
            ("Dense", {"units": 8, "activation": "relu"}),
            ("Dense", {"units": 4, "activation": "softmax"}),
        ],
        (12,),
        "adam",
        "categorical_crossentropy",
    ),
    "LeNet": (
        [
            ("Conv2D", {"filters": 4, "kernel_size": 3, "activation": "relu"}),
            ("MaxPooling2D", {}),
            ("Conv2D", {"filters": 6, "kernel_size": 3, "activation": "relu"}),
            ("MaxPooling2D", {}),
            ("Flatten", {}),
            ("Dense", {"units": 8, "activation": "relu"}),
            ("Dense", {"units": 4, "activation": "softmax"}),
        ],
        (13, 13, 1),
        "adam",
        "categorical_crossentropy",
    ),
    "same": (
        [
            ("Rescaling", {"scale": 0.5}),
            ("Conv2D", {"filters": 4, "kernel_size": 5, "padding": "same", "activation": "relu"}),
            ("MaxPooling2D", {"padding": "same"}),
            ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "activation": "tanh"}),
            ("Flatten", {}),
            ("Dense", {"units": 4}),
            ("Softmax", {}),
        ],
        (9, 9, 2),
        "sgd",
        "categorical_crossentropy",
    ),
    "normalized": (
        [
            ("Conv2D", {"filters": 4, "kernel_size": 3, "use_bias": False}),
            ("BatchNormalization", {}),
            ("LeakyReLU", {"negative_slope": 0.1}),
            ("AveragePooling2D", {"pool_size": 2}),
            ("GlobalAveragePooling2D", {}),
            ("Dense", {"units": 4, "activation": "sigmoid"}),
        ],
        (8, 8, 1),
        "rmsprop",
        "binary_crossentropy",
    ),
    "regularized": (
        [
            ("Dense", {"units": 8, "activation": "tanh", "kernel_regularizer": "l2"}),
            ("Dense", {"units": 4, "bias_regularizer": "l1", "kernel_regularizer": "l2"}),
        ],
        (6,),
        "adamw",
        "mean_squared_error",
    ),
}


def weights_for(shapes: list[tuple[int, ...]], positive: bool) -> list[Array]:
    random = np.random.default_rng(1)
    found = [random.standard_normal(shape, dtype=np.float32) for shape in shapes]
    return [abs(w) + np.float32(0.1) for w in found] if positive else found


def our_layer(number: int, training: bool) -> dict[str, Array]:
    """Outputs, and gradients of the sum of y cos(y)."""
    kind, arguments, shape = LAYERS[number]
    layer = getattr(micrograd_ext.layers, kind)(**arguments)
    x = Tensor(np.random.default_rng(0).standard_normal(shape, dtype=np.float32))
    layer(x)
    layer.set_weights(weights_for([w.shape for w in layer.weights], kind == "BatchNormalization"))
    y = layer(x, training=training)
    (y * ops.cos(y)).sum().backward()
    found = {"y": y.data, "dx": x.grad}
    found |= {f"dw{i}": w.grad for i, w in enumerate(layer.trainable_weights)}
    return found | {f"state{i}": w.data for i, w in enumerate(layer.non_trainable_weights)}


def keras_layer(number: int, training: bool) -> dict[str, Array]:
    import jax

    kind, arguments, shape = LAYERS[number]
    layer = getattr(keras.layers, kind)(**arguments)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    layer(x)
    layer.set_weights(weights_for([w.shape for w in layer.weights], kind == "BatchNormalization"))
    fixed = [v.value for v in layer.non_trainable_variables]
    how = {"training": training} if kind == "BatchNormalization" else {}

    def total(weights: Any, x: Any) -> Any:
        y, state = layer.stateless_call(weights, fixed, x, **how)
        return (y * jax.numpy.cos(y)).sum(), (y, state)

    weights = [v.value for v in layer.trainable_variables]
    (_, (y, state)), (dw, dx) = jax.value_and_grad(total, argnums=(0, 1), has_aux=True)(weights, x)
    found = {"y": y, "dx": dx}
    found |= {f"dw{i}": w for i, w in enumerate(dw)} | {f"state{i}": s for i, s in enumerate(state)}
    return {name: np.asarray(value) for name, value in found.items()}


def optimizer_of(module: Any, number: int) -> Any:
    kind, arguments = OPTIMIZERS[number]
    name = arguments.get("learning_rate")
    schedules = module.optimizers.schedules
    if name == "PiecewiseConstantDecay":
        rate = schedules.PiecewiseConstantDecay([2, 5], [0.1, 0.05, 0.01])
        arguments = {"learning_rate": rate}
    elif name in SCHEDULES:
        arguments = {"learning_rate": getattr(schedules, name)(0.1, **SCHEDULES[name])}
    return getattr(module.optimizers, kind)(**arguments)


def after_ten_steps(module: Any, number: int) -> dict[str, Array]:
    """Two variables after ten steps by random gradients, and the next step's rate."""
    random = np.random.default_rng(1)
    begin = [random.standard_normal(shape, dtype=np.float32) for shape in ((4, 3), (5,))]
    optimizer = optimizer_of(module, number)
    variables = [Tensor(x) if module is micrograd_ext else keras.Variable(x) for x in begin]
    for _ in range(10):
        grads = [random.standard_normal(x.shape, dtype=np.float32) for x in begin]
        optimizer.apply(grads, variables)
    data = [v.data if module is micrograd_ext else np.asarray(v.value) for v in variables]
    return {"x0": data[0], "x1": data[1], "rate": np.asarray(optimizer.learning_rate)}


def loss_inputs(number: int) -> tuple[Array, Array, Array | None]:
    """Labels, predictions, weights."""
    _, arguments, kind, weighted = LOSSES[number]
    random = np.random.default_rng(2)
    y = random.standard_normal((7, 4), dtype=np.float32)
    if kind != "numbers" and not arguments.get("from_logits"):
        y = 1 / (1 + np.exp(-y)) if kind == "probabilities" else np.exp(y)
        y = y if kind == "probabilities" else y / y.sum(1, keepdims=True)
    labels = {
        "numbers": random.standard_normal((7, 4), dtype=np.float32),
        "probabilities": random.random((7, 4), np.float32),
        "one-hot": np.eye(4, dtype=np.float32)[random.integers(0, 4, 7)],
        "classes": random.integers(0, 4, 7),
    }[kind]
    return labels, y, random.random(7, np.float32) if weighted else None


def our_loss(number: int) -> dict[str, Array]:
    kind, arguments, *_ = LOSSES[number]
    labels, y, weights = loss_inputs(number)
    y_pred = Tensor(y)
    loss = getattr(micrograd_ext.losses, kind)(**arguments)(labels, y_pred, weights)
    loss.sum().backward()
    return {"loss": loss.data, "dy": y_pred.grad}


def keras_loss(number: int) -> dict[str, Array]:
    import jax

    kind, arguments, *_ = LOSSES[number]
    labels, y, weights = loss_inputs(number)
    loss = getattr(keras.losses, kind)(**arguments)
    dy = jax.grad(lambda y: loss(labels, y, weights).sum())(y)
    return {"loss": np.asarray(loss(labels, y, weights)), "dy": np.asarray(dy)}


def metric_results(module: Any, number: int) -> dict[str, Array]:
    """After two batches, then after one with weights."""
    kind, arguments, labels = METRICS[number]
    random = np.random.default_rng(3)
    metric, found = getattr(module.metrics, kind)(**arguments), []
    for weighted in (False, True):
        metric.reset_state()
        for _ in range(2 - weighted):
            y_pred = random.random((9, 4), np.float32)
            y_true = {
                "bits": random.integers(0, 2, (9, 4)),
                "one-hot": np.eye(4)[random.integers(0, 4, 9)],
                "classes": random.integers(0, 4, 9),
                "numbers": random.random((9, 4), np.float32),
            }[labels]
            weights = random.random(9, np.float32) if weighted else None
            metric.update_state(y_true, y_pred, sample_weight=weights)
        found.append(float(metric.result()))
    return {"results": np.array(found)}


def trained(module: Any, name: str, **how: Any) -> dict[str, Array]:
    """The losses of ten steps on one batch, then weights, outputs and what evaluate returns."""
    parts, shape, optimizer, loss = MODELS[name]
    model = module.Sequential([module.layers.Input(shape)])
    for kind, arguments in parts:
        model.add(getattr(module.layers, kind)(**arguments))
    model.set_weights(
        [
            w if w.ndim < 2 else w / np.float32(np.sqrt(w[..., 0].size))
            for w in weights_for([w.shape for w in model.weights], name == "normalized")
        ]
    )
    model.compile(optimizer, loss, metrics=["mean_squared_error"], **how)
    random = np.random.default_rng(4)
    x = random.standard_normal((16, *shape), dtype=np.float32)
    y = np.eye(4, dtype=np.float32)[random.integers(0, 4, 16)]
    history = model.fit(x, y, batch_size=16, epochs=10, verbose=0).history
    found = {f"w{i}": np.asarray(w) for i, w in enumerate(model.get_weights())}
    found |= {key: np.array(values) for key, values in history.items()}
    tests = model.evaluate(x, y, verbose=0)
    return found | {"y": model.predict(x, verbose=0), "tests": np.array(tests)}


def assert_like(found: dict[str, Array], expected: dict[str, Array]) -> None:
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].shape == value.shape, name
        scale = np.maximum(abs(value), abs(value).max(initial=0))
        assert (abs(found[name] - value) <= TOLERANCE * scale).all(), name


def stored(prefix: str) -> dict[str, Array]:
    with np.load(STORED) as values:
        return {key[len(prefix) :]: values[key] for key in values.files if key.startswith(prefix)}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("number", range(len(LAYERS)), ids=lambda i: f"{LAYERS[i][0]}-{i}")
def test_layers(number: int, training: bool) -> None:
    found = our_layer(number, training)
    assert_like(found, stored(f"layer {number} {training} "))
    if keras is not None:
        assert_like(found, keras_layer(number, training))


@pytest.mark.parametrize("number", range(len(OPTIMIZERS)), ids=lambda i: f"{OPTIMIZERS[i][0]}-{i}")
def test_optimizers(number: int) -> None:
    found = after_ten_steps(micrograd_ext, number)
    assert_like(found, stored(f"optimizer {number} "))
    if keras is not None:
        assert_like(found, after_ten_steps(keras, number))


@pytest.mark.parametrize("number", range(len(OPTIMIZERS)), ids=lambda i: f"{OPTIMIZERS[i][0]}-{i}")
def test_optimizers_come_back_from_their_configuration(number: int) -> None:
    optimizer = optimizer_of(micrograd_ext, number)
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert again.learning_rate == optimizer.learning_rate


@pytest.mark.parametrize("number", range(len(LOSSES)), ids=lambda i: f"{LOSSES[i][0]}-{i}")
def test_losses(number: int) -> None:
    found = our_loss(number)
    assert_like(found, stored(f"loss {number} "))
    if keras is not None:
        assert_like(found, keras_loss(number))
    loss = getattr(micrograd_ext.losses, LOSSES[number][0])(**LOSSES[number][1])
    again = type(loss).from_config(loss.get_config())
    assert again.get_config() == loss.get_config()


@pytest.mark.parametrize("number", range(len(METRICS)), ids=lambda i: METRICS[i][0])
def test_metrics(number: int) -> None:
    found = metric_results(micrograd_ext, number)
    assert_like(found, stored(f"metric {number} "))
    if keras is not None:
        assert_like(found, metric_results(keras, number))


@pytest.mark.filterwarnings("ignore:.*runs layer by layer")
@pytest.mark.parametrize("run_eagerly", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, run_eagerly: bool) -> None:
    found = trained(micrograd_ext, name, run_eagerly=run_eagerly)
    assert_like(found, stored(f"model {name} "))
    if keras is not None:
        assert_like(found, trained(keras, name))


def write() -> None:
    """Ask Keras for all of it and write the file."""
    found = {
        f"layer {number} {training} {name}": value
        for number in range(len(LAYERS))
        for training in (False, True)
        for name, value in keras_layer(number, training).items()
    }
    found |= {
        f"optimizer {number} {name}": value
        for number in range(len(OPTIMIZERS))
        for name, value in after_ten_steps(keras, number).items()
    }
    found |= {
        f"loss {number} {name}": value
        for number in range(len(LOSSES))
        for name, value in keras_loss(number).items()
    }
    found |= {
        f"metric {number} {name}": value
        for number in range(len(METRICS))
        for name, value in metric_results(keras, number).items()
    }
    found |= {
        f"model {model} {name}": value
        for model in MODELS
        for name, value in trained(keras, model).items()
    }
    np.savez_compressed(STORED, **found)  # type: ignore[arg-type]


if __name__ == "__main__":
    write()
