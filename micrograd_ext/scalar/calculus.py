"""What the ops of `Value` are, as formulas in Values: derivatives that can be derived again.

`Value.backward` multiplies numbers, which `engine.py` keeps from when the graph was built. `grad`
does the same walk with Values in place of the numbers, so that what comes out is a graph as well.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from operator import methodcaller
from typing import Any, NamedTuple, overload

from .. import graph
from ..engine import Value, own
from ..graph.stepper import Stepper
from ._tape import OPS

__all__ = ["RULES", "Rule", "central_difference", "grad"]


class Rule(NamedTuple):
    """An op: how to compute it, and its partial derivatives.

    forward: from the inputs. partials: for each input, from the output and the inputs; None for an
    op that is linear in pieces, whose derivatives are the constants that the node keeps.
    """

    forward: Callable[..., Value]
    partials: tuple[Callable[..., Value | float], ...] | None


def _power_dx(out: Value, x: Value, y: Value) -> Value | float:
    """y * x ** (y - 1); but 0 where that is 0 * inf or 0 * nan, as x ** 0 is a constant."""
    slope = y * x ** (y - 1)
    return 0.0 if y.data == 0 and slope.data != 0 else slope


def _power_dy(out: Value, x: Value, y: Value) -> Value | float:
    return 0.0 if x.data == 0 and y.data >= 0 else out * x.log()


#: `Value.op` -> what it is
RULES: dict[str, Rule] = {
    "+": Rule(operator.add, None),
    "-": Rule(operator.sub, None),
    "*": Rule(operator.mul, (lambda out, x, y: y, lambda out, x, y: x)),
    "/": Rule(operator.truediv, (lambda out, x, y: 1 / y, lambda out, x, y: -out / y)),
    "**": Rule(operator.pow, (_power_dx, _power_dy)),
    "max": Rule(lambda x, y: x.max(y), None),
    "min": Rule(lambda x, y: x.min(y), None),
    "leaky_relu": Rule(
        lambda x, slope: x.leaky_relu(slope),
        (
            lambda out, x, slope: 1.0 if x.data > 0 else slope,
            lambda out, x, slope: 0.0 if x.data > 0 else x,
        ),
    ),
    "neg": Rule(operator.neg, None),
    "abs": Rule(abs, None),
    "ReLU": Rule(methodcaller("relu"), None),
    "tanh": Rule(methodcaller("tanh"), (lambda out, x: 1 - out * out,)),
    # sigmoid(-x) = 1 - sigmoid(x), but exact for large x
    "sigmoid": Rule(methodcaller("sigmoid"), (lambda out, x: out * (-x).sigmoid(),)),
    "exp": Rule(methodcaller("exp"), (lambda out, x: out,)),
    "log": Rule(methodcaller("log"), (lambda out, x: 1 / x,)),
    "sqrt": Rule(methodcaller("sqrt"), (lambda out, x: 0.5 / out,)),
    "sin": Rule(methodcaller("sin"), (lambda out, x: x.cos(),)),
    "cos": Rule(methodcaller("cos"), (lambda out, x: -x.sin(),)),
}


@overload
def grad(y: Value, x: Value) -> Value: ...
@overload
def grad(y: Value, x: Sequence[Value]) -> list[Value]: ...
def grad(y: Value, x: Any) -> Any:
    """d(y)/d(x) as a Value, or a list of them for a list of x: derive it again, or step through it.

    Nobody's `.grad` changes. Where y does not depend on x the derivative is 0.

    Raises:
        TypeError: y or x are no Values.
        ValueError: between x and y stands an op of one's own: only numbers are known of it.

    >>> x = Value(3.0)
    >>> y = x**3
    >>> for _ in range(4):
    ...     y = grad(y, x)
    ...     print(y.data)
    27.0
    18.0
    6.0
    0.0
    """
    several = isinstance(x, Sequence)
    targets = list(x) if several else [x]
    for what, node in [("y", y), *(("x", target) for target in targets)]:
        if not isinstance(node, Value):
            raise TypeError(f"grad: {what}: expected a Value, got {node!r}")
    order = graph.topological_order(y)
    lead = graph.descendants(order, targets)
    grads: dict[Value, Value] = {y: Value(1.0)}
    for node in reversed(order):
        for slot, source in enumerate(node.inputs if node in lead else ()):
            if source in lead:
                local = _partial(node, slot)
                sent = grads[node] if local is None else local * grads[node]
                grads[source] = grads[source] + sent if source in grads else sent
    results = [grads[target] if target in grads else Value(0.0) for target in targets]
    return results if several else results[0]


def _rule(node: Value) -> Rule | None:
    """What computed the node; None for an op of one's own, even if it borrows a name."""
    known = OPS.get(node.op, (0, 0))[1] == len(node.inputs) and not own(node)
    return RULES.get(node.op) if known else None


def _partial(node: Value, slot: int) -> Value | float | None:
    """d(node)/d(its slot-th input); None for a constant 1."""
    rule = _rule(node)
    if rule is None:
        raise ValueError(
            f"grad: no formula is known for the derivative of {node.op!r}: of an op of your own "
            "the graph has numbers only; compute it with the ops of Value"
        )
    if rule.partials is not None:
        return rule.partials[slot](node, *node.inputs)
    local, _ = node.sends(1.0)[slot] or (0.0, 0.0)
    return None if local == 1.0 else local


def central_difference(order: list[Any], node: Value, eps: float = 1e-6) -> float | str:
    """d(last of order)/d(node) by computing the rest anew at node +- eps; or why that cannot be.

    >>> x = Value(3.0)
    >>> round(central_difference(graph.topological_order(x * x), x), 6)
    6.0
    """
    step = eps * max(1.0, abs(node.data))
    ends: list[float] = []
    for moved in (node.data + step, node.data - step):
        values = {node: Value(moved)}
        for other in order:
            if other is node or not any(x in values for x in other.inputs):
                continue
            rule = _rule(other)
            if rule is None:
                return f"what {other.op!r} computes is not known here"
            values[other] = rule.forward(*(values.get(x, x) for x in other.inputs))
        ends.append(values.get(order[-1], order[-1]).data)
    return (ends[0] - ends[1]) / (2 * step)


Stepper.checks[Value] = central_difference
