"""Names to things: 'relu', 'adam', 'categorical_crossentropy', ..."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

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
