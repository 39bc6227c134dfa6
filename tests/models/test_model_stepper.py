"""Walking a batch through models: against `backward()` and training, in words, without a trace."""

from __future__ import annotations

import gc
import io
import random
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from micrograd_ext import (
    Tensor,
    layers,
    losses,
    metrics,
    models,
    no_grad,
    ops,
    optimizers,
    utils,
)
from micrograd_ext.common import random_stream

Array = npt.NDArray[Any]
L = layers


def numbers(*shape: int, seed: int = 3) -> Array:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


X, IMAGES, Y = numbers(10, 6), numbers(10, 12, 12, 1), np.eye(3)[np.arange(10) % 3]


class Scale(L.Layer):
    """One of one's own; in training it counts, draws from everywhere, and remembers."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.factor = self.add_weight((int(input_shape[-1] or 0),), "ones")
        self.calls, self.seen = 0, []

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        if training:
            self.calls += 1
            self.seen.append(float(inputs.data.sum()))
            noise = random.random() + np.random.rand()  # noqa: NPY002 - as users may
            inputs = inputs * float(noise)
        return ops.tanh(inputs * self.factor)


class Residual(L.Layer):
    """One made of others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.inner = [L.Dense(6, "relu", name="first"), L.Dense(6, name="second")]

    def call(self, inputs: Tensor) -> Tensor:
        first, second = self.inner
        return inputs + second(first(inputs))


class Skips(models.Sequential):
    """A model with a way of its own through its layers."""

    def __call__(self, inputs: Any, training: bool = False) -> Tensor:
        first, dropout, last = self.layers
        assert isinstance(first, L.Dense)
        x = ops.tanh(first(inputs))
        for _ in range(2):
            x = x + ops.relu(first(dropout(x, training)))
        return ops.softmax(last(x))


def squares(y_true: Any, y_pred: Tensor) -> Tensor:
    return ops.sum(ops.square(y_pred - y_true), axis=-1)


def build(*parts: L.Layer, shape: tuple[int, ...] = (6,), kind: Any = None, **how: Any) -> Any:
    utils.set_random_seed(4)
    model = (kind or models.Sequential)([L.Input(shape), *parts])
    options = {"optimizer": "sgd", "loss": "categorical_crossentropy", **how}
    model.compile(**options)
    return model


def lenet(**how: Any) -> models.Sequential:
    return build(
        L.Conv2D(4, 3, activation="relu", name="conv2d"),
        L.MaxPooling2D(2, name="max_pooling2d"),
        L.Conv2D(5, 3, activation="relu", name="conv2d_1"),
        L.MaxPooling2D(2, name="max_pooling2d_1"),
        L.Flatten(name="flatten"),
        L.Dense(7, activation="relu", name="dense"),
        L.Dense(3, activation="softmax", name="dense_1"),
        shape=(12, 12, 1),
        **how,
    )


#: How to make a model, and its inputs.
MODELS: dict[str, tuple[Callable[..., Any], Array]] = {
    "lenet": (lenet, IMAGES),
    "adam": (lambda **how: lenet(optimizer="adam", **how), IMAGES),
    "bytes": (
        lambda **how: build(
            L.Rescaling(1 / 255, name="rescaling"),
            L.Flatten(name="flatten"),
            L.Dense(3, name="dense"),
            L.Softmax(name="softmax"),
            shape=(12, 12, 1),
            **how,
        ),
        np.arange(1440).reshape(10, 12, 12, 1).astype(np.uint8),
    ),
    "regularized": (
        lambda **how: build(
            L.Dense(4, "tanh", kernel_regularizer="l2", bias_regularizer="l1", name="a"),
            L.Dense(3, kernel_regularizer="l1_l2", name="b"),
            loss="mse",
            **how,
        ),
        X,
    ),
    "training differs": (
        lambda **how: build(
            L.Dense(6, name="dense"),
            L.BatchNormalization(name="bn"),
            L.Activation("relu", name="relu"),
            L.Dropout(0.4, name="dropout"),
            L.Dropout(0.3, seed=5, name="seeded"),
            L.Dropout(0.0, name="nothing"),
            L.Dense(3, "softmax", name="last"),
            **how,
        ),
        X,
    ),
    "frozen": (
        lambda **how: build(
            L.Dense(6, trainable=False, name="dense"),
            L.BatchNormalization(trainable=False, name="bn"),
            L.Dense(3, "softmax", name="last"),
            **how,
        ),
        X,
    ),
    "own layers": (
        lambda **how: build(
            Residual(name="residual"), Scale(name="scale"), L.Dense(3, "softmax"), **how
        ),
        X,
    ),
    "own loss": (lambda **how: build(L.Dense(3, name="dense"), loss=squares, **how), X),
    "own model": (
        lambda **how: build(
            L.Dense(6, name="first"),
            L.Dropout(0.5, name="dropout"),
            L.Dense(3, name="last"),
            kind=Skips,
            **how,
        ),
        X,
    ),
    "sum": (
        lambda **how: build(
            L.Dense(3, "softmax"), loss=losses.CategoricalCrossentropy(reduction="sum"), **how
        ),
        X,
    ),
}


