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
    from micrograd_ext.common import no_cython as cython

if cython.compiled:
    from cython.cimports.libc.math import NAN, cos, exp, fabs, log, pow, sin, sqrt, tanh
else:
    from micrograd_ext.common.ieee import NAN, cos, divide, exp, fabs, log, pow, sin, sqrt, tanh

from micrograd_ext.graph import backward_steps, copying, topological_order

__all__ = ["Value", "dot"]


@cython.no_gc  # graphs have no cycles: counting references is enough to free them, and at once
@cython.freelist(4096)
@cython.cclass
class Value:
    """A number with a gradient, and the graph behind it.

    Args:
        data: a number; it becomes a float64.
        _children: for ops of your own: the Values that this one was computed from.
        _op: what computed it.
        locals: d(this)/d(input), a number for each of them, of which there are one or two.
            Without, there may be any number of inputs, and what goes back to them is for a
            function to say that is set as `_backward`.
        name: what to call it when the graph is shown. label: the same, in micrograd's lecture.

    Attributes:
        data: the number. Setting it changes nothing that was computed from it before.
        grad: d(root)/d(this), where root is what `backward` was called on; 0.0 before.
        op, inputs, name: as given; '' and () for a leaf. Micrograd's `_op`, `_prev`, `_backward`
            and `label` are there.

    Raises:
        TypeError: data that are no real number.
        ValueError: an integer beyond float64; local derivatives, but not one for each of one or
            two inputs; a name and a label.

    Values compare by their data with < and the like, but == and hash go by identity. With arrays
    they compute element by element, to arrays of Values. `copy` and `pickle` take the graph along.

    >>> a, b = Value(2.0, name="a"), Value(-3.0, name="b")
    >>> c = a * b + a**2
    >>> c.backward()
    >>> c.data, a.grad, b.grad
    (-2.0, 1.0, 2.0)

    An op of your own, micrograd's way:

    >>> def cube(x):
    ...     out = Value(x.data**3, (x,), "cube")
    ...     def _backward():
    ...         x.grad += 3 * x.data**2 * out.grad
    ...     out._backward = _backward
    ...     return out
    >>> x = Value(2.0)
    >>> cube(x).backward()
    >>> x.grad
    12.0
    """

    __slots__ = ("__weakref__", "_dx", "_dy", "_mark", "_x", "_y", "data", "grad", "name", "op")
    # numpy's scalars (-1000000) leave np.float64(2) * value to us, arrays (0) take the elements
    __array_priority__ = -1.0
    unset = 0.0  # grad before anything arrived; see graph.Node

    def __init__(self, data, _children=(), _op="", locals=None, name=None, label=None):
        if name and label:
            raise ValueError(f"Value: name and label are one, got {name!r} and {label!r}")
        self.data = number(data)
        self.grad = 0.0
        self.op = _op
        self.name = name or label or None
        self._x = self._y = None
        self._dx = self._dy = 0.0
        self._mark = 0
        if _children and locals is None:
            room(self)["_inputs"] = values(_children)
        elif _children or locals:
            x, dx, y, dy = pairs(_children, locals)
            self._x, self._dx, self._y, self._dy = x, dx, y, dy

    # ---- ops: the name, the value, and each input with d(value)/d(input)

    def __add__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return add(self, y)

    def __sub__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return subtract(self, y)

    def __mul__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return multiply(self, y)

    def __truediv__(self, other):
        if (y := value(other)) is None:
            return NotImplemented
        return divided(self, y)

    def __pow__(self, other):
        """Self ** other; d/dother is nan for a negative base, whose logarithm it needs."""
        if (y := value(other)) is None:
            return NotImplemented
        return power(self, y)

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

    def __pos__(self):
        return self

    def conjugate(self):
        """The same: np.std asks for it."""
        return self

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
        return NotImplemented if (x := value(other)) is None else add(x, self)

    def __rsub__(self, other):
        return NotImplemented if (x := value(other)) is None else subtract(x, self)

    def __rmul__(self, other):
        return NotImplemented if (x := value(other)) is None else multiply(x, self)

    def __rtruediv__(self, other):
        return NotImplemented if (x := value(other)) is None else divided(x, self)

    def __rpow__(self, other):
        return NotImplemented if (x := value(other)) is None else power(x, self)

    # ---- back-propagation

    @property
    def inputs(self):
        """The Values it was computed from, in order, one for each edge."""
        if self._x is None:
            return own(self)
        return (self._x,) if self._y is None else (self._x, self._y)

    def sends(self, upstream):
        """(local derivative, local x upstream) for each input; see `graph.Node`."""
        if self._x is None:
            return messages(self, upstream) if own(self) else ()
        first = (self._dx, self._dx * upstream)
        return (first,) if self._y is None else (first, (self._dy, self._dy * upstream))

    def backward_steps(self):
        """`backward`, one edge at a time; see `graph.Edge` for what comes."""
        return backward_steps(self, 1.0)

    def backward(self):
        """Set the grad of every Value that this one depends on to d(this)/d(it).

        Leaves add to the grad they have, all others start afresh.
        """
        # graph.backward_steps, without an Edge for each edge
        order = walk(self)
        for item in order:
            node: Value = item
            if node._x is not None or (type(node) is not Value and own(node)):
                node.grad = 0.0
        self.grad += 1.0
        for item in reversed(order):
            node = item
            if node._x is not None:
                node._x.grad += node._dx * node.grad
                if node._y is not None:
                    node._y.grad += node._dy * node.grad
            elif type(node) is not Value and own(node):
                send(node)

    def stepper(self):
        """Walk through the backward pass by hand; see `stepper.Stepper`."""
        from micrograd_ext.graph.stepper import Stepper  # noqa: PLC0415 - it is written with Values

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

    @property
    def _backward(self):
        """Micrograd's: a function that adds to the inputs' grads what this one sends them.

        An op of one's own that was made without `locals` takes another one.
        """
        return vars(self).get("_backward", nothing) if own(self) else self._send

    @_backward.setter
    def _backward(self, function):
        if not own(self):
            raise AttributeError(
                f"_backward: {self!r} knows its derivatives; an op of your own is made with "
                "_children, but without locals: Value(data, (x,), 'op')"
            )
        if not callable(function):
            raise TypeError(f"_backward: expected a function, got {function!r}")
        vars(self)["_backward"] = function

    def _send(self):
        if self._x is not None:
            self._x.grad += self._dx * self.grad
            if self._y is not None:
                self._y.grad += self._dy * self.grad

    @property
    def label(self):
        """The name, '' if it has none: what micrograd's lecture calls it."""
        return self.name or ""

    @label.setter
    def label(self, label):
        self.name = label or None

    def __copy__(self):
        return copying.copied(self, made)

    def __deepcopy__(self, memo):
        return copying.deepcopied(self, memo, made)

    def __reduce_ex__(self, protocol):
        return copying.reduced(self, made)

    def __float__(self):
        return self.data

    def __int__(self):
        return int(self.data)

    def __round__(self, ndigits=None):
        return round(self.data, ndigits)

    def __format__(self, spec):
        return format(self.data, spec) if spec else repr(self)

    def __lt__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data < y.data

    def __le__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data <= y.data

    def __gt__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data > y.data

    def __ge__(self, other):
        return NotImplemented if (y := value(other)) is None else self.data >= y.data

    def __eq__(self, other):
        return True if self is other else NotImplemented  # which is False, but for an array

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
walks = 0  # traversals so far, times 4


