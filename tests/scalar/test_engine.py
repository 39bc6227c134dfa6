"""The scalar engine, compiled and as written: known answers, differences, graphs, errors."""

from __future__ import annotations

import ast
import gc
import math
import os
import random
import re
import subprocess
import sys
import weakref
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import micrograd_ext.engine
from micrograd_ext import Tensor, nn
from micrograd_ext.common import interpreted
from micrograd_ext.graph import backward_steps, topological_order

ENGINES = {
    "compiled": micrograd_ext.engine,
    "as written": interpreted.load_as_written("micrograd_ext._engine_as_written"),
}
AS_WRITTEN = ENGINES["as written"]


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> ModuleType:
    return ENGINES[request.param]


def test_the_two_engines_are_two() -> None:
    assert AS_WRITTEN.__file__.endswith("engine.py")
    if "MICROGRAD_EXT_PURE" not in os.environ:
        assert not micrograd_ext.engine.__file__.endswith(".py")


# ------------------------------------------------------------------ known answers


def test_micrograds_first_case(engine: ModuleType) -> None:
    x = engine.Value(-4.0)
    z = 2 * x + 2 + x
    q = z.relu() + z * x
    h = (z * z).relu()
    y = h + q + q * x
    y.backward()
    assert (y.data, x.grad) == (-20.0, 46.0)


def test_micrograds_second_case(engine: ModuleType) -> None:
    a, b = engine.Value(-4.0), engine.Value(2.0)
    c, d = a + b, a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    f = e**2
    g = f / 2.0
    g += 10.0 / f
    g.backward()
    assert g.data == pytest.approx(24.70408163265306, abs=1e-6)
    assert a.grad == pytest.approx(138.83381924198252, abs=1e-6)
    assert b.grad == pytest.approx(645.5772594752186, abs=1e-6)


def test_the_lectures_expression(engine: ModuleType) -> None:
    a, b, c, f = leaves = [engine.Value(x) for x in (2.0, -3.0, 10.0, -2.0)]
    e = a * b
    d = e + c
    loss = d * f
    loss.backward()
    assert loss.data == -8
    assert [v.grad for v in (*leaves, d, e)] == [6, -4, -2, 4, -2, -2]
    for v in leaves:
        v.data += 0.01 * v.grad
    assert ((a * b + c) * f).data == pytest.approx(-7.286496, abs=1e-12)


@pytest.mark.parametrize("spelled_out", [False, True])
def test_the_lectures_neuron(engine: ModuleType, spelled_out: bool) -> None:
    x1, x2, w1, w2 = (engine.Value(x) for x in (2.0, 0.0, -3.0, 1.0))
    n = x1 * w1 + x2 * w2 + 6.8813735870195432
    if spelled_out:
        e = (2 * n).exp()
        out = (e - 1) / (e + 1)
    else:
        out = n.tanh()
    out.backward()
    assert out.data == pytest.approx(0.7071067811865476, abs=1e-15)
    assert [v.grad for v in (x1, w1, x2, w2)] == pytest.approx([-1.5, 1, 0.5, 0], abs=1e-14)


def test_several_edges_to_one_node(engine: ModuleType) -> None:
    a = engine.Value(3.0)
    (a + a).backward()
    assert a.grad == 2
    a.grad = 0
    ((a + a) + (a + a)).backward()
    assert a.grad == 4
    a, b = engine.Value(-2.0), engine.Value(3.0)
    ((a * b) * (a + b)).backward()
    assert (a.grad, b.grad) == (-3, -8)


def test_leaves_accumulate_and_other_nodes_start_afresh(engine: ModuleType) -> None:
    a, b, d = engine.Value(3.0), engine.Value(2.0), engine.Value(1.0)
    s = a + b
    e = s * d
    e.backward()
    e.backward()
    assert (a.grad, b.grad, d.grad, s.grad, e.grad) == (2, 2, 10, 1, 1)
    x = engine.Value(3.0)
    y = x * x * x
    y.backward()
    x.zero_grad()
    y.backward()
    assert x.grad == 27


