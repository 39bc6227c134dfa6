"""The stepper against `backward()` itself, its words, and the views of a graph."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from micrograd_ext import Tensor, Value, graph_table, graph_tree, ops, to_dot
from micrograd_ext.graph import topological_order


def lecture() -> dict[str, Value]:
    """L = (a * b + c) * f, with names for all."""
    a, b, c, f = (Value(x, name=name) for x, name in ((2, "a"), (-3, "b"), (10, "c"), (-2, "f")))
    e = a * b
    e.name = "e"
    d = e + c
    d.name = "d"
    loss = d * f
    loss.name = "L"
    return {node.name: node for node in (a, b, c, f, e, d, loss)}


def random_graph(seed: int, tensors: bool) -> Any:
    """Some expression whose parts are used several times."""
    choose = random.Random(seed)
    if tensors:
        nodes: list[Any] = [Tensor(np.full(3, choose.uniform(-1, 1))) for _ in range(3)]
    else:
        nodes = [Value(choose.uniform(-1, 1)) for _ in range(3)]
    for _ in range(choose.randint(1, 12)):
        x, y = choose.choice(nodes), choose.choice(nodes)
        nodes.append(choose.choice([lambda x, y: x * y, lambda x, y: x + y.tanh()])(x, y))
    root = sum(nodes[1:], nodes[0])
    return root.sum() if tensors else root


def grads(order: list[Any]) -> list[Any]:
    return [None if node.grad is None else np.array(node.grad) for node in order]


def assert_same(found: list[Any], expected: list[Any]) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_equal(one, other)


# ------------------------------------------------------------------ walking


@given(seed=st.integers(0, 10**6), tensors=st.booleans())
@settings(max_examples=40, deadline=None)
def test_stepping_to_the_end_is_backward(seed: int, tensors: bool) -> None:
    root, reference = random_graph(seed, tensors), random_graph(seed, tensors)
    root.stepper().finish()
    reference.backward()
    assert_same(grads(topological_order(root)), grads(topological_order(reference)))


@given(
    seed=st.integers(0, 10**6),
    tensors=st.booleans(),
    moves=st.lists(st.sampled_from(["step", "step", "back", "restart"]), max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_any_way_to_a_place_is_as_good_as_the_direct_one(
    seed: int, tensors: bool, moves: list[str]
) -> None:
    root, reference = random_graph(seed, tensors), random_graph(seed, tensors)
    root.backward()  # leaves have something to add to, and to come back to
    reference.backward()
    walk = root.stepper()
    for move in moves:
        getattr(walk, move)()
    direct = reference.stepper()
    direct.step(walk.place)
    assert direct.place == walk.place
    assert_same(grads(topological_order(root)), grads(topological_order(reference)))


def test_it_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    walk = lecture()["L"].stepper()
    walk.step()
    assert capsys.readouterr().out == (
        "d.grad += d(L)/d(d) * d(L)/d(L) = -2 * 1 = -2    (0 -> -2)\n"
    )
    walk.next(4)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "a.grad += d(e)/d(a) * d(L)/d(e) = -3 * -2 = 6    (0 -> 6)"
    )
    walk.back()
    assert capsys.readouterr().out == "back: a.grad = 0\n"
    walk.back(10)
    assert capsys.readouterr().out.splitlines()[-1] == "at the beginning"
    walk.step(10)
    assert capsys.readouterr().out.splitlines()[-1] == "done: 6 edges"


def test_running_until_a_grad_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(3.0, name="x")
    square = x * x
    y = square * x + x
    for until, expected in ((square, 3.0), ("x", 28.0)):
        node = x if until == "x" else square
        y.stepper().run(until)
        assert node.grad == expected
        x.zero_grad()
    capsys.readouterr()
    nodes = lecture()
    walk = nodes["L"].stepper()
    walk.run("e")
    assert [nodes[name].grad for name in "dfeab"] == [-2, 4, -2, 0, 0]
    assert "e.grad = -2 is complete" in capsys.readouterr().out
    walk.finish()
    assert [nodes[name].grad for name in "abcf"] == [6, -4, -2, 4]


def test_nodes_that_are_not_there() -> None:
    walk = lecture()["L"].stepper()
    with pytest.raises(ValueError, match="no node is called 'nope'; there are a, b, e, c, d, f, L"):
        walk.run("nope")
    with pytest.raises(ValueError, match="is not part of this graph"):
        walk.explain(Value(1.0))
    with pytest.raises(ValueError, match="needs gradient="):
        (Tensor([1.0, 2.0]) * 2).stepper()


def test_a_tensors_step_shows_shapes_and_norms(capsys: pytest.CaptureFixture[str]) -> None:
    x, w = Tensor(np.ones((2, 3)), name="x"), Tensor(np.ones((3, 4)), name="w")
    loss = ops.relu(x @ w).mean()
    walk = loss.stepper()
    assert "matmul(x, w)   data 2x4 |8.48528|   grad None" in repr(walk)
    walk.run("w")
    printed = capsys.readouterr().out
    assert "matmul turns 2x4 |0.353553| into 3x4 |0.866025|    (None -> 3x4" in printed
    walk.explain("w")
    assert "1 path" in capsys.readouterr().out


# ------------------------------------------------------------------ the tree


def test_the_tree() -> None:
    walk = lecture()["L"].stepper()
    walk.step(2)
    assert repr(walk) == (
        "L = d * f   data -8   grad 1\n"
        "├── d = e + c   data 4   grad -2\n"
        "│   ├── e = a * b   data -6   grad 0   <- next\n"
        "│   │   ├── a   data 2   grad 0\n"
        "│   │   └── b   data -3   grad 0\n"
        "│   └── c   data 10   grad 0\n"
        "└── f   data -2   grad 4"
    )


def test_the_mark_is_at_the_right_one_of_two_edges() -> None:
    x = Value(3.0, name="x")
    walk = (x * x).stepper()
    assert repr(walk).splitlines()[1].endswith("<- next")
    walk.step()
    assert repr(walk).splitlines()[2].endswith("grad 3   <- next")
    walk.step()
    assert "<- next" not in repr(walk)
    assert x.grad == 6


def test_what_is_shared_is_drawn_once() -> None:
    a = Value(2.0, name="a")
    b = a * 3
    text = repr((b + b).stepper())
    assert text.count("v1 = a * 3") == 1
    assert text.count("v1 (see above)") == 1


def test_a_deep_graph_is_cut() -> None:
    y = Value(1.0)
    for _ in range(10_000):
        y = -y
    assert len(repr(y.stepper()).splitlines()) == 201


# ------------------------------------------------------------------ explanations


def explained(root: Any, node: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    walk = root.stepper()
    capsys.readouterr()
    walk.explain(node)
    return capsys.readouterr().out.splitlines()


def test_every_path_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(3.0, name="x")
    y = x * x * x
    y.name = "y"
    assert explained(y, "x", capsys) == [
        "d(y)/d(x): 3 paths",
        "  d(y)/d(v1) * d(v1)/d(x) = 3 * 3 = 9",
        "  d(y)/d(v1) * d(v1)/d(x) = 3 * 3 = 9",
        "  d(y)/d(x) = 9 = 9",
        "  sum = 27",
        "  central difference = 27",
    ]


def test_inner_nodes_roots_and_strangers(capsys: pytest.CaptureFixture[str]) -> None:
    nodes = lecture()
    assert explained(nodes["L"], "e", capsys)[-2:] == ["  sum = -2", "  central difference = -2"]
    assert explained(nodes["L"], "L", capsys)[-2:] == ["  sum = 1", "  central difference = 1"]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_the_sum_is_the_gradient(seed: int) -> None:
    root = random_graph(seed, False)
    root.backward()
    expected = {node: node.grad for node in topological_order(root) if node.inputs}
    walk = root.stepper()
    for node, grad in expected.items():
        if walk._count_paths(node) <= 100:
            products = []
            for path in walk._paths(node):
                product = 1.0
                for at, slot in path:
                    product *= at.sends(1.0)[slot][0]
                products.append(product)
            assert sum(products) == pytest.approx(grad, rel=1e-12, abs=1e-12)


def test_too_many_paths_and_unknown_ops(capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(1.0, name="x")
    y = x
    for _ in range(40):
        y = y + y
    lines = explained(y, x, capsys)
    assert lines[0] == f"d(v40)/d(x): {2**40:,} paths, too many to write out"
    cube = Value(8.0, (x,), "cube", locals=(12.0,))
    assert explained(cube, x, capsys)[-1] == (
        "  no central difference: what 'cube' computes is not known here"
    )


@pytest.mark.parametrize(
    "f",
    [
        lambda x: x + 2,
        lambda x: 2 - x,
        lambda x: 1 / x,
        lambda x: 2**x,
        lambda x: x**x,
        lambda x: x.max(1),
        lambda x: x.min(5),
        lambda x: -x,
        abs,
        lambda x: x.relu(),
        lambda x: (-x).leaky_relu(0.1),
        lambda x: x.tanh(),
        lambda x: x.sigmoid(),
        lambda x: x.exp(),
        lambda x: x.log(),
        lambda x: x.sqrt(),
        lambda x: x.sin(),
        lambda x: x.cos(),
    ],
)
def test_central_differences_know_every_op(f: Any, capsys: pytest.CaptureFixture[str]) -> None:
    x = Value(1.7, name="x")
    y = f(x)
    *_, total, difference = explained(y, "x", capsys)
    found, expected = (float(line.split("=")[1]) for line in (total, difference))
    assert found == pytest.approx(expected, rel=1e-5)


# ------------------------------------------------------------------ views


def test_table_and_dot() -> None:
    nodes = lecture()
    console = Console(width=80, color_system=None, file=io.StringIO())
    console.print(graph_table(nodes["L"]))
    text = console.file.getvalue()
    for cells in (["e", "*", "a, b", "-6", "0"], ["a", "", "", "2", "0"]):
        assert cells in [
            [cell.strip() for cell in line.split("│")[1:-1]] for line in text.split("\n")
        ]
    dot = to_dot(nodes["L"])
    assert dot.startswith("digraph {")
    assert dot.count("->") == 6
    assert to_dot(nodes["a"] * nodes["a"]).count("n0 -> n1;") == 2
    assert r"a\"\{b" in to_dot(Value(1.0, name='a"{b'))


def test_colours_in_a_terminal_only() -> None:
    walk = lecture()["L"].stepper()
    assert "\x1b" not in repr(walk)
    console = Console(force_terminal=True, width=80, color_system="standard", file=io.StringIO())
    console.print(walk)
    assert "\x1b[" in console.file.getvalue()


# ------------------------------------------------------------------ notebooks, and the README


@pytest.mark.parametrize(
    "view", [lambda loss: loss.stepper(), graph_tree, graph_table], ids=["stepper", "tree", "table"]
)
def test_views_render_in_notebooks(view: Any) -> None:
    shown = view(lecture()["L"])._repr_mimebundle_(include=(), exclude=())
    assert set(shown) == {"text/plain", "text/html"}
    assert "<pre" in shown["text/html"]
    assert "-8" in shown["text/plain"]
    only = view(lecture()["L"])._repr_mimebundle_(include=["text/plain"], exclude=())
    assert set(only) == {"text/plain"}


def test_names_are_not_markup() -> None:
    x = Value(2.0, name="w[i]")
    for view in (graph_table(x * 3), graph_tree(x * 3), (x * 3).stepper()):
        out = io.StringIO()
        Console(file=out, width=100, color_system=None).print(view)
        assert "w[i]" in out.getvalue()


def test_a_tree_in_colour() -> None:
    out = io.StringIO()
    console = Console(file=out, width=100, force_terminal=True, color_system="standard")
    console.print(lecture()["L"].stepper())
    assert "\x1b[1mL = d * f\x1b[0m" in out.getvalue()
    assert "\x1b[34mgrad 1\x1b[0m" in out.getvalue()


def test_a_large_table_shows_the_last_nodes() -> None:
    y = Value(1.0)
    for _ in range(300):
        y = y.exp()
    table = graph_table(y)
    assert table.row_count == 200
    assert table.title == "the last 200 of 301 nodes"


def test_names_that_several_nodes_have() -> None:
    walk = (Value(1.0, name="x") * Value(2.0, name="x") + 3 * Value(3.0)).stepper()
    for name in ("x", "3"):
        with pytest.raises(ValueError, match=f"2 nodes are called '{name}': give the node itself"):
            walk.explain(name)


ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (ROOT / "demos").exists(), reason="the demos are not beside the tests")
def test_the_demo_is_the_readmes_session() -> None:
    demo = [sys.executable, str(ROOT / "demos" / "step_through.py")]
    environ = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(
        demo, input="", capture_output=True, encoding="utf-8", env=environ, check=True
    )
    parts = (ROOT / "README.md").read_text(encoding="utf-8").split("```pycon\n")[1:3]
    session = "".join(part.partition("\n```")[0] for part in parts)
    printed = "\n".join(line for line in done.stdout.splitlines() if line and line[0] != "#")
    assert printed.split() == session.split()
