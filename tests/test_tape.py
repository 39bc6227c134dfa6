"""A replayed tape against the engine, to the last bit."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import Value, record
from micrograd_ext._tape import OPS, Replay
from micrograd_ext.calculus import RULES
from micrograd_ext.graph import topological_order
from micrograd_ext.tape import Tape

DEMOS = Path(__file__).parents[1] / "demos"

BINARY = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "max": lambda x, y: x.max(y),
    "min": lambda x, y: x.min(y),
    "leaky_relu": lambda x, y: x.leaky_relu(y),
}
UNARY = {
    "neg": lambda x: -x,
    "abs": abs,
    **{
        name: lambda x, name=name: getattr(x, name.lower())()
        for name in ("ReLU", "tanh", "sigmoid", "exp", "log", "sqrt", "sin", "cos")
    },
}
NUMBERS = st.one_of(
    st.floats(-4, 4),
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 40.0, -800.0, math.inf, -math.inf, math.nan]),
)


def bits(numbers: Any) -> list[bytes]:
    """Each number's bits; all NaN are one."""
    return ["nan" if x != x else np.float64(x).tobytes() for x in numbers]


def expression(seed: int, size: int, leaves: list[Value]) -> Value:
    """Some formula of `size` ops in which nodes are used several times."""
    choose = random.Random(seed)
    nodes = [*leaves, Value(choose.choice([0.5, 2.0, 3.0, -1.0]))]
    for _ in range(size):
        op = choose.choice([*BINARY, *UNARY])
        if op in BINARY:
            nodes.append(BINARY[op](choose.choice(nodes), choose.choice(nodes)))
        else:
            nodes.append(UNARY[op](choose.choice(nodes)))
    return sum(nodes[1:], nodes[0])


def state(root: Value) -> list[bytes]:
    order = topological_order(root)
    return bits([x for node in order for x in (node.data, node.grad)])


def test_every_op_is_known_everywhere() -> None:
    assert set(OPS) == set(RULES) == {*BINARY, *UNARY}
    a, b = Value(0.3), Value(0.7)
    for op, f in BINARY.items():
        assert (f(a, b).op, OPS[op][1]) == (op, 2)
    for op, f in UNARY.items():
        assert (f(a).op, OPS[op][1]) == (op, 1)


@given(
    seed=st.integers(0, 10**9),
    size=st.integers(1, 40),
    numbers=st.lists(NUMBERS, min_size=6, max_size=6),
)
@settings(max_examples=300, deadline=None)
def test_replaying_is_building_anew(seed: int, size: int, numbers: list[float]) -> None:
    leaves = [Value(x) for x in numbers[:3]]
    root = expression(seed, size, leaves)
    used = [leaf for leaf in leaves if leaf in set(topological_order(root))]
    tape = record(root, inputs=used)
    assert bits([tape.loss]) == bits([root.data])

    tape.forward(numbers[3 : 3 + len(used)])
    tape.backward()
    tape.write()
    fresh = iter(numbers[3:])
    anew = [Value(next(fresh)) if leaf in used else Value(leaf.data) for leaf in leaves]
    twin = expression(seed, size, anew)
    twin.backward()
    assert bits([tape.loss]) == bits([twin.data])
    assert state(root) == state(twin)

    for node in topological_order(root):  # what was written can be back-propagated again
        node.zero_grad()
    root.backward()
    assert state(root) == state(twin)


@pytest.mark.parametrize("op", [*BINARY, *UNARY])
@pytest.mark.parametrize(
    "x", [0.0, -0.0, 2.0, -3.0, 1000.0, -1000.0, math.inf, -math.inf, math.nan]
)
def test_each_op_at_extremes(op: str, x: float) -> None:
    for y in (0.0, -0.0, 2.0, -3.0, 0.5, x, math.inf, math.nan):
        a, b = Value(1.5), Value(2.5)
        recorded = BINARY[op](a, b) if op in BINARY else UNARY[op](a)
        tape = record(recorded, inputs=[a, b] if op in BINARY else [a])
        tape.forward([x, y] if op in BINARY else x)
        tape.backward()
        tape.write()
        a2, b2 = Value(x), Value(y)
        twin = BINARY[op](a2, b2) if op in BINARY else UNARY[op](a2)
        twin.backward()
        found, expected = (recorded.data, a.grad), (twin.data, a2.grad)
        assert bits(found) == bits(expected), (op, x, y)
        if op in BINARY:
            assert bits([b.grad]) == bits([b2.grad]), (op, x, y)


