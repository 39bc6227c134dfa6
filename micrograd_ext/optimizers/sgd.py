"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..common.arguments import at_least_0
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from .base import LearningRate, Optimizer

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent: x -= learning_rate * dx.

    With momentum, v = momentum * v - learning_rate * dx and x += v; with nesterov,
    x += momentum * v - learning_rate * dx (Sutskever et al. 2013). Other arguments are those of
    `Optimizer`.

    >>> x = Tensor([1.0])
    >>> SGD(learning_rate=0.5).apply([[1.0]], [x])
    >>> x.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
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
        self.momentum = at_least_0("momentum", momentum, most=1)
        self.nesterov = bool(nesterov)
        self._momentums: list[Variable] = []

    def build(self, variables: Sequence[Tensor]) -> None:
        """See `Optimizer.build`."""
        super().build(variables)
        self._momentums = (
            self.add_optimizer_variables(variables, "momentum") if self.momentum else []
        )

    def update_step(self, gradient: Array, variable: Variable, learning_rate: float) -> None:
        """See `Optimizer.update_step`."""
        step = gradient * -learning_rate
        if self._momentums:
            v = self._momentums[self._get_variable_index(variable)].data
            v *= self.momentum
            v += step
            step = self.momentum * v + step if self.nesterov else v
        variable.data += step

    def fused_slots(self) -> list[list[Variable]]:
        """See `Optimizer.fused_slots`."""
        return [self._momentums] if self._momentums else []

    def hyperparameters(self) -> dict[str, float]:
        """See `Optimizer.hyperparameters`."""
        return {"momentum": self.momentum, "nesterov": self.nesterov}
