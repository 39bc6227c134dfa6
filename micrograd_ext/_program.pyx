# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Runs the steps of csrc/program.h: one call a batch, without the GIL.

This is `program.py`'s engine room. It looks at types, layouts and lengths; that the sizes of a
step's operands go together is the business of who laid it out.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t

import numpy as np

from micrograd_ext._kernels cimport (
    MG_AFFINE, MG_F32, MG_F64, MG_FUNCTIONS, MG_OPS, MG_U8, find_isa, find_threads, mg_conv2d, mg_feed,
    mg_isa, mg_pool2d, mg_run, mg_step,
)

#: In the order of mg_op and mg_function.
OPS = (
    "dense", "dense_dw", "dense_dx",
    "conv2d", "conv2d_dw", "conv2d_dx",
    "conv2d_relu_pool", "conv2d_relu_pool_dw", "conv2d_relu_pool_dx",
    "max_pool2d", "max_pool2d_dx",
    "activation", "activation_dx", "softmax_loss",
    "adam", "sgd",
)
FUNCTIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "exponential", "softmax", "affine")
assert len(OPS) == MG_OPS and len(FUNCTIONS) == MG_FUNCTIONS and FUNCTIONS[MG_AFFINE] == "affine"

KINDS = {np.dtype(np.float32): MG_F32, np.dtype(np.float64): MG_F64, np.dtype(np.uint8): MG_U8}
ARRAYS = ("x", "y", "w", "bias", "dx", "dy", "dw", "db", "labels", "loss", "m", "v")
cdef int FEEDS = 2


cdef Py_ssize_t address(str name, array, dtypes) except 0:
    """Where a dense array's numbers are."""
    if not isinstance(array, np.ndarray) or array.dtype not in dtypes:
        raise TypeError(f"{name}: expected an array of {dtypes}, got {getattr(array, 'dtype', array)}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name}: expected a dense, aligned array, got strides {array.strides}")
    return array.ctypes.data


