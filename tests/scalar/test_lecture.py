"""Programs of micrograd's users and of its lecture: only the name of the package is another one."""

from __future__ import annotations

import copy
import gc
import io
import math
import operator
import pickle
import random
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import micrograd_ext as mg
from micrograd_ext import Value, nn
from micrograd_ext.graph import backward_steps, topological_order
from micrograd_ext.graph.copying import Together

# ------------------------------------------------------------------ ops of one's own


def tanh(self: Value) -> Value:
    t = math.tanh(self.data)
    out = Value(t, (self,), "tanh")

    def _backward() -> None:
        self.grad += (1 - t**2) * out.grad

    out._backward = _backward
    return out


def times(self: Value, other: Value) -> Value:
    out = Value(self.data * other.data, (self, other), "times")

    def _backward() -> None:
        self.grad += other.data * out.grad
        other.grad += self.data * out.grad

    out._backward = _backward
    return out


def total(*terms: Value) -> Value:
    out = Value(sum(x.data for x in terms), terms, "total")

    def _backward() -> None:
        for x in terms:
            x.grad += out.grad

    out._backward = _backward
    return out


def neuron(activation: Callable[[Value], Value]) -> tuple[dict[str, Value], Value]:
    """The lecture's, with all its names."""
    x1, x2 = Value(2.0, label="x1"), Value(0.0, label="x2")
    w1, w2 = Value(-3.0, label="w1"), Value(1.0, label="w2")
    b = Value(6.8813735870195432, label="b")
    x1w1 = x1 * w1
    x1w1.label = "x1*w1"
    x2w2 = x2 * w2
    x2w2.label = "x2*w2"
    both = x1w1 + x2w2
    both.label = "x1*w1 + x2*w2"
    n = both + b
    n.label = "n"
    o = activation(n)
    o.label = "o"
    return {v.label: v for v in (x1, x2, w1, w2, b, x1w1, x2w2, both, n, o)}, o


def test_the_neuron_with_a_tanh_of_ones_own() -> None:
    nodes, o = neuron(tanh)
    o.backward()
    assert o.data == pytest.approx(0.7071067811865476, abs=1e-15)
    assert [nodes[name].grad for name in ("x1", "w1", "x2", "w2")] == pytest.approx(
        [-1.5, 1, 0.5, 0], abs=1e-14
    )
    assert (o._op, o._prev, o.inputs) == ("tanh", {nodes["n"]}, (nodes["n"],))
    assert isinstance(o, Value)


@pytest.mark.parametrize("activation", [tanh, Value.tanh], ids=["own", "built in"])
def test_the_neuron_by_hand(activation: Any) -> None:
    nodes, o = neuron(activation)
    o.grad = 1.0
    for name in ("o", "n", "b", "x1*w1 + x2*w2", "x2*w2", "x1*w1"):
        nodes[name]._backward()
    expected, root = neuron(activation)
    root.backward()
    assert {k: v.grad for k, v in nodes.items()} == {k: v.grad for k, v in expected.items()}


@pytest.mark.parametrize("activation", [tanh, Value.tanh], ids=["own", "built in"])
def test_the_neuron_in_an_order_of_ones_own(activation: Any) -> None:
    nodes, o = neuron(activation)
    order: list[Value] = []
    visited = set()

    def build(v: Value) -> None:
        if v not in visited:
            visited.add(v)
            for child in v._prev:
                build(child)
            order.append(v)

    build(o)
    o.grad = 1.0
    for node in reversed(order):
        node._backward()
    assert nodes["x1"].grad == pytest.approx(-1.5, abs=1e-14)
    assert len(order) == 10


def test_drawing_as_the_lecture_does() -> None:
    _, o = neuron(tanh)
    o.backward()
    nodes: set[Value] = set()
    edges: set[tuple[Value, Value]] = set()

    def trace(v: Value) -> None:
        if v not in nodes:
            nodes.add(v)
            for child in v._prev:
                edges.add((child, v))
                trace(child)

    trace(o)
    boxes = {str(id(n)): f"{{ {n.label} | data {n.data:.4f} | grad {n.grad:.4f} }}" for n in nodes}
    assert boxes[str(id(o))] == "{ o | data 0.7071 | grad 1.0000 }"
    assert (len(boxes), len(edges), sum(bool(n._op) for n in nodes)) == (10, 9, 5)
    nameless = Value(2.0) * 3
    assert "{ %s | data %.4f }" % (nameless.label, nameless.data) == "{  | data 6.0000 }"  # noqa: UP031