def test_powers(engine: ModuleType) -> None:
    x, y = engine.Value(2.0), engine.Value(3.0)
    z = x**y
    z.backward()
    assert (z.data, x.grad) == (8, 12)
    assert y.grad == pytest.approx(5.545177444479562, abs=1e-15)
    x, y = engine.Value(-2.0), engine.Value(-3.0)
    (x**y).backward()
    assert x.grad == -0.1875
    assert math.isnan(y.grad)
    x, y = engine.Value(0.0), engine.Value(0.0)
    z = x**y
    z.backward()
    assert (z.data, x.grad, y.grad) == (1, 0, 0)
    v = engine.Value(3.0)
    z = 2**v
    z.backward()
    assert z.data == 8
    assert v.grad == pytest.approx(8 * math.log(2))


def test_extremes(engine: ModuleType) -> None:
    for sign in (1.0, -1.0):
        x = engine.Value(1000.0 * sign)
        assert x.tanh().data == sign
        assert x.sigmoid().data == (sign + 1) / 2
    inf = math.inf
    cases = {
        inf: [
            lambda v: v(1) / 0,
            lambda v: v(0) ** -1,
            lambda v: v(1000).exp(),
            lambda v: v(10.0) ** 1000,
        ],
        -inf: [lambda v: v(-1) / 0, lambda v: v(0).log(), lambda v: v(-10.0) ** 1001],
    }
    for expected, made in cases.items():
        for make in made:
            assert make(engine.Value).data == expected
    for make in (
        lambda v: v(0) / 0,
        lambda v: v(-1).log(),
        lambda v: v(-1).sqrt(),
        lambda v: v(inf).sin(),
        lambda v: v(-8) ** (1 / 3),
        lambda v: v(math.nan).relu(),
        lambda v: v(math.nan).max(1),
        lambda v: v(1).min(math.nan),
    ):
        assert math.isnan(make(engine.Value).data)


def test_numbers_of_all_kinds_mix(engine: ModuleType) -> None:
    v = engine.Value(4.0)
    for number in (2, 2.0, True + 1, np.float64(2), np.float32(2), np.int64(2), np.array(2.0)):
        for result, expected in (
            (number + v, 6),
            (v + number, 6),
            (number - v, -2),
            (number * v, 8),
            (number / v, 0.5),
            (number**v, 16),
            (v**number, 16),
        ):
            assert isinstance(result, engine.Value)
            assert result.data == expected
    assert sum([v, v, v]).data == 12
    assert (1 - v).data == -3


# ------------------------------------------------------------------ derivatives

UNARY = {
    "neg": (lambda x: -x, -3, 3),
    "abs": (abs, 0.1, 3),
    "abs below 0": (abs, -3, -0.1),
    "relu": (lambda x: x.relu(), 0.1, 3),
    "relu below 0": (lambda x: x.relu(), -3, -0.1),
    "leaky_relu": (lambda x: x.leaky_relu(0.1), -3, -0.1),
    "tanh": (lambda x: x.tanh(), -3, 3),
    "sigmoid": (lambda x: x.sigmoid(), -3, 3),
    "exp": (lambda x: x.exp(), -3, 3),
    "log": (lambda x: x.log(), 0.1, 3),
    "sqrt": (lambda x: x.sqrt(), 0.1, 3),
    "sin": (lambda x: x.sin(), -3, 3),
    "cos": (lambda x: x.cos(), -3, 3),
    "reciprocal": (lambda x: 1 / x, 0.1, 3),
    "2 ** x": (lambda x: 2**x, -3, 3),
    "x ** 3": (lambda x: x**3, -3, 3),
    "x ** -1.5": (lambda x: x**-1.5, 0.2, 3),
}
BINARY = {
    "+": lambda x, y: x + y,
    "-": lambda x, y: x - y,
    "*": lambda x, y: x * y,
    "/": lambda x, y: x / y,
    "**": lambda x, y: x**y,
    "max": lambda x, y: x.max(y + 5),
    "min": lambda x, y: x.min(y + 5),
}


def difference(f: Any, x: float, eps: float = 1e-5) -> float:
    return float((f(x + eps) - f(x - eps)) / (2 * eps))