def dot(w, x, b):
    """b + w[0] * x[0] + w[1] * x[1] + ...: the same graph as written out, only made faster.

    w, x: Values or numbers, as many as the shorter has. b: a Value or a number.

    >>> dot([Value(2.0), Value(3.0)], [10.0, 100.0], Value(1.0)).data
    321.0
    """
    total = needed(b)
    for wi, xi in zip(w, x, strict=False):
        total = add(total, multiply(needed(wi), needed(xi)))
    return total


# ---- the ops that have a sign, whichever of the two the number is


def add(x, y):
    return binary("+", x.data + y.data, x, 1.0, y, 1.0)


def subtract(x, y):
    return binary("-", x.data - y.data, x, 1.0, y, -1.0)


def multiply(x, y):
    return binary("*", x.data * y.data, x, y.data, y, x.data)


def divided(x, y):
    ratio = divide(x.data, y.data)
    return binary("/", ratio, x, divide(1.0, y.data), y, divide(-ratio, y.data))


def power(x, y):
    data = pow(x.data, y.data)
    return binary("**", data, x, power_dx(x.data, y.data), y, power_dy(x.data, y.data, data))


def power_dx(x, y):
    """d(x ** y)/dx, 0 for y = 0 whatever x is."""
    return 0.0 if y == 0 else y * pow(x, y - 1.0)


def power_dy(x, y, data):
    """d(x ** y)/dy, 0 where x is and stays 0."""
    if x < 0:
        return NAN  # and leaves no floating-point exception, of which numpy would warn
    return 0.0 if x == 0 and y >= 0 else data * log(x)


# ---- ops of one's own


def kind(cls, args, kwargs):
    """The class of what `Value(*args, **kwargs)` makes."""
    if cls is not Value or (len(args) < 2 and not kwargs):
        return cls
    kwargs = kwargs or {}
    inputs = args[1] if len(args) > 1 else kwargs.get("_children")
    locals = args[3] if len(args) > 3 else kwargs.get("locals")
    return Own if inputs and locals is None else cls


def new(cls, *args, **kwargs):  # what engine.pxd does for the compiled class
    return object.__new__(kind(cls, args, kwargs) if args or kwargs else cls)


if cython.compiled:
    open_up()  # noqa: F821 - of engine.pxd
else:
    Value.__new__ = new