def test_children_that_are_the_same_or_many_or_one() -> None:
    a, b = Value(3.0), Value(-2.0)
    square = times(a, a)
    square.backward()
    assert (a.grad, square.inputs, square._prev) == (6.0, (a, a), {a})
    a.grad = 0.0
    much = total(a, b, a, a * b, a)
    much.backward()
    assert (much.data, a.grad, b.grad) == (1.0, 3 + -2, 1 + 3)
    assert len(much.inputs) == 5


def test_backward_twice() -> None:
    a, b = Value(3.0), Value(2.0)
    s = total(a, b)
    e = times(s, s)
    for times_ in (1, 2):
        e.backward()
        assert (a.grad, b.grad, s.grad, e.grad) == (10 * times_, 10 * times_, 10, 1)


def test_without_a_backward_nothing_goes_back() -> None:
    a = Value(3.0)
    out = Value(9.0, (a,), "square")
    (out * 2).backward()
    assert (a.grad, out.grad) == (0.0, 2.0)
    out._backward()
    Value(1.0)._backward()
    assert (a.grad, list(backward_steps(out))) == (0.0, [])


def test_a_backward_is_for_ops_of_ones_own() -> None:
    a = Value(3.0)
    for known in (a, a * a, Value(9.0, (a,), "square", locals=(6.0,))):
        with pytest.raises(AttributeError, match=r"_backward: Value\(.* knows its derivatives"):
            known._backward = print
    with pytest.raises(TypeError, match="_backward: expected a function, got 3"):
        Value(9.0, (a,), "square")._backward = 3  # type: ignore[assignment]


def test_an_error_in_a_backward_leaves_the_other_grads() -> None:
    a, b = Value(3.0), Value(2.0)
    a.grad = 5.0
    out = Value(1.0, (a, b), "bad")

    def _backward() -> None:
        a.grad += out.grad
        raise ZeroDivisionError

    out._backward = _backward
    with pytest.raises(ZeroDivisionError):
        out.backward()
    assert (a.grad, b.grad, out.grad) == (5.0, 0.0, 1.0)


def own_graph(seed: int) -> tuple[Value, Value]:
    choose = random.Random(seed)
    x = Value(choose.uniform(-1, 1), name="x")
    nodes = [x, Value(choose.uniform(-1, 1))]
    for _ in range(choose.randint(2, 12)):
        one, other = choose.choice(nodes), choose.choice(nodes)
        made = (times, lambda p, q: tanh(p) - q, lambda p, q: total(p, q, p))
        nodes.append(choose.choice(made)(one, other))
    return x, nodes[-1] + nodes[-2]


