# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Runs the steps of csrc/program.h: one call a batch, without the GIL.

This is `program.py`'s engine room. Whatever it is given, what reaches C has been looked at here:
each step has the operands that it needs, of types, layouts and lengths that go together.
"""

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int64_t
from libc.string cimport memset

import numpy as np

from micrograd_ext.kernels._kernels cimport (
    MG_ADAM, MG_AFFINE, MG_F32, MG_F64, MG_FUNCTIONS, MG_OPS, MG_SGD, MG_U8, conv2d_shape, find_isa, find_threads,
    fused_shape, mg_feed, mg_isa, mg_run, mg_step, pool2d_shape,
)

#: What each op's operands are called, in the order of mg_op: those it needs, those it may have.
NEEDS = {
    "dense": ("r k units x w y", "bias relu"),
    "dense_dw": ("r k units x dy dw", "db"),
    "dense_dx": ("r k units dy w dx", ""),
    "conv2d": ("conv x w y", "bias relu"),
    "conv2d_dw": ("conv x dy dw", "db"),
    "conv2d_dx": ("conv dy w dx", ""),
    "conv2d_relu_pool": ("conv window x w y argmax", "bias"),
    "conv2d_relu_pool_dw": ("conv window x dy argmax dw", "db"),
    "conv2d_relu_pool_dx": ("conv window dy argmax w dx", ""),
    "max_pool2d": ("pool x y argmax", ""),
    "max_pool2d_dx": ("pool dy argmax dx", ""),
    "activation": ("function r units x y", "numbers"),
    "activation_dx": ("function r units y dy dx", "numbers"),
    "softmax_loss": ("units x labels y loss", "from_logits dx"),
    "adam": ("numbers units y dy m v", ""),
    "sgd": ("numbers units y dy", "v"),
}
NEEDS = {op: tuple(names.split() for names in both) for op, both in NEEDS.items()}
OPS = tuple(NEEDS)
FUNCTIONS = ("relu", "leaky_relu", "sigmoid", "tanh", "exponential", "softmax", "affine")  # mg_function
assert len(OPS) == MG_OPS and len(FUNCTIONS) == MG_FUNCTIONS and FUNCTIONS[MG_AFFINE] == "affine"

KINDS = {np.dtype(np.float32): MG_F32, np.dtype(np.float64): MG_F64, np.dtype(np.uint8): MG_U8}
cdef int FEEDS = 2


def aligned(Py_ssize_t size):
    """`size` zeros in float32 that begin on a 64-byte boundary.

    >>> aligned(3).ctypes.data % 64
    0
    """
    room = np.zeros(size + 16, np.float32)
    skip = -<size_t>begin(room) % 64 // 4
    return room[skip : skip + size]


cdef void *begin(array) except? NULL:
    """Where an array's numbers are, in a tenth of the time that `array.ctypes.data` takes."""
    cdef Py_buffer seen
    PyObject_GetBuffer(array, &seen, PyBUF_STRIDES)
    PyBuffer_Release(&seen)
    return seen.buf