def bits(arrays: Any) -> list[bytes | None]:
    return [None if array is None else np.asarray(array).tobytes() for array in arrays]


def grads(model: models.Sequential) -> list[bytes | None]:
    return bits(weight.grad for weight in model.weights)


# ------------------------------------------------------------------ the gradients


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("weighted", [False, True])
def test_at_the_end_the_grads_are_those_of_backward_and_of_training(
    name: str, weighted: bool
) -> None:
    make, x = MODELS[name]
    weights = np.linspace(0, 2, len(x), dtype=np.float32) if weighted else None
    stepped, trained, plain = (make(run_eagerly=True) for _ in range(3))
    utils.set_random_seed(7)
    walk = stepped.stepper(x, Y, sample_weight=weights)
    walk.finish()
    utils.set_random_seed(7)
    loss = trained.train_on_batch(x, Y, sample_weight=weights)
    assert np.ravel(loss)[0] == walk.root.item()
    assert grads(stepped) == grads(trained)
    assert any(grads(stepped))
    # the same by hand
    utils.set_random_seed(7)
    y_pred = plain(x.astype(np.float32), training=True)
    if name == "sum":
        each = plain.loss(Y, y_pred, sample_weight=weights)
    else:
        function = {"own loss": squares, "regularized": losses.mean_squared_error}.get(
            name, losses.categorical_crossentropy
        )
        each = function(Y.astype(np.float32), y_pred)
        each = each if weights is None else each * weights
    total = ops.mean(each)
    for penalty in plain.losses:
        total = total + penalty
    total.backward()
    assert grads(stepped) == grads(plain)


def test_a_known_gradient() -> None:
    model = build(L.Dense(1, name="dense"), shape=(2,), loss="mse")
    model.set_weights([np.array([[2.0], [1.0]]), np.array([0.5])])
    walk = model.stepper([[3.0, 4.0], [1.0, 0.0]], [[8.5], [2.5]], class_weight=None)
    walk.finish()
    # errors 2 and 0; mean of two squares
    assert walk.root.item() == 2.0
    assert walk.find("dense").grad.tolist() == [[2.0], [0.0]]
    assert model.layers[0].kernel.grad.tolist() == [[6.0], [8.0]]
    assert model.layers[0].bias.grad.tolist() == [2.0]


def test_weights_of_classes_count() -> None:
    model = build(L.Dense(3, "softmax", name="dense"))
    model.stepper(X, Y, class_weight={0: 0.0, 1: 0.0, 2: 0.0}).finish()
    assert not model.layers[0].kernel.grad.any()
    model.stepper(X, Y, class_weight={0: 2.0, 1: 2.0, 2: 2.0}).finish()
    doubled = model.layers[0].kernel.grad
    model.stepper(X, Y).finish()
    np.testing.assert_array_equal(doubled, 2 * model.layers[0].kernel.grad)


