"""What has to happen before the rest of the package is imported; importing this does it."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy  # noqa: F401 - so that its own errors are not taken for ours

from . import _pure

COMPILED = ("_kernels", "_program", "_tape")


def fault_of(name: str) -> str:
    """What is wrong with a compiled module, in words; '' if it is there, with all its .pyi has.

    A clone that was never built, and one that was built before the last pull, are what people have.
    """
    here = Path(__file__).parent
    missing = f"is not built for this Python, {sys.implementation.cache_tag}"
    try:
        module = import_module(f"{__package__}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.{name}":
            raise
        return missing
    except ImportError as error:
        if name == "_kernels" and error.path is None:
            raise  # its own words, on MICROGRAD_EXT_ISA; loaders' have a path
        return f"was built from other sources or for another machine: {error}"
    if Path(module.__file__ or here / name).parent != here:
        return missing  # an editable install of another clone lent its own
    stub = here / f"{name}.pyi"
    declared = stub.read_text("utf-8") if stub.exists() else ""  # not there in some bundles
    for found in re.finditer(r"^(?:def |class )?([A-Za-z]\w*)[(:]", declared, re.MULTILINE):
        if not hasattr(module, found[1]):
            return f"was built from other sources: it has no {found[1]!r}"
    return ""


def check_compiled() -> None:
    """Raise ImportError that says how to build what is not there or does not fit."""
    for name in COMPILED:
        if fault := fault_of(name):
            place = Path(__file__).resolve().parents[1]
            mend = "Install the package anew, with this Python's pip"
            if (place / "setup.py").exists():  # a clone; Python finds it before what is installed
                mend = "There, run: pip install -e . Is it installed elsewhere? Leave that folder"
            raise ImportError(f"{__package__}.{name} of {place} {fault}. {mend}")


_pure.choose_engine()
check_compiled()