cdef void *address(str name, array, dtype) except? NULL:
    """Where a dense array's numbers are."""
    if not isinstance(array, np.ndarray) or array.dtype != dtype:
        raise TypeError(f"{name}: expected an array of {np.dtype(dtype)}, "
                        f"got {getattr(array, 'dtype', array)}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        raise ValueError(f"{name}: expected a dense, aligned array, got strides {array.strides}")
    return begin(array)


def _place(what, name, names):
    """Where it is among the names."""
    if name not in names:
        raise ValueError(f"{what}: expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


cdef int shape_step(mg_step *s, str op, dict o) except -1:
    """Set all that are not arrays."""
    if "r" in o:
        s.r = o["r"]
    if "k" in o:
        s.k = o["k"]
    if "units" in o:
        s.units = o["units"]
    if min(s.r, s.k, s.units) < 0:
        raise ValueError(f"{op}: expected no size below 0, got {s.r}, {s.k} and {s.units}")
    if "function" in o:
        s.flag = _place(f"{op}: function", o["function"], FUNCTIONS)
    else:
        s.flag = bool(o.get("relu") or o.get("from_logits"))
    if "numbers" in o:
        s.a, s.b, s.c = o["numbers"]
    if "window" in o:
        images, kernel, strides, padding = o["conv"]
        s.conv = fused_shape(op, images, kernel, o["window"], strides, padding, &s.ph, &s.pw)
    elif "conv" in o:
        images, kernel, strides, padding = o["conv"]
        s.conv = conv2d_shape(op, images, kernel, strides, padding)
    elif "pool" in o:
        images, size, strides, padding = o["pool"]
        s.pool = pool2d_shape(op, images, size, strides, padding)
    return 0


cdef dict sizes_of(const mg_step *s, str op, n):
    """How many numbers each array of a step must have for n examples."""
    if op == "softmax_loss":
        return dict.fromkeys(("x", "y", "labels", "dx"), n * s.units) | {"loss": n}
    if op in ("adam", "sgd"):
        return dict.fromkeys(("y", "dy", "m", "v"), s.units)
    if op.startswith("dense"):
        x, y, w, units = n * s.r * s.k, n * s.r * s.units, <object>s.k * s.units, s.units
    elif op.startswith("conv2d"):
        x = n * s.conv.h * s.conv.w * s.conv.c
        y = n * (s.conv.oh // s.ph) * (s.conv.ow // s.pw) * s.conv.f
        w, units = <object>s.conv.kh * s.conv.kw * s.conv.c * s.conv.f, s.conv.f
    elif op.startswith("max_pool2d"):
        x, y = n * s.pool.h * s.pool.w * s.pool.c, n * s.pool.oh * s.pool.ow * s.pool.c
        w = units = 0
    else:
        x = y = n * s.r * s.units
        w = units = 0
    return {"x": x, "dx": x, "y": y, "dy": y, "argmax": y, "w": w, "dw": w, "bias": units, "db": units}


cdef int set_step(mg_step *to, str op, dict operands, n) except -1:
    """Fill it in, if operands and sizes are right; n: examples."""
    cdef mg_step s
    cdef void *where
    memset(&s, 0, sizeof(s))
    s.ph = s.pw = 1
    names = ("x", "y", "w", "bias", "dx", "dy", "dw", "db", "labels", "loss", "m", "v")
    cdef float **places[12]
    places[:] = [&s.x, &s.y, &s.w, &s.bias, &s.dx, &s.dy, &s.dw, &s.db, &s.labels, &s.loss, &s.m, &s.v]
    s.op = _place("op", op, OPS)
    operands = {name: value for name, value in operands.items() if value is not None}
    needed, others = NEEDS[op]
    for name in operands:
        if name not in (*needed, *others):
            raise ValueError(f"{op}: no operand of this step is called {name!r}: "
                             f"expected {', '.join((*needed, *others))}")
    shape_step(&s, op, operands)
    for name, size in sizes_of(&s, op, n).items():
        if name not in operands:
            continue
        array = operands[name]
        dtype = np.float32 if name != "argmax" else np.int32 if "pool" in operands else np.uint8
        where = address(f"{op}: {name}", array, dtype)
        if array.size < size:
            raise ValueError(f"{op}: {name}: expected an array of {size} numbers at least, "
                             f"got shape {array.shape}")
        if name == "argmax":
            s.argmax = where
        else:
            places[names.index(name)][0] = <float *>where
    for name in needed:
        if name not in operands:
            raise ValueError(f"{op}: expected the operand {name!r}")
    to[0] = s
    return 0


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
        f.from_ = <const char *>begin(array)
        f.to = <float *>address("feed", to, np.float32)
        f.kind = KINDS[array.dtype]
        f.stride, f.itemsize = array.strides[0], array.itemsize
        f.scale, f.offset = scale, offset
        self.fed[slot] = (array, to)
        self.examples = min(self.examples, len(array))
        f.size = to[:1].size

    def run(self, Py_ssize_t first, Py_ssize_t n, order=None, double rate=0.0, numbers=None):
        """Run all steps on the examples `first` to first + n, or on those that `order` has there.

        rate, numbers: of the optimizer's steps, if there are any.
        """
        cdef const int64_t *places
        cdef const int64_t *at = NULL
        cdef int threads = find_threads(None)
        cdef int slot
        cdef Py_ssize_t size, place
        cdef mg_step *s
        if not 0 < n <= self.capacity:
            raise ValueError(f"run: n: expected 1 to {self.capacity} examples, got {n}")
        if first < 0 or first > self.examples - n:
            raise ValueError(f"run: expected some of {self.examples} examples, got {n} from {first} on")
        if order is not None:
            places = <const int64_t *>address("run: order", order, np.int64)
            if order.ndim != 1 or len(order) != self.examples:
                raise ValueError(f"run: order: expected {self.examples} places, got shape {order.shape}")
            for place in range(first, first + n):
                if not 0 <= places[place] < self.examples:
                    raise ValueError(f"run: order: expected places below {self.examples}, "
                                     f"got {places[place]}")
            at = &places[first]
        if n > self.known_n or threads != self.known_threads:
            size = self.isa.program.scratch(self.steps, self.count, n, threads)
            self.room = aligned(size)
            self.r.scratch = <float *>begin(self.room)
            self.known_n, self.known_threads = n, threads
        if numbers is not None:
            for s in self.steps[:self.count]:
                if s.op == MG_ADAM or s.op == MG_SGD:
                    s.a, s.b, s.c = numbers
        self.r.n, self.r.rate, self.r.threads = n, rate, threads
        with nogil:
            for slot in range(FEEDS):
                if self.feeds[slot].size:
                    self.isa.program.feed(&self.feeds[slot], at, first, n, threads)
            self.isa.program.run(self.steps, self.count, &self.r)

    def reset(self):
        """Let the totals start at 0 again."""
        self.r.loss = self.r.correct = 0

    @property
    def loss(self) -> float:
        """Sum of the examples' losses since `reset`."""
        return self.r.loss

    @property
    def correct(self) -> float:
        """How many examples had their largest output where the largest label is, since `reset`."""
        return self.r.correct
