"""A replayed tape against the engine, to the last bit."""

from __future__ import annotations

import math
import random
import re
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micrograd_ext
from micrograd_ext import Value, record
from micrograd_ext.graph import topological_order
from micrograd_ext.scalar._tape import OPS, Replay
from micrograd_ext.scalar.calculus import RULES
from micrograd_ext.scalar.tape import Tape

DEMOS = Path(__file__).parents[2] / "demos"

BINARY = {op: RULES[op].forward for op, (_, arity) in OPS.items() if arity == 2}
UNARY = {op: RULES[op].forward for op, (_, arity) in OPS.items() if arity == 1}
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
    locals_ = [local for node in order for local, _ in node.sends(1.0)]
    return bits([*(x for node in order for x in (node.data, node.grad)), *locals_])


def test_every_op_is_known_everywhere() -> None:
    assert set(OPS) == set(RULES) == {*BINARY, *UNARY}
    a, b = Value(0.3), Value(0.7)
    for op, f in BINARY.items():
        assert (f(a, b).op, OPS[op][1]) == (op, 2)
    for op, f in UNARY.items():
        assert (f(a).op, OPS[op][1]) == (op, 1)


def test_every_op_the_engine_makes_can_be_replayed() -> None:
    source = Path(micrograd_ext.__file__).with_name("engine.py").read_text(encoding="utf-8")
    assert set(re.findall(r'\b(?:unary|binary)\("([^"]+)"', source)) == set(OPS)


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
    reference = expression(seed, size, anew)
    reference.backward()
    assert bits([tape.loss]) == bits([reference.data])
    assert state(root) == state(reference)

    for node in topological_order(root):  # what was written can be back-propagated again
        node.zero_grad()
    root.backward()
    assert state(root) == state(reference)


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
        reference = BINARY[op](a2, b2) if op in BINARY else UNARY[op](a2)
        reference.backward()
        found = (recorded.data, a.grad, *(local for local, _ in recorded.sends(1.0)))
        expected = (reference.data, a2.grad, *(local for local, _ in reference.sends(1.0)))
        assert bits(found) == bits(expected), (op, x, y)
        if op in BINARY:
            assert bits([b.grad]) == bits([b2.grad]), (op, x, y)


@pytest.mark.parametrize("slope", [0.2, 0.0, -1.0])
def test_a_slope_that_is_a_number(slope: float) -> None:
    a, b = Value(1.0), Value(1.0)
    tape = record(a.leaky_relu(slope) + b.leaky_relu(), inputs=[a, b])
    for x in (3.0, -3.0, 0.0):
        tape.forward(x, x)
        tape.backward()
        tape.write()
        a2, b2 = Value(x), Value(x)
        reference = a2.leaky_relu(slope) + b2.leaky_relu()
        reference.backward()
        assert bits([tape.loss, a.grad, b.grad]) == bits([reference.data, a2.grad, b2.grad])


@given(
    seed=st.integers(0, 10**9),
    size=st.integers(1, 40),
    start=st.lists(st.floats(-4, 4), min_size=3, max_size=3),
    rounds=st.lists(st.tuples(NUMBERS, st.booleans(), st.floats(-1, 1)), max_size=4),
)
@settings(max_examples=150, deadline=None)
def test_one_tape_many_times(
    seed: int, size: int, start: list[float], rounds: list[tuple[float, bool, float]]
) -> None:
    leaves, references = [Value(x) for x in start], [Value(x) for x in start]
    x, *trained = leaves
    recorded = expression(seed, size, leaves)  # adds up all nodes, so it needs every leaf
    tape = record(recorded, inputs=[x], parameters=trained, outputs=[recorded, x])
    for number, accumulate, lr in rounds:
        references[0].data = number
        if not accumulate:
            for reference in references:
                reference.zero_grad()
        reference_loss = expression(seed, size, references)
        reference_loss.backward()
        assert bits([tape.forward(number)]) == bits([reference_loss.data])
        assert bits(tape.outputs) == bits([reference_loss.data, number])
        tape.backward(accumulate)
        assert bits(tape.gradients) == bits([reference.grad for reference in references[1:]])
        with np.errstate(all="ignore"):
            tape.step(lr)
        for reference in references[1:]:
            reference.data -= lr * reference.grad
        assert bits(tape.parameters) == bits([reference.data for reference in references[1:]])


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
        reference = ((w2 * number + b2).tanh() - 0.7) ** 2
        w2.zero_grad()
        b2.zero_grad()
        reference.backward()
        for p in (w2, b2):
            p.data -= lr * p.grad
        assert tape.loss == reference.data
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
        with pytest.raises(TypeError, match="Tape: expected real numbers, got"):
            tape.forward(bad)
    assert tape.forward(2**64, 0, Fraction(1, 2), [0]) == 2.0**64 + 50
    with pytest.raises(ValueError, match="this integer is too large for a float64"):
        tape.forward(10**400, 0, 0, 0)
    with pytest.raises(TypeError, match="Tape: expected real numbers, got '7'"):
        tape.inputs = "7"  # type: ignore[assignment]
    with pytest.raises(TypeError, match="step: lr: expected a number, got array"):
        tape.step(np.array([1.0, 2.0]))
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


