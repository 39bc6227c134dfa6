"""How gradients become steps. Formulas and defaults are Keras 3's."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np

from .. import _kernels
from .._lookup import Configured, at_least_0, config_of, make, serialize, whole
from ..tensor import Array, Tensor
from . import schedules

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "get", "schedules"]


class Optimizer(Configured):
    """What optimizers share; a subclass says what it keeps of a variable and how to update it.

    Args:
        learning_rate: a number, or an object of `schedules`.
        weight_decay: before each step, weights shrink by learning_rate * weight_decay of their
            size; None: they do not.
        clipnorm: gradients of a larger norm, each variable's, shrink to this one.
        global_clipnorm: so they do if the norm of all together is larger.
        clipvalue: gradients are limited to +- this.
        name: what it is called.

    Attributes:
        learning_rate: that of the next step; may be set between steps, unless it is a schedule.
        iterations: steps taken so far.
    """

    slots = 0  # arrays kept for each variable

    def __init__(
        self,
        learning_rate: float | schedules.LearningRateSchedule,
        name: str,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
    ) -> None:
        self._rate: float | schedules.LearningRateSchedule = 0.0
        self._start_rate(learning_rate)
        self.name = name
        self.iterations = 0
        limits = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        for argument, value in {"weight_decay": weight_decay, **limits}.items():
            if value is not None:
                at_least_0(argument, value)
        if sum(value is not None for value in limits.values()) > 1:
            raise ValueError(f"expected one of {', '.join(limits)} at most, got {limits}")
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue, self.global_clipnorm = limits.values()
        self.variables: list[Tensor] = []
        self._state: list[list[Array]] = []

    def _start_rate(self, rate: float | schedules.LearningRateSchedule) -> None:
        if not isinstance(rate, schedules.LearningRateSchedule):
            rate = at_least_0("learning_rate", rate)
        self._rate = rate

    @property
    def learning_rate(self) -> float:
        """The rate of the next step."""
        rate = self._rate
        return rate if isinstance(rate, float) else float(rate(self.iterations))

    @learning_rate.setter
    def learning_rate(self, rate: float | schedules.LearningRateSchedule) -> None:
        given = isinstance(rate, schedules.LearningRateSchedule)
        if isinstance(self._rate, schedules.LearningRateSchedule) and not given:
            raise TypeError(
                "learning_rate: it follows a schedule; expected another schedule, or an optimizer "
                f"made with a number, got {rate!r}"
            )
        self._start_rate(rate)

    @property
    def plain(self) -> bool:
        """Whether gradients go into the formula as they are, and weights do not decay."""
        limits = (self.weight_decay, self.clipnorm, self.clipvalue, self.global_clipnorm)
        return all(limit is None for limit in limits)

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one like it; a schedule by its own configuration."""
        return config_of(self) | {"learning_rate": serialize(self._rate)}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        """Another one, of what `get_config` returned."""
        rate = config.get("learning_rate")
        if isinstance(rate, Mapping):
            config = {**config, "learning_rate": schedules.get(rate)}
        return cls(**config)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, learning_rate={self.learning_rate:g}>"

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make room for what is remembered about each of the variables, and start at step 0."""
        self.variables = list(variables)
        self._state = [[np.zeros_like(v.data) for _ in range(self.slots)] for v in self.variables]
        self.iterations = 0

    def remembers(self, variables: Sequence[Tensor]) -> bool:
        """Whether it is built for these variables, and has memories of them."""
        return len(self.variables) == len(variables) and all(
            a is b for a, b in zip(self.variables, variables, strict=True)
        )

    def save_own_variables(self, store: MutableMapping[str, Array]) -> None:
        """Put the number of steps taken, and all that is remembered, into store: '0', '1', ..."""
        arrays = [np.array(self.iterations), *(array for held in self._state for array in held)]
        store.update({str(i): array.copy() for i, array in enumerate(arrays)})

    def load_own_variables(self, store: Mapping[str, Array]) -> None:
        """Take what `save_own_variables` put into store, after `build`.

        Raises ValueError, and changes nothing, if it is another optimizer's, or of other variables.
        """
        own = [array for held in self._state for array in held]
        shapes = [(), *(array.shape for array in own)]
        got = {name: array.shape for name, array in store.items()}
        if got != {str(i): shape for i, shape in enumerate(shapes)}:
            raise ValueError(
                f"{self.name}: load_own_variables: expected arrays of shapes {shapes}, called "
                f"'0', '1', ..., got {got}"
            )
        iterations = whole(f"{self.name}: load_own_variables: iterations", store["0"][()])
        for i, array in enumerate(own):
            array[...] = store[str(i + 1)]
        self.iterations = iterations

    def apply(
        self, grads: Sequence[Array | None], variables: Sequence[Tensor] | None = None
    ) -> None:
        """One step: change the variables' data in place. A gradient of None leaves one as it is.

        Raises ValueError if there are not as many gradients as variables, or they are other
        variables than before.
        """
        if variables is not None and not self.variables:
            self.build(variables)
        if len(grads) != len(self.variables):
            raise ValueError(f"apply: expected {len(self.variables)} gradients, got {len(grads)}")
        if variables is not None and any(
            a is not b for a, b in zip(variables, self.variables, strict=True)
        ):
            raise ValueError("apply: variables: expected those the optimizer was built with")
        for variable, grad in zip(self.variables, grads, strict=True):
            if grad is not None and grad.shape != variable.shape:
                raise ValueError(
                    f"apply: expected a gradient of shape {variable.shape}, got {grad.shape}"
                )
        grads = self._clipped(grads)
        decay = (self.weight_decay or 0.0) * self.learning_rate
        self.iterations += 1
        for variable, grad, state in zip(self.variables, grads, self._state, strict=True):
            if grad is not None:
                if decay:
                    variable.data -= variable.data * variable.dtype.type(decay)
                self.update(variable.data, grad, *state)

    def _clipped(self, grads: Sequence[Array | None]) -> Sequence[Array | None]:
        """The gradients, no larger than is allowed."""
        if self.clipvalue is not None:
            limit = self.clipvalue
            return [None if g is None else np.clip(g, -limit, limit) for g in grads]
        norms = [
            0.0 if g is None else float(np.linalg.norm(np.asarray(g, np.float64))) for g in grads
        ]
        if self.clipnorm is not None:
            limits, sizes = self.clipnorm, norms
        elif self.global_clipnorm is not None:
            limits, sizes = self.global_clipnorm, [math.hypot(*norms)] * len(norms)
        else:
            return grads
        return [
            g if g is None or not size > limits else g * g.dtype.type(limits / size)
            for g, size in zip(grads, sizes, strict=True)
        ]

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Array | None, Tensor]]) -> None:
        """One step, from pairs of gradient and variable."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(grads, variables)

    def rate(self) -> float:
        """What multiplies step number `iterations`; the learning rate, if nothing else is said."""
        rate = self._rate
        return rate if isinstance(rate, float) else float(rate(max(self.iterations - 1, 0)))

    def numbers(self) -> tuple[float, float, float]:
        """What else a step's formula has in it, for the program's; see `csrc/program.h`."""
        return 0.0, 0.0, 0.0

    def update(self, x: Array, dx: Array, *state: Array) -> None:
        """Step number `iterations` for one variable: change x, and the state, in place."""
        raise NotImplementedError(f"{type(self).__name__}.update")