@pytest.mark.parametrize("name", UNARY)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_unary_derivatives(name: str, data: st.DataObject) -> None:
    f, low, high = UNARY[name]
    point = data.draw(st.floats(low, high))
    for module in ENGINES.values():
        x = module.Value(point)
        f(x).backward()
        expected = difference(lambda at, m=module: f(m.Value(at)).data, point)
        assert x.grad == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", BINARY)
@given(a=st.floats(0.2, 3), b=st.floats(0.2, 3))
@settings(max_examples=30, deadline=None)
def test_binary_derivatives(name: str, a: float, b: float) -> None:
    f = BINARY[name]
    for module in ENGINES.values():
        x, y = module.Value(a), module.Value(b)
        f(x, y).backward()
        dx = difference(lambda at, m=module: f(m.Value(at), m.Value(b)).data, a)
        dy = difference(lambda at, m=module: f(m.Value(a), m.Value(at)).data, b)
        assert (x.grad, y.grad) == pytest.approx((dx, dy), rel=1e-5, abs=1e-6)


def test_kinks_and_ties(engine: ModuleType) -> None:
    zero, two = engine.Value(0.0), engine.Value(2.0)
    for f in (lambda x: x.relu(), abs):
        zero.grad = 0
        f(zero).backward()
        assert zero.grad == 0
    zero.leaky_relu(0.3).backward()
    assert zero.grad == 0.3
    for f in (engine.Value.max, engine.Value.min):
        x, y = engine.Value(2.0), two
        y.grad = 0
        f(x, y).backward()
        assert (x.grad, y.grad) == (1, 0)


def expression(module: ModuleType, seed: int, size: int) -> Any:
    """A random expression that uses its parts over and over; the same for any engine."""
    choose = random.Random(seed)
    leaves = [module.Value(choose.uniform(-2, 2)) for _ in range(4)]
    nodes = list(leaves)
    unary = [f for f, *_ in UNARY.values()]
    for _ in range(size):
        x, y = choose.choice(nodes), choose.choice(nodes)
        made = choose.choice(unary)(x) if choose.random() < 0.4 else x * y + choose.choice(nodes)
        nodes.append(made.tanh() if abs(made.data) > 5 or made.data != made.data else made)
    return sum(nodes)