def test_stepping_to_the_end_is_backward(capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(40):
        (x, root), (_, reference) = own_graph(seed), own_graph(seed)
        root.stepper().finish()
        reference.backward()
        grads = [[node.grad for node in topological_order(each)] for each in (root, reference)]
        assert grads[0] == grads[1]
        capsys.readouterr()
        walk = root.stepper()
        if any(node is x for node in topological_order(root)):
            before = x.grad
            walk.explain(x)
            out = capsys.readouterr().out
            assert "no central difference: what" in out or "central difference =" in out
            assert x.grad == before


def test_stepping_and_looking(capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(3.0, name="x")
    y = times(x, x)
    walk = (y * 2).stepper()
    walk.finish()
    assert capsys.readouterr().out == (
        "v1.grad += d(v2)/d(v1) * d(v2)/d(v2) = 2 * 1 = 2    (0 -> 2)\n"
        "2.grad += d(v2)/d(2) * d(v2)/d(v2) = 9 * 1 = 9    (0 -> 9)\n"
        "x.grad += d(v1)/d(x) * d(v2)/d(v1) = 6 * 2 = 12    (0 -> 12)\n"
        "done: 3 edges\n"
    )
    walk.back()
    assert x.grad == 0
    assert "v1 = times(x, x)   data 9   grad 2" in repr(walk)
    assert mg.to_dot(y).count("n0 -> n1") == 2
    assert mg.graph_table(y).row_count == 2
    walk.explain("x")
    assert "sum = 12" in capsys.readouterr().out


def test_the_local_derivative_when_nothing_or_too_much_comes() -> None:
    x = Value(2.0)
    out = tanh(x)
    for upstream in (0.0, math.inf, -3.0):
        [message] = out.sends(upstream)
        assert message is not None
        local, sent = message
        assert local == pytest.approx(1 - math.tanh(2) ** 2)
        assert sent == (1 - out.data**2) * upstream
        assert (x.grad, out.grad) == (0.0, 0.0)


def test_only_numbers_are_known_of_it() -> None:
    x = Value(0.5)
    for y in (tanh(x), times(x, x)):  # 'tanh' is the name of a known op, too
        with pytest.raises(ValueError, match="of an op of your own the graph has numbers only"):
            mg.grad(y, x)
        with pytest.raises(ValueError, match="of an op of your own the graph has numbers only"):
            mg.record(y, [x])


def test_methods_put_into_the_class() -> None:
    v = Value(0.5)
    assert not hasattr(Value, "softplus")

    def softplus(self: Value) -> Value:
        out = Value(math.log1p(math.exp(self.data)), (self,), "softplus")

        def _backward() -> None:
            self.grad += out.grad / (1 + math.exp(-self.data))

        out._backward = _backward
        return out

    Value.softplus = softplus  # type: ignore[attr-defined]
    try:
        y = (v * 2).softplus()  # type: ignore[attr-defined]
        y.backward()
        assert v.grad == pytest.approx(2 / (1 + math.exp(-1)))
    finally:
        del Value.softplus  # type: ignore[attr-defined]
    builtin = Value.relu
    Value.relu = lambda self: self * 10  # type: ignore[method-assign]
    try:
        assert nn.Neuron(1)([0.0]).op == "*"
    finally:
        Value.relu = builtin  # type: ignore[method-assign]


class Own(Value):
    """A subclass with a signature of its own."""

    def __init__(self, data: float, _children: tuple[Value, ...] = (), _op: str = "") -> None:
        super().__init__(data, _children, _op)
        self.tag = "t"

    def cube(self) -> Own:
        out = Own(self.data**3, (self,), "cube")

        def _backward() -> None:
            self.grad += 3 * self.data**2 * out.grad

        out._backward = _backward
        return out


@pytest.mark.parametrize("op", [operator.add, operator.sub, operator.mul, operator.truediv, pow])
def test_a_subclass_on_either_side(op: Any) -> None:
    x, y = Own(2.0), Value(3.0)
    assert [op(x, y).data, op(y, x).data, op(2, x).data] == [op(2.0, 3.0), op(3.0, 2.0), op(2, 2)]
    assert op(y, x).inputs == (y, x)


def test_a_subclass() -> None:
    x = Own(2.0)
    y = x.cube()
    z = y * x
    z.backward()
    assert (type(y), y.inputs, z.data, x.grad) == (Own, (x,), 16.0, 4 * 8)

    class Narrow(Value):
        __slots__ = ()

    assert (Narrow(2.0) * 3).data == 6
    if not isinstance(getattr(Narrow(1.0), "__dict__", None), dict):
        with pytest.raises(TypeError, match="Narrow has no room for _children without locals"):
            Narrow(1.0, (x,), "op")


def test_their_cycles_are_found() -> None:
    gc.collect()
    for make in (lambda x: tanh(x) * 2, lambda x: Own(2.0).cube() + x, lambda x: total(x, x, x)):
        x = Value(0.5)
        y = make(x)
        y.backward()
        gone = [weakref.ref(node) for node in topological_order(y)]
        assert all(ref() is not None for ref in gone)
        del x, y
        gc.collect()
        assert all(ref() is None for ref in gone)


def test_a_long_chain_of_them() -> None:
    x = y = Value(0.5)
    for i in range(20_000):
        y = total(y, x) if i % 2 else total(y, y * 0, x * 0)
    y.backward()
    assert x.grad == 10_001
    del y
    gc.collect()
    y = x
    for _ in range(20_000):
        y = Value(1.0, (y, x, y), "nothing goes back")
    y.backward()
    del y


# ------------------------------------------------------------------ numbers


def test_as_a_number() -> None:
    v = Value(2.75, name="v")
    assert +v is v
    assert (int(v), float(v), round(v), round(v, 1), math.floor(v)) == (2, 2.75, 3, 2.8, 2)
    assert (f"{v:.1f}", f"{v:>6.2f}", "%.1f" % v) == ("2.8", "  2.75", "2.8")  # noqa: UP031
    assert f"{v}" == str(v) == repr(v) == "Value(data=2.75, grad=0.0, name='v')"
    assert (math.exp(v), bool(Value(0.0))) == (math.exp(2.75), True)
    v += 1
    assert (v.data, v.op) == (3.75, "+")
    v.data += -0.25
    v.grad = 2
    v.data += -0.5 * v.grad
    assert v.data == 2.5
    a, b, c = Value(3.0), Value(1.0), Value(2.0)
    assert sorted([a, b, c]) == [b, c, a]
    assert (max(a, b), min(a, b), max([b, c], key=float)) == (a, b, c)
    with pytest.raises(ValueError, match="Unknown format code"):
        format(v, "d")


OPERATORS = [operator.add, operator.sub, operator.mul, operator.truediv, operator.pow]
COMPARISONS = [operator.lt, operator.le, operator.gt, operator.ge]


@pytest.mark.parametrize("op", OPERATORS)
def test_with_arrays_it_computes_element_by_element(op: Any) -> None:
    numbers = np.array([1.0, 2.0, 3.0])
    for array in (
        numbers,
        numbers.astype("f4"),
        numbers.astype(int),
        numbers.astype(np.longdouble),
    ):
        v = Value(2.0)
        for found, expected in ((op(v, array), op(2.0, numbers)), (op(array, v), op(numbers, 2.0))):
            assert found.dtype == object
            assert all(type(x) is Value for x in found)
            assert found.astype(float).tolist() == expected.tolist()
            v.grad = 0.0
            found.sum().backward()
            assert v.grad != 0
    values = np.array([Value(1.0), Value(2.0)])
    for found in (op(values, v), op(v, values), op(values, values), op(values, numbers[:2])):
        assert [type(x) for x in found] == [Value, Value]
    assert op(v, np.ones((2, 1))).shape == op(np.ones((2, 1)), v).shape == (2, 1)
    assert op(v, np.array([2.0])).shape == (1,)


@pytest.mark.parametrize("op", COMPARISONS)
def test_comparing_with_arrays(op: Any) -> None:
    numbers, v = np.array([1.0, 2.0, 3.0]), Value(2.0)
    assert op(v, numbers).tolist() == op(2.0, numbers).tolist()
    assert op(numbers, v).tolist() == op(numbers, 2.0).tolist()
    values = np.array([Value(x) for x in numbers])
    assert op(values, v).tolist() == op(numbers, 2.0).tolist()


def test_equality_is_identity_in_arrays_too() -> None:
    a, b = Value(1.0), Value(1.0)
    both = np.array([a, b])
    for found in (both == a, a == both):
        assert found.tolist() == [True, False]
    assert (a != both).tolist() == [False, True]
    assert (np.array([1.0]) == a).tolist() == [False]
    assert [a == 1.0, a == None, a != b] == [False, False, True]  # noqa: E711


@pytest.mark.parametrize(
    "kind", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint64, np.bool_]
)
@pytest.mark.parametrize("op", OPERATORS)
def test_with_numpys_scalars_it_stays_a_value(op: Any, kind: Any) -> None:
    v, number = Value(2.0), kind(1)
    for found, expected in ((op(number, v), op(1.0, 2.0)), (op(v, number), op(2.0, 1.0))):
        assert type(found) is Value
        assert found.data == expected
    assert op(np.array(1.0), v).data == op(1.0, 2.0)
    assert all(compare(number, v) == compare(1, 2.0) for compare in COMPARISONS)


def test_numpys_functions_of_arrays_of_values() -> None:
    numbers = np.array([[0.5, -1.0], [2.0, 0.25]])
    leaves = [[Value(x) for x in row] for row in numbers]
    values = np.array(leaves)
    assert values.dtype == object
    for f in (
        np.sum, np.mean, np.prod, np.max, np.min, np.std, np.var, np.exp, np.tanh, np.sin, np.cos,
        np.abs, np.square, np.negative, np.positive, np.cumsum, np.linalg.norm,
        lambda x: np.sum(x, axis=0), lambda x: np.mean(x, axis=1, keepdims=True), np.transpose,
        lambda x: x @ x, lambda x: np.dot(x, numbers), lambda x: numbers @ x, lambda x: x.T.dot(x),
        lambda x: np.maximum(x, 0.0), lambda x: np.log(np.abs(x)), lambda x: np.sqrt(x * x),
        lambda x: np.outer(x, x), lambda x: np.einsum("ij,kj->ik", x, x), lambda x: x - x.mean(),
        lambda x: np.where(x > 0, x, 0.1 * x),
    ):  # fmt: skip
        found = f(values)
        np.testing.assert_allclose(np.array(found).astype(float), f(numbers), rtol=1e-12)
    assert np.exp(Value(2.0)).data == math.exp(2.0)
    assert np.argmax(values) == 2
    assert [v.data for v in np.sort(values.ravel())] == sorted(numbers.ravel())
    loss = ((values @ values - 1) ** 2).mean()
    loss.backward()
    x = mg.Tensor(numbers, dtype="float64")
    ((x @ x - 1) ** 2).mean().backward()
    np.testing.assert_allclose([[v.grad for v in row] for row in leaves], x.grad, rtol=1e-12)
    assert np.asarray(values, dtype=float).tolist() == numbers.tolist()
    with pytest.raises(TypeError, match="expected a real number, got array"):
        Value(np.array([1.0]))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        numbers += values[0, 0]


# ------------------------------------------------------------------ copies and pickles


def chain(length: int) -> tuple[Value, Value]:
    x = y = Value(1.0, name="x")
    for _ in range(length):
        y = y + x
    y.name = "y"
    return x, y


PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
WAYS: dict[str, Callable[[Any], Any]] = {
    "deepcopy": copy.deepcopy,
    **{f"pickle {p}": lambda x, p=p: pickle.loads(pickle.dumps(x, p)) for p in PROTOCOLS},
}


@pytest.fixture(params=WAYS)
def again(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Another object, the same in all."""
    return WAYS[request.param]


def state(root: Value) -> list[Any]:
    order = topological_order(root)
    places = {node: i for i, node in enumerate(order)}
    return [
        (type(n), n.data, n.grad, n.op, n.name, [places[x] for x in n.inputs], n.sends(1.0))
        for n in order
    ]


def test_a_copy_is_the_same_graph(again: Any) -> None:
    a, b = Value(2.0, name="a"), Value(math.nan)
    square = Value(4.0, (a,), "square", locals=(4.0,))
    unfinished = Value(8.0, (a, square, a), "no way back")
    root = (a * a + square / 3 + (a - b).max(a)) ** a * unfinished
    root.backward()
    root.label = "root"
    other = again(root)
    assert repr(state(other)) == repr(state(root))  # nan is not equal to itself
    assert not set(topological_order(other)) & set(topological_order(root))
    assert other.label == "root"
    other.backward()
    assert a.grad != 0 or math.isnan(a.grad)
    assert repr(again(Value(3.0))) == "Value(data=3.0, grad=0.0)"


def test_what_is_shared_stays_shared(again: Any) -> None:
    x, y = chain(50)
    middle = topological_order(y)[20]
    for several in (
        [x, y, middle],
        [y, x, middle],
        [middle, y, y, x],
        (x, {"a": [y], "b": middle}),
    ):
        found = again([several, x, y, middle])
        _, x2, y2, middle2 = found
        assert middle2 in set(topological_order(y2))
        assert [node for node in topological_order(y2) if not node.inputs] == [x2]
        assert len({id(v) for v in topological_order(y2)}) == 51
        if isinstance(several, list):
            same = {x: x2, y: y2, middle: middle2}
            assert found[0] == [same[v] for v in several]
        y2.backward()
        assert (x2.grad, x.grad) == (51.0, 0.0)


def test_a_network_and_its_loss(again: Any) -> None:
    random.seed(0)
    net = nn.MLP(3, [4, 4, 1], activation="tanh")
    loss = (net([2.0, 3.0, -1.0]) - 1) ** 2
    loss.backward()
    for order in (["net", "loss"], ["loss", "net"]):
        things = again({key: {"net": net, "loss": loss}[key] for key in order})
        other, loss2 = things["net"], things["loss"]
        assert [p.grad for p in other.parameters()] == [p.grad for p in net.parameters()]
        other.zero_grad()
        loss2.backward()
        assert [p.grad for p in other.parameters()] == [p.grad for p in net.parameters()]
        assert set(other.parameters()) <= set(topological_order(loss2))
        assert not set(other.parameters()) & set(net.parameters())


@pytest.mark.parametrize("again", ["deepcopy", f"pickle {PROTOCOLS[-1]}"], indirect=True)
def test_deep_graphs(again: Any) -> None:
    x, y = chain(100_000)
    x2, y2, half2 = again([x, y, y * 0.5])
    y2.backward()
    assert (y2.data, x2.grad, half2.inputs[0], x.grad) == (100_001, 100_001, y2, 0)
    del y2, y, half2


@pytest.mark.parametrize("again", ["deepcopy", f"pickle {PROTOCOLS[-1]}"], indirect=True)
def test_many_roots_of_one_deep_graph(again: Any) -> None:
    """The time goes with the nodes, not with the roots times the nodes."""
    roots = [Value(0.0)]
    for _ in range(10_000):
        roots.append(roots[-1] + 1)
    found = again(roots)
    assert all(after.inputs[0] is before for before, after in pairwise(found))
    backwards = again(roots[::-1])
    assert backwards[0].data == 10_000


def test_two_picklers_at_a_time() -> None:
    """The first keeps what it has seen, as picklers do; the second writes all of it itself."""
    gc.collect()
    assert len(Together.alive) == 0
    roots = [Value(0.0)]
    for _ in range(3_000):
        roots.append(roots[-1] + 1)
    first = pickle.Pickler(io.BytesIO())
    for root in roots:
        first.dump(root)
    assert len(Together.alive) == 3_000
    roots[0].data = 5.0
    for root in (roots[-1], roots[-1] + 1, roots[1_500]):
        found = pickle.loads(pickle.dumps(root))
        assert repr(found) == repr(root)
        order = topological_order(found)
        assert order[0].data == 5.0
        assert len(order) == len(topological_order(root))
    del first
    gc.collect()
    assert len(Together.alive) == 0


def test_a_pickle_shows_the_numbers_of_its_time() -> None:
    x, y = chain(3)
    for data in (1.0, 7.0):
        x.data = data
        assert pickle.loads(pickle.dumps([y, x]))[1].data == data


def test_python_written_picklers_too() -> None:
    x, y = chain(2_000)
    file = io.BytesIO()
    pickle._Pickler(file).dump([y, x])  # type: ignore[attr-defined]
    file.seek(0)
    y2, x2 = pickle._Unpickler(file).load()  # type: ignore[attr-defined]
    y2.backward()
    assert x2.grad == 2_001


def test_shallow_copies() -> None:
    a, b = Value(2.0), Value(3.0)
    product = a * b
    product.name = "p"
    other = copy.copy(product)
    assert (repr(other), other.inputs, other.op) == (repr(product), (a, b), "*")
    assert other is not product
    other.backward()
    assert (a.grad, b.grad) == (3.0, 2.0)


def test_subclasses_keep_what_is_theirs(again: Any) -> None:
    x = Own(2.0)
    x.tag = "kept"
    y = again(x * x)
    assert (type(y.inputs[0]), y.inputs[0].tag) == (Own, "kept")
    assert copy.copy(x).tag == "kept"


def test_a_backward_cannot_be_copied() -> None:
    y = tanh(Value(0.5)) * 2
    for act in (pickle.dumps, copy.deepcopy, lambda y: copy.copy(y.inputs[0])):
        with pytest.raises(TypeError, match="has a _backward, which belongs to this very graph"):
            act(y)
    with pytest.raises(TypeError, match=r"Value\(data, inputs, 'tanh', locals=...\)"):
        pickle.dumps([y])
    gc.collect()
    assert len(Together.alive) == 0


# ------------------------------------------------------------------ training


def test_the_lectures_training() -> None:
    random.seed(1)
    n = nn.MLP(3, [4, 4, 1], activation="tanh")
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    losses = []
    for _ in range(60):
        ypred = [n(x) for x in xs]
        loss = sum((yout - ygt) ** 2 for ygt, yout in zip(ys, ypred, strict=True))
        for p in n.parameters():
            p.grad = 0.0
        loss.backward()
        for p in n.parameters():
            p.data += -0.05 * p.grad
        losses.append(loss.data)
    assert losses[-1] < 0.05 < losses[0]
    assert len(n.parameters()) == 41
