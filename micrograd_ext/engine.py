# cython: language_level=3, cdivision=True, embedsignature=True
"""`Value`: a number that remembers how it was computed.

An op makes a new Value of three things: the result, the Values it came from, and the derivative of
the result with respect to each of those, which is a number known then and there. `backward()` has
only to multiply along the edges and add up where they meet: the chain rule.

Cython compiles this file, with the types that engine.pxd adds, when the package is built. With
MICROGRAD_EXT_PURE=1 in the environment Python runs it as it stands here, so that you can put a
breakpoint anywhere. Both give the same numbers, to the last bit.

Numbers are float64, and arithmetic is that of IEEE 754, without warnings: 1 / 0 and 0 ** -1 are
inf, log(-1) and (-8) ** (1 / 3) are nan, and nan goes on into whatever is computed from it.
"""

try:
    import cython
except ImportError:  # it takes part in building only
    from micrograd_ext import _no_cython as cython

if cython.compiled:
    from cython.cimports.libc.math import cos, exp, fabs, log, pow, sin, sqrt, tanh
else:
    from micrograd_ext._ieee import cos, divide, exp, fabs, log, pow, sin, sqrt, tanh

from micrograd_ext.graph import backward_steps

__all__ = ["Value", "dot"]


@cython.no_gc  # graphs have no cycles: counting references is enough to free them, and at once
@cython.freelist(4096)
@cython.cclass
class Value:
    """A number with a gradient, and the graph behind it.

    Args:
        data: a number; it becomes a float64.
        _children: for ops of your own: one or two Values that this one was computed from.
        _op: what computed it.
        locals: d(this)/d(child), a number for each of the children.
        name: what to call it when the graph is shown.

    Attributes:
        data: the number. Setting it changes nothing that was computed from it before.
        grad: d(root)/d(this), where root is what `backward` was called on; 0.0 before.
        op, inputs, name: as given; '' and () for a leaf. Micrograd's `_op` and `_prev` are there.

    Raises:
        TypeError: data that are no real number.
        ValueError: an integer beyond float64; more than two children, or not a local derivative
            for each.

    Values compare by their data with < and the like, but == and hash go by identity.

    >>> a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    >>> c = a * b + a**2
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (-2.0, 1.0, 2.0)
    """

    __slots__ = ("_dx", "_dy", "_turn", "_walk", "_x", "_y", "data", "grad", "name", "op")
    __array_ufunc__ = None  # np.float64(2) * value: numpy leaves that to us
    unset = 0.0  # grad before anything arrived; see graph.Node

    def __init__(self, data, _children=(), _op="", locals=None, name=None):
        self.data = number(data)
        self.grad = 0.0
        self.op = _op
        self.name = name
        self._x = self._y = None
        self._dx = self._dy = 0.0
        self._walk = self._turn = 0
        if _children:
            x, dx, y, dy = children(_children, locals)
            self._x, self._dx, self._y, self._dy = x, dx, y, dy

    # ---- ops: the name, the value, and each input with d(value)/d(input)

    def __add__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return binary("+", self.data + y.data, self, 1.0, y, 1.0)

    def __sub__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return binary("-", self.data - y.data, self, 1.0, y, -1.0)

    def __mul__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return binary("*", self.data * y.data, self, y.data, y, self.data)

    def __truediv__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        ratio = divide(self.data, y.data)
        return binary("/", ratio, self, divide(1.0, y.data), y, divide(-ratio, y.data))

    def __pow__(self, other):
        """Self ** other; d/dother is nan for a negative base, whose logarithm it needs."""
        if (y := value(other)) is None:
            return NotImplemented
        data = pow(self.data, y.data)
        dx, dy = power_dx(self.data, y.data), power_dy(self.data, y.data, data)
        return binary("**", data, self, dx, y, dy)

    def max(self, other):
        """The larger of two; of equals, this one gets the gradient."""
        y = needed(other)
        if self.data >= y.data or self.data != self.data:
            return binary("max", self.data, self, 1.0, y, 0.0)
        return binary("max", y.data, self, 0.0, y, 1.0)

    def min(self, other):
        """The smaller of two; of equals, this one gets the gradient."""
        y = needed(other)
        if self.data <= y.data or self.data != self.data:
            return binary("min", self.data, self, 1.0, y, 0.0)
        return binary("min", y.data, self, 0.0, y, 1.0)

    def __neg__(self):
        return unary("neg", -self.data, self, -1.0)

    def __abs__(self):
        return self.abs()

    def abs(self):
        """Absolute value; the derivative at 0 is 0."""
        return unary("abs", fabs(self.data), self, float(self.data > 0) - float(self.data < 0))

    def relu(self):
        """max(0, x); the derivative at 0 is 0."""
        data = 0.0 if self.data <= 0 else self.data
        return unary("ReLU", data, self, 0.0 if self.data <= 0 else 1.0)

    def leaky_relu(self, negative_slope=0.2):
        """x where it is positive, else negative_slope * x; at 0 the derivative is the slope.

        The slope is an input like any other: a Value that is trained makes a parametric ReLU.
        """
        y = needed(negative_slope)
        if self.data > 0:
            return binary("leaky_relu", self.data, self, 1.0, y, 0.0)
        return binary("leaky_relu", y.data * self.data, self, y.data, y, self.data)

    def tanh(self):
        """Hyperbolic tangent."""
        data = tanh(self.data)
        return unary("tanh", data, self, 1.0 - data * data)

    def sigmoid(self):
        """1 / (1 + e ** -x), exact at both ends."""
        z = exp(-fabs(self.data))
        data = (1.0 if self.data > 0 else z) / (1.0 + z)
        return unary("sigmoid", data, self, z / ((1.0 + z) * (1.0 + z)))

    def exp(self):
        """e ** x."""
        data = exp(self.data)
        return unary("exp", data, self, data)

    def log(self):
        """Natural logarithm: -inf for 0, nan below."""
        return unary("log", log(self.data), self, divide(1.0, self.data))

    def sqrt(self):
        """Square root: nan below 0."""
        data = sqrt(self.data)
        return unary("sqrt", data, self, divide(0.5, data))

    def sin(self):
        """Sine of an angle in radians."""
        return unary("sin", sin(self.data), self, cos(self.data))

    def cos(self):
        """Cosine of an angle in radians."""
        return unary("cos", cos(self.data), self, -sin(self.data))

    # ---- with a number on the left

    def __radd__(self, other):
        return NotImplemented if (x := value(other)) is None else x + self

    def __rsub__(self, other):
        return NotImplemented if (x := value(other)) is None else x - self

    def __rmul__(self, other):
        return NotImplemented if (x := value(other)) is None else x * self

    def __rtruediv__(self, other):
        return NotImplemented if (x := value(other)) is None else x / self

    def __rpow__(self, other):
        return NotImplemented if (x := value(other)) is None else x**self

    # ---- back-propagation

    @property
    def inputs(self):
        """The Values it was computed from, in order, one for each edge."""
        if self._x is None:
            return ()
        return (self._x,) if self._y is None else (self._x, self._y)

    def sends(self, upstream):
        """(local derivative, local x upstream) for each input; see `graph.Node`."""
        if self._x is None:
            return ()
        first = (self._dx, self._dx * upstream)
        return (first,) if self._y is None else (first, (self._dy, self._dy * upstream))

    def backward_steps(self):
        """`backward`, one edge at a time; see `graph.Step` for what comes."""
        return backward_steps(self, 1.0)

    def backward(self):
        """Set the grad of every Value that this one depends on to d(this)/d(it).

        Leaves add to the grad they have, all others start afresh.
        """
        # graph.backward_steps, without a Step for each edge
        order = walk(self)
        for item in order:
            node: Value = item
            if node._x is not None:
                node.grad = 0.0
        self.grad += 1.0
        for item in reversed(order):
            node = item
            if node._x is not None:
                node._x.grad += node._dx * node.grad
                if node._y is not None:
                    node._y.grad += node._dy * node.grad

    def stepper(self):
        """Walk through the backward pass by hand; see `stepper.Stepper`."""
        from micrograd_ext.stepper import Stepper  # noqa: PLC0415 - it is written with Values

        return Stepper(self)

    def zero_grad(self):
        """Forget the gradient."""
        self.grad = 0.0

    def rewrite(self, data, grad, dx=0.0, dy=0.0):
        """Put other numbers into the same node: what a replayed `tape.Tape` writes back."""
        self.data, self.grad = data, grad
        if self._x is not None:
            self._dx, self._dy = dx, dy

    # ---- the rest

    @property
    def _op(self):  # micrograd's name for op
        return self.op

    @property
    def _prev(self):  # micrograd's name for the inputs, as a set
        return set(self.inputs)

    def __float__(self):
        return self.data

    def __lt__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data < y.data

    def __le__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data <= y.data

    def __gt__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data > y.data

    def __ge__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data >= y.data

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self) >> 4

    def __repr__(self):
        name = f", name={self.name!r}" if self.name else ""
        return f"Value(data={self.data}, grad={self.grad}{name})"

    def __dealloc__(self):
        """Let go of the inputs. A long chain must not recurse: what lies deep waits its turn."""
        global depth  # noqa: PLW0603
        if self._x is None:
            return
        if depth >= 200:
            waiting.append(self._x)
            if self._y is not None:
                waiting.append(self._y)
            return
        depth += 1
        self._x = self._y = None
        depth -= 1
        if depth == 0:
            while waiting:
                waiting.pop()


