"""Names that objects have when nobody gives them one: 'dense', 'dense_1', ..., as in Keras."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

_names: Counter[str] = Counter()


def snake(name: str) -> str:
    """MaxPooling2D -> max_pooling2d, RMSNorm -> rms_norm.

    >>> snake("MaxPooling2D"), snake("AdamW")
    ('max_pooling2d', 'adam_w')
    """
    return re.sub(r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def unique_name(kind: str) -> str:
    """Kind, kind_1, kind_2, ... in the order of creation."""
    count = _names[kind]
    _names[kind] += 1
    return f"{kind}_{count}" if count else kind


def name_for(thing: object) -> str:
    """A name of its own for an object, after its class."""
    return unique_name(snake(type(thing).__name__))


@contextmanager
def aside() -> Iterator[None]:
    """What is named within is as if it had not been."""
    names = _names.copy()
    try:
        yield
    finally:
        _names.clear()
        _names.update(names)