@given(
    name=st.sampled_from([*MODELS]),
    moves=st.lists(
        st.sampled_from(["step", "next", "back", "step_layer", "restart", "run"]), max_size=25
    ),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_any_way_to_a_place_is_as_good_as_the_direct_one(
    name: str, moves: list[str], data: st.DataObject
) -> None:
    make, x = MODELS[name]
    utils.set_random_seed(7)
    model = make()
    walk = model.stepper(x, Y)
    names = [walk.labels[node] for node in walk._order if node.ndim]
    for move in moves:
        if move == "run":
            walk.run(data.draw(st.sampled_from(names)))
        elif move == "restart":
            walk.restart()
        else:
            getattr(walk, move)(data.draw(st.integers(1, 4)))
        assert repr(walk).count("<- next") == (walk.next_edge is not None)
    found = bits(node.grad for node in walk._order)
    direct = model.stepper(x, Y)
    direct.step(walk.place)
    assert direct.place == walk.place
    assert found == bits(node.grad for node in direct._order)


# ------------------------------------------------------------------ nothing sticks


def belongings(model: models.Sequential) -> list[Any]:
    """All that a walk has to leave alone, but for random streams."""
    optimizer: Any = model.optimizer
    found: list[Any] = [bits(model.get_weights()), [weight.name for weight in model.weights]]
    found.append(bits([variable.numpy() for variable in optimizer.variables]))
    found += [int(optimizer.iterations), [each.result() for each in model.metrics]]
    for owner in (model, optimizer, *model.layers):
        found.append({key: id(value) for key, value in vars(owner).items()})
    for layer in model.layers:
        found.append([repr(value) for value in vars(layer).values()])
        own = getattr(layer, "_random", None)
        found.append(own and own.bit_generator.state)
    return found


def streams() -> list[Any]:
    return [
        repr(random_stream.generator().bit_generator.state),
        random.getstate(),
        repr(np.random.get_state()),  # noqa: NPY002
    ]


@pytest.mark.filterwarnings("ignore:.*runs layer by layer")
@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_model_trains_on_as_if_nothing_had_happened(name: str, eagerly: bool) -> None:
    make, x = MODELS[name]
    runs = []
    for stepped in (False, True):
        model = make(run_eagerly=eagerly, metrics=["mae"])
        first = model.fit(x, Y, epochs=2, batch_size=4, verbose=0).history
        if stepped:
            before, drawn = belongings(model), streams()
            program = None if eagerly else model.programs.find(model, "fit")
            walk = model.stepper(x, Y)
            walk.step(5)
            walk.back(2)
            walk.finish()
            repr(walk)
            walk.explain(walk.root)
            assert belongings(model) == before
            assert streams() == drawn
            if not eagerly:
                assert model.programs.find(model, "fit") is program
        second = model.fit(x, Y, epochs=2, batch_size=4, verbose=0).history
        runs.append([first, second, bits(model.get_weights()), model.evaluate(x, Y, verbose=0)])
    assert runs[0] == runs[1]


def test_the_next_step_of_training_draws_what_the_walk_drew() -> None:
    make, x = MODELS["training differs"]
    model = make(run_eagerly=True)
    walk = model.stepper(x, Y)
    for layer in ("dropout", "seeded"):
        (before,) = walk.find(layer).inputs
        kept = np.count_nonzero(walk.find(layer).data)
        assert 0 < kept < np.count_nonzero(before.data)
    walk.finish()
    expected = grads(model)
    model.train_on_batch(x, Y)
    assert grads(model) == expected


def test_the_graph_goes_with_the_walk() -> None:
    model = MODELS["training differs"][0]()
    gc.collect()
    gc.disable()
    try:
        walk = model.stepper(X, Y)
        walk.step(3)
        repr(walk)
        walk.explain("dense/kernel")
        nodes = [weakref.ref(node) for node in walk._order if node.inputs]
        assert len(nodes) > 20
        del walk
        assert not any(node() for node in nodes)
    finally:
        gc.enable()


def test_old_grads_are_forgotten_first() -> None:
    model = lenet(run_eagerly=True)
    model.train_on_batch(IMAGES, Y)
    walk = model.stepper(IMAGES, Y)
    assert all(weight.grad is None for weight in model.weights)
    walk.finish()
    once = grads(model)
    walk.restart()
    assert all(weight.grad is None for weight in model.weights)
    walk.finish()
    assert grads(model) == once


def test_a_batch_may_change_meanwhile() -> None:
    x, y = IMAGES.copy(), Y.astype(np.float32)
    model, reference = lenet(), lenet()
    walk = model.stepper(x, y)
    x[:], y[:] = 0, 0
    walk.finish()
    reference.stepper(IMAGES, Y).finish()
    assert grads(model) == grads(reference)


def test_a_model_without_shapes_is_built_as_by_fit() -> None:
    built = []
    for how in ("stepper", "fit"):
        utils.set_random_seed(3)
        model = models.Sequential([L.Dense(4, "relu"), L.Dense(3)])
        model.compile(optimizers.SGD(0.0), loss="mse")
        if how == "stepper":
            model.stepper(X, Y)
        else:
            model.fit(X, Y, verbose=0)
        built.append(bits(model.get_weights()))
    assert built[0] == built[1]


# ------------------------------------------------------------------ names and words


def test_names() -> None:
    walk = lenet().stepper(IMAGES, Y)
    assert [walk.labels[node] for node in walk._order] == [
        "y",
        "x",
        "conv2d/kernel",
        "conv2d/bias",
        "conv2d/conv2d",
        "conv2d",
        "max_pooling2d",
        "conv2d_1/kernel",
        "conv2d_1/bias",
        "conv2d_1/conv2d",
        "conv2d_1",
        "max_pooling2d_1",
        "flatten",
        "dense/kernel",
        "dense/matmul",
        "dense/bias",
        "dense/add",
        "dense",
        "dense_1/kernel",
        "dense_1/matmul",
        "dense_1/bias",
        "dense_1/logits",
        "loss/log_softmax",
        "loss/multiply",
        "loss/sum",
        "loss/negative",
        "loss",
    ]
    assert walk.find("conv2d").shape == (10, 10, 10, 4)
    assert walk.find("flatten").op == "reshape"
    assert walk.find("dense_1") is walk.find("dense_1/logits")


@pytest.mark.parametrize("name", MODELS)
def test_every_node_has_a_name_of_its_own(name: str) -> None:
    make, x = MODELS[name]
    model = make()
    walk = model.stepper(x, Y, sample_weight=np.ones(len(x)))
    for node in walk._order:
        if node.inputs or node.ndim:  # others are numbers
            assert walk.find(walk.labels[node]) is node
    if name != "bytes":  # there the inputs take no gradient, and come scaled
        assert walk.find("x").shape == x.shape
    assert walk.find("sample_weight").shape == (len(x),)
    for weight in model.weights:
        if weight.requires_grad:
            assert walk.labels[weight] == weight.name
    assert all(node.name is None for node in walk._order if node.inputs)


def test_names_of_layers_that_are_called_twice_and_of_what_is_between() -> None:
    walk = MODELS["own model"][0]().stepper(X, Y)
    assert [part.name for part in walk._parts] == [
        "loss",
        walk.model.name,
        "last",
        "first:3",
        "dropout:2",
        "first:2",
        "dropout",
        "first",
    ]
    assert walk.find("first:2").shape == (10, 6)
    first = walk.model.layers[0]
    assert walk._owner[walk.find("first:2")].weights == [
        ("kernel", first.kernel),
        ("bias", first.bias),
    ]
    own = walk.model.name
    found = {walk.labels[node] for node in walk._order if walk._owner.get(node) is walk._parts[1]}
    assert found == {f"{own}/{op}" for op in ("tanh", "relu", "relu_1", "add", "add_1")}


def test_names_that_would_clash() -> None:
    model = build(L.Dense(3, name="x"), L.Dense(3, name="loss"), L.Dense(3, name="y"), loss="mse")
    walk = model.stepper(X, Y)
    names = [walk.labels[node] for node in walk._order if node.inputs or node.ndim]
    assert len(set(names)) == len(names)
    walk.run("loss/kernel")
    assert model.layers[1].kernel.grad is not None
    assert model.layers[0].kernel.grad is None


def test_every_op_has_a_name_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    model = MODELS["training differs"][0]()
    walk = model.stepper(X, Y)
    inner = [node for node in walk._order if node.inputs]
    assert len({walk._ops[node] for node in inner}) == len(inner)
    assert walk.find("bn/add_1") is walk.find("bn")  # add is for the variance and epsilon
    assert walk.find("bn/square").inputs[0] is walk.find("bn/subtract_1")
    walk.run("bn/beta")
    printed = capsys.readouterr().out.splitlines()[-2]
    assert printed.startswith("bn/beta.grad += bn/reshape_3 turns 1x6 ")


def test_nodes_that_a_layer_names_keep_the_name() -> None:
    class Attention(L.Layer):
        def call(self, inputs: Tensor) -> Tensor:
            weights = ops.softmax(inputs)
            weights.name = "attention"
            return weights * inputs

    walk = build(L.Dense(3), Attention(name="a"), loss="mse").stepper(X, Y)
    assert walk.find("attention") is walk.find("a/softmax")
    assert walk.find("attention").op == "softmax"


def test_layers_that_go_their_own_ways() -> None:
    class Direct(L.Layer):
        def __call__(self, inputs: Any, training: bool = False) -> Tensor:
            return ops.tanh(inputs)

    class Cut(L.Layer):
        def call(self, inputs: Tensor) -> Any:
            return inputs.data

        def compute_output_shape(self, input_shape: Any) -> Any:
            return input_shape

    model = build(
        L.Dense(4, name="before"), Direct(), L.Dense(4, name="a"), Cut(), L.Dense(3), loss="mse"
    )
    model.stepper(X, Y).finish()
    assert [weight.grad is None for weight in model.weights] == [True] * 4 + [False] * 2
    model = build(L.Dense(4, name="a"), Direct(name="direct"), L.Dense(3, name="b"), loss="mse")
    walk = model.stepper(X, Y)
    walk.finish()
    assert walk.find(f"{model.name}/tanh").op == "tanh"
    found = grads(model)
    model.compile("sgd", loss="mse", run_eagerly=True)
    model.train_on_batch(X, Y)
    assert grads(model) == found


def test_layers_made_of_layers() -> None:
    model = MODELS["own layers"][0]()
    walk = model.stepper(X, Y)
    assert walk.find("residual").op == "+"
    assert walk.find("residual/relu").op == "relu"
    assert walk.find("first/kernel") is model.layers[0].inner[0].kernel
    walk.finish()
    lines = repr(walk).splitlines()
    (at,) = [i for i, line in enumerate(lines) if line.startswith("residual ")]
    for line, name in zip(lines[at:], ("first", "second"), strict=False):
        assert f"{name}/kernel |" in line
        assert f"{name}/bias |" in line


def test_it_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    model = build(L.Dense(1, "relu", name="dense"), shape=(2,), loss="mse")
    model.set_weights([np.array([[2.0], [1.0]]), np.array([1.5])])
    walk = model.stepper([[3.0, 4.0]], [[7.5]])
    walk.step_layer()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 4
    assert printed[-1] == "dense.grad += loss/subtract turns 1x1 |8| into 1x1 |8|   (None -> |8|)"
    walk.step_layer(3)
    printed = capsys.readouterr().out.splitlines()
    assert printed == [
        "dense/add.grad += dense/relu turns 1x1 |8| into 1x1 |8|   (None -> |8|)",
        "dense/matmul.grad += dense/add turns 1x1 |8| into 1x1 |8|   (None -> |8|)",
        "dense/bias.grad += dense/add turns 1x1 |8| into 1 |8|   (None -> |8|)",
        "dense/kernel.grad += dense/matmul turns 1x1 |8| into 2x1 |40|   (None -> |40|)",
        "done: 8 edges",
    ]
    walk.step()
    walk.back(2)
    assert capsys.readouterr().out.splitlines() == [
        "done: 8 edges",
        "back: dense/kernel.grad = None",
        "back: dense/bias.grad = None",
    ]
    assert model.layers[0].kernel.grad is model.layers[0].bias.grad is None
    walk.run("dense/kernel")
    assert capsys.readouterr().out.splitlines()[-1] == "dense/kernel.grad = 2x1 |40| is complete"


def test_a_second_gradient_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    model = build(L.Dense(1, kernel_regularizer=ops.sum, name="d"), loss="mse")
    model.set_weights([np.zeros((6, 1)), np.zeros(1)])
    walk = model.stepper(np.eye(6)[:1] * 3, [[-0.5]])
    walk.run("d/kernel")
    printed = capsys.readouterr().out.splitlines()
    assert printed[-2] == (
        "d/kernel.grad += d/matmul turns 1x1 |1| into 6x1 |3|   (|2.45| -> |4.58|)"
    )
    assert model.layers[0].kernel.grad.ravel().tolist() == [4, 1, 1, 1, 1, 1]
    walk.explain("d/kernel")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "d(loss)/d(d/kernel): 2 paths"
    assert printed[-1] == "  sum = 6x1 |4.58258|"
    assert sum(line.split()[0] == "loss" for line in printed) == 2


def test_explanations(capsys: pytest.CaptureFixture[str]) -> None:
    model = lenet()
    walk = model.stepper(IMAGES, Y)
    walk.explain("conv2d/kernel")
    first, *edges, total = capsys.readouterr().out.splitlines()
    assert first == "d(loss)/d(conv2d/kernel): 1 path"
    assert [line.split()[0] for line in edges[-4:]] == [
        "max_pooling2d",
        "conv2d",
        "conv2d/conv2d",
        "conv2d/kernel",
    ]
    assert edges[-1].endswith("by conv2d/conv2d")
    assert edges[0].split() == ["loss", "1"]
    assert walk.place == 0
    assert model.layers[0].kernel.grad is None
    walk.finish()
    norm = np.linalg.norm(model.layers[0].kernel.grad)
    assert total == f"  sum = 3x3x1x4 |{norm:.6g}|"
    capsys.readouterr()
    walk.explain("x")
    walk.explain("y")
    assert capsys.readouterr().out == "x takes no gradient\ny takes no gradient\n"


def test_many_paths(capsys: pytest.CaptureFixture[str]) -> None:
    norms = [part for i in range(3) for part in (L.Dense(4, name=f"d{i}"), L.BatchNormalization())]
    walk = build(*norms, L.Dense(3, name="last"), loss="mse").stepper(X, Y)
    walk.explain("d0/kernel")
    assert capsys.readouterr().out == ("d(loss)/d(d0/kernel): 64 paths, too many to write out\n")
    walk.explain("d2/kernel")
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == "d(loss)/d(d2/kernel): 4 paths"
    walk.finish()
    norm = float(printed[-1].split("|")[1])
    assert norm == pytest.approx(np.linalg.norm(walk.find("d2/kernel").grad), rel=1e-4)


# ------------------------------------------------------------------ the table


def test_the_table() -> None:
    walk = lenet().stepper(IMAGES, Y)
    walk.step_layer(2)
    walk.step(1)
    lines = repr(walk).splitlines()
    assert [line.split()[0] for line in lines] == [
        *("layer", "loss", "dense_1", "dense"),
        *("dense/add", "dense/matmul", "dense/bias", "flatten", "dense/kernel"),
        *("flatten", "max_pooling2d_1", "conv2d_1", "max_pooling2d", "conv2d", "x"),
    ]
    logits = walk.find("dense_1")
    arrays = [logits.data, logits.grad]
    arrays += [walk.find(f"dense_1/{name}").grad for name in ("kernel", "bias")]
    y, dy, kernel, bias = (f"|{np.linalg.norm(array):.3g}|" for array in arrays)
    expected = f"dense_1 10x3 logits {y} {dy} kernel {kernel}, bias {bias} 4 of 4"
    assert lines[2].split() == expected.split()
    assert lines[3].endswith("1 of 5")
    assert lines[5].endswith("add   <- next")
    assert lines[-1].split() == ["x", "10x12x12x1", f"|{np.linalg.norm(IMAGES):.3g}|"]
    assert lines[-2].split()[-8:] == ["None", "kernel", "None,", "bias", "None", "0", "of", "3"]
    walk.finish()
    lines = repr(walk).splitlines()
    assert len(lines) == 10
    assert not any("None" in line or "<- next" in line for line in lines)


def test_layers_that_no_gradient_goes_through() -> None:
    walk = MODELS["bytes"][0]().stepper(MODELS["bytes"][1], Y)
    rows = {line.split()[0]: line.split() for line in repr(walk).splitlines()}
    assert rows["softmax"][-1] == "none"  # the loss takes its logits
    assert "logits" not in rows["softmax"]
    assert rows["dense"][-3:] == ["0", "of", "3"]
    assert rows["rescaling"][-1] == "none"
    assert "None" not in rows["rescaling"]
    assert walk.labels[walk.find("flatten")] == "flatten"  # what takes part, and ends there
    walk = MODELS["training differs"][0]().stepper(X, Y)
    assert walk.find("nothing") is walk.find("seeded")
    assert walk.labels[walk.find("nothing")] == "seeded"


def test_lines_are_short_enough(capsys: pytest.CaptureFixture[str]) -> None:
    model = build(
        L.Conv2D(32, 3, activation="relu", name="conv2d"),
        L.MaxPooling2D(2, name="max_pooling2d"),
        L.Conv2D(64, 3, activation="relu", name="conv2d_1"),
        L.MaxPooling2D(2, name="max_pooling2d_1"),
        L.Flatten(name="flatten"),
        L.Dense(128, activation="relu", name="dense"),
        L.Dense(10, activation="softmax", name="dense_1"),
        shape=(28, 28, 1),
    )
    walk = model.stepper(numbers(32, 28, 28, 1), np.eye(10)[np.arange(32) % 10])
    walk.step_layer(4)
    print(walk)
    walk.finish()
    print(walk)
    walk.explain("conv2d/kernel")
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) > 60
    assert max(map(len, printed)) < 115


