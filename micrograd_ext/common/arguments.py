"""Checks of arguments that many functions take: numbers, pairs, axes, dtypes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np


def whole(what: str, value: Any, least: int = 0) -> int:
    """A whole number >= least, from Python or numpy; ValueError for anything else.

    >>> whole("fit: epochs", 3)
    3
    """
    good = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not good or value < least:
        raise ValueError(f"{what}: expected a whole number >= {least}, got {value!r}")
    return int(value)


def positive(what: str, value: Any) -> int:
    """A whole number >= 1."""
    return whole(what, value, 1)


def pair(what: str, value: Any) -> tuple[int, int]:
    """(height, width), whole numbers >= 1, from one number for both, or two.

    >>> pair("strides", 2)
    (2, 2)
    """
    if isinstance(value, Sequence):
        if isinstance(value, str) or len(value) != 2:
            raise ValueError(f"{what}: expected a number or two (height, width), got {value!r}")
        return positive(what, value[0]), positive(what, value[1])
    return (positive(what, value),) * 2


def at_least_0(what: str, value: Any, most: float = math.inf) -> float:
    """A number from 0 to most; ValueError for anything else, and for nan.

    >>> at_least_0("learning_rate", 0.5)
    0.5
    """
    number = _real(value)
    if not 0 <= number <= most:
        limit = ">= 0" if most == math.inf else f"from 0 to {most:g}"
        raise ValueError(f"{what}: expected a number {limit}, got {value!r}")
    return number


def finite(what: str, value: Any) -> float:
    """A number, neither infinite nor nan; ValueError for anything else.

    >>> finite("offset", -1)
    -1.0
    """
    number = _real(value)
    if not math.isfinite(number):
        raise ValueError(f"{what}: expected a finite number, got {value!r}")
    return number


def _real(value: Any) -> float:
    """A number as float64; nan for what is none, or too large. One in a Variable counts as well."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()
    good = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    try:
        return float(value) if good else math.nan
    except OverflowError:
        return math.nan


def float32_only(what: str, dtype: Any) -> str:
    """'float32', of None or any name of it; ValueError for another type.

    >>> float32_only("dtype", None)
    'float32'
    """
    try:
        good = dtype is None or np.dtype(dtype) == np.float32
    except TypeError:
        good = False
    if not good:
        raise ValueError(
            f"{what}: expected None or 'float32', in which this package computes, got {dtype!r}"
        )
    return "float32"


def seed_or_none(value: Any) -> int | None:
    """What starts a random stream: a whole number >= 0, or None for no stream of its own."""
    return None if value is None else whole("seed", value)


def channels_last_only(what: str, data_format: Any) -> None:
    """Raise ValueError for a data_format that is neither None nor 'channels_last'.

    >>> channels_last_only("conv2d", "channels_last")
    """
    if data_format not in (None, "channels_last"):
        raise ValueError(
            f"{what}: data_format: expected 'channels_last', images (N, H, W, C), "
            f"got {data_format!r}"
        )


def below_1(name: str, value: Any) -> float:
    """A number from 0 to 1, but not 1.

    >>> below_1("beta_1", 0.9)
    0.9
    """
    if at_least_0(name, value, most=1) == 1:
        raise ValueError(f"{name}: expected a number below 1, got {value!r}")
    return value  # type: ignore[no-any-return]


def axis_of(shape: tuple[int, ...], axis: Any) -> int:
    """An axis of that shape, counted from the front; TypeError, ValueError if there is none.

    >>> axis_of((3, 5), -1)
    1
    """
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis: expected a whole number, got {axis!r}") from None
    if not -len(shape) <= index < len(shape):
        raise ValueError(f"axis {axis} is out of bounds for shape {shape}")
    return index % len(shape)
