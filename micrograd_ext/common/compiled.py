"""Whether the compiled modules are there, and such as the rest of the package needs."""

from __future__ import annotations

import re
import sys
from importlib import import_module
from pathlib import Path

import numpy  # noqa: F401 - so that its own errors are not taken for ours

PACKAGE = __package__.partition(".")[0]
COMPILED = ("kernels._kernels", "compiler._executor", "scalar._tape")


def fault_of(name: str) -> str:
    """What is wrong with a compiled module, in words; '' if it is there, with all its .pyi has.

    A clone that was never built, and one that was built before the last pull, are what people have.
    """
    *folders, last = name.split(".")
    here = Path(__file__).parents[1].joinpath(*folders)
    missing = f"is not built for this Python, {sys.implementation.cache_tag}"
    try:
        module = import_module(f"{PACKAGE}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{PACKAGE}.{name}":
            raise
        return missing
    except ImportError as error:
        if last == "_kernels" and error.path is None:
            raise  # its own words, on MICROGRAD_EXT_ISA; loaders' have a path
        return f"was built from other sources or for another machine: {error}"
    if Path(module.__file__ or here / last).parent != here:
        return missing  # an editable install of another clone lent its own
    stub = here / f"{last}.pyi"
    declared = stub.read_text("utf-8") if stub.exists() else ""  # not there in some bundles
    for match in re.finditer(r"^(?:def |class )?([A-Za-z]\w*)[(:]", declared, re.MULTILINE):
        if not hasattr(module, match[1]):
            return f"was built from other sources: it has no {match[1]!r}"
    return ""


def check_compiled() -> None:
    """Raise ImportError that says how to build what is not there or does not fit."""
    for name in COMPILED:
        if fault := fault_of(name):
            place = Path(__file__).resolve().parents[2]
            mend = "Install the package anew, with this Python's pip"
            if (place / "setup.py").exists():  # a clone; Python finds it before what is installed
                mend = "There, run: pip install -e . Is it installed elsewhere? Leave that folder"
            raise ImportError(f"{PACKAGE}.{name} of {place} {fault}. {mend}")
