"""Arguments that many functions take: names of things ('relu', 'adam', ...), and counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def find(what: str, table: Mapping[str, T], name: Any) -> T:
    """The entry called `name`; ValueError that lists the names there are, TypeError if no string.

    >>> find("fruit", {"apple": 1}, "apple")
    1
    """
    if not isinstance(name, str):
        raise TypeError(f"{what}: expected a name or an object of the kind, got {name!r}")
    if name not in table:
        raise ValueError(f"{what}: expected one of {', '.join(sorted(table))}, got {name!r}")
    return table[name]


def positive(what: str, value: Any) -> int:
    """A whole number >= 1, from Python or numpy; ValueError for anything else.

    >>> positive("fit: epochs", 3)
    3
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{what}: expected a whole number >= 1, got {value!r}")
    return int(value)
