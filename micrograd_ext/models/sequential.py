"""Models: layers in a row, and how they are trained. The API is that of Keras."""

from __future__ import annotations

import json
import math
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextvars import copy_context
from functools import wraps
from os import PathLike
from typing import Any, ParamSpec, TypeAlias, TypeVar

import numpy as np

from .. import losses, optimizers
from ..callbacks import Callback, CallbackList, History, Logs, ProgbarLogger
from ..common import random_stream
from ..common.arguments import finite, positive, whole
from ..common.serialization import custom_object_scope, make, name_of, serialize
from ..compiler.program import NotLoweredError, Program
from ..layers import InputLayer, Layer, add_class, deserialize
from ..layers.base import Shape
from ..losses import LossFunction
from ..metrics import Mean, Metric, MetricFunction, as_number
from ..metrics import get as get_metric
from ..saving import model_files
from ..tensor import Array, Tensor, TensorLike
from ..training.data_adapter import (
    Examples,
    by_class,
    check_labels,
    examples_for,
    not_finite,
    why_nan,
)
from ..training.steps import Programs, Runner, make_program, through
from .stepper import ModelStepper
from .summary import print_summary

__all__ = ["Sequential", "model_from_json"]

MetricLike: TypeAlias = str | Metric | MetricFunction


P = ParamSpec("P")
R = TypeVar("R")


def _contained(method: Callable[P, R]) -> Callable[P, R]:
    """The method, in a copy of the context: what numpy warns of is as before when it is over.

    `np.errstate` sets back what it sets, unless Ctrl-C comes just when it is entered.
    """

    @wraps(method)
    def contained(*args: P.args, **kwargs: P.kwargs) -> R:
        return copy_context().run(method, *args, **kwargs)

    return contained


class NotBuiltError(AttributeError, ValueError):
    """What is asked for is known once the model is built."""


class NoProgramError(AttributeError, RuntimeError):
    """The model runs layer by layer."""


