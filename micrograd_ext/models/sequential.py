"""Models: layers in a row, and how they are trained. The API is that of Keras."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..common.serialization import custom_object_scope, make, name_of, serialize
from ..compiler.fusion import through
from ..layers import InputLayer, Layer, add_class, deserialize
from ..layers.base import Shape
from ..tensor import Tensor, TensorLike
from ..training.data_adapter import by_class, examples_for
from ..training.trainer import Trainer
from .stepper import ModelStepper
from .summary import print_summary

__all__ = ["Sequential", "model_from_json"]


class Sequential(Trainer):
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

    >>> import numpy as np
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
        super().__init__(name=name, trainable=trainable)
        self.layers = []
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

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out for inputs of `input_shape`."""
        shape = input_shape
        for layer in self.layers:
            shape = layer.compute_output_shape(shape)
        return shape

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
        self._need_loss("stepper")
        examples = examples_for(self, "stepper", x, y, sample_weight)
        examples = by_class("stepper", examples, class_weight)
        self._make_ready("stepper", examples)
        return ModelStepper(self, examples)

    # ------------------------------------------------------------------ configuration

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

    # ------------------------------------------------------------------ the parts of it

    @property
    def calls_itself(self) -> bool:
        """Whether a class derived from this has a way of its own from inputs to outputs."""
        own = type(self)
        return own.__call__ is not Layer.__call__ or own.call is not Sequential.call


add_class(Sequential)


def model_from_json(json_string: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """A new model, of what `Sequential.to_json` returned, with new weights.

    >>> from micrograd_ext import layers
    >>> text = Sequential([layers.Input((4,)), layers.Dense(2)]).to_json()
    >>> model_from_json(text).output_shape
    (None, 2)
    """
    with custom_object_scope(custom_objects):
        return make("model", {"Sequential": Sequential}, json.loads(json_string))