# ------------------------------------------------------------------ training


def test_training_is_the_engines() -> None:
    def model() -> tuple[Value, Value, Value, Value]:
        x, w, b = Value(2.0), Value(0.3), Value(-0.1)
        return x, w, b, ((w * x + b).tanh() - 0.7) ** 2

    x, w, b, loss = model()
    tape = record(loss, inputs=[x], parameters=[w, b])
    w2, b2 = Value(0.3), Value(-0.1)
    for k, number in enumerate((0.5, -1.0, 2.0, 0.25)):
        lr = 0.5 / (k + 1)
        assert tape.forward(number) == tape.loss
        tape.backward()
        tape.step(lr)
        twin = ((w2 * number + b2).tanh() - 0.7) ** 2
        w2.zero_grad()
        b2.zero_grad()
        twin.backward()
        for p in (w2, b2):
            p.data -= lr * p.grad
        assert tape.loss == twin.data
        assert tape.gradients.tolist() == [w2.grad, b2.grad]
        assert tape.parameters.tolist() == [w2.data, b2.data]
    assert (w.data, b.data) == (0.3, -0.1), "the Values keep their numbers until write()"
    tape.write()
    assert (x.data, w.data, b.data) == (0.25, w2.data, b2.data)


def test_gradients_accumulate_when_told_to() -> None:
    x, w = Value(1.0), Value(3.0)
    tape = record(w * w * x, inputs=[x], parameters=[w])
    for number, fresh, summed in ((1.0, 6.0, 6.0), (2.0, 12.0, 18.0)):
        tape.forward(number)
        tape.backward()
        assert tape.gradients.tolist() == [fresh]
        tape.gradients[:] = summed - fresh
        tape.backward(accumulate=True)
        assert tape.gradients.tolist() == [summed]


def test_numbers_can_be_read_and_written() -> None:
    a, b, c = Value(1.0), Value(2.0), Value(3.0)
    double = a * 2
    loss = double * b + c
    tape = record(loss, inputs=[[a], (c,)], parameters=np.array([b]), outputs=[double, loss, a])
    assert tape.nodes[:3] == [a, c, b]
    assert repr(tape) == "<Tape of 7 nodes, 2 of them inputs, 1 parameters>"
    tape.inputs[0] = 10.0
    tape.parameters += 1.0
    assert tape.forward() == 63.0
    assert tape.outputs.tolist() == [20.0, 63.0, 10.0]
    tape.inputs = [5.0, 0.0]
    tape.parameters = 4.0
    assert tape.forward() == 40.0
    b.data, c.data = 100.0, 0.5  # not seen ...
    assert tape.forward() == 40.0
    tape.read()  # ... until now
    assert tape.forward() == 200.5
    with pytest.raises(ValueError, match="broadcast"):
        tape.parameters = [1.0, 2.0]


def test_inputs_of_all_kinds() -> None:
    values = [Value(float(i)) for i in range(4)]
    tape = record(sum(v * 10.0**i for i, v in enumerate(values)), inputs=values)
    for given_ in (
        ([1, 2, 3, 4],),
        (1, 2, 3, np.float32(4)),
        (np.array([[1, 2], [3, 4]], dtype=np.int8),),
        ([[1, 2], [3, 4]],),
        ([1], np.array([2.0, 3.0]), 4.0),
        ([[1], [2, 3, 4]],),
        ([True, 2, 3, 4],),
    ):
        assert tape.forward(*given_) == 4321.0
    for bad in ([1, 2, 3], [[1, 2, 3, 4, 5]], []):
        with pytest.raises(ValueError, match="expected 4 numbers, one for each input, got"):
            tape.forward(bad)
    for bad in ("1234", [None] * 4, [1j] * 4, values, ["1", 2, 3, 4]):
        with pytest.raises(TypeError, match="forward: expected real numbers, got"):
            tape.forward(bad)
    with pytest.raises(TypeError, match="step: lr: expected a number, got 'fast'"):
        tape.step("fast")  # type: ignore[arg-type]


# ------------------------------------------------------------------ shapes of graphs


