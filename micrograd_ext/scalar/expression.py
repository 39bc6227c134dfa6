"""Formulas as text: `evaluate("tanh(a*b + c)", {"a": 2, "b": -3, "c": 10})`.

The text is parsed with `ast` and walked; nothing in it is ever executed.
"""

from __future__ import annotations

import ast
import operator
import re
import warnings
from collections.abc import Callable, Mapping
from functools import reduce
from typing import SupportsFloat
from unicodedata import normalize

from ..engine import Value

__all__ = ["FUNCTIONS", "evaluate"]

BINARY: dict[type[ast.operator], Callable[[Value, Value], Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
}


def _one(name: str) -> tuple[int, int, Callable[..., Value]]:
    return 1, 1, lambda x: getattr(x, name)()


#: name -> fewest and most arguments, and what it does with them
FUNCTIONS: dict[str, tuple[int, float, Callable[..., Value]]] = {
    **{
        name: _one(name)
        for name in ("abs", "relu", "tanh", "sigmoid", "exp", "log", "sqrt", "sin", "cos")
    },
    "leaky_relu": (1, 2, lambda x, *slope: x.leaky_relu(*slope)),
    "max": (2, float("inf"), lambda *xs: reduce(lambda x, y: x.max(y), xs)),
    "min": (2, float("inf"), lambda *xs: reduce(lambda x, y: x.min(y), xs)),
    "sum": (1, float("inf"), lambda *xs: reduce(operator.add, xs)),
}


def evaluate(text: str, values: Mapping[str, SupportsFloat]) -> Value:
    """The Value of a formula, with the graph behind it.

    Args:
        text: numbers and names with + - * / **, parentheses and the functions in `FUNCTIONS`,
            written `tanh(x)` or `x.tanh()`. Parts may get names of their own, each ended by a
            semicolon or a new line: `"e = a*b; (e + c) * e"`.
        values: name -> number.

    Raises:
        ValueError: malformed text, pointing at the place; a name without a value, or one that is
            not used.
        TypeError: a value that is no real number.

    >>> evaluate("a*b + max(c, 1)", {"a": 2, "b": -3, "c": 10})
    Value(data=4.0, grad=0.0)
    >>> evaluate("tanh(a*b", {"a": 2, "b": 3})
    Traceback (most recent call last):
    ...
    ValueError: malformed expression: '(' was never closed
      tanh(a*b
          ^
    """
    if not isinstance(text, str):
        raise TypeError(f"evaluate: text: expected a formula, got {type(text).__name__}")
    if not isinstance(values, Mapping):
        raise TypeError(f"evaluate: values: expected name -> number, got {type(values).__name__}")
    try:
        return _Formula(text, values).root()
    except (RecursionError, MemoryError):
        raise ValueError("malformed expression: nested too deeply") from None


class _Formula:
    def __init__(self, text: str, values: Mapping[str, SupportsFloat]) -> None:
        # with the line ends that ast counts, and no others
        self.text = re.sub(r"\r\n?", "\n", text.strip()).replace("\f", " ")
        # ast normalises names so
        names = {normalize("NFKC", name): x for name, x in values.items()}
        self.named = {name: Value(x, name=name) for name, x in names.items()}
        self.used: set[str] = set()

    def root(self) -> Value:
        statements = self.parse()
        for statement in statements[:-1]:
            if not isinstance(statement, ast.Assign):
                raise self.malformed("only the last part may go without a name", statement)
            self.assign(statement)
        last = statements[-1]
        if isinstance(last, ast.Assign):
            root = self.assign(last)
        elif isinstance(last, ast.Expr):
            root = self.value(last.value)
        else:
            raise self.malformed("expected a formula", last)
        unused = [name for name in self.named if name not in self.used and name != root.name]
        if unused:
            raise ValueError(f"{unused[0]} is not used in the expression {self.text!r}")
        return root

    def parse(self) -> list[ast.stmt]:
        try:
            with warnings.catch_warnings():  # "1if a" is warned of; it is refused below
                warnings.simplefilter("ignore")
                statements = ast.parse(self.text).body
        except SyntaxError as error:
            text = (error.text or self.text).rstrip("\n")
            raise ValueError(
                f"malformed expression: {error.msg}{_pointing(text, (error.offset or 1) - 1)}"
            ) from None
        except ValueError as error:  # a null byte
            raise ValueError(f"malformed expression: {error}") from None
        if not statements:
            raise ValueError("malformed expression: it is empty")
        return statements

    def assign(self, statement: ast.Assign) -> Value:
        target = statement.targets[0]
        if len(statement.targets) != 1 or not isinstance(target, ast.Name):
            raise self.malformed("expected name = formula", statement)
        if target.id in self.named:
            raise self.malformed(f"{target.id} has a value already", target)
        value = self.value(statement.value)
        if value.name is not None:
            raise self.malformed(f"{target.id} would be another name for {value.name}", statement)
        value.name = target.id
        self.named[target.id] = value
        return value

    def value(self, node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            return self.constant(node)
        if isinstance(node, ast.Name):
            return self.name(node)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            constant = isinstance(node.operand, ast.Constant)
            operand = self.value(node.operand)
            return Value(-operand.data) if constant else -operand
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.UAdd):
            return self.value(node.operand)
        if isinstance(node, ast.BinOp) and type(node.op) in BINARY:
            return BINARY[type(node.op)](self.value(node.left), self.value(node.right))
        if isinstance(node, ast.Call):
            return self.call(node)
        raise self.malformed("expected numbers, names, + - * / ** and functions", node)

    def constant(self, node: ast.Constant) -> Value:
        if not isinstance(node.value, (int, float)) or isinstance(node.value, bool):
            raise self.malformed(f"expected a real number, got {node.value!r}", node)
        try:
            return Value(node.value)
        except ValueError:
            raise self.malformed("this number is too large for a float64", node) from None

    def name(self, node: ast.Name) -> Value:
        if node.id in self.named:
            self.used.add(node.id)
            return self.named[node.id]
        if node.id in FUNCTIONS:
            raise self.malformed(f"{node.id} is a function: {node.id}(...)", node)
        raise self.malformed(f"{node.id} has no value", node)

    def call(self, node: ast.Call) -> Value:
        arguments = list(node.args)
        if isinstance(node.func, ast.Name):
            name = node.func.id
        elif isinstance(node.func, ast.Attribute):
            name = node.func.attr
            arguments.insert(0, node.func.value)
        else:
            raise self.malformed("expected the name of a function", node.func)
        if name not in FUNCTIONS:
            raise self.malformed(
                f"{name} is no function here; there are {', '.join(FUNCTIONS)}", node.func
            )
        if node.keywords:
            raise self.malformed(f"{name} takes its arguments by position", node)
        fewest, most, function = FUNCTIONS[name]
        if not fewest <= len(arguments) <= most:
            number = (
                f"{fewest}"
                if fewest == most
                else f"{fewest} or more"
                if most == float("inf")
                else f"{fewest} or {most}"
            )
            raise self.malformed(f"{name} takes {number}, not {len(arguments)}", node)
        return function(*map(self.value, arguments))

    def malformed(self, problem: str, node: ast.expr | ast.stmt) -> ValueError:
        """The error that says so, pointing at the node."""
        line = self.text.split("\n")[node.lineno - 1]
        column = len(line.encode()[: node.col_offset].decode())
        return ValueError(f"malformed expression: {problem}{_pointing(line, column)}")


def _pointing(line: str, column: int) -> str:
    """The line on one line of its own, and on the next a mark below that column."""
    return f"\n  {line}\n  {' ' * column}^"
