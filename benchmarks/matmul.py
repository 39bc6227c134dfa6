"""Square matrix products in float32, beside numpy and PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import micrograd_ext
from micrograd_ext import _kernels

from ._timing import OURS, Result, import_torch, line, repeated

ROUNDS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for each size."""
    micrograd_ext.show_config()
    torch = import_torch(micrograd_ext.get_num_threads())
    random = np.random.default_rng(0)
    results = []
    for size in options.sizes:
        a, b = random.standard_normal((2, size, size), dtype=np.float32)
        flop = 2.0 * size**3
        results.append(repeated(f"{size} x {size}", product(a, b, torch), options.rounds, flop))
        print(line(results[-1]))
    return results


def product(a: Any, b: Any, torch: Any) -> dict[str, Callable[[], object]]:
    """Those who compute a @ b."""
    contenders: dict[str, Callable[[], object]] = {
        OURS: lambda: _kernels.matmul(a, b),
        "numpy": lambda: a @ b,
    }
    if torch:
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        contenders["torch"] = lambda: ta @ tb
    return contenders
