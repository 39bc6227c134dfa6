"""Matrix products in float32, beside numpy and PyTorch: squares, and what dense layers multiply."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

import micrograd_ext
from micrograd_ext import kernels

from ._timing import OURS, Result, import_torch, line, repeated

ROUNDS = 15
#: (batch, numbers in, numbers out) of dense layers: a small one's, LeNet's, and one example's
LAYERS = [(32, 784, 64), (32, 64, 64), (32, 64, 10), (64, 1600, 128), (64, 128, 10), (1, 1600, 128)]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[64, 100, 128, 256, 512, 1000, 1024, 2048]
    )
    parser.add_argument("--threads", type=int, default=micrograd_ext.get_num_threads())
    parser.add_argument("--layers", action=argparse.BooleanOptionalAction, default=True)


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for each size."""
    micrograd_ext.set_num_threads(options.threads)
    micrograd_ext.show_config()
    torch = import_torch(options.threads)
    random = np.random.default_rng(0)

    def numbers(*shape: int) -> Any:
        return random.standard_normal(shape, dtype=np.float32)

    works = [
        (f"{size} x {size}", numbers(size, size), numbers(size, size)) for size in options.sizes
    ]
    for batch, inputs, outputs in LAYERS if options.layers else ():
        x, w, dy = numbers(batch, inputs), numbers(inputs, outputs), numbers(batch, outputs)
        name = f"{batch} x {inputs} x {outputs}"
        works += [(f"{name}: y", x, w), (f"{name}: dw", x.T, dy), (f"{name}: dx", dy, w.T)]
    results = []
    for name, a, b in works:
        flop = 2.0 * a.size * b.shape[1]
        rounds = min(options.rounds, 5) if flop > 1e10 else options.rounds
        results.append(repeated(name, product(a, b, torch), rounds, flop))
        print(line(results[-1]))
    return results


def product(a: Any, b: Any, torch: Any) -> dict[str, Callable[[], object]]:
    """Those who compute a @ b."""
    contenders: dict[str, Callable[[], object]] = {
        OURS: lambda: kernels.matmul(a, b),
        "numpy": lambda: a @ b,
    }
    if torch:
        ta, tb = torch.from_numpy(a), torch.from_numpy(b)
        contenders["torch"] = lambda: ta @ tb
    return contenders
