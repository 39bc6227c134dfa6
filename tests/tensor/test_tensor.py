"""Tensors as a graph: edges, accumulation, modes, memory; and as arrays: types, errors, looks."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import numpy as np
import pytest

from micrograd_ext import Tensor, gradcheck, graph, is_grad_enabled, no_grad, ops
from micrograd_ext.graph import topological_order


def doubles(x: Any, **how: Any) -> Tensor:
    return Tensor(np.array(x, np.float64), **how)


# ------------------------------------------------------------------ the graph


def test_two_edges_to_one_node() -> None:
    a = doubles(3.0)
    (a * a).backward()
    assert a.grad == 6
    a.zero_grad()
    (a + a).backward()
    assert a.grad == 2
    assert (a * a).inputs == (a, a)


def test_leaves_accumulate_and_other_nodes_start_afresh() -> None:
    a, b, d = doubles(3.0), doubles(2.0), doubles(1.0)
    s = a + b
    e = s * d
    e.backward()
    e.backward()
    assert (a.grad, b.grad, d.grad, s.grad, e.grad) == (2, 2, 10, 1, 1)
    x = doubles(3.0)
    y = x * x * x
    y.backward()
    x.zero_grad()
    y.backward()
    assert x.grad == 27


def test_leaves_own_their_gradients() -> None:
    a, b = doubles([1.0, 2.0]), doubles([3.0, 4.0])
    start = np.ones(2)
    (a + b).backward(start)
    a.grad *= 100
    np.testing.assert_array_equal(b.grad, 1)
    np.testing.assert_array_equal(start, 1)
    y = a.reshape(2, 1).T.sum()
    a.zero_grad()
    y.backward()
    a.grad += 1  # what a broadcast would have left read-only


def test_gradients_of_a_leaf_itself() -> None:
    x = doubles([1.0, 2.0])
    x.backward([5.0, 6.0])
    x.backward([1.0, 1.0])
    np.testing.assert_array_equal(x.grad, [6, 7])


def test_constants_get_no_gradient() -> None:
    x, fixed = doubles([1.0]), doubles([2.0], requires_grad=False)
    constant = np.array([3.0])
    y = x * fixed + constant
    y.backward()
    assert fixed.grad is None
    assert x.grad == 2
    assert [child.requires_grad for child in y.inputs] == [True, False]
    assert not (fixed * 2).requires_grad
    assert (fixed * 2).inputs == ()


def test_steps_are_the_edges_and_fit_together() -> None:
    x, w = doubles([[1.0, 2.0]], name="x"), doubles([[3.0], [4.0]], name="w")
    y = ops.tanh(x @ w + x.sum()).sum()
    order = topological_order(y)
    grads = dict.fromkeys(order)
    grads[y] = np.ones(())
    steps = list(y.backward_steps())
    assert len(steps) == sum(len(node.inputs) for node in order)
    for step in steps:
        assert step.node.inputs[step.slot] is step.input
        np.testing.assert_equal(step.before, grads[step.input])
        np.testing.assert_equal(step.upstream, grads[step.node])
        np.testing.assert_allclose(step.local.pull(step.upstream).sum(), step.sent.sum())
        before = 0 if step.before is None else step.before
        np.testing.assert_array_equal(step.after, before + step.sent)
        grads[step.input] = step.after
    np.testing.assert_array_equal(x.grad, grads[x])
    assert repr(steps[-1].local).startswith("d(")


def test_topological_order_of_a_diamond() -> None:
    a = Tensor(1.0, name="a")
    b, c = a * 2, a * 3
    order = topological_order(b + c)
    assert [*map(id, order[-1].inputs)] == [id(b), id(c)]
    places = {node: place for place, node in enumerate(order)}
    for node in order:
        assert all(places[child] < places[node] for child in node.inputs)
    assert len(order) == len(places)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (lambda: doubles([1.0, 2.0]).backward(), r"shape \(2,\) needs gradient="),
        (lambda: doubles([1.0]).backward([1.0, 2.0]), r"expected shape \(1,\), got \(2,\)"),
        (lambda: doubles([1.0], requires_grad=False).backward(), "nothing to differentiate"),
        (lambda: doubles([1.0]).detach().backward(), "nothing to differentiate"),
    ],
)
def test_backward_needs_something_to_go_by(start: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        start()


def test_a_long_chain() -> None:
    x = doubles(1.0)
    y = x
    for _ in range(100_000):
        y = y + x
    y.backward()
    assert x.grad == 100_001
    assert "op='+'" in repr(y)
    del y


def test_dropping_the_result_frees_the_graph_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = doubles([1.0, 2.0])
        inner = ops.conv2d(x.reshape(1, 1, 2, 1), np.ones((1, 1, 1, 1)))
        y = ops.softmax(inner.reshape(1, 2)).sum()
        y.backward()
        gone = weakref.ref(inner), weakref.ref(y)
        del inner, y
        assert [each() for each in gone] == [None, None]
    finally:
        gc.enable()


# ------------------------------------------------------------------ no_grad, detach


def test_no_grad_nests_and_survives_exceptions() -> None:
    x = doubles([1.0])
    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not is_grad_enabled()
    assert is_grad_enabled()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert is_grad_enabled()

    @no_grad()
    def double(v: Tensor) -> Tensor:
        return v * 2

    for _ in range(2):
        assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_is_for_one_thread() -> None:
    seen: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_detach_shares_the_data_only() -> None:
    x = doubles([1.0, 2.0])
    cut = (x * 3).detach()
    assert cut.inputs == ()
    (x * cut).sum().backward()
    np.testing.assert_array_equal(x.grad, cut.data)


# ------------------------------------------------------------------ by hand


def test_a_two_layer_network_by_hand() -> None:
    """Y = W2 sigma(W1 x + b1) + b2, L = (yhat - y)**2 with its gradients written out."""
    random = np.random.default_rng(3)
    x, y = random.standard_normal((1, 4)), random.standard_normal((1, 1))
    w1, b1, w2, b2 = (doubles(random.standard_normal(s)) for s in ((4, 5), 5, (5, 1), 1))
    y1 = ops.sigmoid(x @ w1 + b1)
    yhat = y1 @ w2 + b2
    loss = ((yhat - y) ** 2).sum()
    loss.backward()

    s = 1 / (1 + np.exp(-(x @ w1.data + b1.data)))
    error = 2 * (s @ w2.data + b2.data - y)
    hidden = error * w2.data.T * s * (1 - s)
    for found, expected in (
        (w2.grad, s.T * error),
        (b2.grad, error[0]),
        (w1.grad, x.T @ hidden),
        (b1.grad, hidden[0]),
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


# ------------------------------------------------------------------ gradcheck


def test_gradcheck_finds_what_is_wrong() -> None:
    from micrograd_ext import op

    @op("wrong")
    def wrong(x: Any, /) -> Any:
        return x * x, lambda g: g * x

    with pytest.raises(AssertionError, match=r"input 0, element \(1,\): backward gives .* give"):
        gradcheck(wrong, [0.0, 3.0])
    with pytest.raises(AssertionError, match="input 1"):
        gradcheck(lambda x, y: x * y.detach(), [2.0], [3.0])
    with pytest.raises(TypeError, match="expected it to return a Tensor, got float"):
        gradcheck(lambda x: 1.0, [2.0])
    with pytest.raises(ValueError, match="expected float64 throughout, got a result of float32"):
        gradcheck(lambda x: x.astype("float32"), [2.0])
    x = Tensor([2.0])
    assert gradcheck(lambda v: v * v, x)
    assert (x.dtype, x.grad) == (np.float32, None)


# ------------------------------------------------------------------ as an array


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1, np.float32),
        (1.5, np.float32),
        (True, np.float32),
        ([1, 2], np.float32),
        ([[1.5], [2]], np.float32),
        (np.arange(3), np.float32),
        (np.arange(3, dtype=np.float16), np.float32),
        (np.ones(2, np.float32), np.float32),
        (np.ones(2), np.float64),
        (np.ones(2, ">f8"), np.float64),
        (np.float64(1), np.float64),
        (Tensor(np.ones(2)), np.float64),
    ],
)
def test_types(data: Any, dtype: Any) -> None:
    x = Tensor(data)
    assert x.dtype == dtype
    assert x.data.dtype.isnative
    assert Tensor(data, dtype="float64").dtype == np.float64


@pytest.mark.parametrize("data", ["x", None, 1j, [1, "x"], [None], {}, object()])
def test_what_is_no_array_of_numbers(data: Any) -> None:
    with pytest.raises(TypeError, match="expected real numbers, got"):
        Tensor(data)


def test_wrong_data_and_types() -> None:
    with pytest.raises(ValueError, match="cannot make an array of list"):
        Tensor([[1.0], [1.0, 2.0]])
    with pytest.raises(TypeError, match=r"dtype: expected float32 or float64, or .* got complex"):
        Tensor([1], dtype=complex)


def test_no_copy_where_none_is_needed() -> None:
    array = np.ones(3, np.float32)
    assert Tensor(array).data is array
    assert Tensor(Tensor(array)).numpy() is array


def test_numpys_attributes() -> None:
    x = doubles([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], name="x")
    assert (x.shape, x.ndim, x.size, len(x), x.T.shape) == ((2, 3), 2, 6, 2, (3, 2))
    assert x.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert [row.data.tolist() for row in x] == x.tolist()
    assert (x[1, 2].item(), float(x[0, 0]), bool(x[0, 0])) == (6, 1, True)
    assert (x.argmax(), x.argmin(axis=1).tolist()) == (5, [0, 0])
    np.testing.assert_array_equal(np.asarray(x), x.data)
    assert np.array(x) is not x.data
    np.testing.assert_array_equal(x > 3, x.data > 3)
    np.testing.assert_array_equal(x < 3, x.data < 3)
    np.testing.assert_array_equal(x <= x.T.T, np.ones((2, 3)))
    assert (x == Tensor(x)).all()
    assert len({x, Tensor(x)}) == 2
    assert repr(x[0]) == "Tensor([1., 2., 3.], shape=(3,), dtype=float64, op='getitem')"
    assert repr(Tensor(2.0, name="a")) == "Tensor(2., shape=(), dtype=float32, name='a')"
    with pytest.raises(TypeError, match="without axes"):
        len(x[0, 0])
    with pytest.raises(ValueError, match=r"convert|size|truth"):
        x.item()


def test_numpy_does_not_take_tensors_by_surprise() -> None:
    x = doubles([1.0, 2.0])
    with pytest.raises(TypeError):
        np.exp(x)  # type: ignore[call-overload]
    y = np.array([3.0, 4.0]) * x
    assert isinstance(y, Tensor)
    np.testing.assert_array_equal(y.data, [3, 8])


@pytest.mark.parametrize("prepare", [lambda a: a.T, lambda a: a[::-1, ::2], np.asfortranarray])
def test_layouts(prepare: Any) -> None:
    array = prepare(np.arange(24.0).reshape(4, 6) - 11.5)
    array.setflags(write=False)
    x = Tensor(array)
    for f in (ops.relu, ops.tanh, lambda v: v @ v.T, lambda v: v.reshape(-1)):
        y, reference = f(x), f(Tensor(np.ascontiguousarray(array)))
        np.testing.assert_array_equal(y.data, reference.data)
        x.zero_grad()
        y.backward(np.ones_like(y.data))
        assert x.grad.shape == x.shape


# ------------------------------------------------------------------ gradients as arrays


def test_gradients_are_arrays_of_their_tensors_shape_and_type() -> None:
    """Those of single numbers too, of leaves and of other nodes, after one pass and after two."""
    for dtype in (np.float32, np.float64):
        for shape in ((), (1,), (2, 3)):
            x = Tensor(np.ones(shape), dtype=dtype)
            y = x * 3
            z = (y + y).sum()
            for _ in range(2):
                z.backward()
                for node in (x, y, z):
                    assert isinstance(node.grad, np.ndarray)
                    assert (node.grad.shape, node.grad.dtype) == (node.shape, dtype)
            x.backward(np.ones(shape))
            assert isinstance(x.grad, np.ndarray)


def test_graph_backward_steps_can_start_by_itself() -> None:
    x = doubles([1.0, 2.0])
    y = x.sum()
    assert [step.input for step in graph.backward_steps(y)] == [x]
    np.testing.assert_array_equal(x.grad, [1, 1])
    assert isinstance(y.grad, np.ndarray)


def test_no_leaf_s_gradient_is_shared() -> None:
    """Whatever is done in place to one, after one pass or two, the others keep theirs."""
    a, b, c = (doubles([1.0, 2.0]) for _ in range(3))
    total = (a + b).sum() + (b + c).sum()
    for count in (1, 2):
        total.backward()
        np.testing.assert_array_equal(b.grad, 2 * count)
    a.grad[...] = 7
    c.grad -= 1
    np.testing.assert_array_equal(a.grad, 7)
    np.testing.assert_array_equal(b.grad, 4)
    np.testing.assert_array_equal(c.grad, 1)


def test_two_results_of_one_node() -> None:
    x = doubles(2.0)
    shared = x * x
    first, second = shared * 3, shared * 5
    first.backward()
    second.backward()
    assert (x.grad, shared.grad, first.grad, second.grad) == (4 * 8, 5, 1, 1)


def test_a_failed_backward_changes_nothing() -> None:
    x = doubles([1.0, 2.0])
    y = x * x
    y.backward([1.0, 1.0])
    before = x.grad.copy(), y.grad.copy()
    for wrong in (None, [1.0], np.ones((2, 1))):
        with pytest.raises(ValueError, match="backward: "):
            y.backward(wrong)
    np.testing.assert_array_equal((x.grad, y.grad), before)


# ------------------------------------------------------------------ memory


def test_a_long_chain_is_freed_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = doubles(1.0)
        y = x
        ends = []
        for i in range(100_000):
            y = y * 1.0 if i % 2 else ops.tanh(y)
            if i in (0, 50_000, 99_999):
                ends.append(weakref.ref(y))
        y.backward()
        del y
        assert [end() for end in ends] == [None] * 3
    finally:
        gc.enable()


def test_no_op_keeps_its_result_alive() -> None:
    """No cycles: what is computed and dropped is gone, without the garbage collector's help."""
    images, matrix = np.ones((1, 4, 4, 2)), np.ones((2, 3))
    calls = [
        lambda: ops.conv2d(Tensor(images), np.ones((3, 3, 2, 2)), np.ones(2)),
        lambda: ops.max_pool2d(Tensor(images)),
        lambda: Tensor(matrix) @ Tensor(matrix.T),
        lambda: Tensor(matrix) ** Tensor(matrix),
        lambda: Tensor(matrix).max(0),
        lambda: Tensor(matrix)[[0, 0]],
        lambda: Tensor(matrix).var(),
        lambda: Tensor(matrix).softmax(),
        lambda: ops.where(matrix > 0, Tensor(matrix), 0),
        lambda: ops.stack([Tensor(matrix), Tensor(matrix)]),
        lambda: ops.concatenate([Tensor(matrix), Tensor(matrix)]),
    ]
    gc.collect()
    gc.disable()
    try:
        for call in calls:
            y = call()
            y.backward(np.ones(y.shape))
            nodes = [weakref.ref(node) for node in topological_order(y)]
            assert len(nodes) > 1
            del y
            assert [node() for node in nodes] == [None] * len(nodes)
    finally:
        gc.enable()