class SGD(Optimizer):
    """Stochastic gradient descent: x -= learning_rate * dx.

    With momentum, v = momentum * v - learning_rate * dx and x += v; with nesterov,
    x += momentum * v - learning_rate * dx (Sutskever et al. 2013).

    >>> x = Tensor([1.0])
    >>> SGD(learning_rate=0.5).apply([np.array([1.0], np.float32)], [x])
    >>> x.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float | schedules.LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "sgd",
    ) -> None:
        super().__init__(learning_rate, name, weight_decay, clipnorm, clipvalue, global_clipnorm)
        self.momentum = at_least_0("momentum", momentum, most=1)
        self.nesterov = nesterov
        self.slots = 1 if momentum else 0

    def numbers(self) -> tuple[float, float, float]:
        """See `Optimizer.numbers`."""
        return self.momentum, float(self.nesterov), 0.0

    def update(self, x: Array, dx: Array, *state: Array) -> None:
        """See `Optimizer.update`."""
        step = dx * -self.rate()
        if state:
            (v,) = state
            v *= self.momentum
            v += step
            step = self.momentum * v + step if self.nesterov else v
        x += step


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), in the form before their section 2.1.

    m += (dx - m) (1 - beta_1); v += (dx**2 - v) (1 - beta_2);
    x -= learning_rate sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon).

    >>> x = Tensor([1.0])
    >>> Adam().apply([np.array([3.0], np.float32)], [x])
    >>> x.data
    array([0.999], dtype=float32)
    """

    slots = 2

    def __init__(
        self,
        learning_rate: float | schedules.LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adam",
    ) -> None:
        super().__init__(learning_rate, name, weight_decay, clipnorm, clipvalue, global_clipnorm)
        for argument, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if at_least_0(argument, beta, most=1) == 1:
                raise ValueError(f"{argument}: expected a number below 1, got {beta!r}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = at_least_0("epsilon", epsilon)

    def numbers(self) -> tuple[float, float, float]:
        """See `Optimizer.numbers`."""
        return self.beta_1, self.beta_2, self.epsilon

    def rate(self) -> float:
        """See `Optimizer.rate`: with what m and v lack as they start from 0."""
        t = self.iterations
        return super().rate() * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def update(self, x: Array, dx: Array, *state: Array) -> None:
        """See `Optimizer.update`."""
        m, v = state
        if np.may_share_memory(x, dx):
            dx = dx.copy()
        wx, wdx, wm, wv = (np.asarray(array, x.dtype, order="C") for array in (x, dx, m, v))
        _kernels.adam(wx, wdx, wm, wv, self.rate(), self.beta_1, self.beta_2, self.epsilon)
        for array, new in ((x, wx), (m, wm), (v, wv)):
            if new is not array:  # it was not dense
                array[...] = new


class AdamW(Adam):
    """Adam, with weights that decay by themselves (Loshchilov and Hutter 2019).

    >>> x = Tensor([1.0])
    >>> AdamW(learning_rate=0.5, weight_decay=0.5).apply([np.array([0.0], np.float32)], [x])
    >>> x.data
    array([0.75], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float | schedules.LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "adamw",
    ) -> None:
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            name,
        )


class RMSprop(Optimizer):
    """Steps divided by the root of a moving mean of squared gradients (Hinton 2012, lecture 6e).

    v = rho v + (1 - rho) dx**2; x -= learning_rate dx / sqrt(v + epsilon). If `centered`, from v is
    taken the square of a moving mean of dx. With momentum, steps are added to a velocity.

    >>> x = Tensor([1.0])
    >>> RMSprop(learning_rate=0.1, rho=0.75).apply([np.array([3.0], np.float32)], [x])
    >>> x.data
    array([0.8], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: float | schedules.LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str = "rmsprop",
    ) -> None:
        super().__init__(learning_rate, name, weight_decay, clipnorm, clipvalue, global_clipnorm)
        self.rho = at_least_0("rho", rho, most=1)
        self.momentum = at_least_0("momentum", momentum, most=1)
        self.epsilon = at_least_0("epsilon", epsilon)
        self.centered = bool(centered)
        self.slots = 1 + (momentum > 0) + self.centered

    def update(self, x: Array, dx: Array, *state: Array) -> None:
        """See `Optimizer.update`."""
        v, *others = state
        v *= self.rho
        v += (1 - self.rho) * np.square(dx)
        below = v + x.dtype.type(self.epsilon)
        if self.centered:
            mean = others.pop()
            mean *= self.rho
            mean += (1 - self.rho) * dx
            below -= np.square(mean)
        step = x.dtype.type(self.rate()) * dx / np.sqrt(below)
        if others:
            (velocity,) = others
            velocity *= self.momentum
            velocity += step
            step = velocity
        x -= step


_NAMES: dict[str, type[Optimizer]] = {"adam": Adam, "adamw": AdamW, "rmsprop": RMSprop, "sgd": SGD}


def get(identifier: Any) -> Optimizer:
    """A new optimizer of that name with its defaults; an optimizer is returned as it is.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    made: Optimizer = make(
        "optimizer", _NAMES, identifier.lower() if isinstance(identifier, str) else identifier
    )
    return made
