"""RMSprop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common.arguments import at_least_0
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from .base import LearningRate, Optimizer

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """Steps divided by the root of a moving mean of squared gradients (Hinton 2012, lecture 6e).

    v = rho v + (1 - rho) dx**2; x -= learning_rate dx / sqrt(v + epsilon). If `centered`, from v is
    taken the square of a moving mean of dx. With momentum, steps are added to a velocity. Other
    arguments are those of `Optimizer`.

    >>> x = Tensor([1.0])
    >>> RMSprop(learning_rate=0.1, rho=0.75).apply([[3.0]], [x])
    >>> x.data
    array([0.8], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        loss_scale_factor: float | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            learning_rate,
            weight_decay,
            clipnorm,
            clipvalue,
            global_clipnorm,
            use_ema,
            ema_momentum,
            ema_overwrite_frequency,
            loss_scale_factor,
            gradient_accumulation_steps,
            name,
            **kwargs,
        )
        self.rho = at_least_0("rho", rho, most=1)
        self.momentum = at_least_0("momentum", momentum, most=1)
        self.epsilon = at_least_0("epsilon", epsilon)
        self.centered = bool(centered)
        self._velocities: list[Variable] = []
        self._momentums: list[Variable] = []
        self._average_gradients: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._velocities = self.add_optimizer_variables(variables, "velocity")
        if self.momentum:
            self._momentums = self.add_optimizer_variables(variables, "momentum")
        if self.centered:
            self._average_gradients = self.add_optimizer_variables(variables, "average_gradient")

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at, kind = self._get_variable_index(variable), variable.dtype.type
        v = self._velocities[at].data
        v *= self.rho
        v += (1 - self.rho) * np.square(gradient)
        below = v + kind(self.epsilon)
        if self._average_gradients:
            mean = self._average_gradients[at].data
            mean *= self.rho
            mean += (1 - self.rho) * gradient
            below -= np.square(mean)
        step = kind(learning_rate) * gradient / np.sqrt(below)
        if self._momentums:
            velocity = self._momentums[at].data
            velocity *= self.momentum
            velocity += step
            step = velocity
        variable.data -= step
