"""Seconds of an import, in a fresh process: this package, numpy, PyTorch, JAX, Keras.

Only the import statement is timed, not Python's own start. A first round, which fills the caches
of the disk and of compiled modules, does not count. Rounds alternate; the medians count.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from statistics import median

from ._timing import OURS, Result, duration

ROUNDS = 9
PACKAGES = (OURS, "numpy", "torch", "jax", "keras")
PROGRAM = """
import time
start = time.perf_counter()
import {package}
print(time.perf_counter() - start)
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for each package."""
    found: dict[str, list[float]] = {}
    for package in PACKAGES:
        if not importlib.util.find_spec(package):
            print(f"{package} is not installed: it is left out")
        elif seconds(package) is not None:
            found[package] = []
    for i in range(options.rounds):
        for package in list(found)[:: -1 if i % 2 else 1]:
            if (taken := seconds(package)) is not None:
                found[package].append(taken)
    result = Result("import", {package: median(taken) for package, taken in found.items()})
    for package, taken in result.seconds.items():
        print(f"import {package:14} {duration(taken)}")
    return [result]


def seconds(package: str) -> float | None:
    """Seconds of the import in a fresh process; None, and a word, where it fails."""
    program = PROGRAM.format(package=package)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{package} is left out: its import fails: {why}")
        return None
    return float(done.stdout.split()[-1])
