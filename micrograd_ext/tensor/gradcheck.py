"""Is a gradient right? Backward passes against central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ..common.arguments import finite
from . import Array, Tensor, TensorLike, no_grad

__all__ = ["gradcheck"]


def gradcheck(
    f: Callable[..., Tensor],
    *inputs: TensorLike,
    eps: float = 1e-6,
    atol: float = 1e-6,
    rtol: float = 1e-5,
) -> bool:
    """Check the gradients of f at the given inputs, element by element.

    f's value is projected on a fixed random direction of its own shape, so that one backward
    pass serves an f of any shape; then each input element is moved by eps to both sides.

    Args:
        f: takes as many Tensors as there are inputs, returns a Tensor. Must be smooth within
            eps of the inputs: keep ties and kinks away.
        inputs: Tensors, arrays or numbers; converted to float64 (the originals stay as they are).
        eps: half the step of the central difference.
        atol: see rtol.
        rtol: |backward - difference| may be atol + rtol * |difference|.

    Returns:
        True.

    Raises:
        AssertionError: a gradient is wrong; says which element, what was expected and what came.
        TypeError: f returns no Tensor. ValueError: f computes in float32, where differences say
            nothing.

    >>> from micrograd_ext import ops
    >>> gradcheck(lambda x, w: ops.tanh(x @ w), [[1.0, 2.0]], [[0.5], [-0.3]])
    True
    """
    if not finite("gradcheck: eps", eps) > 0:
        raise ValueError(f"gradcheck: eps: expected a number > 0, got {eps!r}")
    points = [Tensor(np.array(_data(x), np.float64)) for x in inputs]
    y = f(*points)
    if not isinstance(y, Tensor):
        raise TypeError(f"gradcheck: f: expected it to return a Tensor, got {type(y).__name__}")
    if y.dtype != np.float64:
        raise ValueError(f"gradcheck: f: expected float64 throughout, got a result of {y.dtype}")
    direction = np.random.default_rng(0).standard_normal(y.shape)
    y.backward(direction)
    for number, x in enumerate(points):
        gradient = np.zeros(x.shape) if x.grad is None else x.grad
        for index, expected in _differences(f, points, x, direction, eps):
            if not abs(gradient[index] - expected) <= atol + rtol * abs(expected):
                raise AssertionError(
                    f"gradcheck: input {number}, element {index}: backward gives "
                    f"{gradient[index]:.10g}, central differences give {expected:.10g}"
                )
    return True


def _data(x: TensorLike) -> TensorLike:
    return x.data if isinstance(x, Tensor) else x


def _differences(
    f: Callable[..., Tensor], points: list[Tensor], x: Tensor, direction: Array, eps: float
) -> Iterator[tuple[tuple[int, ...], float]]:
    for index in np.ndindex(x.shape):
        middle = x.data[index]
        sides = []
        for side in (middle + eps, middle - eps):
            x.data[index] = side
            with no_grad():
                sides.append(f(*points).data.copy())  # f may return a view of x
        x.data[index] = middle
        yield index, float(((sides[0] - sides[1]) * direction).sum()) / (2 * eps)