def test_stepping_through_what_was_written_ends_as_backward_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for seed in range(20):
        leaves = [Value(x) for x in (0.5, -1.5, 2.0)]
        root = expression(seed, 12, leaves)
        tape = record(root, inputs=leaves)
        tape.forward(-0.25, 1.25, 3.0)
        tape.backward()
        tape.write()
        by_tape = state(root)
        for node in topological_order(root):
            node.zero_grad()
        root.stepper().finish()
        assert state(root) == by_tape
    capsys.readouterr()


def test_backward_does_not_touch_the_values_nor_forward() -> None:
    a, b = Value(2.0), Value(3.0)
    product = a * b
    product.backward()
    tape = record(product, inputs=[a], parameters=[b])
    assert tape.gradients.tolist() == [0.0], "the tape's own, not the Values'"
    tape.forward(10.0)
    tape.backward()
    assert [v.data for v in (a, b, product)] == [2.0, 3.0, 6.0]
    assert [v.grad for v in (a, b, product)] == [3.0, 2.0, 1.0]


def test_outputs_are_a_copy() -> None:
    a = Value(2.0)
    tape = record(a * 3, inputs=[a], outputs=[a, a])
    before = tape.outputs
    before[:] = 7.0
    assert tape.outputs.tolist() == [2.0, 2.0]
    tape.forward(5.0)
    assert before.tolist() == [7.0, 7.0]
    assert record(a * 3).outputs.tolist() == []


def test_nothing_to_put_in() -> None:
    tape = record(Value(2.0) * 3)
    assert tape.forward() == tape.forward([]) == 6.0
    tape.backward()
    tape.step(0.1)
    with pytest.raises(ValueError, match="expected 0 numbers, one for each input, got 1"):
        tape.forward(1.0)


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
    ours = list(moons.train_tape(moons.new_model(), x, y, 100))
    assert ours[0][0] == pytest.approx(0.8958441028683222, rel=1e-12)
    assert [accuracy for _, accuracy in (ours[0], ours[-1])] == [0.5, 1.0]
    count = 10 if micrograd_ext.engine.__file__.endswith(".py") else 100  # interpreted, it is slow
    assert ours[:count] == list(islice(moons.train(moons.new_model(), x, y, 100), count))
    built, replayed = moons.new_model(), moons.new_model()
    assert list(moons.train(built, x, y, 5)) == list(moons.train_tape(replayed, x, y, 5))
    assert moons.parameters(built) == moons.parameters(replayed)


def test_a_tape_is_what_record_makes() -> None:
    a = Value(1.0)
    assert isinstance(record(a + a), Tape)


def test_overflow_is_silent() -> None:
    p = Value(math.inf)
    tape = record(p * p, parameters=[p])
    tape.backward()
    tape.step(1.0)
    assert math.isnan(tape.parameters[0])


def test_places_beyond_int32_are_refused() -> None:
    for nodes in ([[0, 2**32, 0]], np.array([[0, 2**32, 0]]), [[2**32, 0, 0]]):
        with pytest.raises(ValueError, match=r"nodes\[0\]: expected an op below"):
            Replay(nodes, [1.0])
