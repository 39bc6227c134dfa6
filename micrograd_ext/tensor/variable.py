"""`Variable`: a Tensor with numbers of its own, to which others may be assigned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from . import Array, Tensor, TensorLike

__all__ = ["Variable"]


class Variable(Tensor):
    """A weight, a moving mean, a count of steps: what a layer, metric or optimizer keeps.

    Names and arguments are Keras's. Its numbers are a copy of those it is given, and stay in one
    place: `assign` writes into it.

    Args:
        initializer: numbers; or a function shape -> numbers, which needs `shape`.
        shape: its shape, where `initializer` is a function.
        dtype: float32 by default; see `Tensor` for others.
        trainable: whether `backward` computes a gradient for it; of floats only.
        name: what it is called.

    Attributes:
        regularizer: a function of it that the layer adds to the loss, or None.
        constraint: a function of it that optimizers apply after each step, or None.

    Raises:
        ValueError: numbers of another shape.

    >>> count = Variable([1.0, 2.0], trainable=False)
    >>> count.assign_add([10.0, 10.0]).numpy()
    array([11., 12.], dtype=float32)
    """

    __slots__ = ("constraint", "regularizer")

    def __init__(
        self,
        initializer: TensorLike | Callable[[Sequence[int]], TensorLike],
        shape: Sequence[int] | None = None,
        dtype: npt.DTypeLike | None = None,
        trainable: bool = True,
        name: str | None = None,
    ) -> None:
        values = initializer
        if callable(initializer):
            if shape is None:
                raise ValueError(
                    "Variable: shape: expected one, as initializer is a function of it"
                )
            values = initializer(tuple(shape))
        super().__init__(values, trainable, name, dtype)
        if shape is not None and self.shape != tuple(shape):
            raise ValueError(
                f"{name or 'Variable'}: initializer: expected numbers of shape {tuple(shape)}, "
                f"got {self.shape}"
            )
        self.data = np.array(self.data, order="C")
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], TensorLike] | None = None

    @property
    def trainable(self) -> bool:
        """Whether a gradient is computed for it."""
        return self.requires_grad

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self.requires_grad = bool(value) and self.dtype.kind == "f"

    @property
    def path(self) -> str:
        """Its name, with that of the layer it is in: 'dense/kernel'."""
        return self.name or ""

    @property
    def value(self) -> Variable:
        """Itself, so that gradients flow; `numpy()` has its numbers."""
        return self

    def numpy(self) -> Array:
        """A copy of its numbers."""
        return self.data.copy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        # a copy, unless it is asked not to be: what one looked at shall not change under training
        if copy is False:
            return super().__array__(dtype, copy)
        return np.array(self.data, dtype=dtype)

    def assign(self, value: TensorLike) -> Variable:
        """Take other numbers, of the same shape; returns itself.

        Raises ValueError for another shape, TypeError for what are no numbers.
        """
        self.data[...] = self._like_it("assign", value)
        return self

    def assign_add(self, value: TensorLike) -> Variable:
        """Add numbers, of the same shape; returns itself."""
        self.data += self._like_it("assign_add", value)
        return self

    def assign_sub(self, value: TensorLike) -> Variable:
        """Take numbers away, of the same shape; returns itself."""
        self.data -= self._like_it("assign_sub", value)
        return self

    def _like_it(self, caller: str, value: TensorLike) -> Array:
        """Numbers as an array of the same shape and type."""
        array = value.data if isinstance(value, Tensor) else np.asarray(value)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{self._called}: {caller}: expected numbers, got {value!r}")
        if array.shape != self.shape:
            raise ValueError(
                f"{self._called}: {caller}: expected numbers of shape {self.shape}, "
                f"got shape {array.shape}"
            )
        return array.astype(self.dtype, copy=False)

    @property
    def _called(self) -> str:
        return self.name or type(self).__name__