def _place(what, name, names):
    """Where it is among the names."""
    if name not in names:
        raise ValueError(f"{what}: expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


def _sizes(op, dict o, n):
    """How many numbers each operand of a step must have for n examples: all that it needs."""
    if op in ("adam", "sgd"):
        units = o["units"]
        memory = ("m", "v") if op == "adam" else ("v",) if o.get("v") is not None else ()
        return dict.fromkeys(("y", "dy", *memory), units)
    if op == "softmax_loss":
        return dict.fromkeys(("x", "y", "labels"), n * o["units"]) | {"loss": n}
    if op in ("activation", "activation_dx"):
        names = ("x", "y") if op == "activation" else ("y", "dy", "dx")
        return dict.fromkeys(names, n * o["r"] * o["units"])
    if op.startswith("dense"):
        rows, k, units = n * o["r"], o["k"], o["units"]
        sizes = {"x": rows * k, "w": k * units, "bias": units, "y": rows * units, "dy": rows * units,
                 "dx": rows * k, "dw": k * units, "db": units}
    elif op.startswith("conv2d"):
        h, w, c, kh, kw, f, _, _, _, _, oh, ow = o["conv"]
        ph, pw = o.get("window", (1, 1))
        out = n * (oh // ph) * (ow // pw) * f
        sizes = {"x": n * h * w * c, "w": kh * kw * c * f, "bias": f, "y": out, "dy": out,
                 "winner": out, "dx": n * h * w * c, "dw": kh * kw * c * f, "db": f}
    else:
        h, w, c, _, _, _, _, _, _, oh, ow = o["pool"]
        sizes = {"x": n * h * w * c, "y": n * oh * ow * c, "dy": n * oh * ow * c,
                 "winner": n * oh * ow * c, "dx": n * h * w * c}
    names = {"w": ("x", "dy", "dw", "db", "winner"), "x": ("dy", "w", "dx", "winner"),
             "": ("x", "w", "bias", "y", "winner")}[op.partition("_d")[2]]
    return {name: size for name, size in sizes.items()
            if name in names and (name not in ("bias", "db") or o.get(name) is not None)
            and (name != "w" or "pool2d" not in op or "relu" in op)
            and (name != "winner" or "pool" in op)}


cdef int set_step(mg_step *s, str op, dict operands, Py_ssize_t n) except -1:
    cdef mg_conv2d *c = &s.conv
    cdef mg_pool2d *p = &s.pool
    s.op = _place("op", op, OPS)
    for name, value in operands.items():
        if value is None:
            continue
        if name in ARRAYS:
            where = <Py_ssize_t>address(f"{op}: {name}", value, (np.float32,))
            set_pointer(s, name, <float *><Py_ssize_t>where)
        elif name == "winner":
            s.winner = <void *>address(f"{op}: winner", value, (np.uint8, np.int32))
        elif name == "conv":
            c.h, c.w, c.c, c.kh, c.kw, c.f, c.sh, c.sw, c.top, c.left, c.oh, c.ow = value
        elif name == "pool":
            p.h, p.w, p.c, p.kh, p.kw, p.sh, p.sw, p.top, p.left, p.oh, p.ow = value
        elif name == "function":
            s.flag = _place(f"{op}: function", value, FUNCTIONS)
        elif name in ("relu", "from_logits"):
            s.flag = bool(value)
        elif name == "r":
            s.r = value
        elif name == "k":
            s.k = value
        elif name == "units":
            s.units = value
        elif name == "window":
            s.ph, s.pw = value
        elif name == "numbers":
            s.a, s.b, s.c = value
        else:
            raise ValueError(f"{op}: no step has an operand called {name!r}")
    try:
        sizes = _sizes(op, operands, n)
    except KeyError as missing:
        raise ValueError(f"{op}: expected the operand {missing}") from None
    for name, size in sizes.items():
        array = operands.get(name)
        if array is None or array.size < size:
            raise ValueError(f"{op}: {name}: expected an array of {size} numbers at least, "
                             f"got {getattr(array, 'shape', None)}")
    return 0


cdef void set_pointer(mg_step *s, str name, float *to):
    if name == "x":
        s.x = to
    elif name == "y":
        s.y = to
    elif name == "w":
        s.w = to
    elif name == "bias":
        s.bias = to
    elif name == "dx":
        s.dx = to
    elif name == "dy":
        s.dy = to
    elif name == "dw":
        s.dw = to
    elif name == "db":
        s.db = to
    elif name == "labels":
        s.labels = to
    elif name == "loss":
        s.loss = to
    elif name == "m":
        s.m = to
    else:
        s.v = to


cdef class Executor:
    """Steps, each an op's name and its operands, for batches of up to `capacity` examples.

    >>> x, y = np.array([[-1.0], [2.0]], np.float32), np.empty((2, 1), np.float32)
    >>> steps = [("activation", {"function": "relu", "x": x, "y": y, "r": 1, "units": 1})]
    >>> Executor(steps, 2).run(0, 2)
    >>> y.ravel()
    array([0., 2.], dtype=float32)
    """

    cdef mg_step *steps
    cdef Py_ssize_t count, capacity, known_n, examples
    cdef int known_threads
    cdef const mg_isa *isa
    cdef mg_run r
    cdef mg_feed feeds[2]
    cdef object arrays, ops, room, fed

    def __cinit__(self, list steps, Py_ssize_t capacity):
        self.count, self.capacity = len(steps), capacity
        self.steps = <mg_step *>PyMem_Calloc(max(self.count, 1), sizeof(mg_step))
        if self.steps == NULL:
            raise MemoryError
        self.arrays = [operands for _, operands in steps]
        self.ops = [op for op, _ in steps]
        self.fed = [None, None]
        self.isa = find_isa(None)
        self.examples = 2**62
        for i, (op, operands) in enumerate(steps):
            set_step(&self.steps[i], op, operands, capacity)

    def __dealloc__(self):
        PyMem_Free(self.steps)

    def rebind(self, list steps):
        """Take the same steps, with other arrays of the same sizes."""
        if [op for op, _ in steps] != self.ops:
            raise ValueError(f"rebind: expected the steps {', '.join(self.ops)}")
        self.arrays = [operands for _, operands in steps]
        for i, (op, operands) in enumerate(steps):
            set_step(&self.steps[i], op, operands, self.capacity)

    def feed(self, int slot, array, to, float scale=1.0, float offset=0.0):
        """Let batches' examples come from `array` (N, ...) to `to`: each number * scale + offset.

        slot: 0 or 1: two arrays may be fed. None instead of an array: nothing any more.
        """
        if not 0 <= slot < FEEDS:
            raise IndexError(f"feed: slot: expected 0 to {FEEDS - 1}, got {slot}")
        cdef mg_feed *f = &self.feeds[slot]
        self.fed[slot] = None
        f.size = 0
        self.examples = min([len(fed[0]) for fed in self.fed if fed is not None], default=2**62)
        if array is None:
            return
        if array.dtype not in KINDS:
            raise TypeError(f"feed: expected float32, float64 or uint8, got {array.dtype}")
        if array.shape[1:] != to.shape[1:] or len(to) < self.capacity:
            raise ValueError(f"feed: expected examples like those of {to.shape}, got {array.shape}")
        if len(array) and not (array[0].flags.c_contiguous and array.flags.aligned):
            raise ValueError("feed: expected examples that are dense and aligned")
        f.from_ = <const char *><Py_ssize_t>array.ctypes.data
        f.to = <float *>address("feed", to, (np.float32,))
        f.kind = KINDS[array.dtype]
        f.stride, f.itemsize = array.strides[0], array.itemsize
        f.scale, f.offset = scale, offset
        self.fed[slot] = (array, to)
        self.examples = min(self.examples, len(array))
        f.size = to[:1].size

    def run(self, Py_ssize_t first, Py_ssize_t n, order=None, double rate=0.0, numbers=None):
        """Run all steps on the examples `first` to first + n, or on those that `order` has there.

        rate, numbers: of the optimizer's step, if the last one is one.
        """
        cdef const int64_t[::1] places
        cdef const int64_t *at = NULL
        cdef int threads = find_threads(None)
        cdef int slot
        cdef Py_ssize_t size, place
        cdef mg_step *last
        if not 0 < n <= self.capacity:
            raise ValueError(f"run: n: expected 1 to {self.capacity} examples, got {n}")
        if first < 0 or first > self.examples - n:
            raise ValueError(f"run: expected examples up to {self.examples}, got {first + n}")
        if order is not None:
            places = order
            if places.shape[0] != self.examples:
                raise ValueError(f"run: order: expected {self.examples} places, got {len(order)}")
            for place in range(first, first + n):
                if not 0 <= places[place] < self.examples:
                    raise ValueError(f"run: order: expected places below {self.examples}, "
                                     f"got {places[place]}")
            at = &places[first]
        if n > self.known_n or threads != self.known_threads:
            size = self.isa.program.scratch(self.steps, self.count, n, threads)
            self.room = np.empty(size + 16, np.float32)
            where = <Py_ssize_t>self.room.ctypes.data
            self.r.scratch = <float *><Py_ssize_t>((where + 63) // 64 * 64)
            self.known_n, self.known_threads = n, threads
        if numbers is not None and self.count:
            last = &self.steps[self.count - 1]
            last.a, last.b, last.c = numbers
        self.r.n, self.r.rate, self.r.threads = n, rate, threads
        with nogil:
            for slot in range(FEEDS):
                if self.feeds[slot].size:
                    self.isa.program.feed(&self.feeds[slot], at, first, n, threads)
            self.isa.program.run(self.steps, self.count, &self.r)

    def reset(self):
        """Let the totals start at 0 again."""
        self.r.loss = self.r.hits = 0

    @property
    def loss(self) -> float:
        """Sum of the examples' losses since `reset`."""
        return self.r.loss

    @property
    def hits(self) -> float:
        """How many examples had their largest output where the largest label is, since `reset`."""
        return self.r.hits
