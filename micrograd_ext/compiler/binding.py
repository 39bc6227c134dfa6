"""Where the weights of a model are, for the steps of its program."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from operator import is_

import numpy as np

from .. import optimizers
from ..tensor import Array, Tensor
from ..tensor.variable import Variable
from ._executor import aligned

ALIGNMENT = 16  # numbers: a weight begins on a 64-byte boundary of the flat buffers


class Binding:
    """Which arrays the steps of a program read and write for the weights of a model.

    Those that training adjusts, their gradients and what the optimizer remembers of them have a
    flat array each, of which the Tensors' data, and the optimizer's, become views. The others stay
    where they are. The binding is stale when a Tensor or the optimizer has another array by now.

    Args:
        variables: the weights that training adjusts.
        optimizer: what adjusts them; None if nothing does.
    """

    def __init__(self, variables: Sequence[Tensor], optimizer: optimizers.Optimizer | None) -> None:
        self.variables, self.optimizer = list(variables), optimizer
        self.frozen: list[tuple[Tensor, Array]] = []
        sizes = [-(-v.size // ALIGNMENT) * ALIGNMENT for v in self.variables]
        self._starts = np.cumsum([0, *sizes]).tolist()
        self.values, self.gradients = (aligned(self._starts[-1]) for _ in range(2))
        self.slots = [aligned(self._starts[-1]) for _ in self._optimizer_slots()]
        self._bound_slots: list[list[Variable]] = []
        self._weights = list(self._views(self.values))
        self._memory = [list(self._views(flat)) for flat in self.slots]
        self.grads = list(self._views(self.gradients))
        self.of = {
            id(v): (w, g) for v, w, g in zip(variables, self._weights, self.grads, strict=True)
        }

    def _views(self, flat: Array) -> Iterator[Array]:
        for start, variable in zip(self._starts, self.variables, strict=False):
            yield flat[start : start + variable.size].reshape(variable.shape)

    def span(self, variables: Sequence[Tensor]) -> slice:
        """Where variables that follow each other have their numbers in the flat arrays."""
        at = next(i for i, v in enumerate(self.variables) if v is variables[0])
        return slice(self._starts[at], self._starts[at + len(variables)])

    def _optimizer_slots(self) -> list[list[Variable]]:
        return [] if self.optimizer is None else self.optimizer.fused_slots()

    # Both are asked for each batch: loops take half the time that all() of a generator takes.

    @property
    def fits(self) -> bool:
        """Whether the weights still have shapes and types that the steps can work on."""
        for v, view in zip(self.variables, self._weights, strict=True):
            if not v.requires_grad or v.dtype != np.float32 or v.shape != view.shape:
                return False
        for v, array in self.frozen:
            if v.data is not array and not (
                v.data.shape == array.shape
                and v.data.dtype == array.dtype
                and v.data.flags.c_contiguous
            ):
                return False
        return True

    @property
    def stale(self) -> bool:
        """Whether a weight, or the optimizer, has another array than the steps use."""
        for v, array in self.frozen:
            if v.data is not array:
                return True
        for v, view in zip(self.variables, self._weights, strict=True):
            if v.data is not view:
                return True
        slots = self._optimizer_slots()
        return len(slots) != len(self._bound_slots) or not all(map(is_, slots, self._bound_slots))

    def rebind(self) -> dict[int, Array]:
        """Bring the numbers of the flat arrays up to date, and the views into their places.

        Returns:
            What the steps have to read instead of an array of a frozen weight, by its id.

        Raises ValueError if a weight has a shape or a type by now that the steps cannot work on.
        """
        if not self.fits:
            raise ValueError("fit: a weight was given data of another shape or dtype meanwhile")
        for variable, view in zip(self.variables, self._weights, strict=True):
            if variable.data is not view:
                view[...] = variable.data
                variable.data = view
        self._bound_slots = self._optimizer_slots()
        for slot, views in zip(self._bound_slots, self._memory, strict=True):
            for held, view in zip(slot, views, strict=True):
                if held.data is not view:
                    view[...] = held.data
                    held.data = view
        moved = {id(array): v.data for v, array in self.frozen if v.data is not array}
        self.frozen = [(v, v.data) for v, _ in self.frozen]
        return moved
