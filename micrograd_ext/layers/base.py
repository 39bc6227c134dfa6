"""What layers share: names, weights, and the call that builds them when first used."""

from __future__ import annotations

import copy
import inspect
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, TypeAlias, TypedDict

import numpy as np

from .. import _random, initializers, regularizers
from .._lookup import Configured, config_of, pair, positive
from ..tensor import Array, Tensor, TensorLike, no_grad

__all__ = ["Input", "InputLayer", "Layer", "Shape"]

#: Sizes of the axes; None where any size will do, as for the batch.
Shape: TypeAlias = tuple[int | None, ...]

_names: Counter[str] = Counter()


def unique_name(kind: str) -> str:
    """Kind, kind_1, kind_2, ... in the order of creation."""
    count = _names[kind]
    _names[kind] += 1
    return f"{kind}_{count}" if count else kind


#: The largest weight that may be made.
_most = ContextVar("_most", default=sys.maxsize)


@contextmanager
def building_of_at_most(numbers: int) -> Iterator[None]:
    """Within it, weights are made whose numbers come from a file, which has room for so many.

    A file that asks for more is refused before there is an array of that size. Nothing is drawn
    from the random stream in the end.
    """
    token = _most.set(numbers)
    try:
        with _aside():
            yield
    finally:
        _most.reset(token)


@contextmanager
def _aside() -> Iterator[None]:
    """What is drawn and named within is as if it had not been."""
    names, state = _names.copy(), _random.generator().bit_generator.state
    try:
        yield
    finally:
        _names.clear()
        _names.update(names)
        _random.generator().bit_generator.state = state


class Options(TypedDict, total=False):
    """What every layer takes beside its own arguments; see `Layer`."""

    name: str | None
    input_shape: Sequence[int | None] | None
    trainable: bool