class Sequential(Layer):
    """Layers, each taking what the one before puts out; a model, and a layer of another one.

    Args:
        layers: the layers, or none yet; the first may be `layers.Input(shape)`.
        trainable: whether training adjusts the layers' weights.
        name: 'sequential', 'sequential_1', ... by default.

    Attributes:
        layers: the layers, without the `Input`.
        optimizer, loss: what `compile` was given.
        history: what the last `fit` returned.
        unweighted_metrics, weighted_metrics: those that `compile` was given.
        loss_tracker: the mean of the loss, which is reported beside them.
        stop_training: a callback sets it to end `fit` after the batch or epoch.
        initial_epoch: the epoch that `fit` begins with; a callback may set it in `on_train_begin`.

    >>> from micrograd_ext import layers, utils
    >>> utils.set_random_seed(0)
    >>> model = Sequential([layers.Dense(8, "tanh"), layers.Dense(2, "softmax")])
    >>> model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    >>> x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    >>> history = model.fit(x, utils.to_categorical([0, 1, 1, 0]), epochs=800, verbose=0)
    >>> model.predict(x, verbose=0).argmax(axis=1)
    array([0, 1, 1, 0])
    """

    def __init__(
        self,
        layers: Iterable[Layer] | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        self._input_shape: Shape | None = None
        super().__init__(name=name, trainable=trainable)
        self.layers: list[Layer] = []
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: LossFunction | None = None
        self.loss_weight = 1.0
        self.run_eagerly = False
        self.unweighted_metrics: list[Metric] = []
        self.weighted_metrics: list[Metric] = []
        self._compiled_with: dict[str, Any] = {}
        self.loss_tracker = Mean("loss")
        self.history: History | None = None
        self.stop_training = False
        self.initial_epoch = 0
        self._programs = Programs()
        if isinstance(layers, Layer) or not isinstance(layers or (), Iterable):
            raise TypeError(f"{self.name}: layers: expected a list of layers, got {layers!r}")
        for layer in layers or ():
            self.add(layer)
        if not trainable:
            self.trainable = False

    # ------------------------------------------------------------------ layers

    def add(self, layer: Layer) -> None:
        """Put a layer at the end. It is built at once if the input's shape is known.

        Raises TypeError for what is no layer, ValueError for one that does not fit, is an Input
        behind other layers, or has the name of one that is there.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"add: layer: expected a Layer object, got {layer!r}")
        if isinstance(layer, InputLayer):
            if self.layers or self._input_shape is not None:
                raise ValueError(f"add: {layer.name}: an Input can only be a model's first layer")
            self._input_shape, self.input_dtype = layer.input_shape, layer.input_dtype
            return
        if any(layer.name == other.name for other in self.layers):
            raise ValueError(f"add: the model has a layer called {layer.name!r} already")
        if not self.layers:
            layer.input_dtype = self.input_dtype
        first = None if self.layers else getattr(layer, "input_shape", None)
        shape = first if self._input_shape is None else self.output_shape
        if shape is not None:
            layer.compute_output_shape(shape)  # may object
            layer.ensure_built(shape)
        if self._input_shape is None:
            self._input_shape = first
        self.layers.append(layer)
        self.built = self._input_shape is not None

    def build(self, input_shape: Shape) -> None:
        """Make the weights of all layers for batches of shape `input_shape`, e.g. (None, 784).

        Raises ValueError, and builds nothing, if a layer cannot take what comes to it, or the
        model is built for another shape.
        """
        shapes: list[Shape] = [(None, *input_shape[1:])]
        for layer in self.layers:
            shapes.append(layer.compute_output_shape(shapes[-1]))
        for layer, shape in zip(self.layers, shapes, strict=False):
            layer.ensure_built(shape)

    def check_rebuild(self, input_shape: Shape | None) -> None:
        """Raise ValueError if it is built for other inputs."""
        if input_shape is not None and not self.takes(input_shape):
            raise ValueError(
                f"{self.name}: build: it is built for inputs of shape {self._input_shape}, "
                f"got {input_shape}"
            )

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out for inputs of `input_shape`."""
        shape = input_shape
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def input_shape(self) -> Shape:
        """The shape that goes in; an error before it is known."""
        if self._input_shape is None:
            raise NotBuiltError(f"{self.name}: the input's shape is not known yet: see `build`")
        return self._input_shape

    @input_shape.setter
    def input_shape(self, shape: Shape | None) -> None:
        self._input_shape = shape

    @property
    def output_shape(self) -> Shape:
        """The shape that comes out; an error before the input's shape is known."""
        return self.compute_output_shape(self.input_shape)

    def summary(
        self,
        line_length: int | None = None,
        *,
        print_fn: Callable[[str], object] | None = None,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers, the shapes that come out of them and their parameters, as Keras does.

        Once `fit` has been called, the optimizer's numbers count as well.

        Args:
            line_length: characters to a line; as wide as the terminal, up to 88, if None.
            print_fn: gets the text, instead of the terminal.
            show_trainable: whether there is a column for whether training adjusts the weights.
            layer_range: the first and the last layer to show: names, or regular expressions that
                these begin with.

        Raises:
            ValueError: too few characters to a line, or no layer that layer_range fits.

        >>> from micrograd_ext import layers
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2, name="out")], name="small")
        >>> model.summary(line_length=50)
        Model: "small"
        ┏━━━━━━━━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━━┳━━━━━━━━━┓
        ┃ Layer (type)        ┃ Output Shape   ┃ Param # ┃
        ┡━━━━━━━━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━━╇━━━━━━━━━┩
        │ out (Dense)         │ (None, 2)      │      10 │
        └─────────────────────┴────────────────┴─────────┘
         Total params: 10 (40.00 B)
         Trainable params: 10 (40.00 B)
         Non-trainable params: 0 (0.00 B)
        """
        print_summary(self, line_length, print_fn, show_trainable, layer_range)

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """The outputs of a batch, as a Tensor with the graph behind it.

        training: whether layers like `Dropout` do what they do in training.
        """
        return through(self, self.layers, self._as_input(inputs), training)

    @property
    def in_a_row(self) -> Sequence[Layer] | None:
        """The layers; None where a derived class has a way of its own from inputs to outputs."""
        plain = not self.calls_itself and self.activity_regularizer is None
        return self.layers if plain else None

    @property
    def program(self) -> Program:
        """What `fit` runs, or without a loss `predict`: print it. See `program`.

        Raises:
            NotBuiltError: the input's shape is not known yet.
            NoProgramError: the model runs layer by layer, and why.

        >>> from micrograd_ext import layers
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2, "relu")])
        >>> [(step.name, step.shapes) for step in model.program.steps]
        [('dense + bias + relu', '4 -> 2')]
        """
        outputs = self.output_shape
        purpose = "predict" if self.loss is None else "fit"
        try:
            if self.run_eagerly:
                raise NotLoweredError("it was compiled with run_eagerly")
            return self._programs.find(self, purpose) or make_program(
                self, purpose, 32, [self.input_shape, outputs]
            )
        except NotLoweredError as why:
            text = f"{self.name} has no program, it runs layer by layer: {why}"
            raise NoProgramError(text) from None

    # ------------------------------------------------------------------ training

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: str | LossFunction | None = None,
        loss_weights: float | Sequence[float] | None = None,
        metrics: Sequence[MetricLike] | None = None,
        weighted_metrics: Sequence[MetricLike] | None = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: str | bool = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: name, e.g. 'adam' or 'sgd', or an object of `optimizers`; Keras's default.
            loss: name, e.g. 'categorical_crossentropy', or a function (y_true, y_pred) -> losses.
            loss_weights: a number that multiplies the loss.
            metrics: names, e.g. ['accuracy'], objects of `metrics`, or functions of
                (y_true, y_pred).
            weighted_metrics: the same, where each example counts as `sample_weight` says.
            run_eagerly: go layer by layer, through Tensors that a debugger can look at. Otherwise
                layers, loss and optimizer become a `program`, with the same results to rounding,
                where all layers are ones that it knows.
            steps_per_execution: taken for Keras's sake: each step is one call.
            jit_compile: taken for Keras's sake: there is nothing to wait for.
            auto_scale_loss: taken for Keras's sake: float32 needs no scaling.
        """
        weight = _loss_weight(loss_weights)
        positive("compile: steps_per_execution", steps_per_execution)
        chosen = _metrics_of("metrics", metrics)
        weighted = _metrics_of("weighted_metrics", weighted_metrics)
        found = None if loss is None else losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.loss, self.loss_weight = found, weight
        self.unweighted_metrics, self.weighted_metrics = chosen, weighted
        self._compiled_with = {
            "loss": loss,
            "metrics": None if metrics is None else [*metrics],
        }
        if weighted_metrics is not None:
            self._compiled_with["weighted_metrics"] = [*weighted_metrics]
        if weight != 1:
            self._compiled_with["loss_weights"] = weight
        self.run_eagerly = bool(run_eagerly)

    @property
    def metrics(self) -> list[Metric]:
        """What is reported: the mean loss, and the metrics that `compile` was given."""
        return [self.loss_tracker, *self.unweighted_metrics, *self.weighted_metrics]

    def results(self) -> Logs:
        """What loss and metrics have come to, by name; of metrics of one name, each has its own.

        A metric that gives a dict has one here.
        """
        logs: Logs = {"loss": self.loss_tracker.result()}
        times: Counter[str] = Counter()
        for metric in [*self.unweighted_metrics, *self.weighted_metrics]:
            name = metric.name
            if name in times and metric in self.weighted_metrics:
                name = f"weighted_{name}"
            times[name] += 1
            name = f"{name}_{times[name] - 1}" if times[name] > 1 else name
            result = metric.result()
            if isinstance(result, Mapping):
                logs[name] = {each: as_number(value) for each, value in sorted(result.items())}
            else:
                logs[name] = as_number(result)
        return logs

    @property
    def metrics_names(self) -> list[str]:
        """Their names."""
        return [metric.name for metric in self.metrics]

    @_contained
    def fit(
        self,
        x: TensorLike,
        y: TensorLike,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Callback | Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Sequence[TensorLike] | None = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: TensorLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Collection[int] = 1,
    ) -> History:
        """Train on examples x with labels y.

        Args:
            x: (N, ...); numbers of any type, turned into float32 a batch at a time.
            y: (N, ...), what the loss expects, e.g. one-hot labels (N, classes).
            batch_size: examples to a step, 32 by default; the last batch may be smaller.
            epochs: the number of the epoch to end with: how often to go through all examples.
            verbose: 0 silent, 1 a progress bar, 2 a line per epoch; 'auto' is 1. Where there is
                no terminal to draw a bar in, 1 is a line per epoch too.
            callbacks: more `callbacks.Callback` objects.
            validation_split: the share of the examples, the last ones, that are not trained on but
                evaluated after each epoch.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate instead.
            shuffle: whether to draw a new order for each epoch.
            class_weight: how much the examples of a class count in training, 1 for those that are
                not in it.
            sample_weight: (N,), how much each example's loss counts; or of any shape that
                broadcasts to that of the losses.
            initial_epoch: the number of the epoch to begin with, to go on where one stopped.
            steps_per_epoch: how many batches make an epoch; the next one goes on with those that
                are left. All of them by default.
            validation_steps: how many batches to evaluate; all of them by default.
            validation_batch_size: examples to a batch there; batch_size by default.
            validation_freq: evaluate after each so many epochs; or the numbers of the epochs,
                counted from 1, after which to do so.

        Returns:
            History: `history.history['loss']` and so on, a number per epoch.

        Raises:
            RuntimeError: before `compile` with a loss. ValueError: x and y do not fit the model
            or each other.
        """
        optimizer, _ = self._compiled("fit")
        examples = examples_for(self, "fit", x, y, sample_weight)
        examples, checks = self._validation(examples, validation_split, validation_data)
        examples = by_class("fit", examples, class_weight)
        size = 32 if batch_size is None else positive("fit: batch_size", batch_size)
        test_size = (
            size
            if validation_batch_size is None
            else positive("fit: validation_batch_size", validation_batch_size)
        )
        test_steps = _count_or_none("fit: validation_steps", validation_steps)
        due = _due("fit: validation_freq", validation_freq)
        epochs = whole("fit: epochs", epochs)
        initial_epoch = whole("fit: initial_epoch", initial_epoch)
        level = _verbosity("fit", verbose)
        self._prepare("fit", examples)
        if checks is not None:
            self._prepare("fit: validation_data", checks)
        weights = self.weights
        spoilt = not_finite(weights)
        if not self.trainable_weights:
            warnings.warn(f"fit: {self.name} has no weights that training adjusts", stacklevel=3)

        steps = _count_or_none("fit: steps_per_epoch", steps_per_epoch)
        batches = Batches(len(examples[0]), size, shuffle, steps)
        followers = _listed(callbacks)
        self.history = history = next(
            (each for each in followers if isinstance(each, History)), History()
        )
        bar = [ProgbarLogger()] if level else []
        events = CallbackList(
            [*(each for each in followers if each is not history), *bar, history],
            self,
            {"epochs": epochs, "steps": batches.steps, "verbose": level},
        )
        self._bind(optimizer)
        logs: Logs = {}
        self.stop_training = False
        self.initial_epoch = initial_epoch
        runner = self._programs.runner(self, "fit", examples, size)
        try:
            events.on_train_begin()
            for epoch in range(self.initial_epoch, epochs):
                events.on_epoch_begin(epoch)
                runner.reset()
                for number, (first, n, order) in enumerate(batches.of_an_epoch()):
                    events.on_train_batch_begin(number)
                    runner.train(first, n, order)
                    if events.follow_training:
                        events.on_train_batch_end(number, _in_order(runner.logs()))
                        if self.stop_training:
                            break
                logs = _in_order(runner.logs())
                if math.isnan(logs["loss"]) and not self.stop_training:
                    rate = float(optimizer.learning_rate)
                    raise ValueError(why_nan(epoch, examples, rate, spoilt))
                if checks is not None and due(epoch):
                    tests = self._programs.runner(self, "evaluate", checks, test_size)
                    spans = _spans(len(checks[0]), test_size, test_steps)
                    found = self._evaluate(tests, spans, events)
                    logs |= {f"val_{name}": value for name, value in _in_order(found).items()}
                events.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            runner.close()
            optimizer.finalize_variable_values(self.trainable_weights)
            events.on_train_end(logs)
        return history

    @_contained
    def evaluate(
        self,
        x: TensorLike,
        y: TensorLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: TensorLike | None = None,
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics on examples x with labels y, without training.

        Returns [loss, metric, ...] in the order of `compile`'s metrics, or the loss alone if it
        has none; with return_dict, a dict with their names. steps: how many batches to look at,
        all of them by default. Other arguments, and errors, as for `fit`.
        """
        self._compiled("evaluate")
        examples = examples_for(self, "evaluate", x, y, sample_weight)
        size = 32 if batch_size is None else positive("evaluate: batch_size", batch_size)
        spans = _spans(len(examples[0]), size, _count_or_none("evaluate: steps", steps))
        level = _verbosity("evaluate", verbose)
        self._prepare("evaluate", examples)
        followers = [*_listed(callbacks), *([ProgbarLogger()] if level else [])]
        events = CallbackList(followers, self, {"epochs": 1, "steps": len(spans), "verbose": level})
        runner = self._programs.runner(self, "evaluate", examples, size)
        logs = self._evaluate(runner, spans, events)
        return _in_order(logs) if return_dict else _as_list(logs)

    @_contained
    def train_on_batch(
        self,
        x: TensorLike,
        y: TensorLike,
        sample_weight: TensorLike | None = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """One step on one batch. Returns its loss and metrics, before the step, as `evaluate` does.

        Arguments and errors as for `fit`.
        """
        optimizer, _ = self._compiled("train_on_batch")
        examples = examples_for(self, "train_on_batch", x, y, sample_weight)
        examples = by_class("train_on_batch", examples, class_weight)
        self._prepare("train_on_batch", examples)
        self._bind(optimizer)
        count = len(examples[0])
        runner = self._programs.runner(self, "fit", examples, count)
        try:
            runner.reset()
            runner.train(0, count, None)
            logs = runner.logs()
        finally:
            runner.close()
        return _in_order(logs) if return_dict else _as_list(logs)

    def test_on_batch(
        self,
        x: TensorLike,
        y: TensorLike,
        sample_weight: TensorLike | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics of one batch, as `evaluate` returns them."""
        count = max(len(np.asarray(x)), 1) if np.ndim(x) else 1
        return self.evaluate(x, y, count, 0, sample_weight, return_dict=return_dict)

    def stepper(
        self,
        x: TensorLike,
        y: TensorLike,
        sample_weight: TensorLike | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> ModelStepper:
        """Walk through the backward pass of one batch by hand: what `train_on_batch` would do.

        The batch goes through layer by layer, as in training: what `Dropout` draws is what the next
        step of training is going to draw. The weights' grads are forgotten first, the walk fills
        them in, and at its end they are those of that step: to the last bit of one that runs
        eagerly, to rounding of a program's. Nothing else of the model changes, neither weights nor
        optimizer, metrics or moving averages. Once the model is trained on, begin anew.

        Arguments and errors as for `train_on_batch`.

        Returns:
            Printing it shows the layers; `step()`, `step_layer()` and `back()` walk, and more.

        >>> from micrograd_ext import layers
        >>> model = Sequential([layers.Input((2,)), layers.Dense(1, "relu", name="dense")])
        >>> model.compile(loss="mse")
        >>> model.set_weights([[[2.0], [1.0]], [1.5]])
        >>> walk = model.stepper([[3.0, 4.0]], [[7.5]])
        >>> walk.step_layer()
        loss/mean.grad += loss/mean_1 turns 1 into 1 |1|   (None -> |1|)
        loss/square.grad += loss/mean turns 1 |1| into 1x1 |1|   (None -> |1|)
        loss/subtract.grad += loss/square turns 1x1 |1| into 1x1 |8|   (None -> |8|)
        dense.grad += loss/subtract turns 1x1 |8| into 1x1 |8|   (None -> |8|)
        >>> walk.step(2)
        dense/add.grad += dense/relu turns 1x1 |8| into 1x1 |8|   (None -> |8|)
        dense/matmul.grad += dense/add turns 1x1 |8| into 1x1 |8|   (None -> |8|)
        >>> walk
        layer           output  |data|  |grad|  |grad| of weights       edges
        loss            scalar  16      1                               4 of 4
        dense           1x1     |11.5|  |8|     kernel None, bias None  2 of 4
          dense/add     1x1     |11.5|  |8|                             relu
          dense/matmul  1x1     |10|    |8|                             add
          dense/bias    1       |1.5|   None                            add   <- next
          dense/kernel  2x1     |2.24|  None                            matmul
        x               1x2     |5|
        >>> walk.run("dense/kernel")
        dense/bias.grad += dense/add turns 1x1 |8| into 1 |8|   (None -> |8|)
        dense/kernel.grad += dense/matmul turns 1x1 |8| into 2x1 |40|   (None -> |40|)
        dense/kernel.grad = 2x1 |40| is complete
        """
        self._compiled("stepper")
        examples = examples_for(self, "stepper", x, y, sample_weight)
        examples = by_class("stepper", examples, class_weight)
        self._prepare("stepper", examples)
        return ModelStepper(self, examples)

    def predict_on_batch(self, x: TensorLike) -> Array:
        """The outputs of one batch."""
        return self.predict(x, max(len(np.asarray(x)), 1) if np.ndim(x) else 1)

    @_contained
    def predict(
        self,
        x: TensorLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
    ) -> Array:
        """The outputs for examples x, as an array; no example, no output.

        Args:
            x: (N, ...), as for `fit`.
            batch_size: examples to a batch, 32 by default.
            verbose: taken for Keras's sake: nothing is shown.
            steps: how many batches to look at; all of them by default.
            callbacks: `callbacks.Callback` objects, for `on_predict_begin` and so on.
        """
        examples = examples_for(self, "predict", x, labelled=False)
        size = 32 if batch_size is None else positive("predict: batch_size", batch_size)
        spans = _spans(len(examples[0]), size, _count_or_none("predict: steps", steps))
        level = _verbosity("predict", verbose)
        followers = _listed(callbacks)
        self._prepare("predict", examples)
        if len(examples[0]) == 0:
            return np.empty((0, *map(int, self.output_shape[1:])), np.float32)  # type: ignore[arg-type]
        runner = self._programs.runner(self, "predict", examples, size)
        try:
            if not followers:
                found = [runner.predict(first, n) for first, n in spans]
            else:
                events = CallbackList(followers, self, {"steps": len(spans), "verbose": level})
                found = self._predict(runner, spans, events)
        finally:
            runner.close()
        return found[0] if len(found) == 1 else np.concatenate(found)

    # ------------------------------------------------------------------ keeping

    def get_config(self) -> dict[str, Any]:
        """Name and layers, as JSON can hold them, without the weights; see `from_config`.

        >>> from micrograd_ext import layers
        >>> config = Sequential([layers.Input((4,)), layers.Dense(2)]).get_config()
        >>> [layer["class_name"] for layer in config["layers"]]
        ['InputLayer', 'Dense']
        """
        layers = self.layers
        if self._input_shape is not None:
            batch, *shape = self._input_shape
            first = InputLayer(shape, batch, self.input_dtype, name="input")
            layers = [first, *layers]
        config: dict[str, Any] = {"name": self.name}
        if not self.trainable:
            config["trainable"] = False
        return config | {"layers": [serialize(layer) for layer in layers]}

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> Any:
        """A new model, of what `get_config` returned, with new weights.

        custom_objects: name -> class or function of one's own that the layers need.
        """
        if not isinstance(config, Mapping) or not {"layers", "name"} <= {*config}:
            raise ValueError(f"config: expected what get_config returned, got {config!r}")
        with custom_object_scope(custom_objects):
            layers = [deserialize(each) for each in config["layers"]]
            model = cls(layers, name=config["name"])
        if not config.get("trainable", True):
            model.trainable = False
        return model

    def to_json(self, **options: Any) -> str:
        """`get_config` as text; options go to `json.dumps`. See `model_from_json`."""
        config = {"class_name": name_of(type(self)), "config": self.get_config()}
        return json.dumps(config, **options)

    def get_compile_config(self) -> dict[str, Any] | None:
        """What `compile` was given, as JSON can hold it; the optimizer as it is now."""
        if self.optimizer is None:
            return None
        found = {"optimizer": self.optimizer, **self._compiled_with}
        config = {name: serialize(value) for name, value in found.items()}
        return config | {"run_eagerly": self.run_eagerly}

    def compile_from_config(self, config: Mapping[str, Any]) -> None:
        """Compile as `get_compile_config` says."""
        self.compile(**config)

    def save(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the model into one file: layers, weights, and how it was compiled.

        The optimizer's memory is in it, too: `models.load_model` returns a model that goes on
        training where this one is. The file is a zip archive of JSON and of numpy's arrays, not
        Keras's format, whatever its suffix; nothing in it is code. It takes the place of an earlier
        one when it is complete, or not at all.

        Args:
            filepath: where to, e.g. 'lenet.keras'.
            overwrite: whether it may take the place of an earlier one.

        Raises:
            FileExistsError: there is one, and overwrite is False.
            OSError: it cannot be written.
            TypeError: a layer, loss or metric of one's own cannot say how to make another one
                like it: see `Layer.get_config`.

        >>> import tempfile
        >>> from micrograd_ext import layers, models
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2)])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/small.keras")
        ...     again = models.load_model(f"{folder}/small.keras")
        >>> x = np.ones((1, 4), np.float32)
        >>> bool((again.predict(x) == model.predict(x)).all())
        True
        """
        model_files.save(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights into a file, as `save` does the model.

        numpy's `load` reads it as well: 'weights/conv2d/kernel', 'weights/conv2d_1/kernel', ...
        """
        model_files.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str], skip_mismatch: bool = False) -> None:
        """Take the weights from a file that `save_weights` or `save` of a like model wrote.

        Args:
            filepath: the file.
            skip_mismatch: take those whose names and shapes are the model's, and warn of others.

        Raises ValueError, and changes nothing, if the file is damaged or another model's.
        """
        model_files.load_weights(self, filepath, skip_mismatch)

    # ------------------------------------------------------------------ the parts of it

    @property
    def calls_itself(self) -> bool:
        """Whether a class derived from this has a way of its own from inputs to outputs."""
        own = type(self)
        return own.__call__ is not Layer.__call__ or own.call is not Sequential.call

    def takes(self, shape: Shape) -> bool:
        """Whether inputs of that shape are what the model is for."""
        if self._input_shape is None:
            return True
        return len(shape) == len(self._input_shape) and all(
            wanted in (None, size)
            for wanted, size in zip(self._input_shape[1:], shape[1:], strict=True)
        )

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for inputs of that shape, once; ValueError if it takes others."""
        if len(input_shape) and not self.takes(input_shape):
            raise ValueError(
                f"{self.name}: expected inputs of shape {self._input_shape}, got {input_shape}"
            )
        super().ensure_built(input_shape)

    def _validation(
        self, examples: Examples, share: float, given: Sequence[TensorLike] | None
    ) -> tuple[Examples, Examples | None]:
        """What `fit` trains on, and what it evaluates, if anything."""
        if not 0 <= share < 1:
            raise ValueError(f"fit: validation_split: expected a share from 0 to 1, got {share!r}")
        if given is not None:
            if not isinstance(given, tuple | list) or len(given) not in (2, 3):
                raise ValueError(
                    "fit: validation_data: expected a pair (x, y) or (x, y, sample_weight)"
                )
            checks = examples_for(self, "fit: validation_data", *given)
            for name, trained, tested in zip("xy", examples, checks, strict=False):
                if trained.shape[1:] != tested.shape[1:]:
                    raise ValueError(
                        f"fit: validation_data: {name}: expected examples like those of shape "
                        f"{trained.shape}, got {tested.shape}"
                    )
            return examples, checks
        if not share:
            return examples, None
        rest = math.floor(len(examples[0]) * (1 - share))
        if rest == 0:
            raise ValueError(
                f"fit: validation_split: {share} of {len(examples[0])} examples leaves none to "
                "train on"
            )
        return tuple(array[:rest] for array in examples), tuple(array[rest:] for array in examples)

    def _compiled(self, caller: str) -> tuple[optimizers.Optimizer, LossFunction]:
        if self.optimizer is None or self.loss is None:
            raise RuntimeError(
                f"{caller}: this model has no loss yet: call "
                "model.compile(optimizer=..., loss=...) first"
            )
        return self.optimizer, self.loss

    def _bind(self, optimizer: optimizers.Optimizer) -> None:
        """Let the optimizer remember what it needs to of these weights, if it does not yet."""
        variables = self.trainable_weights
        if not optimizer.remembers(variables):
            optimizer.build(variables)

    def _prepare(self, caller: str, examples: Examples) -> None:
        """Build the model, if it is not yet, and look at the labels."""
        if not self.built:
            self.build(examples[0].shape)
        if len(examples) > 1 and examples[1].shape[1:] == self.output_shape[1:]:
            check_labels(caller, self.loss, examples[1])  # of another shape: the loss will object

    def _evaluate(
        self, runner: Runner, spans: Sequence[tuple[int, int]], events: CallbackList
    ) -> Logs:
        runner.reset()
        logs: Logs = {}
        try:
            events.on_test_begin()
            for number, (first, n) in enumerate(spans):
                events.on_test_batch_begin(number)
                runner.test(first, n)
                if events.follow_tests:
                    events.on_test_batch_end(number, _in_order(runner.logs()))
            logs = runner.logs()
        finally:
            runner.close()
        events.on_test_end(_in_order(logs))
        return logs

    def _predict(
        self, runner: Runner, spans: Sequence[tuple[int, int]], events: CallbackList
    ) -> list[Array]:
        found: list[Array] = []
        events.on_predict_begin()
        for number, (first, n) in enumerate(spans):
            events.on_predict_batch_begin(number)
            found.append(runner.predict(first, n))
            if events.follow_predictions:
                events.on_predict_batch_end(number, {"outputs": found[-1]})
        events.on_predict_end()
        return found


add_class(Sequential)


class Batches:
    """Which examples make the batches of each epoch.

    steps: how many of them an epoch has; all there are if None.
    """

    def __init__(self, count: int, size: int, shuffle: bool, steps: int | None) -> None:
        self._spans, self._shuffle, self._fixed = _spans(count, size), shuffle, steps
        self._count = count
        self._place = 0
        self._order: Array | None = None
        self.steps = len(self._spans) if steps is None else steps

    def of_an_epoch(self) -> Iterator[tuple[int, int, Array | None]]:
        """First example, number of examples, and the order that says which they are."""
        if self._fixed is None:
            self._place = 0
        for _ in range(self.steps):
            if self._place == 0 and self._shuffle:
                self._order = random_stream.generator().permutation(self._count)
            elif self._place >= len(self._spans):
                warnings.warn(
                    f"fit: steps_per_epoch: there are {len(self._spans)} batches, fewer than the "
                    f"{self.steps} that make an epoch: it ends with them",
                    stacklevel=4,
                )
                break
            first, n = self._spans[self._place]
            self._place += 1
            yield first, n, self._order
        if self._place >= len(self._spans):
            self._place = 0


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A new model, of what `Sequential.to_json` returned, with new weights.

    >>> from micrograd_ext import layers
    >>> text = Sequential([layers.Input((4,)), layers.Dense(2)]).to_json()
    >>> model_from_json(text).output_shape
    (None, 2)
    """
    with custom_object_scope(custom_objects):
        return make("model", {"Sequential": Sequential}, json.loads(json_string))


