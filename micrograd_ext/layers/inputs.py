"""The first entry of a model: what shape and type of examples it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..common import naming
from ..common.arguments import positive
from ..tensor import Tensor
from .base import SameShape, Shape

__all__ = ["Input", "InputLayer"]


class InputLayer(SameShape):
    """Says what shape of examples a model takes; see `Input`."""

    def __init__(
        self,
        shape: Sequence[int | None] | None = None,
        batch_size: int | None = None,
        dtype: Any = None,
        batch_shape: Sequence[int | None] | None = None,
        *,
        sparse: bool | None = None,
        input_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        if sparse:
            raise ValueError(
                f"Input: sparse: expected False, as inputs are dense here, got {sparse!r}"
            )
        shape = input_shape if shape is None else shape  # its name in Keras 2
        if (shape is None) == (batch_shape is None):
            raise ValueError(
                "Input: expected either shape, without the batch, or batch_shape, "
                f"got {shape!r} and {batch_shape!r}"
            )
        if batch_shape is not None:
            if batch_size is not None:
                raise ValueError("Input: batch_size: expected none beside batch_shape")
            batch_size, *shape = _sizes("batch_shape", batch_shape)
        assert shape is not None
        super().__init__(name=name or naming.unique_name("input_layer"))
        self.shape = _sizes("shape", shape)
        self.batch_size = None if batch_size is None else positive("Input: batch_size", batch_size)
        self.input_shape = (self.batch_size, *self.shape)
        self.input_dtype = input_dtype_of("Input", dtype)

    @property
    def batch_shape(self) -> Shape:
        """The shape of a batch."""
        return self.batch_size, *self.shape

    def call(self, inputs: Tensor) -> Tensor:
        """The inputs themselves."""
        return inputs

    def get_config(self) -> dict[str, Any]:
        """The arguments that make another one."""
        config: dict[str, Any] = {"shape": list(self.shape), "name": self.name}
        if self.batch_size is not None:
            config["batch_size"] = self.batch_size
        if self.input_dtype != np.float32:
            config["dtype"] = str(self.input_dtype)
        return config


def _sizes(argument: str, shape: Any) -> Shape:
    """The sizes of a shape; ValueError for what is none."""
    if isinstance(shape, str) or not isinstance(shape, Sequence):
        raise ValueError(f"Input: {argument}: expected a shape such as (28, 28, 1), got {shape!r}")
    return tuple(None if n is None else positive(f"Input: {argument}", n) for n in shape)


def input_dtype_of(what: str, dtype: Any) -> np.dtype[Any]:
    """What inputs become: float32, or whole numbers if that is asked for; ValueError for others."""
    try:
        kind = np.dtype(np.float32 if dtype is None else dtype)
    except TypeError:
        kind = np.dtype(object)
    if kind.kind not in "iub" and kind != np.float32:
        raise ValueError(
            f"{what}: dtype: expected 'float32', a type of whole numbers or 'bool', got {dtype!r}"
        )
    return kind


def Input(  # noqa: N802 - Keras's name
    shape: Sequence[int | None] | None = None,
    batch_size: int | None = None,
    dtype: Any = None,
    sparse: bool | None = None,
    batch_shape: Sequence[int | None] | None = None,
    name: str | None = None,
) -> InputLayer:
    """The first entry of a model: the shape of one example, without the batch.

    Args:
        shape: that of an example.
        batch_size: examples in a batch, as shapes show it; models take batches of any size.
        dtype: what inputs become: 'float32' by default; or a type of whole numbers or bool.
        sparse: None or False: inputs are dense.
        batch_shape: (batch_size, *shape), instead of both.
        name: what it is called.

    >>> Input(shape=(28, 28, 1)).input_shape
    (None, 28, 28, 1)
    """
    return InputLayer(shape, batch_size, dtype, batch_shape, sparse=sparse, name=name)