class Layer(Configured):
    """A function of one Tensor, with weights.

    Write your own by subclassing: `build` makes the weights once the input's shape is known,
    `call` computes, of whatever `ops` and arithmetic of Tensors there is. If training is different
    from predicting, `call` takes an argument `training`. Layers kept in attributes, or in lists
    and dicts there, are part of it: their weights are its weights. Arguments of `__init__` that
    are kept in attributes of their names come back from a file; see `models.load_model`.

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
        trainable: whether training adjusts the weights.

    Attributes:
        input_shape: that of the inputs that it is built for, with None for the batch.
        built: whether the weights have been made.
    """

    def __init__(
        self,
        *,
        name: str | None = None,
        input_shape: Sequence[int | None] | None = None,
        trainable: bool = True,
    ) -> None:
        self.name = name or unique_name(snake(type(self).__name__))
        self.input_shape: Shape | None = None if input_shape is None else (None, *input_shape)
        self._trainable = bool(trainable)
        self._weights: list[Tensor] = []
        self.built = False
        self._regularized: list[tuple[Tensor, regularizers.Regularizer]] = []

    def __call__(self, inputs: TensorLike, training: bool = False) -> Tensor:
        """Apply the layer to a batch, building it first if this is its first one."""
        x = inputs if isinstance(inputs, Tensor) else Tensor(inputs, requires_grad=False)
        self.ensure_built(x.shape)
        if takes_training(type(self).call):
            return self.call(x, training=training)  # type: ignore[call-arg]
        return self.call(x)

    def ensure_built(self, input_shape: Shape) -> None:
        """Build for inputs of that shape, once."""
        if len(input_shape) == 0:
            raise ValueError(f"{self.name}: expected a batch of examples, got a number")
        if not self.built:
            self.build(input_shape)
            self.input_shape = (None, *input_shape[1:])
            self.built = True
            if any(not inner.built for inner in inner_layers(self)):
                self._try(input_shape)  # they are built when they are called

    def build(self, input_shape: Shape) -> None:
        """Make the weights for inputs of that shape, whose first axis is the batch."""

    def call(self, inputs: Tensor) -> Tensor:
        """Compute the outputs."""
        raise NotImplementedError(f"{type(self).__name__}.call")

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The shape that comes out for inputs of `input_shape`; None where any size will do.

        Unless a class has a rule of its own, it is found by trying: `call` gets zeros.
        """
        found: list[tuple[int, ...]] = []
        for size in (8, 9):  # for the axes of any size: what differs then is of any size, too
            with _aside():  # and a copy: what is only asked for leaves nothing behind
                layer = self if self.built else copy.deepcopy(self)
                layer.ensure_built(input_shape)
                found.append(layer._try(input_shape, size))
            if None not in input_shape[1:]:
                break
        first, last = found[0], found[-1]
        if len(first) == 0 or len(first) != len(last):
            raise ValueError(
                f"{self.name}: call: expected it to return a Tensor (batch, ...), got shape {first}"
            )
        return None, *(a if a == b else None for a, b in zip(first[1:], last[1:], strict=True))

    def _try(self, input_shape: Shape, size: int = 8) -> tuple[int, ...]:
        """The shape of what comes out for zeros."""
        shape = (1, *(size if known is None else known for known in input_shape[1:]))
        with no_grad():
            y: Any = self(np.zeros(shape, np.float32))
        if not isinstance(y, Tensor):
            raise TypeError(f"{self.name}: call: expected it to return a Tensor, got {y!r}")
        return y.shape

    def add_weight(
        self,
        shape: Sequence[int],
        initializer: str | initializers.Initializer = "glorot_uniform",
        name: str | None = None,
        trainable: bool = True,
        regularizer: str | regularizers.Regularizer | None = None,
    ) -> Tensor:
        """Make a weight; call this in `build`.

        Args:
            shape: its shape.
            initializer: name or function shape -> array.
            name: a number by default.
            trainable: whether training adjusts it, by its gradient.
            regularizer: name or function weight -> penalty; see `regularizers`.
        """
        if math.prod(shape) > _most.get():
            raise ValueError(f"{self.name}: a weight of shape {tuple(shape)} is not in the file")
        data = np.array(initializers.get(initializer)(tuple(shape)), np.float32)
        if data.shape != tuple(shape):
            raise ValueError(
                f"{self.name}: initializer: expected it to return shape {tuple(shape)}, "
                f"got {data.shape}"
            )
        text = f"{self.name}/{name or len(self._weights)}"
        weight = Tensor(data, requires_grad=trainable, name=text)
        place = sum(each.requires_grad for each in self._weights) if trainable else None
        self._weights.insert(len(self._weights) if place is None else place, weight)
        found = regularizers.get(regularizer)
        if found is not None:
            self._regularized.append((weight, found))
        return weight

    @property
    def weights(self) -> list[Tensor]:
        """All weights, its own before those of the layers in it, trainable ones first."""
        found = [
            *self._weights,
            *(weight for inner in inner_layers(self) for weight in inner.weights),
        ]
        return list({id(weight): weight for weight in found}.values())

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
    def trainable_weights(self) -> list[Tensor]:
        """The weights that training adjusts; none if `trainable` is False."""
        if not self.trainable:
            return []
        own = [weight for weight in self._weights if weight.requires_grad]
        found = [
            *own,
            *(weight for inner in inner_layers(self) for weight in inner.trainable_weights),
        ]
        return list({id(weight): weight for weight in found}.values())

    @property
    def non_trainable_weights(self) -> list[Tensor]:
        """The weights that training leaves as they are, or changes by other means."""
        adjusted = {id(w) for w in self.trainable_weights}
        return [w for w in self.weights if id(w) not in adjusted]

    @property
    def losses(self) -> list[Tensor]:
        """What the regularizers add to the loss."""
        own = [penalty(weight) for weight, penalty in self._regularized]
        return [*own, *(loss for inner in inner_layers(self) for loss in inner.losses)]

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

        They are the attributes that are called as the arguments of `__init__` are; a layer that
        keeps them elsewhere overrides this.

        >>> from micrograd_ext.layers import Dense
        >>> Dense(3, "relu", name="a").get_config()["activation"]
        'relu'
        """
        config = config_of(self)
        config.pop("input_shape", None)  # the model knows
        return config | {"name": self.name, "trainable": self.trainable}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another layer, of what `get_config` returned."""
        config = dict(config)
        known = inspect.signature(cls.__init__).parameters
        later = {}
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            later = {key: config.pop(key) for key in ("name", "trainable") if key not in known}
        layer = cls(**config)
        for key, value in later.items():
            setattr(layer, key, value)
        return layer

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"


def inner_layers(layer: Layer) -> Iterator[Layer]:
    """The layers that a layer is made of, each once."""
    seen = {id(layer)}
    stack: list[Any] = [*vars(layer).values()][::-1]
    while stack:
        value = stack.pop()
        if id(value) in seen:
            continue
        if isinstance(value, Mapping | list | tuple):
            seen.add(id(value))
            stack += [*(value.values() if isinstance(value, Mapping) else value)][::-1]
        elif hasattr(value, "trainable_weights"):
            seen.add(id(value))
            yield value


@cache
def takes_training(call: Callable[..., Tensor]) -> bool:
    """Whether a function of a batch has an argument for whether it is trained on."""
    return "training" in inspect.signature(call).parameters


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


def snake(name: str) -> str:
    """MaxPooling2D -> max_pooling2d, RMSNorm -> rms_norm, as Keras names its layers."""
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


class SameShape(Layer):
    """What layers share that put out the shape that they take."""

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same."""
        return input_shape


class InputLayer(SameShape):
    """Says what shape of examples a model takes; see `Input`."""

    def __init__(self, shape: Sequence[int | None], *, name: str | None = None) -> None:
        super().__init__(name=name or unique_name("input_layer"), input_shape=shape)
        self.shape = tuple(shape)

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs themselves."""
        return inputs


def Input(shape: Sequence[int | None], name: str | None = None) -> InputLayer:  # noqa: N802 - Keras's name
    """The first entry of a model: the shape of one example, without the batch.

    >>> Input(shape=(28, 28, 1)).input_shape
    (None, 28, 28, 1)
    """
    return InputLayer(shape, name=name)


def count_of(layer: Layer, argument: str, value: Any) -> int:
    """A whole number >= 1."""
    return positive(f"{layer.name}: {argument}", value)


def pair_of(layer: Layer, argument: str, value: int | Sequence[int]) -> tuple[int, int]:
    """(height, width) from one number for both, or two."""
    return pair(f"{layer.name}: {argument}", value)
