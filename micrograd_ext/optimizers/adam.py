"""Adam, and Adam with weights that decay by themselves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import kernels
from ..common.arguments import at_least_0, below_1
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from .base import LearningRate, Optimizer

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), in the form before their section 2.1.

    m += (dx - m) (1 - beta_1); v += (dx**2 - v) (1 - beta_2);
    x -= learning_rate sqrt(1 - beta_2**t) / (1 - beta_1**t) * m / (sqrt(v) + epsilon).

    With amsgrad, the largest v so far stands for v there (Reddi et al. 2018). Other arguments are
    those of `Optimizer`.

    >>> x = Tensor([1.0])
    >>> Adam().apply([[3.0]], [x])
    >>> x.data
    array([0.999], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        self.beta_1, self.beta_2 = below_1("beta_1", beta_1), below_1("beta_2", beta_2)
        self.epsilon = at_least_0("epsilon", epsilon)
        self.amsgrad = bool(amsgrad)
        self._momentums: list[Variable] = []
        self._velocities: list[Variable] = []
        self._velocity_hats: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._momentums, self._velocities = self.add_optimizer_variables(
            variables, ["momentum", "velocity"]
        )
        if self.amsgrad:
            self._velocity_hats = self.add_optimizer_variables(variables, "velocity_hat")

    def _factor(self, learning_rate: float) -> float:
        """The rate, with what m and v lack as they start from 0."""
        t = int(self.iterations.data) + 1
        return learning_rate * math.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        at = self._get_variable_index(variable)
        x, m, v = variable.data, self._momentums[at].data, self._velocities[at].data
        rate = self._factor(learning_rate)
        if self.amsgrad:
            largest = self._velocity_hats[at].data
            m += (gradient - m) * (1 - self.beta_1)
            v += (gradient * gradient - v) * (1 - self.beta_2)
            np.maximum(largest, v, out=largest)
            x -= m * rate / (np.sqrt(largest) + self.epsilon)
            return
        dx = gradient.copy() if np.may_share_memory(x, gradient) else gradient
        wx, wdx, wm, wv = (np.asarray(array, x.dtype, order="C") for array in (x, dx, m, v))
        kernels.adam(wx, wdx, wm, wv, rate, self.beta_1, self.beta_2, self.epsilon)
        for array, new in ((x, wx), (m, wm), (v, wv)):
            if new is not array:  # it was not dense
                array[...] = new

    @property
    def plain(self) -> bool:
        """See `Optimizer.plain`."""
        return super().plain and not self.amsgrad

    def fused_slots(self) -> list[list[Variable]]:
        """See `Optimizer.fused_slots`."""
        return [self._momentums, self._velocities]

    def fused_step(self) -> tuple[float, dict[str, float]]:
        """See `Optimizer.fused_step`."""
        factor = self._factor(self._rate())
        self._iterations.data += 1
        return factor, self.hyperparameters()

    def hyperparameters(self) -> dict[str, float]:
        """See `Optimizer.hyperparameters`."""
        return {"beta_1": self.beta_1, "beta_2": self.beta_2, "epsilon": self.epsilon}


class AdamW(Adam):
    """Adam, with weights that decay by themselves (Loshchilov and Hutter 2019).

    Arguments are those of `Adam`, with a weight_decay.

    >>> x = Tensor([1.0])
    >>> AdamW(learning_rate=0.5, weight_decay=0.5).apply([[0.0]], [x])
    >>> x.data
    array([0.75], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
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
        if weight_decay is None:
            raise ValueError("AdamW: weight_decay: expected a number, got None")
        super().__init__(
            learning_rate,
            beta_1,
            beta_2,
            epsilon,
            amsgrad,
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
