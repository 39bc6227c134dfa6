"""`math`'s functions with IEEE 754's answers where Python raises: inf and nan, as in C and numpy.

The engine uses these when it runs interpreted; compiled, it calls the C library's own.
"""

from __future__ import annotations

import math
from math import copysign, fabs, inf, nan, tanh

__all__ = ["NAN", "cos", "divide", "exp", "fabs", "log", "pow", "sin", "sqrt", "tanh"]

NAN = nan  # as C calls it


def exp(x: float) -> float:
    """e ** x, inf where it is too large.

    >>> exp(1000.0)
    inf
    """
    try:
        return math.exp(x)
    except OverflowError:
        return inf


def log(x: float) -> float:
    """Natural logarithm: -inf for 0, nan below.

    >>> log(0.0), log(-1.0)
    (-inf, nan)
    """
    if x > 0:
        return math.log(x)
    return -inf if x == 0 else nan


def sqrt(x: float) -> float:
    """Square root, nan below 0.

    >>> sqrt(-1.0)
    nan
    """
    return nan if x < 0 else math.sqrt(x)


def sin(x: float) -> float:
    """Sine, nan for an infinite angle.

    >>> sin(inf)
    nan
    """
    return nan if math.isinf(x) else math.sin(x)


def cos(x: float) -> float:
    """Cosine, nan for an infinite angle.

    >>> cos(inf)
    nan
    """
    return nan if math.isinf(x) else math.cos(x)


def divide(x: float, y: float) -> float:
    """x / y; by zero inf with the sign that x and y make, or nan for 0 / 0.

    >>> divide(-1.0, 0.0), divide(0.0, 0.0)
    (-inf, nan)
    """
    if y != 0:
        return x / y
    return nan if x == 0 or x != x else copysign(inf, x) * copysign(1.0, y)


def pow(x: float, y: float) -> float:
    """x ** y as C's pow has it.

    >>> pow(0.0, -1.0), pow(-8.0, 1 / 3), pow(10.0, 1000.0), pow(-10.0, 1001.0)
    (inf, nan, inf, -inf)
    """
    odd = y % 2 == 1 if math.isfinite(y) else False
    try:
        return math.pow(x, y)
    except OverflowError:
        return -inf if x < 0 and odd else inf
    except ValueError:  # 0 to a negative power, or a negative number to a fraction
        if x != 0:
            return nan
        return copysign(inf, x) if odd else inf