depth = 0  # of deallocations within deallocations
waiting = []
walks = 0  # traversals so far


def dot(w, x, b):
    """b + w[0] * x[0] + w[1] * x[1] + ...: the same graph as written out, only made faster.

    w, x: Values or numbers, as many as the shorter has. b: a Value or a number.

    >>> dot([Value(2.0), Value(3.0)], [10.0, 100.0], Value(1.0)).data
    321.0
    """
    total = needed(b)
    for wi, xi in zip(w, x, strict=False):
        term = product(needed(wi), needed(xi))
        total = binary("+", total.data + term.data, total, 1.0, term, 1.0)
    return total


def product(x, y):
    return binary("*", x.data * y.data, x, y.data, y, x.data)


def power_dx(x, y):
    """d(x ** y)/dx, 0 for y = 0 whatever x is."""
    return 0.0 if y == 0 else y * pow(x, y - 1.0)


def power_dy(x, y, data):
    """d(x ** y)/dy, 0 where x is and stays 0."""
    return 0.0 if x == 0 and y >= 0 else data * log(x)


# ---- making Values


def leaf(data):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._walk = "", None, 0
    out._x = out._y = None
    return out


def unary(op, data, x, dx):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._walk = op, None, 0
    out._x, out._dx = x, dx
    out._y, out._dy = None, 0.0
    return out


