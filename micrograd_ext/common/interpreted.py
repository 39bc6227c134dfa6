"""MICROGRAD_EXT_PURE=1: run engine.py as it is written, not what Cython made of it."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

ENGINE = f"{__package__.partition('.')[0]}.engine"


def load_as_written(name: str) -> ModuleType:
    """Import engine.py, not what Cython made of it, as module `name`."""
    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / "engine.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"no loader for {name}")
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def choose_engine() -> None:
    """Load engine.py under its usual name, if the environment asks for it as it is written."""
    if os.environ.get("MICROGRAD_EXT_PURE", "0") not in ("", "0"):
        load_as_written(ENGINE)
