# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Runs the steps of a program: one call a batch, without the GIL.

This is `program.py`'s engine room. Whatever it is given, what reaches C has been looked at here:
each step has the operands that its op takes (csrc/kernels.def, csrc/steps.def), of types, layouts and
lengths that go together.
"""

from cpython.mem cimport PyMem_Calloc, PyMem_Free
from libc.stdint cimport int32_t, int64_t
from libc.string cimport memset

import numpy as np

from micrograd_ext.kernels._kernels cimport (
    ANY, MG_ARRAY, MG_CODE, MG_CODE_SIZE, MG_CONSTANT, MG_CONV, MG_EXTENTS, MG_F32, MG_F64, MG_FLAG, MG_FULL, MG_I32,
    MG_I64, MG_INPUTS, MG_LOAD, MG_MOST_OPERANDS, MG_NUMBER, MG_OPCODES, MG_OPS, MG_OUTPUTS, MG_POOL,
    MG_REGISTERS_OF_CODE, MG_ROW, MG_SIZE, MG_STORE, MG_U8, MG_WINDOW, begin, find_isa, find_threads, look, mg_feed, mg_isa,
    mg_opcodes, mg_operand, mg_ops, mg_run, mg_run_steps, mg_scratch, mg_step, set_conv, set_pool,
    set_window, view,
)

cdef tuple operands_of(int op):
    """The names of the operands that an op takes."""
    cdef const mg_operand *operand = mg_ops[op].operands
    names = []
    while operand.name != NULL:
        names.append(operand.name.decode())
        operand += 1
    return tuple(names)


#: The ops there are.
OPS = tuple([mg_ops[op].name.decode() for op in range(MG_OPS)])
cdef tuple OPERANDS = tuple([operands_of(op) for op in range(MG_OPS)])
#: The instructions of the op `elementwise`, see mg.h, and how many registers each reads.
OPCODES = {mg_opcodes[code].name.decode(): mg_opcodes[code].inputs for code in range(MG_OPCODES)}
REGISTERS, INPUTS, OUTPUTS = MG_REGISTERS_OF_CODE, MG_INPUTS, MG_OUTPUTS

TYPES = {np.dtype(np.float32): MG_F32, np.dtype(np.float64): MG_F64, np.dtype(np.uint8): MG_U8}
cdef int FEEDS = 2


def aligned(Py_ssize_t size):
    """`size` zeros in float32 that begin on a 64-byte boundary.

    >>> aligned(3).ctypes.data % 64
    0
    """
    room = np.zeros(size + 16, np.float32)
    skip = -<size_t>begin(room) % 64 // 4
    return room[skip : skip + size]


def _place(what, name, names):
    """Where it is among the names."""
    if name not in names:
        raise ValueError(f"{what}: expected one of {', '.join(names)}, got {name!r}")
    return names.index(name)


cdef int check_code(const int32_t *code, Py_ssize_t length, Py_ssize_t width) except -1:
    """Whether instructions are such, with registers that are filled before they are read."""
    cdef bint[MG_REGISTERS_OF_CODE] filled
    cdef Py_ssize_t i, at
    cdef int place
    cdef bint good = width == MG_CODE_SIZE
    cdef bint first = True  # as yet, registers were filled for good
    if not good:
        raise ValueError(f"code: expected {MG_CODE_SIZE} numbers an instruction, got {width}")
    memset(filled, 0, sizeof(filled))
    for i in range(length):
        good = 0 <= code[0] < MG_OPCODES
        for at in range(1, MG_CODE_SIZE):
            if code[0] != MG_CONSTANT or at != 2:
                good = good and 0 <= code[at] < MG_REGISTERS_OF_CODE
        if good and code[0] == MG_LOAD:
            good = code[2] < MG_INPUTS and code[3] < MG_EXTENTS
            first = first and code[3] != MG_FULL and code[3] != MG_ROW
            good = good and (first or code[3] == MG_FULL or code[3] == MG_ROW)
        elif good and code[0] == MG_STORE:
            good = code[1] < MG_OUTPUTS and code[3] < MG_EXTENTS and filled[code[2]]
        elif good and code[0] == MG_CONSTANT:
            good = first
        elif good:
            for place in range(mg_opcodes[code[0]].inputs):
                good = good and filled[code[2 + place]]
        if not good:
            raise ValueError(f"code: instruction {i}: expected what mg.h says of one, "
                             f"got {[code[at] for at in range(MG_CODE_SIZE)]}")
        first = first and (code[0] == MG_LOAD or code[0] == MG_CONSTANT)
        if code[0] != MG_STORE:
            filled[code[1]] = True
        code += MG_CODE_SIZE
    return 0


cdef int set_operand(mg_step *s, const mg_operand *operand, str op, value) except -1:
    """Set one that is no array; windows after those of the convolution that they pool."""
    cdef char *field = <char *>s + operand.offset
    cdef Py_ssize_t size
    cdef view code
    if operand.kind == MG_SIZE:
        size = value
        if size < 0:
            raise ValueError(f"{op}: {operand.name.decode()}: expected no size below 0, got {size}")
        (<Py_ssize_t *>field)[0] = size
    elif operand.kind == MG_FLAG:
        (<int *>field)[0] = bool(value)
    elif operand.kind == MG_NUMBER:
        (<double *>field)[0] = value
    elif operand.kind == MG_CODE:
        look(mg_ops[s.op].name, "code", value, 2, MG_I32, True, False, &code)
        check_code(<const int32_t *>code.data, code.shape[0], code.shape[1])
        (<const void **>field)[0] = code.data
        s.length = code.shape[0]
    elif operand.kind == MG_WINDOW:
        set_window(s, op, value)
    elif operand.kind == MG_CONV:
        images, kernel, strides, padding = value
        set_conv(s, op, images, kernel, strides, padding)
    elif operand.kind == MG_POOL:
        images, pool_size, strides, padding = value
        set_pool(s, op, images, pool_size, strides, padding)
    return 0


cdef int set_step(mg_step *to, str op, dict operands, Py_ssize_t n) except -1:
    """Fill it in, if operands and sizes are right; n: examples."""
    cdef mg_step s
    cdef view array
    cdef double[MG_MOST_OPERANDS] sizes
    cdef const mg_operand *operand
    cdef int i
    memset(&s, 0, sizeof(s))
    s.ph = s.pw = 1
    s.op, s.type = _place("op", op, OPS), MG_F32
    operands = {name: value for name, value in operands.items() if value is not None}
    names = OPERANDS[s.op]
    for name in operands:
        if name not in names:
            raise ValueError(f"{op}: no operand of this step is called {name!r}: "
                             f"expected {', '.join(names)}")
    for i, name in enumerate(names):
        operand = &mg_ops[s.op].operands[i]
        if name in operands and operand.kind != MG_ARRAY:
            set_operand(&s, operand, op, operands[name])
    mg_ops[s.op].sizes(&s, n, sizes)
    for i, name in enumerate(names):
        operand = &mg_ops[s.op].operands[i]
        if operand.kind == MG_ARRAY and name in operands:
            look(mg_ops[s.op].name, name, operands[name], ANY,
                 s.type if operand.type == ANY else operand.type, True, operand.written, &array)
            if array.count < sizes[i]:
                raise ValueError(f"{op}: {name}: expected an array of {int(sizes[i])} numbers at least, "
                                 f"got shape {operands[name].shape}")
            (<void **>(<char *>&s + operand.offset))[0] = array.data
    for i, name in enumerate(names):
        operand = &mg_ops[s.op].operands[i]
        if name not in operands and (operand.needed == 1 or operand.needed == 2 and sizes[i] > 0):
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
    cdef object arrays, ops, room, fed, hyperparameters

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
        self.hyperparameters = None  # they are those of the steps again

    def feed(self, int slot, array, to, float scale=1.0, float offset=0.0):
        """Let batches' examples come from `array` (N, ...) to `to`: each number * scale + offset.

        slot: 0 or 1: two arrays may be fed. None instead of an array: nothing any more.
        """
        if not 0 <= slot < FEEDS:
            raise IndexError(f"feed: slot: expected 0 to {FEEDS - 1}, got {slot}")
        cdef mg_feed *f = &self.feeds[slot]
        cdef view seen
        self.fed[slot] = None
        f.size = 0
        self.examples = min([len(fed[0]) for fed in self.fed if fed is not None], default=2**62)
        if array is None:
            return
        if array.dtype not in TYPES:
            raise TypeError(f"feed: expected float32, float64 or uint8, got {array.dtype}")
        if array.shape[1:] != to.shape[1:] or len(to) < self.capacity:
            raise ValueError(f"feed: expected examples like those of {to.shape}, got {array.shape}")
        if len(array) and not (array[0].flags.c_contiguous and array.flags.aligned):
            raise ValueError("feed: expected examples that are dense and aligned")
        f.from_ = <const char *>begin(array)
        look("feed", "to", to, ANY, MG_F32, True, True, &seen)
        f.to = <float *>seen.data
        f.type = TYPES[array.dtype]
        f.stride, f.itemsize = array.strides[0], array.itemsize
        f.scale, f.offset = scale, offset
        self.fed[slot] = (array, to)
        self.examples = min(self.examples, len(array))
        f.size = to[:1].size

    def run(self, Py_ssize_t first, Py_ssize_t n, order=None, double rate=0.0,
            dict hyperparameters=None):
        """Run all steps on the examples `first` to first + n, or on those that `order` has there.

        rate, hyperparameters: of the steps that update weights; the latter by operands' names.
        """
        cdef const int64_t *places
        cdef const int64_t *at = NULL
        cdef int threads = find_threads(None)
        cdef int slot
        cdef Py_ssize_t size, place
        cdef view seen
        if not 0 < n <= self.capacity:
            raise ValueError(f"run: n: expected 1 to {self.capacity} examples, got {n}")
        if first < 0 or first > self.examples - n:
            raise ValueError(f"run: expected some of {self.examples} examples, got {n} from {first} on")
        if order is not None:
            look("run", "order", order, 1, MG_I64, True, False, &seen)
            places = <const int64_t *>seen.data
            if seen.count != self.examples:
                raise ValueError(f"run: order: expected {self.examples} places, got shape {order.shape}")
            for place in range(first, first + n):
                if not 0 <= places[place] < self.examples:
                    raise ValueError(f"run: order: expected places below {self.examples}, "
                                     f"got {places[place]}")
            at = &places[first]
        if n > self.known_n or threads != self.known_threads:
            size = mg_scratch(self.isa, self.steps, self.count, n, threads)
            self.room = aligned(size // sizeof(float))
            self.r.scratch = begin(self.room)
            self.known_n, self.known_threads = n, threads
        if hyperparameters is not None and hyperparameters != self.hyperparameters:
            self.set_hyperparameters(hyperparameters)
        self.r.n, self.r.rate, self.r.threads = n, rate, threads
        with nogil:
            for slot in range(FEEDS):
                if self.feeds[slot].size:
                    self.isa.feed(&self.feeds[slot], at, first, n, threads)
            mg_run_steps(self.isa, self.steps, self.count, &self.r)

    cdef int set_hyperparameters(self, dict hyperparameters) except -1:
        """Let every step that has operands of these names have these."""
        cdef mg_step *s
        cdef int i
        for s in self.steps[:self.count]:
            for i, name in enumerate(OPERANDS[s.op]):
                if name in hyperparameters:
                    set_operand(s, &mg_ops[s.op].operands[i], OPS[s.op], hyperparameters[name])
        self.hyperparameters = hyperparameters
        return 0

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
