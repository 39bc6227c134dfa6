"""micrograd's moons demo, a step of training: the scalar engine and the tape, beside micrograd.

The same program runs in a process of its own for each engine, only the import differs: 100
points, MLP(2, [16, 16, 1]), max-margin loss with L2. A third process records the first step's
graph and replays it (`tape.record`). Rounds alternate; the medians count. First as users run it,
then with Python's garbage collector off. Needs micrograd 0.1.0 and scikit-learn.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from statistics import median

from ._timing import OURS, Result, line

ROUNDS = 5
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

def forward():
    inputs = [list(map(Value, row)) for row in X]
    scores = list(map(model, inputs))
    losses = [(1 + -yi * score).relu() for yi, score in zip(y, scores)]
    return sum(losses) * (1.0 / len(losses)) + 1e-4 * sum(p * p for p in model.parameters())

def step(k):
    loss = forward()
    model.zero_grad()
    loss.backward()
    for p in model.parameters():
        p.data -= (1.0 - 0.9 * k / 100) * p.grad
    return loss.data

if {replay}:
    from micrograd_ext.scalar.tape import record
    tape = record(forward(), parameters=model.parameters())

    def step(k):
        loss = tape.forward()
        tape.backward()
        tape.step(1.0 - 0.9 * k / 100)
        return loss

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


def seconds(package: str, collect: bool, steps: int, replay: bool = False) -> float:
    """Median seconds of a step, in a fresh process."""
    program = PROGRAM.format(package=package, collect=collect, steps=steps, replay=replay)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{package} did not run:\n{done.stderr}")
    return float(done.stdout)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has no options of its own."""


def run(options: argparse.Namespace) -> list[Result]:
    """Time, and print a line for the engine and one for the tape."""
    results = []
    for collect in (True, False):
        found: dict[str, list[float]] = {"micrograd": [], "engine": [], "tape": []}
        for _ in range(options.rounds):
            found["engine"].append(seconds("micrograd_ext", collect, 50))
            found["micrograd"].append(seconds("micrograd", collect, 4))
            found["tape"].append(seconds("micrograd_ext", collect, 100, replay=True))
        for name in ("engine", "tape"):
            work = f"a step, {name}, collector {'on' if collect else 'off'}"
            times = {OURS: median(found[name]), "micrograd": median(found["micrograd"])}
            results.append(Result(work, times))
            print(line(results[-1]))
    return results
