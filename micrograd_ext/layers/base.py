"""What layers share: names, weights, and the call that builds them when first used."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypedDict, TypeVar

import numpy as np

from .. import constraints, initializers, regularizers
from ..common import naming
from ..common.arguments import float32_only, pair, positive, whole
from ..common.serialization import Configured, config_of
from ..initializers import InitializerLike
from ..tensor import Array, Tensor, TensorLike, no_grad
from ..tensor.variable import Variable
from .building import aside, built_once, most_numbers
from .calls import call_under_way, on_behalf_of, training_place
from .nested import has_several, is_open, is_several_shapes, mapped, shape_of

__all__ = ["Layer", "Shape"]

T = TypeVar("T")

#: Sizes of the axes; None where any size will do, as for the batch.
Shape: TypeAlias = tuple[int | None, ...]


class OtherOptions(TypedDict, total=False):
    """What every layer takes beside its own arguments; see `Layer`."""

    name: str | None
    input_shape: Sequence[int | None] | None
    input_dim: int | None
    trainable: bool
    dtype: Any
    autocast: bool


class Options(OtherOptions, total=False):
    """The same, and what some layers count among their own arguments."""

    activity_regularizer: str | regularizers.Regularizer | None


#: Attributes of a layer that a call changes, as they are before the first one.
PASSING: dict[str, Any] = {"_added": (), "last_entry": None, "_building": False}


class Layer(Configured):
    """A function of one Tensor, with weights.

    Write your own by subclassing: `build` makes the weights once the input's shape is known,
    `call` computes, of whatever `ops` and arithmetic of Tensors there is. If training is different
    from predicting, `call` takes an argument `training`. Layers kept in attributes, or in lists
    and dicts there, are part of it: their weights are its weights. A file keeps what `__init__`
    was given; see `models.load_model`.

    >>> class Scale(Layer):
    ...     def build(self, input_shape):
    ...         self.factor = self.add_weight(shape=(input_shape[-1],), initializer="ones")
    ...     def call(self, inputs):
    ...         return inputs * self.factor
    >>> Scale()(np.array([[1.0, 2.0]], np.float32)).data
    array([[1., 2.]], dtype=float32)

    One made of others:

    >>> from micrograd_ext.layers import Dense
    >>> class Residual(Layer):
    ...     def __init__(self, units, **options):
    ...         super().__init__(**options)
    ...         self.units, self.inner = units, Dense(units, "relu")
    ...     def call(self, inputs):
    ...         return inputs + self.inner(inputs)
    >>> layer = Residual(3)
    >>> layer.compute_output_shape((None, 3))
    (None, 3)

    Args:
        name: 'dense', 'dense_1', ... by default.
        input_shape: shape of one example, without the batch; lets a model be built at once.
        input_dim: the same, where examples are rows of so many numbers.
        trainable: whether training adjusts the weights.
        activity_regularizer: name or function outputs -> penalty; a mean over the batch of it is
            added to the loss.
        dtype: None or 'float32', what weights are, and what inputs become that are arrays of
            floats. Whole numbers reach `call` as they are, and so do Tensors.
        autocast: whether arrays of float64 become float32.

    Attributes:
        input_shape: that of the inputs that it is built for, with None for the batch.
        input_dtype: float32, unless an `Input` before it says something else.
        built: whether the weights have been made.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.build = built_once(cls.build)  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int | None] | None = None,
        input_dim: int | None = None,
        trainable: bool = True,
        activity_regularizer: str | regularizers.Regularizer | None = None,
        dtype: Any = None,
        autocast: bool = True,
    ) -> None:
        if name is not None and (not isinstance(name, str) or "/" in name):
            raise ValueError(f"name: expected a string without '/', got {name!r}")
        self.name = name or naming.name_for(self)
        if not isinstance(trainable, bool | np.bool_):
            raise ValueError(f"{self.name}: trainable: expected True or False, got {trainable!r}")
        float32_only(f"{self.name}: dtype", dtype)
        if input_dim is not None:
            input_shape = (positive(f"{self.name}: input_dim", input_dim),)
        self.input_shape: Shape | None = None if input_shape is None else (None, *input_shape)
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self.autocast = bool(autocast)
        self.input_dtype: np.dtype[Any] = np.dtype(np.float32)
        self.built = False
        self._building = False
        self._trainable = bool(trainable)
        self._weights: list[Variable] = []
        self._added: Sequence[tuple[object, Tensor]] = ()  # losses, and the calls they are of
        self.last_entry: object = None

    def __call__(
        self, inputs: TensorLike, *args: Any, training: bool | None = None, **kwargs: Any
    ) -> Tensor:
        """Apply the layer to a batch, building it first if this is its first one.

        training: what `call` is told, if it has an argument of that name; None: what the layer
        around this one was told. Other arguments are those of `call`.
        """
        x = self._as_input(inputs)
        self.ensure_built(shape_of(x))
        place = training_place(type(self).call)
        if place is not None and len(args) > place:
            training, args = args[place], (*args[:place], *args[place + 1 :])
        outer = call_under_way()
        if training is None and outer is not None:
            training = outer.training
        if training is not None and place is not None:
            kwargs["training"] = bool(training)
        if outer is not None and outer.training is training:
            self.last_entry = outer.entry
            return self._called(x, args, kwargs)
        return on_behalf_of(self, training, lambda: self._called(x, args, kwargs))

    def _called(self, x: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Tensor:
        """What `call` returns, which a regularizer may look at."""
        y = self.call(x, *args, **kwargs)
        if self.activity_regularizer is not None and isinstance(y, Tensor):
            penalty = self.activity_regularizer(y)
            self.add_loss(penalty / max(len(y), 1) if y.ndim else penalty)
        return y

    def _as_input(self, inputs: TensorLike) -> Any:
        """A Tensor as it is; arrays of floats as float32, whole numbers as what they are.

        So each of several in a list, tuple or dict.
        """
        if isinstance(inputs, Tensor):
            return inputs
        if has_several(inputs):
            return mapped(self._as_input, inputs)
        try:
            array = np.asarray(inputs)
        except ValueError:  # the Tensor will say what is wrong
            return Tensor(inputs, requires_grad=False)
        dtype = array.dtype if array.dtype.kind in "iub" or not self.autocast else np.float32
        return Tensor(array, requires_grad=False, dtype=dtype)

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for inputs of that shape, once."""
        if len(input_shape) == 0:
            raise ValueError(f"{self.name}: expected a batch of examples, got a number")
        if not self.built:
            self.build(input_shape)

    @built_once
    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of that shape, whose first axis is the batch."""

    def check_rebuild(self, input_shape: Shape | None) -> None:
        """Raise ValueError if it is built for other inputs; nothing is built a second time."""
        if input_shape is not None and type(self).compute_output_shape is not (
            Layer.compute_output_shape
        ):
            self.compute_output_shape(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.call")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out for inputs of `input_shape`; None where any size will do.

        Unless a class has a rule of its own, it is found by trying: `call` gets zeros.
        """
        shapes: list[tuple[int, ...]] = []
        for size in (8, 9):  # for the axes of any size: what differs then is of any size, too
            with aside():  # and a copy: what is only asked for leaves nothing behind
                layer = self if self.built else copy.deepcopy(self)
                layer.ensure_built(input_shape)
                shapes.append(layer._try(input_shape, size))
            if not is_open(input_shape):
                break
        first, last = shapes[0], shapes[-1]
        if len(first) == 0 or len(first) != len(last):
            raise ValueError(
                f"{self.name}: call: expected it to return a Tensor (batch, ...), got shape {first}"
            )
        return None, *(a if a == b else None for a, b in zip(first[1:], last[1:], strict=True))

    def build_inner_layers(self, input_shape: Shape) -> None:
        """Build those that are built when they are called, by calling this one."""
        if any(not inner.built for inner in inner_layers(self)):
            self._try(input_shape)

    def _try(self, input_shape: Shape, size: int = 8) -> tuple[int, ...]:
        """The shape of what comes out for zeros."""

        def zeros(shape: Any) -> Any:
            if is_several_shapes(shape):
                return mapped(zeros, shape)
            sizes = (size if known is None else known for known in shape[1:])
            return np.zeros((1, *sizes), self.input_dtype)

        layers = [self, *all_layers_in(self)]
        before = [(layer, layer._added, layer.last_entry) for layer in layers]
        try:
            with no_grad():
                y: Any = self(zeros(input_shape))
        finally:  # losses stay those of the call before
            for layer, added, entry in before:
                layer._added, layer.last_entry = added, entry
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name}: call: expected it to return a Tensor, got {y!r}")
        return y.shape

    def add_weight(
        self,
        shape: Sequence[int] | None = None,
        initializer: str | InitializerLike | None = None,
        dtype: Any = None,
        trainable: bool = True,
        autocast: bool = True,
        regularizer: str | regularizers.Regularizer | None = None,
        constraint: str | constraints.ConstraintLike | None = None,
        aggregation: str | None = "none",
        overwrite_with_gradient: bool = False,
        name: str | None = None,
    ) -> Variable:
        """Make a weight; call this in `build` or `__init__`.

        Args:
            shape: its shape; a number's by default.
            initializer: name or function shape -> array; 'glorot_uniform' by default.
            dtype: None or 'float32'.
            trainable: whether training adjusts it, by its gradient.
            regularizer: name or function weight -> penalty; see `regularizers`.
            constraint: name or function weight -> numbers, applied after each step of training; see
                `constraints`.
            name: a number by default.
            autocast: taken for Keras's sake, as the next two: there is one type and one machine.
            aggregation: the same.
            overwrite_with_gradient: the same.

        Raises:
            ValueError: a shape that is none, or another dtype.
        """
        if self.built and not self._building:
            raise ValueError(
                f"{self.name}: add_weight: expected to be called in build or __init__, as the "
                "layer is built already"
            )
        shape = self._weight_shape(shape)
        float32_only(f"{self.name}: add_weight: dtype", dtype)
        if math.prod(shape) > most_numbers():
            raise ValueError(f"{self.name}: a weight of shape {shape} is not in the file")
        drawn = initializers.get("glorot_uniform" if initializer is None else initializer)
        data = np.array(initializers.draw(drawn, shape), np.float32)
        if data.shape != shape:
            raise ValueError(
                f"{self.name}: initializer: expected it to return shape {shape}, got {data.shape}"
            )
        text = f"{self.name}/{name or len(self._weights)}"
        weight = Variable(data, trainable=trainable, name=text)
        weight.regularizer = regularizers.get(regularizer)
        weight.constraint = constraints.get(constraint)
        place = sum(each.requires_grad for each in self._weights) if trainable else None
        self._weights.insert(len(self._weights) if place is None else place, weight)
        return weight

    def _weight_shape(self, shape: Any) -> tuple[int, ...]:
        """A weight's shape as a tuple of sizes; ValueError if it is none."""
        if isinstance(shape, str):
            raise ValueError(
                f"{self.name}: add_weight: shape: expected sizes, got {shape!r}; a name is given "
                f"as name={shape!r}"
            )
        if shape is None:
            return ()
        if not isinstance(shape, Sequence | np.ndarray):
            raise ValueError(f"{self.name}: add_weight: shape: expected sizes, got {shape!r}")
        return tuple(whole(f"{self.name}: add_weight: shape {shape}", size) for size in shape)

    def add_loss(self, loss: TensorLike) -> None:
        """Add a number to the loss of the batch that is being computed; call this in `call`.

        >>> class Small(Layer):
        ...     def call(self, inputs):
        ...         self.add_loss(0.01 * (inputs * inputs).sum())
        ...         return inputs
        >>> layer = Small()
        >>> y = layer(np.array([[3.0, 4.0]], np.float32))
        >>> [round(loss.item(), 6) for loss in layer.losses]
        [0.25]
        """
        entry = self.last_entry
        given = loss if isinstance(loss, list | tuple) else [loss]
        added = [x if isinstance(x, Tensor) else Tensor(x, requires_grad=False) for x in given]
        self._added = [
            *(each for each in self._added if each[0] is entry),
            *((entry, x if x.ndim == 0 else x.sum()) for x in added),
        ]

    @property
    def weights(self) -> list[Variable]:
        """All weights, its own before those of the layers in it, trainable ones first."""
        variables, layers = parts_of(self)
        weights = [*self._own(variables), *(w for inner in layers for w in inner.weights)]
        return list({id(weight): weight for weight in weights}.values())

    def _own(self, variables: list[Variable]) -> list[Variable]:
        """Weights that `add_weight` made, then other Variables that are kept, trainable first."""
        known = {id(weight) for weight in self._weights}
        others = [each for each in variables if id(each) not in known]
        return [*self._weights, *sorted(others, key=lambda each: not each.requires_grad)]

    @property
    def variables(self) -> list[Variable]:
        """Keras's other name for `weights`."""
        return self.weights

    @property
    def trainable(self) -> bool:
        """Whether training adjusts the weights; setting it sets it for the layers in it, too."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._trainable = bool(value)
        for inner in inner_layers(self):
            inner.trainable = value

    @property
    def trainable_weights(self) -> list[Variable]:
        """The weights that training adjusts; none if `trainable` is False."""
        if not self.trainable:
            return []
        variables, layers = parts_of(self)
        weights = [weight for weight in self._own(variables) if weight.requires_grad]
        weights += [weight for inner in layers for weight in inner.trainable_weights]
        return list({id(weight): weight for weight in weights}.values())

    @property
    def trainable_variables(self) -> list[Variable]:
        """Keras's other name for `trainable_weights`."""
        return self.trainable_weights

    @property
    def non_trainable_weights(self) -> list[Variable]:
        """The weights that training leaves as they are, or changes by other means."""
        adjusted = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in adjusted]

    @property
    def non_trainable_variables(self) -> list[Variable]:
        """Keras's other name for `non_trainable_weights`."""
        return self.non_trainable_weights

    @property
    def losses(self) -> list[Tensor]:
        """What is added to the loss: by `add_loss` in the last call, and by weights' regularizers.

        Weights that training does not adjust have no penalty, as in Keras.
        """
        entry, added = self.last_entry, list[Tensor]()
        for layer in [self, *all_layers_in(self)]:
            added += [loss for of, loss in layer._added if of is entry]
        penalties = [w.regularizer(w) for w in self.trainable_weights if w.regularizer is not None]
        return added + penalties

    @property
    def dtype(self) -> str:
        """'float32': what weights are, and what is computed with them."""
        return "float32"

    compute_dtype = variable_dtype = dtype

    def count_params(self) -> int:
        """How many numbers the weights hold."""
        return sum(weight.size for weight in self.weights)

    def get_weights(self) -> list[Array]:
        """Copies of the weights, kernel first."""
        return [weight.data.copy() for weight in self.weights]

    def set_weights(self, weights: Sequence[Array]) -> None:
        """Copy the arrays into the weights; ValueError if number or shapes disagree."""
        assign(self.name, self.weights, weights)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another layer like it, as JSON can hold them.

        A class may override it, and put more beside what `super().get_config()` returns.

        >>> from micrograd_ext.layers import Dense
        >>> Dense(3, "relu", name="a").get_config()["activation"]
        'relu'
        """
        # the model knows the shape, and there is one type
        config = config_of(self, without={"input_shape", "input_dim", "dtype", "autocast"})
        if self.activity_regularizer is None:
            config.pop("activity_regularizer", None)
        return config | {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another layer, of what `get_config` returned."""
        config = dict(config)
        known = inspect.signature(cls.__init__).parameters
        later = {}
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            not_its = [key for key in ("name", "trainable") if key in config and key not in known]
            later = {key: config.pop(key) for key in not_its}
        layer = cls(**config)
        for key, value in later.items():
            setattr(layer, key, value)
        return layer

    @property
    def in_a_row(self) -> Sequence[Layer] | None:
        """The layers that do all its work, one after the other; None if it does more, or other."""
        return None

    def settings(self) -> list[Any]:
        """The values of its attributes, but for what changes with each call."""
        return [value for name, value in vars(self).items() if name not in PASSING]

    def __getstate__(self) -> dict[str, Any]:
        # the losses of a batch have its graph behind them, which is not the layer's
        return vars(self) | PASSING

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


#: What attributes mostly are, and holds nothing.
PLAIN = frozenset({bool, float, int, str, type(None), type(lambda: None)})


def parts_of(layer: Layer) -> tuple[list[Variable], list[Layer]]:
    """The Variables and the layers in a layer's attributes, and in lists and dicts there."""
    variables: list[Variable] = []
    layers: list[Layer] = []
    seen = {id(layer)}
    stack: list[Any] = [*vars(layer).values()][::-1]
    while stack:
        value = stack.pop()
        if type(value) in PLAIN or id(value) in seen:
            continue
        if isinstance(value, dict | list | tuple):
            seen.add(id(value))
            stack += [*(value.values() if isinstance(value, dict) else value)][::-1]
        elif isinstance(value, Layer):
            seen.add(id(value))
            layers.append(value)
        elif isinstance(value, Variable):
            seen.add(id(value))
            variables.append(value)
    return variables, layers


def inner_layers(layer: Layer) -> list[Layer]:
    """The layers that a layer is made of, each once."""
    return parts_of(layer)[1]


def all_layers_in(layer: Layer) -> list[Layer]:
    """The layers that a layer is made of, those that these are made of, and so on, each once."""
    layers: dict[int, Layer] = {}
    waiting = inner_layers(layer)
    while waiting:
        inner = waiting.pop(0)
        if id(inner) not in layers:
            layers[id(inner)] = inner
            waiting += inner_layers(inner)
    return [*layers.values()]


def in_a_row(layers: Sequence[Layer]) -> list[Layer]:
    """The layers, with those that are themselves layers in a row replaced by these."""
    row: list[Layer] = []
    for layer in layers:
        row += [layer] if layer.in_a_row is None else in_a_row(layer.in_a_row)
    return row


def assign(owner: str, weights: Sequence[Tensor], arrays: Sequence[Array]) -> None:
    """Copy arrays into weights, all or, with a ValueError, none."""
    if len(arrays) != len(weights):
        raise ValueError(f"{owner}: set_weights: expected {len(weights)} arrays, got {len(arrays)}")
    for weight, array in zip(weights, arrays, strict=True):
        if weight.shape != np.shape(array):
            raise ValueError(
                f"{weight.name}: set_weights: expected shape {weight.shape}, got {np.shape(array)}"
            )
    for weight, array in zip(weights, arrays, strict=True):
        weight.data[...] = array


class SameShape(Layer):
    """What layers share that put out the shape that they take."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        return input_shape


def count_of(layer: Layer, argument: str, value: Any) -> int:
    """A whole number >= 1."""
    return positive(f"{layer.name}: {argument}", value)


def pair_of(layer: Layer, argument: str, value: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one number for both, or two."""
    return pair(f"{layer.name}: {argument}", value)
