"""micrograd's moons demo, a step at a time: this package's scalar engine and micrograd itself.

To run it, with scikit-learn and micrograd 0.1.0 installed (`pip install micrograd scikit-learn`):

    python benchmarks/scalar.py

The same program runs in a process of its own for each engine, only the import differs: 100
points, MLP(2, [16, 16, 1]), max-margin loss with L2. Rounds alternate; the medians count. First as
users run it, then with Python's garbage collector off.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median

PROGRAM = """
import gc, random, sys, time
import numpy as np
from sklearn.datasets import make_moons
from {package}.engine import Value
from {package}.nn import MLP

np.random.seed(1337)
random.seed(1337)
X, y = make_moons(n_samples=100, noise=0.1)
y = y * 2 - 1
model = MLP(2, [16, 16, 1])

def step(k):
    inputs = [list(map(Value, row)) for row in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores)]
    loss = sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= (1.0 - 0.9 * k / 100) * p.grad
    return loss.data

if {collect}:
    gc.enable()
else:
    gc.disable()
seconds = []
for k in range({steps}):
    start = time.perf_counter()
    loss = step(k)
    seconds.append(time.perf_counter() - start)
    if k == 0:
        assert abs(loss - 0.8958441028683222) < 1e-9, loss
print(sorted(seconds)[len(seconds) // 2])
"""


def seconds(package: str, collect: bool, steps: int) -> float:
    """Median seconds of a step, in a fresh process."""
    program = PROGRAM.format(package=package, collect=collect, steps=steps)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{package} did not run:\n{done.stderr}")
    return float(done.stdout)


def main() -> None:
    """Time, and print milliseconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    for collect in (True, False):
        found: dict[str, list[float]] = {"micrograd_ext": [], "micrograd": []}
        for _ in range(options.rounds):
            found["micrograd_ext"].append(seconds("micrograd_ext", collect, 50))
            found["micrograd"].append(seconds("micrograd", collect, 4))
        here, there = (median(times) for times in found.values())
        print(
            f"collector {'on' if collect else 'off'}: micrograd_ext {here * 1e3:.1f} ms a step, "
            f"micrograd {there * 1e3:.0f} ms: {there / here:.1f} times as fast"
        )


if __name__ == "__main__":
    main()
