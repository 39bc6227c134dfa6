"""LeNet's kernels, layer by layer, forwards and back, beside PyTorch and numpy.

Batch 64, float32. FLOP are those of the dense computation, so that a gradient which is computed
from the places of the pooling alone may come out above the peak. The peak is what a loop of
multiply-adds (peak.c, needs a C compiler) reaches on all threads in the same run.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import micrograd_ext
from micrograd_ext import kernels

from ._timing import OURS, Result, import_torch, line, repeated
from .matmul import product

ROUNDS = 7
BATCH = 64
#: name -> image side, channels in, channels out; 3 x 3 kernels, 2 x 2 pooling
CONVOLUTIONS = {"conv1": (28, 1, 32), "conv2": (13, 32, 64)}
#: name -> numbers in, numbers out
DENSE = {"dense1": (1600, 128), "dense2": (128, 10)}

Contenders = dict[str, Callable[[], object]]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """This benchmark's own options."""
    parser.add_argument("--threads", type=int, default=micrograd_ext.get_num_threads())


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for each."""
    micrograd_ext.set_num_threads(options.threads)
    micrograd_ext.show_config()
    torch = import_torch(options.threads)
    peak = calibrate(options.threads)
    print(
        f"peak of {options.threads} threads: {f'{peak / 1e9:.0f} GFLOP/s' if peak else 'unknown'}"
    )
    random = np.random.default_rng(0)
    results = []
    layers = [(name, convolution(random, torch, *sizes)) for name, sizes in CONVOLUTIONS.items()]
    layers += [(name, dense(random, torch, *sizes)) for name, sizes in DENSE.items()]
    for name, works in layers:
        for work, contenders, flop in works:
            results.append(repeated(f"{name} {work}", contenders, options.rounds, flop))
            print(line(results[-1], peak))
    return results


def convolution(
    random: np.random.Generator, torch: Any, side: int, c: int, f: int
) -> list[tuple[str, Contenders, float]]:
    """Forward with bias, ReLU and pooling; the gradients of kernel and bias; that of the images."""
    x = random.standard_normal((BATCH, side, side, c), dtype=np.float32)
    w = random.standard_normal((3, 3, c, f), dtype=np.float32) / np.float32(3 * np.sqrt(c))
    b = np.full(f, -0.5, np.float32)  # ReLU makes a quarter of the pooled numbers 0
    y, argmax = kernels.conv2d_relu_pool(x, w, b)
    dy = random.standard_normal(y.shape, dtype=np.float32)
    flop = 2.0 * BATCH * (side - 2) ** 2 * f * 9 * c
    forward: Contenders = {OURS: lambda: kernels.conv2d_relu_pool(x, w, b)}
    to_kernel: Contenders = {OURS: lambda: kernels.conv2d_relu_pool_dw(x, dy, argmax, w.shape)}
    to_images: Contenders = {OURS: lambda: kernels.conv2d_relu_pool_dx(dy, argmax, w, x.shape)}
    if torch:
        last = {"memory_format": torch.channels_last}
        tx, tw, tb, tdy = (
            torch.from_numpy(np.ascontiguousarray(a))
            for a in (x.transpose(0, 3, 1, 2), w.transpose(3, 2, 0, 1), b, dy.transpose(0, 3, 1, 2))
        )
        tx, tw, tdy = (t.contiguous(**last) for t in (tx, tw, tdy))
        for t in (tx, tw, tb):
            t.requires_grad_()
        functions = torch.nn.functional

        def in_torch() -> Any:
            return functions.max_pool2d(functions.relu(functions.conv2d(tx, tw, tb)), 2)

        np.testing.assert_allclose(
            in_torch().detach().permute(0, 2, 3, 1).numpy(), y, rtol=1e-3, atol=1e-4
        )
        ty = in_torch()
        forward["torch"] = in_torch
        to_kernel["torch"] = lambda: torch.autograd.grad(ty, [tw, tb], tdy, retain_graph=True)
        to_images["torch"] = lambda: torch.autograd.grad(ty, [tx], tdy, retain_graph=True)
    works = [
        ("+ bias + ReLU + pool", forward, flop),
        ("back to kernel and bias", to_kernel, flop),
    ]
    return works if c == 1 else [*works, ("back to the images", to_images, flop)]


def dense(
    random: np.random.Generator, torch: Any, n: int, units: int
) -> list[tuple[str, Contenders, float]]:
    """The three matrix products of a dense layer."""
    x, w, dy = (
        random.standard_normal(shape, dtype=np.float32)
        for shape in ((BATCH, n), (n, units), (BATCH, units))
    )
    flop = 2.0 * BATCH * n * units
    return [
        ("forward", product(x, w, torch), flop),
        ("back to the weights", product(x.T, dy, torch), flop),
        ("back to the inputs", product(dy, w.T, torch), flop),
    ]


def calibrate(threads: int) -> float | None:
    """FLOP a second of a loop of multiply-adds on so many threads; None without a C compiler."""
    compiler = os.environ.get("CC", "cc").split()
    source = Path(__file__).with_name("peak.c")
    with tempfile.TemporaryDirectory() as folder:
        library = str(Path(folder, "peak.so"))
        flags = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        try:
            subprocess.run([*compiler, *flags, str(source), "-o", library], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"No peak: {error}")
            return None
        loop = ctypes.CDLL(library).multiply_adds  # releases the GIL
        loop.argtypes, loop.restype = [ctypes.c_long], ctypes.c_float
        steps, best = 10_000_000, float("inf")
        for _ in range(5):
            workers = [threading.Thread(target=loop, args=(steps,)) for _ in range(threads)]
            start = time.perf_counter()
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
            best = min(best, time.perf_counter() - start)
    return threads * steps * 2.0 * 12 * 16 / best
