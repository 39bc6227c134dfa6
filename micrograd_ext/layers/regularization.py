"""Layers that do something else in training than in predicting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import constraints, initializers, ops, regularizers
from ..common import random_stream
from ..common.arguments import at_least_0, positive, seed_or_none
from ..initializers import InitializerLike
from ..tensor import Array, Tensor, TensorLike, apply
from ..tensor.variable import Variable
from .base import Layer, Options, SameShape, Shape

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["BatchNormalization", "Dropout"]


class Dropout(SameShape):
    """In training, numbers become 0 with probability `rate`, and the others grow by 1 / (1 - rate).

    So their sum stays what it was, on average (Srivastava et al. 2014). Otherwise the inputs pass.

    Args:
        rate: from 0 to 1.
        noise_shape: the shape of what is drawn, without the batch if it is shorter; 1 where one
            draw counts for a whole axis, None where each number has its own.
        seed: of a random stream of its own; None draws from that of `utils.set_random_seed`.
        name, input_shape, trainable: see `Layer`.

    >>> layer = Dropout(0.5, seed=1)
    >>> layer(np.ones((1, 4), np.float32), training=True).data
    array([[0., 2., 2., 2.]], dtype=float32)
    >>> layer(np.ones((1, 4), np.float32)).data
    array([[1., 1., 1., 1.]], dtype=float32)
    """

    def __init__(
        self,
        rate: float,
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.rate = at_least_0(f"{self.name}: rate", rate, most=1)
        self.noise_shape = _noise_shape(self, noise_shape)
        self.seed = seed_or_none(seed)
        self._random = None if seed is None else np.random.default_rng(self.seed)

    def build(self, input_shape: Shape) -> None:
        """Check that noise_shape fits; there are no weights."""
        self._noise(tuple(size or 1 for size in input_shape))

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        """The outputs of a batch."""
        if not training or self.rate == 0:
            return inputs
        random = random_stream.generator() if self._random is None else self._random
        kept = random.random(self._noise(inputs.shape), np.float32) >= self.rate
        scale = 1 / (1 - self.rate) if self.rate < 1 else 1.0

        def row(x: Array) -> tuple[Array, Callable[[Array], Array]]:
            # not a product with zeros: what is dropped is 0, also if it is infinite
            return np.where(kept, x * scale, 0), lambda g: np.where(kept, g * scale, 0)

        return apply("dropout", row, (inputs,))

    def _noise(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of what is drawn for inputs of that shape."""
        if self.noise_shape is None:
            return shape
        wanted = self.noise_shape
        if len(wanted) != len(shape) or any(
            a not in (None, 1, b) for a, b in zip(wanted[1:], shape[1:], strict=True)
        ):
            raise ValueError(
                f"{self.name}: noise_shape: expected 1, None or the size of each axis of "
                f"{shape}, got {wanted}"
            )
        return tuple(b if a is None else a for a, b in zip(wanted, shape, strict=True))


def _noise_shape(layer: Layer, given: Any) -> tuple[int | None, ...] | None:
    """The shape of what is drawn; ValueError for what is none."""
    if given is None:
        return None
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ValueError(f"{layer.name}: noise_shape: expected sizes or None, got {given!r}")
    return tuple(
        None if size is None else positive(f"{layer.name}: noise_shape {given}", size)
        for size in given
    )


