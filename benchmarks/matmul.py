"""Square matrix products in float32, beside numpy and PyTorch."""

from __future__ import annotations

import argparse

import numpy as np

import micrograd_ext
from micrograd_ext import _kernels

from ._timing import OURS, Result, line, repeated

ROUNDS = 15


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 128, 256, 512, 1024])


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for each size."""
    micrograd_ext.show_config()
    try:
        import torch  # noqa: PLC0415 - optional

        torch.set_num_threads(micrograd_ext.get_num_threads())
    except ImportError:
        torch = None
    random = np.random.default_rng(0)
    results = []
    for size in options.sizes:
        a, b = random.standard_normal((2, size, size), dtype=np.float32)
        contenders = {
            OURS: lambda a=a, b=b: _kernels.matmul(a, b),
            "numpy": lambda a=a, b=b: a @ b,
        }
        if torch:
            ta, tb = torch.from_numpy(a), torch.from_numpy(b)
            contenders["torch"] = lambda ta=ta, tb=tb: ta @ tb
        results.append(repeated(f"{size} x {size}", contenders, options.rounds, 2.0 * size**3))
        print(line(results[-1]))
    return results
