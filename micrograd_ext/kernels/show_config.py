"""What this installation is made of."""

from __future__ import annotations

import platform
from typing import Any

import numpy as np

from ..common.version import VERSION
from ._kernels import config


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Print version, compiler, instruction sets and threads; what a bug report needs.

    Args:
        mode: 'stdout' prints; 'dicts' returns the same as a dictionary (as numpy.show_config).

    >>> sorted(show_config(mode="dicts"))
    ['compiler', 'isa', 'isas available', 'numpy', 'python', 'threads', 'version']
    """
    if mode not in ("stdout", "dicts"):
        raise ValueError(f"show_config: mode: expected 'stdout' or 'dicts', got {mode!r}")
    versions = {
        "version": VERSION,
        "python": f"{platform.python_version()} ({platform.machine()}, {platform.system()})",
        "numpy": np.__version__,
        **config(),
    }
    if mode == "dicts":
        return versions
    for name, value in versions.items():
        if isinstance(value, list):
            value = ", ".join(value)  # noqa: PLW2901
        print(f"{name + ':':16}{value}")
    return None
