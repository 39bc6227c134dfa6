"""Long runs keep no memory, and large graphs are given back at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from references import run_python

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="only Linux tells what is resident this way"
)

BEFORE = """
import gc, random, sys
import numpy as np
import micrograd_ext as mg
from micrograd_ext import Sequential, Tensor, Value, layers, losses, nn, utils

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096

def grows(step, first=2_000, steps=20_000):
    "By how much more is resident after so many more steps, as a fraction."
    for _ in range(first):
        step()
    gc.collect()
    before = resident()
    for _ in range(steps):
        step()
    gc.collect()
    return resident() / before - 1

def network(eagerly=False):
    utils.set_random_seed(0)
    model = Sequential([
        layers.Input((8, 8, 1)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(2),
        layers.Flatten(), layers.Dropout(0.2) if eagerly else layers.ReLU(),
        layers.Dense(10, "softmax"),
    ])
    model.compile("adam", "categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly)
    return model

x = np.random.default_rng(0).random((64, 8, 8, 1)).astype(np.float32)
y = np.eye(10, dtype=np.float32)[np.arange(64) % 10]
"""

STEPS = {
    # a step of fit is a batch of 4: 16 of them are an epoch
    "steps of fit, by a program": """
model = network()
print(grows(lambda: model.fit(x, y, 4, 1, verbose=0), 125, 1_250))
""",
    "steps of fit, layer by layer": """
model = network(eagerly=True)
print(grows(lambda: model.fit(x, y, 4, 1, verbose=0), 125, 1_250))
""",
    "steps of train_on_batch, test_on_batch and predict_on_batch": """
model = network()
def step():
    model.train_on_batch(x[:4], y[:4])
    model.test_on_batch(x[:4], y[:4])
    model.predict_on_batch(x[:4])
print(grows(step))
""",
    "eager graphs of Tensors": """
model, loss = network(), losses.CategoricalCrossentropy()
def step():
    found = loss(y[:4], model(x[:4], training=True))
    found.backward()
    for weight in model.weights:
        weight.grad = None
print(grows(step))
""",
    "eager graphs of Values": """
net = nn.MLP(2, [4, 1], "tanh")
def step():
    out = (net([0.5, -0.5]) - 1) ** 2
    out.backward()
    for p in net.parameters():
        p.data -= 0.01 * p.grad
    net.zero_grad()
print(grows(step))
""",
    "graphs of Values with ops of one's own": """
x = Value(0.5)
def step():
    out = Value(x.data ** 2, (x,), "square")
    def _backward():
        x.grad += 2 * x.data * out.grad
    out._backward = _backward
    (out * x + out).backward()
print(grows(step))
""",
    "graphs of Values that are copied and pickled": """
import copy, pickle
net = nn.MLP(2, [2, 1], "tanh")
def step():
    out = net([0.5, -0.5])
    copy.deepcopy([net, out]), pickle.loads(pickle.dumps([net, out]))
print(grows(step, 200, 1_500))
""",
    "graphs of Values that are stepped through": """
net = nn.MLP(2, [1], "tanh")
def step():
    stepper = net([0.5, -0.5]).stepper()
    while stepper.step():
        pass
print(grows(step))
""",
    "errors": """
model = network()
def step():
    for act in (
        lambda: model.fit(x, y[:3]), lambda: Value("a"), lambda: Tensor([1.0, 2.0]).backward(),
        lambda: layers.Dense(-1), lambda: Tensor(np.ones((2, 3))) @ Tensor(np.ones((2, 3))),
    ):
        try:
            act()
        except (ValueError, TypeError):
            continue
        raise AssertionError
print(grows(step))
""",
}


@pytest.mark.parametrize("what", STEPS)
def test_memory_stays(what: str, record_property: object) -> None:
    done = run_python(BEFORE + STEPS[what])
    assert done.returncode == 0, done.stderr
    growth = float(done.stdout.split()[-1])
    print(f"{growth:+.2%} {what}", file=sys.stderr)
    assert growth < 0.01


def test_a_graph_of_a_million_values_is_freed_at_once() -> None:
    """When the last name for it goes: nothing is left to a collector, nor in a deep recursion."""
    done = run_python(
        BEFORE
        + """
gc.disable()
gc.collect()  # what importing has left
def chain():
    v = Value(0.5)
    for _ in range(1_000_000):
        v = v + 1.0
    return v
def tree():
    level = [Value(0.5) for _ in range(2**19)]
    while len(level) > 1:
        level = [a * b for a, b in zip(level[::2], level[1::2])]
    return level[0]
for make in (chain, tree):
    v = make()  # what Python itself keeps of it, it keeps from here on
    del v
    before, blocks = resident(), sys.getallocatedblocks()
    v = make()
    v.backward()
    made, blocks_made = resident() - before, sys.getallocatedblocks() - blocks
    del v
    left, blocks_left = resident() - before, sys.getallocatedblocks() - blocks
    print(make.__name__, made, "bytes", blocks_made, "blocks; left", left, blocks_left)
    assert made > 50e6 and blocks_made > 1_000_000
    assert blocks_left < 100
    assert left < 0.2 * made  # a page with one block of someone else's stays
    assert gc.collect() == 0
"""
    )
    assert done.returncode == 0, done.stderr
    print(done.stdout, file=sys.stderr)


def test_a_graph_of_tensors_is_freed_at_once() -> None:
    done = run_python(
        BEFORE
        + """
gc.disable()
x = Tensor(np.ones(1_000_000), requires_grad=True)
before = resident()
y = x
for _ in range(50):
    y = y * 1.5
y.sum().backward()
made = resident() - before
x.grad = None
del y
left = resident() - before
assert made > 390e6, made
assert left < 0.05 * made, (made, left)
y = Tensor(1.0, requires_grad=True)
for _ in range(100_000):
    y = y + 1.0
y.backward()
del y  # no deep recursion
"""
    )
    assert done.returncode == 0, done.stderr