@given(seed=st.integers(0, 10**9), size=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_stepping_to_the_end_is_backward_and_both_engines_agree(seed: int, size: int) -> None:
    grads = []
    for module in ENGINES.values():
        root = expression(module, seed, size)
        root.backward()
        order = topological_order(root)
        by_itself = [node.grad for node in order]
        for node in order:
            node.grad = node.grad if node.inputs else 0.0
        steps = list(backward_steps(root))
        np.testing.assert_array_equal(by_itself, [node.grad for node in order])
        assert len(steps) == sum(len(node.inputs) for node in order)
        for step in steps:
            np.testing.assert_equal(step.after, step.before + step.sent)
            np.testing.assert_equal(step.sent, step.local * step.upstream)
        grads.append(by_itself)
    np.testing.assert_array_equal(*grads)


# ------------------------------------------------------------------ graphs and memory


def test_micrograds_names(engine: ModuleType) -> None:
    a, b = engine.Value(1.0), engine.Value(2.0)
    c = a + b
    assert (c._op, c._prev, c.inputs) == ("+", {a, b}, (a, b))
    assert (a._op, a._prev, a.inputs) == ("", set(), ())
    assert (a * a)._prev == {a}
    assert a.label == ""
    a.label = "a"
    assert (a.label, a.name, repr(a)) == ("a", "a", "Value(data=1.0, grad=0.0, name='a')")
    a.label = ""
    assert a.name is None
    assert engine.Value(1.0, label="x").name == "x"
    with pytest.raises(ValueError, match="name and label are one, got 'x' and 'y'"):
        engine.Value(1.0, name="x", label="y")
    assert repr(a) == "Value(data=1.0, grad=0.0)"
    assert repr(engine.Value(1, name="x")) == "Value(data=1.0, grad=0.0, name='x')"


def test_an_op_of_ones_own(engine: ModuleType) -> None:
    x = engine.Value(2.0)
    cube = engine.Value(x.data**3, (x,), "cube", locals=(3 * x.data**2,))
    cube.backward()
    assert (cube._op, x.grad) == ("cube", 12)
    both = engine.Value(0, [x, x], "both", locals=[1, 2])
    x.grad = 0
    both.backward()
    assert x.grad == 3


def test_comparing(engine: ModuleType) -> None:
    a, b = engine.Value(1.0), engine.Value(1.0)
    assert a != b
    assert a == a
    assert len({a, b, a}) == 2
    assert a <= b
    assert not a < b
    assert a < 2
    assert a > 0
    assert max([a, engine.Value(3.0), b]).data == 3
    assert not engine.Value(math.nan) < 1
    with pytest.raises(TypeError):
        assert a < "x"


def test_a_long_chain(engine: ModuleType) -> None:
    x = y = engine.Value(1.0)
    for _ in range(2**20):
        y = y + x
    y.backward()
    assert (y.data, x.grad) == (2**20 + 1, 2**20 + 1)
    assert repr(y) == f"Value(data={y.data}, grad=1.0)"
    del y


def test_a_wide_and_deep_graph_is_freed(engine: ModuleType) -> None:
    nodes = [engine.Value(1.0) for _ in range(1000)]
    for _ in range(300):
        nodes = [x + y for x, y in zip(nodes, nodes[1:] + nodes[:1], strict=True)]
    total = sum(nodes)
    total.backward()
    assert total.grad == 1


def test_no_cycles() -> None:
    value = micrograd_ext.engine.Value
    if "MICROGRAD_EXT_PURE" not in os.environ:
        assert not gc.is_tracked(value(1.0))
    gc.collect()
    gc.disable()
    try:
        for module in ENGINES.values():
            x = module.Value(2.0)
            y = x * x + x
            y.backward()
            gone = weakref.ref(x)
            assert gone() is x
            del x, y
            assert gone() is None
    finally:
        gc.enable()


def test_dot_is_the_graph_written_out(engine: ModuleType) -> None:
    w, x = [engine.Value(i + 0.5) for i in range(3)], [1.0, engine.Value(-2.0), np.float64(3)]
    b = engine.Value(0.25)
    fast, slow = engine.dot(w, x, b), sum((wi * xi for wi, xi in zip(w, x, strict=True)), b)
    assert fast.data == slow.data
    ops = [[node._op for node in topological_order(root)] for root in (fast, slow)]
    assert ops[0] == ops[1]


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize("bad", ["x", "1", None, 1j, [1.0], object()])
def test_what_is_no_number(engine: ModuleType, bad: Any) -> None:
    with pytest.raises(TypeError, match="expected a real number, got"):
        engine.Value(bad)
    v = engine.Value(1.0)
    if not isinstance(bad, list):
        for f in (lambda: v + bad, lambda: bad * v, lambda: v**bad):
            with pytest.raises(TypeError):
                f()
    with pytest.raises(TypeError):
        v.max(bad)


def test_integers_beyond_float64(engine: ModuleType) -> None:
    for make in (lambda: engine.Value(10**400), lambda: engine.Value(1.0) + 10**400):
        with pytest.raises(ValueError, match="this integer is too large for a float64"):
            make()


def test_values_and_tensors_do_not_mix_unseen(engine: ModuleType) -> None:
    v, t = engine.Value(1.0), Tensor([1.0])
    for mix in (lambda: v + t, lambda: t + v, lambda: t @ v, lambda: v**t, lambda: Tensor([v])):
        with pytest.raises(TypeError, match=r"expected real numbers, got .*Value\("):
            mix()
    with pytest.raises(TypeError, match="a Value and a Tensor have no graph in common"):
        t * v


def test_wrong_children(engine: ModuleType) -> None:
    v = engine.Value(1.0)
    for children, locals_ in (((v,), ()), ((v,), (1, 2)), ((v, v, v), (1, 2, 3)), ((), (1,))):
        with pytest.raises(ValueError, match="one or two _children and as many locals"):
            engine.Value(1.0, children, "op", locals=locals_)
    with pytest.raises(TypeError, match="_children: expected Values"):
        engine.Value(1.0, (2.0,), "op", locals=(1,))
    with pytest.raises(TypeError, match="_children: expected Values"):
        engine.Value(1.0, (2.0,), "op")


# ------------------------------------------------------------------ nn


def test_networks() -> None:
    random.seed(1)
    net = nn.MLP(2, [16, 16, 1])
    assert len(net.parameters()) == 337
    out = net([1.0, -2.0])
    out.backward()
    assert any(p.grad for p in net.parameters())
    net.zero_grad()
    assert not any(p.grad for p in net.parameters())
    assert repr(nn.Layer(2, 2)) == "Layer of [ReLUNeuron(2), ReLUNeuron(2)]"
    assert repr(nn.Neuron(2, nonlin=False)) == "LinearNeuron(2)"


@pytest.mark.parametrize("activation", sorted(nn.ACTIVATIONS))
def test_a_layer_of_width_one_works_anywhere(activation: str) -> None:
    net = nn.MLP(2, [16, 1, 1], activation=activation)
    assert isinstance(net([1.0, 2.0]), micrograd_ext.Value)
    assert len(nn.MLP(1, [1, 3])(0.5)) == 3


def test_unknown_activation() -> None:
    with pytest.raises(ValueError, match="activation: expected one of relu"):
        nn.Neuron(2, activation="step")


def test_the_environment_chooses_the_engine() -> None:
    program = (
        "import micrograd_ext as mg; v = mg.Value(2.0); (v * v).backward(); "
        "print(mg.engine.__file__.endswith('.py'), v.grad, mg.nn.Neuron(2)([1, 2]).op)"
    )
    for pure in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "MICROGRAD_EXT_PURE": pure},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [str(pure == "1"), "4.0", "ReLU"]