def test_colours_in_terminals_and_notebooks() -> None:
    walk = lenet().stepper(IMAGES, Y)
    assert "\x1b" not in repr(walk)
    out = io.StringIO()
    Console(file=out, width=120, force_terminal=True, color_system="standard").print(walk)
    assert "\x1b[1;33m   <- next" in out.getvalue()
    shown = walk._repr_mimebundle_(include=(), exclude=())
    assert set(shown) == {"text/plain", "text/html"}
    assert "max_pooling2d_1" in shown["text/html"]
    assert set(walk._repr_mimebundle_(include=["text/plain"])) == {"text/plain"}


def test_names_are_not_markup() -> None:
    walk = build(L.Dense(3, name="w[i]"), loss="mse").stepper(X, Y)
    out = io.StringIO()
    Console(file=out, width=120, color_system=None).print(walk)
    assert "w[i]" in out.getvalue()


# ------------------------------------------------------------------ errors

WRONG: dict[str, tuple[Callable[[], object], type[Exception], str]] = {
    "not compiled": (
        lambda: models.Sequential([L.Dense(3)]).stepper(X, Y),
        RuntimeError,
        "stepper: this model has no loss yet",
    ),
    "no labels": (
        lambda: lenet().stepper(IMAGES, None),
        ValueError,
        "stepper: y: expected a label for each of the examples, got None",
    ),
    "other images": (
        lambda: lenet().stepper(IMAGES[:, 1:], Y),
        ValueError,
        r"stepper: x: expected shape \(None, 12, 12, 1\) .* got \(10, 11, 12, 1\)",
    ),
    "other number": (
        lambda: lenet().stepper(IMAGES, Y[1:]),
        ValueError,
        "stepper: x has 10 examples, but y has 9",
    ),
    "nothing": (
        lambda: lenet().stepper(IMAGES[:0], Y[:0]),
        ValueError,
        "stepper: x: expected at least one example",
    ),
    "words": (lambda: lenet().stepper(["a"], ["b"]), TypeError, "stepper: x: expected numbers"),
    "weights": (
        lambda: lenet().stepper(IMAGES, Y, sample_weight=[1, 2]),
        ValueError,
        "stepper: sample_weight: expected a number for each of the 10 examples",
    ),
    "classes": (
        lambda: lenet().stepper(IMAGES, np.arange(10) % 3),
        ValueError,
        r"y_true: expected shape \(10, 3\) \(one-hot labels\), got \(10,\)",
    ),
    "no such node": (
        lambda: lenet().stepper(IMAGES, Y).run("conv2"),
        ValueError,
        "no node is called 'conv2'; there are y, x, conv2d/kernel",
    ),
    "another model's weight": (
        lambda: lenet().stepper(IMAGES, Y).explain(lenet().weights[0]),
        ValueError,
        "is not part of this graph",
    ),
    "nothing to learn": (
        lambda: build(L.Flatten(), loss="mse").stepper(X, X),
        ValueError,
        "nothing to differentiate",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors(name: str) -> None:
    call, kind, message = WRONG[name]
    with pytest.raises(kind, match=message):
        call()


def test_under_no_grad_there_is_nothing_to_walk() -> None:
    model = lenet()
    with no_grad(), pytest.raises(ValueError, match="computed under no_grad"):
        model.stepper(IMAGES, Y)


def test_metrics_are_not_told() -> None:
    told = []

    def spy(y_true: Any, y_pred: Any) -> Any:
        told.append(1)
        return metrics.categorical_accuracy(y_true, y_pred)

    model = lenet(metrics=[spy])
    model.stepper(IMAGES, Y).finish()
    assert not told
