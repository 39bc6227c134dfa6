"""The README's session, a statement at a time: build an expression, walk its backward pass.

To run it, and to go on from where it ends:

    python demos/step_through.py         # at a terminal it waits for Enter after each statement
    python -i demos/step_through.py      # its names are there to play with at the end
"""

from __future__ import annotations

import ast
import sys

SESSION = """
# A Value is a number that remembers how it was computed.
from micrograd_ext import Value
a, b, c = Value(2.0, name="a"), Value(-3.0, name="b"), Value(10.0, name="c")
d = a * b + c
loss = d * d

# backward() sets the grad of each to d(loss)/d(it).
loss.backward()
print(loss.data, a.grad, b.grad, c.grad)

# The same, an edge at a time. Leaves add to the gradient they have, so forget it first.
for v in (a, b, c):
    v.zero_grad()
d.name, loss.name = "d", "loss"
walk = loss.stepper()

# d has two edges to loss: d * d. Each sends local derivative x what arrived from above.
walk.step(2)
walk

# On, until the gradient of a is complete.
walk.run("a")

# Every path from loss to a, the product along each, and their sum.
walk.explain("a")
"""


def main() -> None:
    """Show and run one statement after the other."""
    wait = sys.stdin.isatty() and not sys.flags.interactive
    for comment, statement in script():
        if comment:
            print(f"\n{comment}")
        first, *more = statement.splitlines()
        print("\n".join([f">>> {first}", *(f"... {line}" for line in more)]), flush=True)
        # "single" prints what an expression gives, as at the prompt
        exec(compile(statement + "\n", "<session>", "single"), globals())
        if wait:
            input()


def script() -> list[tuple[str, str]]:
    """The statements of the session, each with the comment that stands before it, or ''."""
    lines = SESSION.splitlines()
    found = []
    for node in ast.parse(SESSION).body:
        before = lines[node.lineno - 2]
        comment = before if before.startswith("#") else ""
        found.append((comment, "\n".join(lines[node.lineno - 1 : node.end_lineno])))
    return found


if __name__ == "__main__":
    main()
