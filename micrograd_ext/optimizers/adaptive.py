"""Optimizers that give each number a rate of its own, beside Adam and RMSprop."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..common.arguments import at_least_0, below_1, finite
from ..initializers import Constant
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from .base import LearningRate, Optimizer, Options

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Adadelta", "Adafactor", "Adagrad", "Adamax", "Ftrl", "Lion", "Nadam"]


class Adagrad(Optimizer):
    """Steps divided by the root of the sum of all squared gradients (Duchi et al. 2011).

    v += dx**2; x -= learning_rate dx / sqrt(v + epsilon), where v starts from
    initial_accumulator_value. Other arguments are those of `Optimizer`.

    >>> x = Tensor([1.0])
    >>> Adagrad(learning_rate=0.5, initial_accumulator_value=7.0).apply([[3.0]], [x])
    >>> x.data
    array([0.625], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.initial_accumulator_value = at_least_0(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.epsilon = at_least_0("epsilon", epsilon)
        self._accumulators: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        kind = variable.dtype.type
        sums = self._accumulators[self._get_variable_index(variable)].data
        sums += np.square(gradient)
        variable.data -= kind(learning_rate) * gradient / np.sqrt(sums + kind(self.epsilon))


class Adadelta(Optimizer):
    """Steps as large as those before them were, for gradients as large (Zeiler 2012).

    v = rho v + (1 - rho) dx**2; step = dx sqrt(u + epsilon) / sqrt(v + epsilon);
    u = rho u + (1 - rho) step**2; x -= learning_rate step. Other arguments are `Optimizer`'s.

    >>> x = Tensor([1.0])
    >>> Adadelta(learning_rate=1.0, rho=0.75, epsilon=1.0).apply([[4.0]], [x])
    >>> x.data.round(4)
    array([-0.7889], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.rho = at_least_0("rho", rho, most=1)
        self.epsilon = at_least_0("epsilon", epsilon)
        self._accumulated_grads: list[Variable] = []
        self._accumulated_delta_vars: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._accumulated_grads, self._accumulated_delta_vars = self.add_optimizer_variables(
            variables, ["accumulated_grad", "accumulated_delta_var"]
        )

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        v, u = self._accumulated_grads[at].data, self._accumulated_delta_vars[at].data
        epsilon = kind(self.epsilon)
        v *= self.rho
        v += (1 - self.rho) * np.square(gradient)
        step = gradient * np.sqrt(u + epsilon) / np.sqrt(v + epsilon)
        u *= self.rho
        u += (1 - self.rho) * np.square(step)
        variable.data -= kind(learning_rate) * step


class _Moments(Optimizer):
    """What Adamax and Nadam share: arguments of Adam, and two things kept of each variable."""

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_1, self.beta_2 = below_1("beta_1", beta_1), below_1("beta_2", beta_2)
        self.epsilon = at_least_0("epsilon", epsilon)


class Adamax(_Moments):
    """Adam with the largest gradient of late, not the root of a mean (Kingma and Ba 2015, 7.1).

    m += (dx - m) (1 - beta_1); u = max(beta_2 u, |dx|);
    x -= learning_rate m / ((1 - beta_1**t) (u + epsilon)). Other arguments are `Optimizer`'s.

    >>> x = Tensor([1.0])
    >>> Adamax(learning_rate=0.5, epsilon=0).apply([[4.0]], [x])
    >>> x.data
    array([0.5], dtype=float32)
    """

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._m, self._u = self.add_optimizer_variables(variables, ["momentum", "norm"])

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        m, u = self._m[at].data, self._u[at].data
        m += (gradient - m) * (1 - self.beta_1)
        np.maximum(u * self.beta_2, np.abs(gradient), out=u)
        rate = learning_rate / (1 - self.beta_1 ** (int(self.iterations.data) + 1))
        variable.data -= kind(rate) * m / (u + kind(self.epsilon))


class Nadam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016); arguments are those of `Adam`, without amsgrad.

    >>> x = Tensor([1.0])
    >>> Nadam(learning_rate=0.5).apply([[4.0]], [x])
    >>> x.data.round(4)
    array([0.4686], dtype=float32)
    """

    _product = (0, 1.0)  # of the momenta of so many steps

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )

    def _momentum(self, t: int) -> float:
        """Of step t: it grows from half of beta_1 to it."""
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def _product_up_to(self, t: int) -> float:
        steps, product = self._product if self._product[0] <= t else (0, 1.0)
        for step in range(steps + 1, t + 1):
            product *= self._momentum(step)
        self._product = (t, product)
        return product

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        m, v = self._momentums[at].data, self._velocities[at].data
        t = int(self.iterations.data) + 1
        now, following, product = self._momentum(t), self._momentum(t + 1), self._product_up_to(t)
        m += (gradient - m) * (1 - self.beta_1)
        v += (np.square(gradient) - v) * (1 - self.beta_2)
        mean = m * kind(following / (1 - product * following))
        mean += gradient * kind((1 - now) / (1 - product))
        root = np.sqrt(v / kind(1 - self.beta_2**t))
        variable.data -= mean * kind(learning_rate) / (root + kind(self.epsilon))


class Lion(Optimizer):
    """Steps of one size, by the sign of a moving mean of gradients (Chen et al. 2023).

    x -= learning_rate sign(beta_1 m + (1 - beta_1) dx); m = beta_2 m + (1 - beta_2) dx. Other
    arguments are those of `Optimizer`.

    >>> x = Tensor([1.0, 2.0])
    >>> Lion(learning_rate=0.5).apply([[4.0, -0.01]], [x])
    >>> x.data
    array([0.5, 2.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if not at_least_0("beta_1", beta_1, most=1) > 0:
            raise ValueError(f"beta_1: expected a number above 0, got {beta_1!r}")
        self.beta_1, self.beta_2 = beta_1, at_least_0("beta_2", beta_2, most=1)
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._momentums = self.add_optimizer_variables(variables, "momentum")

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        m = self._momentums[self._get_variable_index(variable)].data
        direction = np.sign(m * self.beta_1 + gradient * (1 - self.beta_1))
        variable.data -= variable.dtype.type(learning_rate) * direction
        m *= self.beta_2
        m += gradient * (1 - self.beta_2)


class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013).

    z += dx - (v'**p - v**p) x / learning_rate, where p = -learning_rate_power, v' = v + dx**2;
    x = (clip(z, -l1, l1) - z) / (v'**p / learning_rate + 2 l2 + beta / learning_rate). Weights of
    little use become 0 exactly.

    Args:
        learning_rate: see `Optimizer`, also for the other arguments.
        learning_rate_power: at most 0.
        initial_accumulator_value: what v starts from.
        l1_regularization_strength, l2_regularization_strength: l1 and l2.
        l2_shrinkage_regularization_strength: 2 x times this is added to dx in z.
        beta: see the formula.

    >>> x = Tensor([1.0])
    >>> Ftrl(learning_rate=0.5, initial_accumulator_value=0.0).apply([[4.0]], [x])
    >>> x.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        if finite("learning_rate_power", learning_rate_power) > 0:
            raise ValueError(
                f"learning_rate_power: expected a number <= 0, got {learning_rate_power!r}"
            )
        self.learning_rate_power = learning_rate_power
        self.initial_accumulator_value = at_least_0(
            "initial_accumulator_value", initial_accumulator_value
        )
        self.l1_regularization_strength = at_least_0(
            "l1_regularization_strength", l1_regularization_strength
        )
        self.l2_regularization_strength = at_least_0(
            "l2_regularization_strength", l2_regularization_strength
        )
        self.l2_shrinkage_regularization_strength = at_least_0(
            "l2_shrinkage_regularization_strength", l2_shrinkage_regularization_strength
        )
        self.beta = at_least_0("beta", beta)
        self._accumulators: list[Variable] = []
        self._linears: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        start = Constant(self.initial_accumulator_value)
        self._accumulators = self.add_optimizer_variables(variables, "accumulator", start)
        self._linears = self.add_optimizer_variables(variables, "linear")

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        x, v, z = variable.data, self._accumulators[at].data, self._linears[at].data
        rate, l1 = kind(learning_rate), kind(self.l1_regularization_strength)
        power = kind(-self.learning_rate_power)
        grown = v + np.square(gradient)
        z += gradient + kind(2 * self.l2_shrinkage_regularization_strength) * x
        z -= (grown**power - v**power) / rate * x
        l2 = self.l2_regularization_strength + self.beta / (2 * learning_rate)
        x[...] = (np.clip(z, -l1, l1) - z) / (grown**power / rate + kind(2 * l2))
        v[...] = grown


class Adafactor(Optimizer):
    """Adam that keeps a number for each row and column of a matrix (Shazeer and Stern 2018).

    Args:
        learning_rate: see `Optimizer`, also for the other arguments.
        beta_2_decay: the mean of squared gradients forgets by 1 - t**beta_2_decay.
        epsilon_1: is added to squared gradients.
        epsilon_2: a weight counts as at least so large; steps are as large as weights are.
        clip_threshold: how large steps may be, by the root of their mean square.
        relative_step: let the rate be 1 / sqrt(t) at most.

    >>> x = Tensor([[1.0, 3.0]])
    >>> Adafactor(learning_rate=0.5).apply([[[4.0, 0.0]]], [x])
    >>> x.data.round(4)
    array([[-0.118,  3.   ]], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(learning_rate, **options)
        self.beta_2_decay = finite("beta_2_decay", beta_2_decay)
        self.epsilon_1 = at_least_0("epsilon_1", epsilon_1)
        self.epsilon_2 = at_least_0("epsilon_2", epsilon_2)
        self.clip_threshold = at_least_0("clip_threshold", clip_threshold)
        self.relative_step = bool(relative_step)
        self._r: list[Variable] = []
        self._c: list[Variable] = []
        self._v: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._r, self._c, self._v = [], [], []
        for variable in variables:
            shape, name = variable.shape, (variable.name or "variable").replace("/", "_")
            matrix = len(shape) >= 2
            for kept, size, what in (
                (self._r, shape[:-1] if matrix else (0,), "r"),
                (self._c, shape[:-2] + shape[-1:] if matrix else (0,), "c"),
                (self._v, (0,) if matrix else shape, "v"),
            ):
                kept.append(self.add_variable(size, dtype=variable.dtype, name=f"{name}_{what}"))

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        x, t = variable.data, int(self.iterations.data) + 1
        rate = min(learning_rate, 1 / math.sqrt(t)) if self.relative_step else learning_rate
        keep = 1 - t**self.beta_2_decay
        squares = np.square(gradient) + kind(self.epsilon_1)
        if x.ndim >= 2:
            r, c = self._r[at].data, self._c[at].data
            r += (squares.mean(-1) - r) * (1 - keep)
            c += (squares.mean(-2) - c) * (1 - keep)
            v = (r / r.mean(-1, keepdims=True))[..., None] * c[..., None, :]
        else:
            v = self._v[at].data
            v += (squares - v) * (1 - keep)
        step = gradient / np.sqrt(v)
        step /= max(kind(1), _root_mean_square(step) / kind(self.clip_threshold))
        x -= kind(rate) * max(kind(self.epsilon_2), _root_mean_square(x)) * step


def _root_mean_square(x: Array) -> np.floating[Any]:
    root: np.floating[Any] = np.sqrt(np.mean(np.square(x)))
    return root
