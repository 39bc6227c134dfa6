"""How gradients become steps. Formulas and defaults are Keras 3's."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from . import _kernels
from ._lookup import find
from .tensor import Array, Tensor

__all__ = ["SGD", "Adam", "Optimizer", "get"]


class Optimizer:
    """What optimizers share; a subclass says what it keeps of a variable and how to update it.

    Attributes:
        learning_rate: may be set between steps.
        iterations: steps taken so far.
    """

    slots = 0  # arrays kept for each variable

    def __init__(self, learning_rate: float, name: str) -> None:
        if not learning_rate >= 0:
            raise ValueError(f"learning_rate: expected a number >= 0, got {learning_rate!r}")
        self.learning_rate = float(learning_rate)
        self.name = name
        self.iterations = 0
        self.variables: list[Tensor] = []
        self._state: list[list[Array]] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """Make room for what is remembered about each of the variables, and start at step 0."""
        self.variables = list(variables)
        self._state = [[np.zeros_like(v.data) for _ in range(self.slots)] for v in self.variables]
        self.iterations = 0

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
        self.iterations += 1
        for variable, grad, state in zip(self.variables, grads, self._state, strict=True):
            if grad is not None:
                self.update(variable.data, grad, *state)

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Array | None, Tensor]]) -> None:
        """One step, from pairs of gradient and variable."""
        grads, variables = zip(*grads_and_vars, strict=True)
        self.apply(grads, variables)

    def rate(self) -> float:
        """What multiplies step number `iterations`; the learning rate, if nothing else is said."""
        return self.learning_rate

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
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        name: str = "sgd",
    ) -> None:
        super().__init__(learning_rate, name)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum: expected a number from 0 to 1, got {momentum!r}")
        self.momentum = momentum
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
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        name: str = "adam",
    ) -> None:
        super().__init__(learning_rate, name)
        for argument, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 <= beta < 1:
                raise ValueError(f"{argument}: expected a number in [0, 1), got {beta!r}")
        if not epsilon >= 0:
            raise ValueError(f"epsilon: expected a number >= 0, got {epsilon!r}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    def numbers(self) -> tuple[float, float, float]:
        """See `Optimizer.numbers`."""
        return self.beta_1, self.beta_2, self.epsilon

    def rate(self) -> float:
        """See `Optimizer.rate`: with what m and v lack as they start from 0."""
        t = self.iterations
        return self.learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

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


_NAMES: dict[str, Callable[[], Optimizer]] = {"adam": Adam, "sgd": SGD}


def get(identifier: str | Optimizer) -> Optimizer:
    """A new optimizer of that name with its defaults; an optimizer is returned as it is.

    >>> get("adam").learning_rate
    0.001
    """
    if isinstance(identifier, Optimizer):
        return identifier
    name = identifier.lower() if isinstance(identifier, str) else identifier
    return find("optimizer", _NAMES, name)()