def test_the_stubs_and_the_types_agree_with_the_engine() -> None:
    """Names and arguments in engine.pyi and engine.pxd are those of engine.py."""
    folder = Path(interpreted.__file__).parents[1]
    source = ast.parse((folder / "engine.py").read_text(encoding="utf-8"))
    stub = ast.parse((folder / "engine.pyi").read_text(encoding="utf-8"))

    def functions(body: list[ast.stmt]) -> dict[str, list[str]]:
        found = [node for node in body if isinstance(node, ast.FunctionDef)]
        return {f.name: [a.arg for a in (*f.args.posonlyargs, *f.args.args)] for f in found}

    def class_of(tree: ast.Module) -> list[ast.stmt]:
        return next(n.body for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "Value")

    real, said = functions(class_of(source)), functions(class_of(stub))
    real["op"] = ["self"]  # an attribute, but not to be set
    assert {name: real[name] for name in said} == said
    attributes = {n.target.id for n in class_of(stub) if isinstance(n, ast.AnnAssign)}  # type: ignore[union-attr]
    known = set(dir(micrograd_ext.engine.Value))
    assert attributes <= known
    inherited = {"__reduce_ex__", "__repr__", "__eq__", "__hash__"}
    assert set(real) - set(said) - attributes == inherited | {"_send", "__dealloc__"}
    outside = functions(source.body)
    assert {n: a for n, a in functions(stub.body).items() if outside[n] != a} == {}
    types = (folder / "engine.pxd").read_text(encoding="utf-8").split("# What Cython's")[0]
    for name, arguments in re.findall(r"^cdef (?:inline )?\w+ (\w+)\((.*)\)", types, re.M):
        if name != "divide":  # C's own, for Python's in common.ieee
            assert [a.split()[-1] for a in arguments.split(", ")] == outside[name]
    fields = re.findall(r"^    cdef (?:public |readonly |long )*\w+ ([\w, ]+\w)", types, re.M)
    assert {name for line in fields for name in line.split(", ")} == {*AS_WRITTEN.Value.__slots__}


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match="expected a Value or a number, got 'three'"):
        micrograd_ext.Value(1.0).max("three")  # type: ignore[arg-type]