class BatchNormalization(Layer):
    """gamma * (inputs - mean) / sqrt(variance + epsilon) + beta, feature by feature.

    In training, mean and variance are the batch's, and moving averages of them are kept; otherwise
    it is those that are used (Ioffe and Szegedy 2015). So too if `trainable` is False.

    Args:
        axis: the features; mean and variance are taken over all other axes.
        momentum: of the moving averages: moving * momentum + batch's * (1 - momentum).
        epsilon: added to the variance.
        center, scale: whether there are a beta and a gamma.
        beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer:
            names or functions shape -> array.
        beta_regularizer, gamma_regularizer: names or functions weight -> penalty.
        beta_constraint, gamma_constraint: names or functions weight -> numbers, applied after each
            step of training.
        synchronized: taken for Keras's sake: there is one machine.
        name, input_shape, trainable: see `Layer`.

    >>> layer = BatchNormalization()
    >>> layer(np.array([[1.0], [3.0]], np.float32), training=True).data.round(3)
    array([[-1.],
           [ 1.]], dtype=float32)
    >>> [weight.data.tolist() for weight in layer.non_trainable_weights]
    [[0.019999999552965164], [1.0]]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: str | InitializerLike = "zeros",
        gamma_initializer: str | InitializerLike = "ones",
        moving_mean_initializer: str | InitializerLike = "zeros",
        moving_variance_initializer: str | InitializerLike = "ones",
        beta_regularizer: str | regularizers.Regularizer | None = None,
        gamma_regularizer: str | regularizers.Regularizer | None = None,
        beta_constraint: str | constraints.ConstraintLike | None = None,
        gamma_constraint: str | constraints.ConstraintLike | None = None,
        synchronized: bool = False,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
            raise ValueError(f"{self.name}: axis: expected a whole number, got {axis!r}")
        self.axis = int(axis)
        self.momentum = at_least_0(f"{self.name}: momentum", momentum, most=1)
        self.epsilon = at_least_0(f"{self.name}: epsilon", epsilon)
        self.center, self.scale = bool(center), bool(scale)
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)
        self.synchronized = bool(synchronized)
        self.beta: Variable | None = None
        self.gamma: Variable | None = None
        self.moving_mean: Variable
        self.moving_variance: Variable

    def build(self, input_shape: Shape) -> None:
        """Make gamma, beta, and the moving averages."""
        self.compute_output_shape(input_shape)
        size = (int(input_shape[self.axis] or 0),)
        if self.scale:
            self.gamma = self.add_weight(
                size,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
                name="gamma",
            )
        if self.center:
            self.beta = self.add_weight(
                size,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
                name="beta",
            )
        self.moving_mean = self.add_weight(
            size, self.moving_mean_initializer, trainable=False, name="moving_mean"
        )
        self.moving_variance = self.add_weight(
            size, self.moving_variance_initializer, trainable=False, name="moving_variance"
        )

    def call(
        self, inputs: Tensor, training: bool = False, mask: TensorLike | None = None
    ) -> Tensor:
        """The outputs of a batch.

        mask: of the inputs' shape without the last axis; where it is False, the numbers do not
        count for the batch's mean and variance.
        """
        self.compute_output_shape(inputs.shape)
        mean: Tensor = self.moving_mean
        variance: Tensor = self.moving_variance
        if training and self.trainable:
            axis = self.axis % inputs.ndim
            others = tuple(i for i in range(inputs.ndim) if i != axis)
            if mask is None:
                mean, variance = ops.moments(inputs, others)
            else:
                mean, variance = self._masked_moments(inputs, mask, others)
            for moving, now in ((self.moving_mean, mean), (self.moving_variance, variance)):
                moving.assign(moving.data * self.momentum + (1 - self.momentum) * now.data)
        return ops.batch_normalization(
            inputs, mean, variance, self.axis, self.beta, self.gamma, self.epsilon
        )

    def _masked_moments(
        self, inputs: Tensor, mask: TensorLike, axes: tuple[int, ...]
    ) -> tuple[Tensor, Tensor]:
        """Mean and variance of what counts; 1e-7 is added to how much that is, as in Keras."""
        counts = np.asarray(mask)
        if counts.ndim != inputs.ndim - 1:
            raise ValueError(
                f"{self.name}: mask: expected an axis less than inputs of shape {inputs.shape} "
                f"have, got shape {counts.shape}"
            )
        counts = np.broadcast_to(counts[..., None].astype(bool), inputs.shape)
        number = counts.sum(axes, dtype=inputs.dtype, keepdims=True) + inputs.dtype.type(1e-7)
        mean = ops.sum(ops.where(counts, inputs, 0.0), axes, keepdims=True) / number
        squares = ops.square(ops.where(counts, inputs - mean, 0.0))
        variance = ops.sum(squares, axes, keepdims=True) / number
        return ops.reshape(mean, -1), ops.reshape(variance, -1)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        """The same, if there is such an axis, and of the size as before."""
        rank = len(input_shape)
        if rank < 2 or not -rank < self.axis < rank or self.axis == 0:
            raise ValueError(
                f"{self.name}: axis: expected one of the axes behind the batch of inputs of shape "
                f"{input_shape}, got {self.axis}"
            )
        features = input_shape[self.axis]
        if features is None or (self.built and self.moving_mean.size != features):
            wanted = self.moving_mean.size if self.built else "a known number of"
            raise ValueError(
                f"{self.name}: expected inputs with {wanted} features on axis {self.axis}, got "
                f"shape {input_shape}"
            )
        return input_shape