# ------------------------------------------------------------------ more of no_grad, numpy


def test_no_grad_in_a_thread_leaves_the_others_alone() -> None:
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with no_grad():
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(10)
    assert is_grad_enabled()
    assert (doubles(1.0) * 2).requires_grad
    done.set()
    thread.join()


def test_leaves_made_under_no_grad_are_leaves() -> None:
    with no_grad():
        x = doubles([1.0])
        y = x * 2
    assert x.requires_grad
    with pytest.raises(ValueError, match=r"computed under no_grad\(\)"):
        y.backward()
    (x * 2).backward()
    assert x.grad == 2


@pytest.mark.parametrize("f", [np.exp, np.negative, np.isnan, lambda x: np.add(np.ones(2), x)])
def test_numpys_functions_refuse_tensors(f: Any) -> None:
    with pytest.raises(TypeError, match="does not support ufuncs"):
        f(doubles([1.0, 2.0]))


def test_comparisons_with_arrays() -> None:
    x, array = doubles([1.0, 2.0, 3.0]), np.array([2.0, 2.0, 2.0])
    for found, expected in (
        (x < array, [True, False, False]),
        (array < x, [False, False, True]),
        (x >= array, [False, True, True]),
        (array >= x, [True, True, False]),
        (x > 1, [False, True, True]),
        (x <= 2, [True, True, False]),
    ):
        assert isinstance(found, np.ndarray)
        assert found.tolist() == expected
    np.testing.assert_array_equal(x == Tensor(x.data), [True, True, True])
    np.testing.assert_array_equal(x != array, [True, False, True])
    np.testing.assert_array_equal(array == x, [False, True, False])
    assert not any(x == other for other in (None, "abc", object(), [[1.0], [2.0, 3.0]]))
    assert all(x != other for other in (None, "abc", object(), [[1.0], [2.0, 3.0]]))


def test_iteration_is_differentiable() -> None:
    x = doubles([[1.0, 2.0], [3.0, 4.0]])
    first, second = x
    (first * 2 + second * 3).sum().backward()
    np.testing.assert_array_equal(x.grad, [[2, 2], [3, 3]])
    with pytest.raises(TypeError, match="without axes"):
        iter(doubles(1.0))
