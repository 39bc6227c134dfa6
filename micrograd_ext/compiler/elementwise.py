"""From nodes of a trace to the code of the op `elementwise`: a chain of functions, in one pass.

See `mg_opcode` in `csrc/mg.h` for what instructions are; `csrc/opcodes.def` lists them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import graph
from ..tensor import Array
from . import _executor
from .trace import Node, NotTracedError

__all__ = ["Chain", "compile_chain"]

OPCODES = {name: code for code, name in enumerate(_executor.OPCODES)}
FULL, ROW, COLUMN, SINGLE = range(4)  # mg_extent

#: numpy's names for what an instruction of another name does: with `True`, of truth values only.
SYNONYMS = {
    "true_divide": ("divide", False),
    "fabs": ("absolute", False),
    "bitwise_and": ("logical_and", True),
    "bitwise_or": ("logical_or", True),
    "bitwise_xor": ("not_equal", True),
    "invert": ("logical_not", True),
}


class Chain(NamedTuple):
    """What an `elementwise` step computes for each example.

    code: its instructions. rows, units: of an example. arrays: of numbers of which there is one for
    each column, which it reads beside its inputs.
    """

    code: Array
    rows: int
    units: int
    arrays: list[Array]

    def same(self, other: Chain) -> bool:
        """Whether it is what the other one computes, whatever the size of the batch."""
        return (
            (self.rows, self.units) == (other.rows, other.units)
            and np.array_equal(self.code, other.code)
            and len(self.arrays) == len(other.arrays)
            and all(map(np.array_equal, self.arrays, other.arrays))
        )


def compile_chain(result: Node, inputs: Sequence[Node]) -> Chain:
    """The code that computes a node of others, all of which have a number for each of its own.

    Raises NotTracedError if there are no such instructions, or not enough registers.
    """
    return _Compiler(result, inputs).chain()


class _Compiler:
    """Gives each value a number, then a register."""

    def __init__(self, result: Node, inputs: Sequence[Node]) -> None:
        self.space = result.shape
        self.inputs = list(inputs)
        self.arrays: list[Array] = []
        self.values: dict[tuple[Any, ...], int] = {}  # what computes it -> its number
        self.whole_rows = False
        numbers: dict[int, int] = {}
        for node in graph.topological_order(result, leaves=inputs):
            of = [] if node in self.inputs else [numbers[id(each)] for each in node.inputs]
            numbers[id(node)] = self.value_of(node, of)
        self.result = numbers[id(result)]

    def value(self, *key: Any) -> int:
        """The number of what these, an opcode and its operands, compute."""
        return self.values.setdefault(key, len(self.values))

    def constant(self, number: float) -> int:
        """The number of a value that is the same everywhere."""
        bits = int(np.float32(number).view(np.int32))
        return self.value("constant", bits)

    def value_of(self, node: Node, of: list[int]) -> int:
        """The number of the value of a node, whose inputs have these."""
        op = node.op
        for place, each in enumerate(self.inputs):
            if node is each:
                return self.value("load", place, self.extent(node.shape))
        if op == "constant":
            return self.value_of_constant(node.about)
        if node.dtype not in (np.float32, np.bool_):
            raise NotTracedError(f"computes in {node.dtype}")
        if op == "cast":
            truth = node.dtype == np.bool_ != node.inputs[0].dtype
            return self.value("not_equal", of[0], self.constant(0)) if truth else of[0]
        if op == "broadcast" or op == "positive":
            return of[0]
        if op in ("sum", "max"):
            return self.value_of_rows(node, of[0])
        if op == "power":
            return self.value_of_power(node, of)
        if op == "reciprocal":
            return self.value("divide", self.constant(1), of[0])
        op, of_truths = SYNONYMS.get(op, (op, False))
        if op not in OPCODES or (of_truths and any(x.dtype != np.bool_ for x in node.inputs)):
            raise NotTracedError(f"calls {node.op}, for which there is no instruction")
        return self.value(op, *of)

    def extent(self, shape: Sequence[int]) -> int:
        """How many numbers an array of that shape has: for each, each row, each column, or one."""
        space, one = self.space, [1] * (len(self.space) - len(shape))
        shape = (*one, *shape)
        if shape == space:
            return FULL
        if math.prod(shape) == 1:
            return SINGLE
        self.whole_rows = True
        if shape == (*space[:-1], 1):
            return ROW
        if shape == (*[1] * (len(space) - 1), space[-1]):
            return COLUMN
        raise NotTracedError(f"broadcasts {shape} over {space}")

    def value_of_constant(self, number: Any) -> int:
        array = np.asarray(number)
        if array.size == 1:
            return self.constant(array.item())
        if self.extent(array.shape) != COLUMN:
            raise NotTracedError(f"uses an array of shape {array.shape}")
        self.arrays.append(np.ascontiguousarray(array.reshape(-1), np.float32))
        return self.value("load", len(self.inputs) + len(self.arrays) - 1, COLUMN)

    def value_of_rows(self, node: Node, of: int) -> int:
        """A sum or a maximum over the last axis, which is kept."""
        (axes, keepdims), source = node.about, node.inputs[0]
        last = len(self.space) - 1
        if axes != (last,) or not keepdims or len(source.shape) != len(self.space):
            raise NotTracedError(f"calls {node.op} over other axes than the last one, kept")
        if source.shape[-1] != self.space[-1]:  # it is 1
            return of
        self.whole_rows = True
        return self.value(f"row_{node.op}", of)

    def value_of_power(self, node: Node, of: list[int]) -> int:
        """Some powers are simpler, as they are in numpy."""
        base, exponent = of
        if node.inputs[1].op == "constant" and node.inputs[1].shape == ():
            number = float(node.inputs[1].about)
            if number == 1:
                return base
            if number in (2.0, 0.5):
                return self.value("square" if number == 2 else "sqrt", base)
            if number == -1:
                return self.value("divide", self.constant(1), base)
        return self.value("power", base, exponent)

    def chain(self) -> Chain:
        """The instructions: what fills registers for good, what computes, what stores."""
        if len(self.inputs) + len(self.arrays) > _executor.INPUTS:
            raise NotTracedError(f"has more than {_executor.INPUTS} inputs")
        keys = list(self.values)
        first = [i for i, key in enumerate(keys) if _is_setup(key)]
        others = [i for i, key in enumerate(keys) if not _is_setup(key)]
        last_use = {of: i for i in others for of in _operands(keys[i])}
        last_use[self.result] = len(keys)
        free = list(range(_executor.REGISTERS))[::-1]
        register: dict[int, int] = {}
        code = []
        for i in [*first, *others]:
            key = keys[i]
            done = {of for of in _operands(key) if last_use[of] == i and not _is_setup(keys[of])}
            free += [register[of] for of in done]
            if not free:
                raise NotTracedError(f"needs more than {_executor.REGISTERS} numbers at a time")
            register[i] = free.pop()
            operands = [register[of] for of in _operands(key)]
            code.append([OPCODES[key[0]], register[i], *(operands or key[1:])])
            if i not in last_use:  # nobody wants it
                free.append(register[i])
        code.append([OPCODES["store"], 0, register[self.result], FULL])
        padded = np.zeros((len(code), 5), np.int32)
        for row, instruction in zip(padded, code, strict=True):
            row[: len(instruction)] = instruction
        inner = self.space[1:]
        units = inner[-1] if self.whole_rows else 1
        return Chain(padded, math.prod(inner) // max(units, 1), units, self.arrays)


def _is_setup(key: tuple[Any, ...]) -> bool:
    return key[0] == "constant" or (key[0] == "load" and key[2] in (COLUMN, SINGLE))


def _operands(key: tuple[Any, ...]) -> tuple[int, ...]:
    return () if key[0] in ("constant", "load") else key[1:]