def test_a_leaf_is_a_graph_too() -> None:
    x = Value(3.0)
    tape = record(x, inputs=[x])
    assert tape.forward(5) == 5.0
    tape.backward()
    tape.write()
    assert (x.data, x.grad) == (5.0, 1.0)
    assert record(Value(2.0)).forward() == 2.0


def test_a_long_chain() -> None:
    x = y = Value(1.0)
    for _ in range(2**20 - 1):
        y = y + x
    tape = record(y, inputs=[x])
    assert tape.forward(0.5) == 2.0**19
    tape.backward()
    tape.write()
    assert x.grad == 2.0**20


def test_a_branch_in_python_is_not_seen() -> None:
    a = Value(3.0)
    y = a * 2 if a > 0 else a * 5
    assert record(y, inputs=[a]).forward(-1.0) == -2.0


def test_what_was_written_can_be_stepped_through(capsys: pytest.CaptureFixture[str]) -> None:
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    product = a * b
    tape = record(product, inputs=[a, b])
    tape.forward(5, 7)
    tape.write()
    product.stepper().step()
    assert "= 7 * 1 = 7" in capsys.readouterr().out


# ------------------------------------------------------------------ errors


def test_what_cannot_be_recorded() -> None:
    a, b = Value(2.0, name="a"), Value(3.0, name="b")
    loss = a * b
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"loss": 3.0}, TypeError, "record: loss: expected a Value, got 3.0"),
        ({"inputs": [1.0]}, TypeError, "record: inputs: expected Values, got 1.0"),
        ({"inputs": "ab"}, TypeError, "record: inputs: expected Values, got 'ab'"),
        ({"parameters": [None]}, TypeError, "record: parameters: expected Values, got None"),
        ({"inputs": [loss]}, ValueError, r"inputs\[0\]: expected a leaf, .* computed by '\*'"),
        ({"inputs": [a, a]}, ValueError, r"record: inputs\[1\] is inputs\[0\] as well"),
        ({"inputs": [a], "parameters": [b, a]}, ValueError, r"parameters\[1\] is inputs\[0\] as"),
        ({"inputs": [Value(1.0)]}, ValueError, r"inputs\[0\]: loss does not depend on"),
        ({"outputs": [a + b]}, ValueError, r"outputs\[0\]: loss does not depend on"),
        (
            {"loss": Value(4.0, (a,), "square", [4.0])},
            ValueError,
            "what 'square' computes is not known",
        ),
        ({"loss": Value(4.0, (a,), "*", [4.0])}, ValueError, "what '\\*' computes is not known"),
    ]
    for arguments, error, message in cases:
        with pytest.raises(error, match=message):
            record(**{"loss": loss, **arguments})


def test_instructions_are_checked() -> None:
    good = Replay([[0, 0, 1]], [1.0, 2.0])
    assert good.data.tolist() == [1.0, 2.0, 3.0]
    for bad in ([[len(OPS), 0, 0]], [[-1, 0, 0]], [[0, 2, 0]], [[0, 0, 2]], [[0, -1, 0]]):
        with pytest.raises(ValueError, match=r"nodes\[0\]: expected an op below"):
            Replay(bad, [1.0, 2.0])
    for nodes, leaves in (([[0, 0]], [1.0]), ([[[0, 0, 0]]], [1.0]), ([[0, 0, 0]], [[1.0]])):
        with pytest.raises(ValueError, match="expected nodes of shape"):
            Replay(nodes, leaves)


# ------------------------------------------------------------------ the demo


@pytest.mark.skipif(not DEMOS.exists(), reason="the demos are not beside the tests")
def test_moons(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DEMOS))
    import moons

    x, y = moons.moons(100, 0.1, moons.SEED)
    y = 2 * y - 1
    built, replayed = moons.new_model(), moons.new_model()
    ours = list(moons.train_tape(replayed, x, y, 100))
    assert ours[0][0] == pytest.approx(0.8958441028683222, rel=1e-12)
    assert [accuracy for _, accuracy in (ours[0], ours[-1])] == [0.5, 1.0]
    theirs = moons.train(built, x, y, 5)
    replayed = moons.new_model()
    assert [loss for loss, _ in moons.train_tape(replayed, x, y, 5)] == [loss for loss, _ in theirs]
    assert moons.parameters(built) == moons.parameters(replayed)


def test_a_tape_is_what_record_makes() -> None:
    a = Value(1.0)
    assert isinstance(record(a + a), Tape)
