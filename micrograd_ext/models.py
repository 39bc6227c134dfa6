"""Models: layers in a row, and how they are trained. The API is that of Keras."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, TypeAlias

import numpy as np

from . import _keeping, _random, losses, optimizers
from . import metrics as metrics_module
from ._examples import Examples, check_labels, examples_for, why_nan
from ._lookup import custom_object_scope, make, name_of, positive, serialize, whole
from ._model_stepper import ModelStepper
from ._runners import Programs, Runner, make_program
from ._summary import print_summary
from .callbacks import Callback, CallbackList, History, Logs, ProgbarLogger
from .layers import InputLayer, Layer, deserialize
from .layers.base import Shape, assign, takes_training, unique_name
from .losses import LossFunction
from .metrics import Mean, MetricFunction
from .metrics import get as get_metric
from .program import NotLoweredError, Program
from .tensor import Array, Tensor, TensorLike

__all__ = ["Sequential", "load_model", "model_from_json", "save_model"]

Metric: TypeAlias = str | metrics_module.Metric | MetricFunction


class Sequential:
    """Layers, each taking what the one before puts out.

    Args:
        layers: the layers, or none yet; the first may be `layers.Input(shape)`.
        name: 'sequential', 'sequential_1', ... by default.

    Attributes:
        layers: the layers, without the `Input`.
        optimizer, loss: what `compile` was given.
        history: what the last `fit` returned.
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

    def __init__(self, layers: Iterable[Layer] | None = None, name: str | None = None) -> None:
        self.name = name or unique_name("sequential")
        self.layers: list[Layer] = []
        self.built = False
        self.input_shape: Shape | None = None
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: LossFunction | None = None
        self.run_eagerly = False
        self._metrics: list[metrics_module.Metric] = []
        self._compiled_with: dict[str, Any] = {}
        self._loss_mean = Mean("loss")
        self.history: History | None = None
        self.stop_training = False
        self.initial_epoch = 0
        self._programs = Programs()
        if isinstance(layers, Layer) or not isinstance(layers or (), Iterable):
            raise TypeError(f"{self.name}: layers: expected a list of layers, got {layers!r}")
        for layer in layers or ():
            self.add(layer)

    # ------------------------------------------------------------------ layers

    def add(self, layer: Layer) -> None:
        """Put a layer at the end. It is built at once if the input's shape is known.

        Raises TypeError for what is no layer, ValueError for one that does not fit, is an Input
        behind other layers, or has the name of one that is there.
        """
        if not isinstance(layer, Layer):
            raise TypeError(f"add: layer: expected a Layer object, got {layer!r}")
        if isinstance(layer, InputLayer):
            if self.layers or self.input_shape is not None:
                raise ValueError(f"add: {layer.name}: an Input can only be a model's first layer")
            self.input_shape = layer.input_shape
            return
        if any(layer.name == other.name for other in self.layers):
            raise ValueError(f"add: the model has a layer called {layer.name!r} already")
        first = layer.input_shape if not self.layers else None
        shape = first if self.input_shape is None else self.output_shape
        if shape is not None:
            layer.compute_output_shape(shape)  # may object
            layer.ensure_built(shape)
        if self.input_shape is None:
            self.input_shape = first
        self.layers.append(layer)
        self.built = self.input_shape is not None

    def build(self, input_shape: Shape) -> None:
        """Make the weights of all layers for batches of shape `input_shape`, e.g. (None, 784).

        Raises ValueError, and builds nothing, if a layer cannot take what comes to it, or the
        model is built for another shape.
        """
        if not isinstance(input_shape, Sequence) or not input_shape:
            raise ValueError(
                f"{self.name}: build: expected a shape such as (None, 784), got {input_shape!r}"
            )
        if self.built and not self._takes(input_shape):
            raise ValueError(
                f"{self.name}: build: it is built for inputs of shape {self.input_shape}, "
                f"got {input_shape}"
            )
        shapes: list[Shape] = [(None, *input_shape[1:])]
        for layer in self.layers:
            shapes.append(layer.compute_output_shape(shapes[-1]))
        for layer, shape in zip(self.layers, shapes, strict=False):
            layer.ensure_built(shape)
        self.input_shape = shapes[0]
        self.built = True

    @property
    def output_shape(self) -> Shape:
        """The shape that comes out; ValueError before the input's shape is known."""
        if self.input_shape is None:
            raise ValueError(f"{self.name}: the input's shape is not known yet: see `build`")
        shape = self.input_shape
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

    @property
    def weights(self) -> list[Tensor]:
        """All weights, layer by layer."""
        return [weight for layer in self.layers for weight in layer.weights]

    @property
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training adjusts."""
        return [weight for layer in self.layers for weight in layer.trainable_weights]

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(layer.count_params() for layer in self.layers)

    def get_weights(self) -> list[Array]:
        """Copies of all weights, in Keras's order and layout."""
        return [weight for layer in self.layers for weight in layer.get_weights()]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Copy the arrays into the weights; ValueError if number or shapes disagree."""
        assign(self.name, self.weights, weights)

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

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that training leaves as they are, or changes by other means."""
        return [weight for layer in self.layers for weight in layer.non_trainable_weights]

    @property
    def trainable(self) -> bool:
        """Whether training adjusts any weights; setting it sets it for all layers."""
        return any(layer.trainable for layer in self.layers)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = bool(value)

    @property
    def losses(self) -> list[Tensor]:
        """What the layers' regularizers add to the loss."""
        return [loss for layer in self.layers for loss in layer.losses]

    def __call__(self, inputs: TensorLike, training: bool = False) -> Tensor:
        """The outputs of a batch, as a Tensor with the graph behind it.

        training: whether layers like `Dropout` do what they do in training.
        """
        return self._through(self.layers, inputs, training)

    @property
    def program(self) -> Program:
        """What `fit` runs, or without a loss `predict`: print it. See `program`.

        Raises:
            ValueError: the input's shape is not known yet.
            RuntimeError: the model runs layer by layer, and why.

        >>> from micrograd_ext import layers
        >>> model = Sequential([layers.Input((4,)), layers.Dense(2, "relu")])
        >>> [(step.name, step.shapes) for step in model.program.steps]
        [('dense + bias + relu', '4 -> 2')]
        """
        outputs = self.output_shape
        assert self.input_shape is not None
        purpose = "predict" if self.loss is None else "fit"
        try:
            if self.run_eagerly:
                raise NotLoweredError("it was compiled with run_eagerly")
            return self._programs.find(self, purpose) or make_program(
                self, purpose, 32, [self.input_shape, outputs]
            )
        except NotLoweredError as why:
            text = f"{self.name} has no program, it runs layer by layer: {why}"
            raise RuntimeError(text) from None

    # ------------------------------------------------------------------ training

    def compile(
        self,
        optimizer: str | optimizers.Optimizer = "rmsprop",
        loss: str | LossFunction | None = None,
        metrics: Sequence[Metric] | None = None,
        run_eagerly: bool = False,
    ) -> None:
        """Say how to train.

        Args:
            optimizer: name, e.g. 'adam' or 'sgd', or an object of `optimizers`; Keras's default.
            loss: name, e.g. 'categorical_crossentropy', or a function (y_true, y_pred) -> losses.
            metrics: names, e.g. ['accuracy'], or functions of (y_true, y_pred).
            run_eagerly: go layer by layer, through Tensors that a debugger can look at. Otherwise
                layers, loss and optimizer become a `program`, with the same results to rounding,
                where all layers are ones that it knows.
        """
        if isinstance(metrics, str) or not isinstance(metrics or (), Iterable):
            raise TypeError(f"compile: metrics: expected a list of metrics, got {metrics!r}")
        chosen = [get_metric(metric) for metric in metrics or ()]
        found = None if loss is None else losses.get(loss)
        self.optimizer = optimizers.get(optimizer)
        self.loss = found
        self._metrics = chosen
        self._compiled_with = {"loss": loss, "metrics": None if metrics is None else [*metrics]}
        self.run_eagerly = bool(run_eagerly)

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
            class_weight: how much the examples of a class count, 1 for those that are not in it.
            sample_weight: (N,), how much each example's loss counts.
            initial_epoch: the number of the epoch to begin with, to go on where one stopped.

        Returns:
            History: `history.history['loss']` and so on, a number per epoch.

        Raises:
            RuntimeError: before `compile` with a loss. ValueError: x and y do not fit the model
            or each other.
        """
        optimizer, _ = self._compiled("fit")
        examples = examples_for(self, "fit", x, y, sample_weight, class_weight)
        checks = None
        if not 0 <= validation_split < 1:
            raise ValueError(
                f"fit: validation_split: expected a share from 0 to 1, got {validation_split!r}"
            )
        if validation_data is not None:
            if not isinstance(validation_data, tuple | list) or len(validation_data) not in (2, 3):
                raise ValueError(
                    "fit: validation_data: expected a pair (x, y) or (x, y, sample_weight)"
                )
            checks = examples_for(self, "fit: validation_data", *validation_data)
            for name, trained, tested in zip("xy", examples, checks, strict=False):
                if trained.shape[1:] != tested.shape[1:]:
                    raise ValueError(
                        f"fit: validation_data: {name}: expected examples like those of shape "
                        f"{trained.shape}, got {tested.shape}"
                    )
        elif validation_split:
            rest = math.floor(len(examples[0]) * (1 - validation_split))
            if rest == 0:
                raise ValueError(
                    f"fit: validation_split: {validation_split} of {len(examples[0])} examples "
                    "leaves none to train on"
                )
            checks = tuple(array[rest:] for array in examples)
            examples = tuple(array[:rest] for array in examples)
        size = 32 if batch_size is None else positive("fit: batch_size", batch_size)
        epochs = whole("fit: epochs", epochs)
        initial_epoch = whole("fit: initial_epoch", initial_epoch)
        level = _verbosity("fit", verbose)
        self._prepare("fit", examples)
        if checks is not None:
            self._prepare("fit: validation_data", checks)

        steps = -(-len(examples[0]) // size)
        self.history = history = History()
        bar = [ProgbarLogger()] if level else []
        events = CallbackList(
            [*_listed(callbacks), *bar, history],
            self,
            {"epochs": epochs, "steps": steps, "verbose": level},
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
                order = _random.generator().permutation(len(examples[0])) if shuffle else None
                for number, (first, n) in enumerate(_spans(len(examples[0]), size)):
                    events.on_train_batch_begin(number)
                    runner.train(first, n, order)
                    if events.follow_training:
                        events.on_train_batch_end(number, runner.logs())
                        if self.stop_training:
                            break
                logs = runner.logs()
                if math.isnan(logs["loss"]) and not self.stop_training:
                    raise ValueError(why_nan(epoch, examples, optimizer.learning_rate))
                if checks is not None:
                    tests = self._programs.runner(self, "evaluate", checks, size)
                    found = self._evaluate(tests, len(checks[0]), size, events)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                events.on_epoch_end(epoch, logs)
                if self.stop_training:
                    break
        finally:
            runner.close()
            events.on_train_end(logs)
        return history

    def evaluate(
        self,
        x: TensorLike,
        y: TensorLike,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: TensorLike | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        return_dict: bool = False,
    ) -> float | list[float] | Logs:
        """Loss and metrics on examples x with labels y, without training.

        Returns [loss, metric, ...] in the order of `compile`'s metrics, or the loss alone if it
        has none; with return_dict, a dict with their names. Arguments and errors as for `fit`.
        """
        self._compiled("evaluate")
        examples = examples_for(self, "evaluate", x, y, sample_weight)
        size = 32 if batch_size is None else positive("evaluate: batch_size", batch_size)
        level = _verbosity("evaluate", verbose)
        self._prepare("evaluate", examples)
        followers = [*_listed(callbacks), *([ProgbarLogger()] if level else [])]
        params = {"epochs": 1, "steps": -(-len(examples[0]) // size), "verbose": level}
        events = CallbackList(followers, self, params)
        runner = self._programs.runner(self, "evaluate", examples, size)
        logs = self._evaluate(runner, len(examples[0]), size, events)
        return logs if return_dict else self._listed(logs)

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
        examples = examples_for(self, "train_on_batch", x, y, sample_weight, class_weight)
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
        return logs if return_dict else self._listed(logs)

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
        examples = examples_for(self, "stepper", x, y, sample_weight, class_weight)
        self._prepare("stepper", examples)
        return ModelStepper(self, examples)

    def predict_on_batch(self, x: TensorLike) -> Array:
        """The outputs of one batch."""
        return self.predict(x, max(len(np.asarray(x)), 1) if np.ndim(x) else 1)

    def predict(
        self, x: TensorLike, batch_size: int | None = None, verbose: str | int = "auto"
    ) -> Array:
        """The outputs for examples x, as an array; no example, no output.

        verbose is Keras's and taken for its sake: nothing is shown.
        """
        examples = examples_for(self, "predict", x, labelled=False)
        size = 32 if batch_size is None else positive("predict: batch_size", batch_size)
        _verbosity("predict", verbose)
        self._prepare("predict", examples)
        if len(examples[0]) == 0:
            return np.empty((0, *map(int, self.output_shape[1:])), np.float32)  # type: ignore[arg-type]
        runner = self._programs.runner(self, "predict", examples, size)
        try:
            return runner.predict(size)
        finally:
            runner.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    # ------------------------------------------------------------------ keeping

    def get_config(self) -> dict[str, Any]:
        """Name and layers, as JSON can hold them, without the weights; see `from_config`.

        >>> from micrograd_ext import layers
        >>> config = Sequential([layers.Input((4,)), layers.Dense(2)]).get_config()
        >>> [layer["class_name"] for layer in config["layers"]]
        ['InputLayer', 'Dense']
        """
        layers = self.layers
        if self.input_shape is not None:
            layers = [InputLayer(shape=self.input_shape[1:], name="input"), *layers]
        return {"name": self.name, "layers": [serialize(layer) for layer in layers]}

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
            return cls([deserialize(each) for each in config["layers"]], name=config["name"])

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
        _keeping.save(self, filepath, overwrite)

    def save_weights(self, filepath: str | PathLike[str], overwrite: bool = True) -> None:
        """Write the weights into a file, as `save` does the model.

        numpy's `load` reads it as well: 'weights/conv2d/kernel', 'weights/conv2d_1/kernel', ...
        """
        _keeping.save_weights(self, filepath, overwrite)

    def load_weights(self, filepath: str | PathLike[str], skip_mismatch: bool = False) -> None:
        """Take the weights from a file that `save_weights` or `save` of a like model wrote.

        Args:
            filepath: the file.
            skip_mismatch: take those whose names and shapes are the model's, and warn of others.

        Raises ValueError, and changes nothing, if the file is damaged or another model's.
        """
        _keeping.load_weights(self, filepath, skip_mismatch)

    # ------------------------------------------------------------------ the parts of it

    @property
    def _calls_itself(self) -> bool:
        """Whether a class derived from this has a way of its own from inputs to outputs."""
        return type(self).__call__ is not Sequential.__call__

    def _takes(self, shape: Shape) -> bool:
        """Whether inputs of that shape are what the model is for."""
        if self.input_shape is None:
            return True
        return len(shape) == len(self.input_shape) and all(
            wanted in (None, size)
            for wanted, size in zip(self.input_shape[1:], shape[1:], strict=True)
        )

    def _through(
        self, stages: Sequence[Callable[..., Tensor]], inputs: TensorLike, training: bool = False
    ) -> Tensor:
        """The outputs of stages that are the layers, or several of them as one."""
        x = inputs if isinstance(inputs, Tensor) else Tensor(inputs, requires_grad=False)
        if not self._takes(x.shape):
            raise ValueError(
                f"{self.name}: expected inputs of shape {self.input_shape}, got {x.shape}"
            )
        if not self.built:
            self.build(x.shape)
        for stage in stages:
            x = stage(x, training=training) if takes_training(type(stage).__call__) else stage(x)
        return x

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

    def _listed(self, logs: Logs) -> float | list[float]:
        names = [name for metric in self._metrics for name in metrics_module.results([metric])]
        values = [logs["loss"], *(logs[name] for name in names)]
        return values if self._metrics else values[0]

    def _prepare(self, caller: str, examples: Examples) -> None:
        """Build the model, if it is not yet, and look at the labels."""
        if not self.built:
            self.build(examples[0].shape)
        if len(examples) > 1 and examples[1].shape[1:] == self.output_shape[1:]:
            check_labels(caller, self.loss, examples[1])  # of another shape: the loss will object

    def _evaluate(self, runner: Runner, count: int, size: int, events: CallbackList) -> Logs:
        runner.reset()
        logs: Logs = {}
        try:
            events.on_test_begin()
            for number, (first, n) in enumerate(_spans(count, size)):
                events.on_test_batch_begin(number)
                runner.test(first, n)
                if events.follow_tests:
                    events.on_test_batch_end(number, runner.logs())
            logs = runner.logs()
        finally:
            runner.close()
        events.on_test_end(logs)
        return logs


def save_model(model: Sequential, filepath: str | PathLike[str], overwrite: bool = True) -> None:
    """Write a model into one file; see `Sequential.save`."""
    if not isinstance(model, Sequential):
        raise TypeError(f"save_model: model: expected a Sequential, got {type(model).__name__}")
    model.save(filepath, overwrite)


def load_model(
    filepath: str | PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
    compile: bool = True,
) -> Any:
    """The model that `Sequential.save` wrote: layers, weights, optimizer and what it remembers.

    Args:
        filepath: the file.
        custom_objects: name -> class or function of one's own that is in the model; those
            registered by `saving.register_keras_serializable` are known.
        compile: whether to compile it as it was.

    Raises:
        OSError: there is no such file.
        ValueError: it is damaged, or none that `save` wrote; or what is in it is not known.
    """
    return _keeping.load({"Sequential": Sequential}, filepath, custom_objects, compile)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A new model, of what `Sequential.to_json` returned, with new weights.

    >>> from micrograd_ext import layers
    >>> text = Sequential([layers.Input((4,)), layers.Dense(2)]).to_json()
    >>> model_from_json(text).output_shape
    (None, 2)
    """
    with custom_object_scope(custom_objects):
        return make("model", {"Sequential": Sequential}, json.loads(json_string))


def _listed(callbacks: Callback | Sequence[Callback] | None) -> Sequence[Callback]:
    """None, one or several, as several."""
    return [callbacks] if isinstance(callbacks, Callback) else callbacks or ()


def _spans(count: int, size: int) -> Iterator[tuple[int, int]]:
    """First example and number of examples of each batch."""
    for first in range(0, count, size):
        yield first, min(size, count - first)


def _verbosity(caller: str, verbose: str | int) -> int:
    if verbose not in ("auto", 0, 1, 2):
        raise ValueError(f"{caller}: verbose: expected 'auto', 0, 1 or 2, got {verbose!r}")
    return 1 if verbose == "auto" else int(verbose)
