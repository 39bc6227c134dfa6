"""The op `elementwise`: its instructions, and what becomes of numpy's functions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from micrograd_ext import get_num_threads, set_num_threads
from micrograd_ext.compiler._executor import INPUTS, OPCODES, OUTPUTS, REGISTERS, Executor
from micrograd_ext.compiler.elementwise import Chain, compile_chain
from micrograd_ext.compiler.trace import Node, NotTracedError, Traced, as_node

Array = npt.NDArray[Any]

RANDOM = np.random.default_rng(7)
NAMES = list(OPCODES)
FULL, ROW, COLUMN, SINGLE = range(4)


def numbers(*shape: int) -> Array:
    return RANDOM.standard_normal(shape, dtype=np.float32)


def run(code: Sequence[Sequence[Any]], rows: int, units: int, **arrays: Array) -> None:
    """Run instructions, by their names, on one example."""
    padded = np.zeros((len(code), 5), np.int32)
    for row, (name, *operands) in zip(padded, code, strict=True):
        row[: 1 + len(operands)] = NAMES.index(name), *operands
    step = {"code": padded, "rows": rows, "units": units, **arrays}
    Executor([("elementwise", step)], 1).run(0, 1)


def traced(function: Callable[..., Any], *inputs: Array) -> Array:
    """function of arrays, all of one shape, by a chain of instructions."""
    nodes = [Node("input", (), (1, *x.shape), x.dtype) for x in inputs]
    chain = compile_chain(as_node(function(*map(Traced, nodes))), nodes)
    return run_chain(chain, *inputs)


def run_chain(chain: Chain, *inputs: Array) -> Array:
    out = np.full_like(inputs[0], 7)
    arrays = {f"in{i}": x for i, x in enumerate([*inputs, *chain.arrays])}
    step = {"code": chain.code, "rows": chain.rows, "units": chain.units, **arrays, "out0": out}
    Executor([("elementwise", step)], 1).run(0, 1)
    return out


#: A function of numpy for each instruction; how many float32 roundings it may be wrong by.
INSTRUCTIONS: dict[str, tuple[Callable[..., Any], float]] = {
    "add": (np.add, 0),
    "subtract": (np.subtract, 0),
    "multiply": (np.multiply, 0),
    "divide": (np.divide, 0),
    "negative": (np.negative, 0),
    "absolute": (np.abs, 0),
    "square": (np.square, 0),
    "sqrt": (np.sqrt, 0),
    "sign": (np.sign, 0),
    "exp": (np.exp, 3),
    "log": (np.log, 3),
    "log1p": (np.log1p, 6),
    "expm1": (np.expm1, 8),
    "tanh": (np.tanh, 4),
    "sin": (np.sin, 2),
    "cos": (np.cos, 2),
    "power": (np.power, 4),
    "floor": (np.floor, 0),
    "maximum": (np.maximum, 0),
    "minimum": (np.minimum, 0),
    "greater": (np.greater, 0),
    "greater_equal": (np.greater_equal, 0),
    "less": (np.less, 0),
    "less_equal": (np.less_equal, 0),
    "equal": (np.equal, 0),
    "not_equal": (np.not_equal, 0),
    "isnan": (np.isnan, 0),
    "isinf": (np.isinf, 0),
    "logical_not": (np.logical_not, 0),
    "logical_and": (np.logical_and, 0),
    "logical_or": (np.logical_or, 0),
    "where": (lambda a, b, c: np.where(a != 0, b, c), 0),
}


def test_every_instruction_has_a_row() -> None:
    assert list(INSTRUCTIONS) == NAMES[5:]
    assert NAMES[:5] == ["constant", "load", "store", "row_sum", "row_max"]


SPECIAL = np.array(
    [
        *(0.0, -0.0, 1, -1, 0.5, 2, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1e-38, 3e38, -3e38),
        *(88.5, -88.5, 1e-8, -1e-8, 0.3, -0.3, 5.5, -5.5),
    ],
    np.float32,
)


@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_instructions_are_numpys(name: str) -> None:
    """On special values, each beside each other one, and on usual ones."""
    function, roundings = INSTRUCTIONS[name]
    grids = np.meshgrid(*[SPECIAL] * OPCODES[name])
    inputs = [np.concatenate([np.ravel(grid), numbers(5000) * 3]) for grid in grids]
    found = traced(function, *inputs)
    with np.errstate(all="ignore"):
        exact = function(*[x.astype(np.float64) for x in inputs]).astype(np.float64)
        rounded = exact.astype(np.float32)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(rounded))
    np.testing.assert_array_equal(np.isinf(found), np.isinf(rounded))
    finite = np.isfinite(rounded)
    if roundings == 0:
        np.testing.assert_array_equal(found[finite], rounded[finite])
    else:
        wrong = np.abs(found[finite] - exact[finite])
        spacing = np.spacing(np.abs(rounded[finite]))
        assert (wrong <= roundings / 2 * spacing).all(), (wrong / spacing).max()


@pytest.mark.parametrize(
    ("rows", "cols"), [(1, 1), (3, 7), (1, 600), (700, 3), (65, 64), (40, 513)]
)
def test_extents_and_sums(rows: int, cols: int) -> None:
    """One number for each, each row, each column, or one: read, and added up."""
    x, row, column, single = numbers(rows, cols), numbers(rows), numbers(cols), numbers(1)
    outs = (
        np.full((rows, cols), 7, np.float32),
        *(np.full(n, 7, np.float32) for n in (rows, cols, 1)),
    )
    code: list[list[Any]] = [
        ["constant", 0, int(np.float32(0.5).view(np.int32))],
        ["load", 1, 3, SINGLE],
        ["load", 2, 2, COLUMN],
        ["load", 3, 0, FULL],
        ["load", 4, 1, ROW],
        ["multiply", 5, 3, 0],
        ["add", 5, 5, 1],
        ["multiply", 5, 5, 2],
        ["subtract", 5, 5, 4],
        ["store", 0, 5, FULL],
        ["row_sum", 6, 5],
        ["store", 1, 6, ROW],
        ["store", 2, 5, COLUMN],
        ["store", 3, 5, SINGLE],
    ]
    arrays = {f"in{i}": array for i, array in enumerate((x, row, column, single))}
    arrays |= {f"out{i}": array for i, array in enumerate(outs)}
    before = get_num_threads()
    try:
        for threads in (1, 2, 3):
            set_num_threads(threads)
            run(code, rows, cols, **arrays)
            if threads == 1:
                first = [out.copy() for out in outs]
            for one, out in zip(first, outs, strict=True):
                np.testing.assert_array_equal(one, out)
    finally:
        set_num_threads(before)
    half = np.float32(0.5)
    expected = (x * half + single) * column - row[:, None]
    np.testing.assert_array_equal(outs[0], expected)
    exact = expected.astype(np.float64)
    for out, axis in zip(outs[1:], (1, 0, None), strict=True):
        bound = 1e-6 * np.abs(exact).sum(axis)
        assert (np.abs(out - exact.sum(axis)) <= bound + 1e-6).all()


@pytest.mark.parametrize("cols", [1, 2, 15, 16, 17, 31, 33, 64, 100, 700])
def test_rows(cols: int) -> None:
    x = numbers(9, cols)
    x[1, cols // 2], x[2, -1] = np.nan, np.inf
    largest = traced(lambda a: a.max(axis=-1, keepdims=True) + 0 * a, x[None])[0]
    with np.errstate(invalid="ignore"):
        np.testing.assert_array_equal(largest, x.max(1, keepdims=True) + 0 * x)
    x = numbers(9, cols)
    total = traced(lambda a: a.sum(axis=-1, keepdims=True) + 0 * a, x[None])[0]
    bound = 1e-6 * np.abs(x).sum(1, keepdims=True)
    assert (np.abs(total - x.astype(np.float64).sum(1, keepdims=True)) <= bound).all()


UNARY = ("negative", "absolute", "square", "exp", "tanh", "sign")
BINARY = ("add", "subtract", "multiply", "maximum", "minimum", "greater", "equal")


@st.composite
def expressions(draw: st.DrawFn) -> Callable[..., Any]:
    """A function of two arrays, of many instructions that share values."""
    moves = draw(
        st.lists(
            st.tuples(st.sampled_from(UNARY + BINARY), *[st.integers(0, 99)] * 2),
            min_size=1,
            max_size=24,
        )
    )

    def function(x: Any, y: Any) -> Any:
        values = [x, y, 0 * x + 0.75]
        for name, i, j in moves:
            a, b = values[i % len(values)], values[j % len(values)]
            value = getattr(np, name)(a) if name in UNARY else getattr(np, name)(a, b)
            if name in ("greater", "equal"):
                value = np.where(value, a, b)
            values.append(np.minimum(np.maximum(value, -4), 4))
        return values[-1] + 0 * x

    return function


@settings(max_examples=80, deadline=None)
@given(function=expressions(), rows=st.integers(1, 40), cols=st.integers(1, 40))
def test_expressions_are_numpys(function: Callable[..., Any], rows: int, cols: int) -> None:
    x, y = numbers(rows, cols), numbers(rows, cols)
    found = traced(function, x, y)
    with np.errstate(all="ignore"):
        expected, exact = function(x, y), function(x.astype(np.float64), y.astype(np.float64))
    # powers of e may be rounded otherwise than numpy's; a comparison then may fall otherwise
    close = np.isclose(found, expected, rtol=1e-4, atol=1e-4)
    assert (close | ~np.isclose(expected, exact, rtol=1e-5, atol=1e-5)).mean() > 0.95


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda x: x - x.sum(axis=0, keepdims=True), "over other axes"),
        (lambda x: x + np.arange(3.0)[:, None, None], "broadcast|uses an array"),
        (lambda x: x.astype(np.float64), "computes in float64"),
        (np.sort, "calls numpy.sort"),
        (np.add.reduce, "calls add.reduce"),
        (np.arctan, "calls arctan, for which there is no instruction"),
        (lambda x: x if x else -x, "is true"),
        (lambda x: x * float(x), "asks for the number"),
        (lambda x: next(iter(x)), "goes through"),
        (lambda x: x * np.asarray(x), "asks for the numbers"),
        (lambda x: x.cumsum(), "asks for .cumsum"),
    ],
)
def test_what_cannot_be_traced_says_why(function: Callable[[Any], Any], why: str) -> None:
    node = Node("input", (), (3, 4, 5), np.float32)
    with pytest.raises(NotTracedError, match=why):
        compile_chain(as_node(function(Traced(node))), [node])


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ([["add", 0, 1, 2]], "instruction 0"),
        ([["constant", REGISTERS, 0]], "instruction 0"),
        ([["constant", 0, 0], ["load", 1, INPUTS, FULL]], "instruction 1"),
        ([["constant", 0, 0], ["load", 1, 0, 4]], "instruction 1"),
        ([["constant", 0, 0], ["store", OUTPUTS, 0, FULL]], "instruction 1"),
        ([["load", 0, 0, FULL], ["constant", 1, 0]], "instruction 1"),
        ([["load", 0, 0, FULL], ["load", 1, 0, COLUMN]], "instruction 1"),
        ([["constant", 0, 0], ["store", 0, 0, FULL]], "expected the operand 'out0'"),
        ([["load", 0, 0, FULL]], "expected the operand 'in0'"),
        ([["load", 0, 1, FULL]], "in1: expected an array of 6 numbers"),
    ],
)
def test_wrong_code_is_refused(code: Sequence[Sequence[Any]], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        run(code, 2, 3, in1=numbers(5))


def test_code_of_another_width() -> None:
    with pytest.raises(ValueError, match="expected 5 numbers an instruction, got 4"):
        Executor([("elementwise", {"code": np.zeros((1, 4), np.int32)})], 1)


def test_nothing_is_read_or_written_beyond_the_arrays() -> None:
    """The last block is partly another's memory."""
    for count in (1, 15, 16, 17, 511, 513, 1040):
        around = np.full(count + 64, np.nan, np.float32)
        x, out = around[32:-32], np.full(count + 64, 7, np.float32)
        x[...] = numbers(count)
        run(
            [["load", 0, 0, FULL], ["negative", 0, 0], ["store", 0, 0, FULL]],
            count,
            1,
            in0=x,
            out0=out[32:-32],
        )
        np.testing.assert_array_equal(out[32:-32], -x)
        assert (out[:32] == 7).all()
        assert (out[-32:] == 7).all()
    assert math.isnan(around[0])