class Own(Value):
    """An op of one's own with a `_backward`: what `Value(data, inputs, op)` makes.

    Such a function refers to the Value it belongs to. Python's garbage collector frees them both:
    it knows instances of this class, but for the sake of speed none of Value itself.
    """


def own(node):
    """The inputs of an op that has a `_backward`, or may get one; () of any other Value."""
    return () if type(node) is Value else getattr(node, "__dict__", {}).get("_inputs", ())


def room(node):
    """Where the inputs and the `_backward` of such an op are kept."""
    try:
        return vars(node)
    except TypeError:
        raise TypeError(
            f"Value: {type(node).__name__} has no room for _children without locals"
        ) from None


def nothing():
    """The `_backward` of an op that has not been given one."""


def messages(node, upstream):
    """What such an op `sends`. Of several edges from one input, the first takes it all."""
    if node._backward is nothing:
        return (None,) * len(own(node))
    sent = pulled(node, upstream)
    if upstream == 0 or upstream - upstream != 0:  # or it is infinite
        locals = pulled(node, 1.0)
    else:
        locals = [None if s is None else s / upstream for s in sent]
    return tuple(None if s is None else (d, s) for d, s in zip(locals, sent, strict=True))


def send(node):
    """Let such an op add to the grads of its inputs."""
    if node._backward is not nothing:
        for x, sent in zip(own(node), pulled(node, node.grad), strict=True):
            if sent is not None:
                x.grad += sent


def pulled(node, upstream):
    """What its `_backward` adds to the grad of each input; None for one that came before.

    A pullback returns; a `_backward` adds to what is there, so it is given zeros to add to.
    """
    inputs = own(node)
    grads = [node.grad, *[x.grad for x in inputs]]
    try:
        for x in inputs:
            x.grad = 0.0
        node.grad = upstream
        node._backward()
        sent = {x: x.grad for x in inputs}
        return [sent.pop(x, None) for x in inputs]
    finally:
        for x, grad in zip([node, *inputs], grads, strict=True):
            x.grad = grad


# ---- making Values


def made(together, cls, data, grad, op, name, inputs, locals):
    """A Value with all that it consists of; see `_copying`."""
    out = cls.__new__(cls)
    Value.__init__(out, data, inputs, op, locals, name)
    out.grad = grad
    return out


def leaf(data):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._mark = "", None, 0
    out._x = out._y = None
    return out


def unary(op, data, x, dx):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._mark = op, None, 0
    out._x, out._dx = x, dx
    out._y, out._dy = None, 0.0
    return out


def binary(op, data, x, dx, y, dy):
    out: Value = Value.__new__(Value)
    out.data, out.grad = data, 0.0
    out.op, out.name, out._mark = op, None, 0
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
    return Value(x) if real(x) and not hasattr(x, "backward") else None


def needed(x):
    """x as a Value; TypeError if it is neither Value nor number."""
    if (node := value(x)) is None:
        raise TypeError(f"expected a Value or a number, got {x!r}")
    return node


def number(x):
    """x as a float64; TypeError if it is no real number."""
    if not isinstance(x, (float, int)) and (not real(x) or isinstance(x, Value)):
        raise TypeError(f"Value: data: expected a real number, got {x!r}")
    try:
        return float(x)
    except OverflowError:
        raise ValueError("Value: data: this integer is too large for a float64") from None


def real(x):
    """Whether x is like a real number: arrays have __float__ too."""
    return hasattr(x, "__float__") and not getattr(x, "ndim", 0)


def values(inputs):
    """A tuple of Values; TypeError if they are none."""
    inputs = tuple(inputs)
    if not all(isinstance(x, Value) for x in inputs):
        raise TypeError(f"Value: _children: expected Values, got {inputs!r}")
    return inputs


def pairs(inputs, locals):
    """The two inputs with their derivatives, or one and None."""
    inputs = values(inputs)
    if not 1 <= len(inputs) <= 2 or len(locals) != len(inputs):
        raise ValueError(
            f"Value: expected one or two _children and as many locals, got {len(inputs)} and "
            f"{len(locals)}"
        )
    x, dx = inputs[0], number(locals[0])
    return (x, dx, None, 0.0) if len(inputs) == 1 else (x, dx, inputs[1], number(locals[1]))


def walk(root):
    """`graph.topological_order`, with marks in the nodes instead of a set beside them.

    A mark is the number of the traversal that came last, plus which input it takes next.
    """
    global walks  # noqa: PLW0603
    walks += 4
    order, path = [], [root]
    root._mark = walks
    while path:
        node: Value = path[-1]
        source: Value = None
        while source is None and node._mark < walks + 2:
            source = node._x if node._mark == walks else node._y
            node._mark += 1
            if source is not None and source._mark >= walks:
                source = None
        if source is not None:
            source._mark = walks
            path.append(source)
        elif node._x is None and type(node) is not Value and own(node):
            return topological_order(root)  # slower: it asks for `inputs`, which may be many
        else:
            order.append(path.pop())
    return order