def binary(op, data, x, dx, y, dy):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._walk = op, None, 0
    out._x, out._dx = x, dx
    out._y, out._dy = y, dy
    return out


def value(x):
    """x as a Value: a number becomes a leaf. None if it is neither."""
    if isinstance(x, Value):
        return x
    if isinstance(x, (float, int)):
        return leaf(number(x))
    # other numbers have __float__, numpy's too; so do Tensors, which are no part of this graph
    return Value(x) if hasattr(x, "__float__") and not hasattr(x, "backward") else None


def needed(x):
    """x as a Value; TypeError if it is neither Value nor number."""
    if (found := value(x)) is None:
        raise TypeError(f"expected a Value or a number, got {x!r}")
    return found


def number(x):
    """x as a float64; TypeError if it is no real number."""
    if not isinstance(x, (float, int)) and (not hasattr(x, "__float__") or isinstance(x, Value)):
        raise TypeError(f"Value: data: expected a real number, got {x!r}")
    try:
        return float(x)
    except OverflowError:
        raise ValueError("Value: data: this integer is too large for a float64") from None


def children(inputs, locals):
    """The two inputs with their derivatives, or one and None."""
    inputs = tuple(inputs)
    if locals is None or len(inputs) > 2 or len(locals) != len(inputs):
        raise ValueError(
            f"Value: expected one or two _children and as many locals, got {len(inputs)} and "
            f"{'none' if locals is None else len(locals)}"
        )
    if not all(isinstance(x, Value) for x in inputs):
        raise TypeError(f"Value: _children: expected Values, got {inputs!r}")
    x, dx = inputs[0], number(locals[0])
    return (x, dx, None, 0.0) if len(inputs) == 1 else (x, dx, inputs[1], number(locals[1]))


def walk(root):
    """`graph.topological_order`, with marks in the nodes instead of a set beside them."""
    global walks  # noqa: PLW0603
    walks += 1
    order, path = [], [root]
    root._walk, root._turn = walks, 0
    while path:
        node: Value = path[-1]
        child: Value = None
        while child is None and node._turn < 2:
            child = node._x if node._turn == 0 else node._y
            node._turn += 1
            if child is not None and child._walk == walks:
                child = None
        if child is None:
            order.append(path.pop())
        else:
            child._walk, child._turn = walks, 0
            path.append(child)
    return order