def _loss_weight(given: float | Sequence[float] | None) -> float:
    """What multiplies the loss."""
    number = given[0] if isinstance(given, list | tuple) and len(given) == 1 else given
    if isinstance(number, list | tuple | str):  # where Keras 2 had the metrics
        raise ValueError(
            f"compile: loss_weights: expected a number, got {given!r}; metrics are given as "
            "metrics=[...]"
        )
    return 1.0 if number is None else finite("compile: loss_weights", number)


def _metrics_of(argument: str, given: Sequence[MetricLike] | None) -> list[Metric]:
    """The metrics that `compile` was given."""
    if isinstance(given, str) or not isinstance(given or (), list | tuple):
        raise TypeError(f"compile: {argument}: expected a list of metrics, got {given!r}")
    return [get_metric(metric) for metric in given or ()]


def _flat(logs: Mapping[str, Any]) -> Logs:
    """The numbers, with those of metrics that give several in their place."""
    found: Logs = {}
    for name, value in logs.items():
        found |= value if isinstance(value, Mapping) else {name: value}
    return found


def _in_order(logs: Logs) -> Logs:
    """As callbacks, and History, are told: by name, as in Keras."""
    return _flat(dict(sorted(logs.items())))


def _as_list(logs: Logs) -> float | list[float]:
    """The loss, then what the metrics have come to; the loss alone if there are none."""
    values = [*_flat(logs).values()]
    return values if len(values) > 1 else values[0]


def _listed(callbacks: Callback | Sequence[Callback] | None) -> Sequence[Callback]:
    """None, one or several, as several."""
    return [callbacks] if isinstance(callbacks, Callback) else callbacks or ()


def _spans(count: int, size: int, most: int | None = None) -> list[tuple[int, int]]:
    """First example and number of examples of each batch, of so many at most."""
    found = [(first, min(size, count - first)) for first in range(0, count, size)]
    return found[:most]


def _count_or_none(what: str, value: int | None) -> int | None:
    return None if value is None else positive(what, value)


def _due(what: str, freq: int | Collection[int]) -> Callable[[int], bool]:
    """After which epochs, counted from 0, something is to be done."""
    if isinstance(freq, Collection) and not isinstance(freq, str):
        return lambda epoch: epoch + 1 in freq
    every = positive(what, freq)
    return lambda epoch: (epoch + 1) % every == 0


def _verbosity(caller: str, verbose: str | int) -> int:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{caller}: verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
    return 1 if verbose == "auto" else int(verbose)
