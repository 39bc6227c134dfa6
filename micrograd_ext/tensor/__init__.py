"""Tensors: arrays that remember how they were computed, and what makes ops on them."""

from .op import apply, op
from .recording import is_grad_enabled, no_grad
from .tensor import Array, Axis, Tensor, TensorLike

__all__ = ["Array", "Axis", "Tensor", "TensorLike", "apply", "is_grad_enabled", "no_grad", "op"]
