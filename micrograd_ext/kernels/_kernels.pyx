# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False, cdivision=True
"""The C kernels, behind checks: what reaches C has been looked at here.

Arrays are float32 or float64, both the same in one call; nothing is cast. Images are
(N, H, W, C), kernels (KH, KW, C, F). Results are new arrays, and the same bit for bit whatever
`threads` is. A bad argument raises `TypeError` (not an array, wrong dtype) or `ValueError`
(anything else) that names it, says what was expected and what came.

Every function takes two keywords more:

- `isa`: the instruction set to use, one of `isas()`; None is the best, or what the environment
  variable MICROGRAD_EXT_ISA named when the package was imported;
- `threads`: how many threads to use; None is `get_num_threads()`.
"""

import os

from cpython.buffer cimport PyBUF_STRIDES, PyBuffer_Release, PyObject_GetBuffer
from libc.string cimport memset

import numpy as np

cdef object ndarray = np.ndarray, empty = np.empty, zeros = np.zeros
cdef object FLOAT32 = np.dtype(np.float32), FLOAT64 = np.dtype(np.float64)
cdef object UINT8 = np.dtype(np.uint8), INT32 = np.dtype(np.int32)
cdef tuple DTYPES = (FLOAT32, FLOAT64, UINT8, INT32, np.dtype(np.int64))  # in the order of mg_type
cdef dict OPS = {mg_ops[op].name.decode(): op for op in range(MG_OPS)}
cdef Py_ssize_t LARGEST = 2**31 - 1  # a stride or a window's side
cdef str OUTPUT = "the shape of the output"
cdef int num_threads = 1
cdef const mg_isa *default_isa = NULL


# ---------------------------------------------------------------------------- what to run on

def isas() -> list:
    """Names of the instruction sets this machine can run, best first.

    >>> isas()[-1]
    'baseline'
    """
    names = []
    while mg_isa_at(len(names)) != NULL:
        names.append(mg_isa_at(len(names)).name.decode())
    return names


cdef const mg_isa *find_isa(isa) except NULL:
    if isa is None:
        return default_isa
    names = isas()
    if isa not in names:
        raise ValueError(f"isa: expected one of {', '.join(names)} (what this CPU runs), got {isa!r}")
    return mg_isa_at(names.index(isa))


def get_num_threads() -> int:
    """How many threads the kernels use unless told otherwise.

    At first what OMP_NUM_THREADS and the CPU affinity allow; 1 on systems without
    POSIX threads.
    """
    return num_threads


def set_num_threads(threads) -> None:
    """Let the kernels use `threads` >= 1 threads from now on.

    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    global num_threads
    num_threads = count("threads", threads, 1024)


cdef int find_threads(threads) except -1:
    return num_threads if threads is None else count("threads", threads, 1024)


def config() -> dict:
    """What the extension was built with and what it runs on."""
    return {
        "compiler": mg_compiler().decode(),
        "isa": default_isa.name.decode(),
        "isas available": isas(),
        "threads": num_threads,
    }


# ---------------------------------------------------------------------------- arrays

cdef int look(const char *op, str name, x, int ndim, int type_, bint dense, bint written,
              view *to) except -1:
    """Look at an array's numbers, if they are as C wants them, else say what is wrong.

    op, name: what errors begin with. ndim: how many dimensions are expected, or ANY. type_: which of
    mg_type, or ANY of float32 and float64. dense: C-contiguous; else a matrix with any strides.
    Through the buffer, which takes a tenth of the time that attributes and memoryviews take. It is
    given back at once: whoever calls holds x, and with it its memory.
    """
    cdef Py_buffer seen
    cdef Py_ssize_t expected, axis
    cdef bint good
    if type(x) is not ndarray and not isinstance(x, ndarray):
        raise TypeError(f"{op.decode()}: {name}: expected a numpy array, got {type(x).__name__}")
    dtype = x.dtype
    if dtype is FLOAT32:
        to.type = MG_F32
    elif dtype is FLOAT64:
        to.type = MG_F64
    elif dtype in DTYPES:
        to.type = DTYPES.index(dtype)
    else:
        to.type = ANY
    good = to.type == type_ if type_ != ANY else to.type == MG_F32 or to.type == MG_F64
    if not good:
        kinds = "float32 or float64" if type_ == ANY else DTYPES[type_]
        raise TypeError(f"{op.decode()}: {name}: expected {kinds} (native byte order), got {dtype}")
    PyObject_GetBuffer(x, &seen, PyBUF_STRIDES)
    to.data, to.itemsize, to.count = seen.buf, seen.itemsize, seen.len // seen.itemsize
    good = (ndim == ANY or seen.ndim == ndim) and <size_t>seen.buf % <size_t>seen.itemsize == 0
    good = good and not (written and seen.readonly)
    if good and dense:
        expected = seen.itemsize
        for axis in range(seen.ndim - 1, -1, -1):
            if seen.shape[axis] != 1 and seen.strides[axis] != expected and seen.len:
                good = False
            expected *= seen.shape[axis]
    for axis in range(min(seen.ndim, 2)):
        to.shape[axis], to.strides[axis] = seen.shape[axis], seen.strides[axis] // seen.itemsize
        good = good and (dense or seen.strides[axis] % seen.itemsize == 0)
    PyBuffer_Release(&seen)
    if not good:
        complain(f"{op.decode()}: {name}", x, ndim, dense, written)
    return 0


cdef bint stands_for_array(x):
    """Whether x is no array, but an object that says itself what a kernel makes of it.

    That is the way of numpy's `__array_function__`: the compiler traces by it what a model computes.
    """
    return type(x) is not ndarray and hasattr(type(x), "__kernel__")


cdef int complain(str name, x, int ndim, bint dense, bint written) except -1:
    """Say what is wrong with an array of the right type."""
    if ndim != ANY and x.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimensions, got shape {x.shape}")
    if dense and not x.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {x.strides}; "
                         "numpy.ascontiguousarray makes one")
    if written and not x.flags.writeable:
        raise ValueError(f"{name}: expected an array that may be written to")
    raise ValueError(f"{name}: expected an aligned array; numpy.require(x, requirements='A') "
                     "makes one")


cdef void *begin(array) except? NULL:
    """Where an array's numbers are, in a tenth of the time that `array.ctypes.data` takes."""
    cdef Py_buffer seen
    PyObject_GetBuffer(array, &seen, PyBUF_STRIDES)
    PyBuffer_Release(&seen)
    return seen.buf


cdef object spare = empty(0, UINT8)  # the last scratch: memory that is new to the process is slow

cdef extern from *:
    """
    #ifdef MG_SANITIZE
    #define MG_SPARE 0 // none: each call's is as large as it says, and what goes beyond it is seen
    #else
    #define MG_SPARE (1 << 24)
    #endif
    """
    Py_ssize_t SPARE "MG_SPARE"  # a scratch that is larger goes back to the system


cdef object take_scratch(Py_ssize_t size, void **to):
    """`size` bytes that begin on a 64-byte boundary, the caller's alone until `give_back`."""
    global spare
    taken, spare = spare, None
    if taken is None or len(taken) < size + 64:
        taken = empty(size + 64, UINT8)
    to[0] = <void *>((<size_t>begin(taken) + 63) // 64 * 64)
    return taken


cdef int give_back(scratch) except -1:
    global spare
    if len(scratch) <= SPARE:
        spare = scratch
    return 0


# ---------------------------------------------------------------------------- windows

cdef Py_ssize_t count(str name, value, Py_ssize_t largest) except -1:
    """A whole number from 1 to `largest`."""
    if type(value) is int and 1 <= value <= largest:
        return value
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name}: expected a whole number, got {value!r}")
    value = value.__index__()
    if not 1 <= value <= largest:
        raise ValueError(f"{name}: expected a number from 1 to {largest}, got {value}")
    return value


cdef double number(str name, value) except? -1:
    """A number, of whatever type."""
    try:
        return value
    except TypeError:
        raise TypeError(f"{name}: expected a number, got {value!r}") from None


cdef tuple pair(str name, value):
    """Two numbers >= 1 from one number or a sequence of two."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name}: expected a number or two (height, width), got {value!r}")
        return count(name, value[0], LARGEST), count(name, value[1], LARGEST)
    one = count(name, value, LARGEST)
    return one, one


cpdef tuple windows_along(str whose, str what, Py_ssize_t size, Py_ssize_t window, Py_ssize_t stride,
                          padding):
    """(number of windows, padding before the first) along an axis of images, as TensorFlow does it.

    Padding 'valid': windows stay inside. 'same': ceil(size / stride) windows, which hang over the edge
    by as much before as after, or one less. whose, what: what errors call the window. Raises
    ValueError if none fits, or for another padding.

    >>> windows_along("pool", "height", 5, 2, 2, "valid"), windows_along("pool", "height", 5, 2, 2, "same")
    ((2, 0), (3, 0))
    """
    if padding == "valid":
        if window > size:
            raise ValueError(f"{whose}: {what} of {window} does not fit images of {size} "
                             "with padding 'valid'")
        return (size - window) // stride + 1, 0
    if padding == "same":
        windows = (size + stride - 1) // stride
        return windows, max((windows - 1) * stride + window - size, 0) // 2
    raise ValueError(f"{whose}: padding: expected 'valid' or 'same', got {padding!r}")


cdef int set_images(mg_windows *w, str op, tuple images) except -1:
    if 0 in images[1:]:
        raise ValueError(f"{op}: images: expected no empty axis but the first, got shape {images}")
    w.n, w.h, w.w, w.c = images
    return 0


cdef int set_conv(mg_step *s, str op, tuple images, tuple kernel, strides, padding) except -1:
    """Set the windows of a convolution of such images by such a kernel."""
    cdef mg_windows *w = &s.windows
    if 0 in kernel:
        raise ValueError(f"{op}: kernel: expected no empty axis, got shape {kernel}")
    set_images(w, op, images)
    if images[3] != kernel[2]:
        raise ValueError(f"{op}: kernel expects {kernel[2]} input channels (axis 2 of {kernel}), "
                         f"got images of shape {images}")
    w.kh, w.kw, _, w.f = kernel
    w.sh, w.sw = pair(f"{op}: strides", strides)
    w.oh, w.top = windows_along(op, "kernel height", w.h, w.kh, w.sh, padding)
    w.ow, w.left = windows_along(op, "kernel width", w.w, w.kw, w.sw, padding)
    return 0


cdef int set_pool(mg_step *s, str op, tuple images, pool_size, strides, padding) except -1:
    """Set the windows that pooling looks at."""
    cdef mg_windows *w = &s.windows
    set_images(w, op, images)
    w.f = w.c
    w.kh, w.kw = pair(f"{op}: pool_size", pool_size)
    if w.kh * w.kw > LARGEST:
        raise ValueError(f"{op}: pool_size: expected at most {LARGEST} pixels, got {pool_size}")
    w.sh, w.sw = (w.kh, w.kw) if strides is None else pair(f"{op}: strides", strides)
    w.oh, w.top = windows_along(op, "pool_size height", w.h, w.kh, w.sh, padding)
    w.ow, w.left = windows_along(op, "pool_size width", w.w, w.kw, w.sw, padding)
    return 0


cdef int set_window(mg_step *s, str op, pool_size) except -1:
    """Set how a convolution, whose windows are set, is pooled."""
    cdef mg_windows *w = &s.windows
    s.ph, s.pw = pair(f"{op}: pool_size", pool_size)
    if s.ph * s.pw > 255:
        raise ValueError(f"{op}: pool_size: expected at most 255 pixels, got {pool_size}")
    if s.ph > w.oh or s.pw > w.ow:
        raise ValueError(f"{op}: pool_size: a window of {s.ph} x {s.pw} does not fit into the "
                         f"convolution's output of {w.oh} x {w.ow}")
    if ((w.oh - 1) * w.sh + w.kh) * ((w.ow - 1) * w.sw + w.kw) > LARGEST:
        raise ValueError(f"{op}: images: expected fewer than 2**31 pixels each, "
                         f"got {(w.n, w.h, w.w, w.c)}")
    return 0


# ---------------------------------------------------------------------------- a call

cdef struct call:
    mg_step step
    const mg_isa *isa
    int threads
    Py_ssize_t n  # examples
    bint empty  # an array that was taken has no numbers
    void *first  # the name of the first array, a str


cdef int open_call(call *c, str op, isa, threads) except -1:
    """A call of that op, whose arrays are then taken and made."""
    memset(c, 0, sizeof(call))
    c.step.op, c.step.type = OPS[op], ANY
    c.step.ph = c.step.pw = 1
    c.isa, c.threads = find_isa(isa), find_threads(threads)
    return 0


cdef str op_of(const call *c):
    return mg_ops[c.step.op].name.decode()


cdef int take(call *c, void **to, str name, x, int ndim, view *seen=NULL, bint dense=True,
              bint written=False) except -1:
    """Let an operand be an array of the caller's, of the same type as the first one."""
    cdef view own
    if seen == NULL:
        seen = &own
    look(mg_ops[c.step.op].name, name, x, ndim, ANY, dense, written, seen)
    if c.step.type == ANY:
        c.step.type, c.first = seen.type, <void *>name
    elif c.step.type != seen.type:
        raise TypeError(f"{op_of(c)}: {<str>c.first} is {DTYPES[c.step.type]} but {name} is {x.dtype}: "
                        "expected the same for both")
    c.empty = c.empty or seen.count == 0
    to[0] = seen.data
    return 0


cdef int take_bias(call *c, bias) except -1:
    cdef mg_windows *w = &c.step.windows
    cdef view seen
    if bias is None:
        return 0
    take(c, &c.step.bias, "bias", bias, 1, &seen)
    if seen.count != w.f:
        raise ValueError(f"{op_of(c)}: bias: expected shape ({w.f},) for a kernel of shape "
                         f"{(w.kh, w.kw, w.c, w.f)}, got {bias.shape}")
    return 0


cdef int take_argmax(call *c, argmax, int type_, tuple shape) except -1:
    cdef view seen
    look(mg_ops[c.step.op].name, "argmax", argmax, ANY, type_, True, False, &seen)
    check_shape(c, "argmax", argmax, shape, "the shape of dy")
    c.step.argmax = seen.data
    return 0


cdef int check_shape(call *c, str name, x, tuple shape, str what) except -1:
    if x.shape != shape:
        raise ValueError(f"{op_of(c)}: {name}: expected {what} {shape}, got {x.shape}")
    return 0


cdef tuple shape4(call *c, str name, value):
    """Four numbers: the first may be 0 (an empty batch), the others are >= 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 4:
        raise ValueError(f"{op_of(c)}: {name}: expected four sizes, got {value!r}")
    if hasattr(value[0], "__index__") and value[0].__index__() == 0:
        return 0, *shape4(c, name, (1, *value[1:]))[1:]
    return tuple([count(f"{op_of(c)}: {name}", size, LARGEST) for size in value])


cdef int look_through(call *c, tuple images, tuple kernel, strides, padding) except -1:
    set_conv(&c.step, op_of(c), images, kernel, strides, padding)
    c.n = c.step.windows.n
    return 0


cdef int pool_windows(call *c, tuple images, pool_size, strides, padding) except -1:
    set_pool(&c.step, op_of(c), images, pool_size, strides, padding)
    c.n = c.step.windows.n
    return 0


cdef int fuse_pooling(call *c, pool_size) except -1:
    set_window(&c.step, op_of(c), pool_size)
    return 0


cdef tuple outputs(const call *c):
    """The shape of what comes out of the windows, pooled or not."""
    cdef const mg_windows *w = &c.step.windows
    return w.n, w.oh // c.step.ph, w.ow // c.step.pw, w.f


cdef object make(call *c, void **to, tuple shape, dtype=None):
    """A new array for an operand that the call writes. What adds up nothing at all is 0."""
    if dtype is None:
        dtype = FLOAT32 if c.step.type == MG_F32 else FLOAT64
    out = zeros(shape, dtype) if c.empty else empty(shape, dtype)
    to[0] = begin(out)
    return out


cdef int run(call *c, double rate=0.0) except -1:
    """Run it, unless an array that was taken is empty."""
    cdef mg_run r
    if c.empty:
        return 0
    r.n, r.threads, r.rate = c.n, c.threads, rate
    scratch = take_scratch(mg_scratch(c.isa, &c.step, 1, r.n, r.threads), &r.scratch)
    with nogil:
        mg_run_steps(c.isa, &c.step, 1, &r)
    give_back(scratch)
    return 0


# ---------------------------------------------------------------------------- kernels

def matmul(a, b, *, isa=None, threads=None):
    """Matrix product of a (M, K) and b (K, N), with any strides: (M, N).

    A transposed view costs nothing extra: `matmul(x.T, dy)` copies no array.

    >>> import numpy as np
    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    if stands_for_array(a):
        return a.__kernel__("matmul", a, b)
    cdef call c
    cdef view x, y
    open_call(&c, "matmul", isa, threads)
    take(&c, &c.step.x, "a", a, 2, &x, False)
    take(&c, &c.step.w, "b", b, 2, &y, False)
    if x.shape[1] != y.shape[0]:
        raise ValueError(f"matmul: a has {a.shape[1]} columns but b has {b.shape[0]} rows "
                         f"(shapes {a.shape} and {b.shape})")
    c.n, c.step.rows, c.step.k, c.step.units = x.shape[0], 1, x.shape[1], y.shape[1]
    c.step.x_row, c.step.x_col = x.strides[0], x.strides[1]
    c.step.w_row, c.step.w_col = y.strides[0], y.strides[1]
    out = make(&c, &c.step.y, (c.n, c.step.units))
    run(&c)
    return out


def sum_rows(x, *, isa=None, threads=None):
    """Sum of the rows of x (M, N): (N,). The gradient of a bias.

    >>> import numpy as np
    >>> sum_rows(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    if stands_for_array(x):
        return x.__kernel__("sum_rows", x)
    cdef call c
    cdef view rows
    open_call(&c, "sum_rows", isa, threads)
    take(&c, &c.step.x, "x", x, 2, &rows)
    c.n, c.step.rows, c.step.units = rows.shape[0], 1, rows.shape[1]
    out = make(&c, &c.step.y, (c.step.units,))
    run(&c)
    return out


def conv2d(images, kernel, bias=None, *, strides=1, padding="valid", isa=None, threads=None):
    """Cross-correlation of images (N, H, W, C) with a kernel (KH, KW, C, F), plus bias (F,).

    Returns (N, OH, OW, F), with OH = (H - KH) // stride + 1 for padding 'valid' and
    ceil(H / stride) for 'same', where zeros are put around the image as TensorFlow does it:
    as many before as after, and the odd one after.

    >>> import numpy as np
    >>> conv2d(np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)))[0, :, :, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    if stands_for_array(images):
        return images.__kernel__("conv2d", images, kernel, bias, strides, padding)
    cdef call c
    open_call(&c, "conv2d", isa, threads)
    take(&c, &c.step.x, "images", images, 4)
    take(&c, &c.step.w, "kernel", kernel, 4)
    look_through(&c, images.shape, kernel.shape, strides, padding)
    take_bias(&c, bias)
    out = make(&c, &c.step.y, outputs(&c))
    run(&c)
    return out


def conv2d_dx(dy, kernel, images_shape, *, strides=1, padding="valid", isa=None, threads=None):
    """Gradient of `conv2d` with respect to its images, of shape `images_shape` (N, H, W, C).

    dy (N, OH, OW, F) is the gradient with respect to its output; strides and padding are the
    forward pass's.

    >>> import numpy as np
    >>> conv2d_dx(np.ones((1, 2, 2, 1)), np.ones((2, 2, 1, 1)), (1, 3, 3, 1))[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    """
    if stands_for_array(dy):
        return dy.__kernel__("conv2d_dx", dy, kernel, images_shape, strides, padding)
    cdef call c
    open_call(&c, "conv2d_dx", isa, threads)
    take(&c, &c.step.dy, "dy", dy, 4)
    take(&c, &c.step.w, "kernel", kernel, 4)
    look_through(&c, shape4(&c, "images_shape", images_shape), kernel.shape, strides, padding)
    check_shape(&c, "dy", dy, outputs(&c), OUTPUT)
    out = make(&c, &c.step.dx, tuple(images_shape))
    run(&c)
    return out


def conv2d_dw(images, dy, kernel_shape, *, strides=1, padding="valid", isa=None, threads=None):
    """Gradient of `conv2d` with respect to its kernel, of shape `kernel_shape` (KH, KW, C, F).

    images (N, H, W, C) and dy (N, OH, OW, F); strides and padding are the forward pass's.

    >>> import numpy as np
    >>> conv2d_dw(np.ones((1, 3, 3, 1)), np.ones((1, 2, 2, 1)), (2, 2, 1, 1))[:, :, 0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    if stands_for_array(images):
        return images.__kernel__("conv2d_dw", images, dy, kernel_shape, strides, padding)
    cdef call c
    open_call(&c, "conv2d_dw", isa, threads)
    take(&c, &c.step.x, "images", images, 4)
    take(&c, &c.step.dy, "dy", dy, 4)
    look_through(&c, images.shape, shape4(&c, "kernel_shape", kernel_shape), strides, padding)
    check_shape(&c, "dy", dy, outputs(&c), OUTPUT)
    out = make(&c, &c.step.dw, tuple(kernel_shape))
    run(&c)
    return out


def max_pool2d(images, pool_size=2, *, strides=None, padding="valid", isa=None, threads=None):
    """The largest number of each window of images (N, H, W, C), channel by channel.

    Returns the maxima (N, OH, OW, C) and their places in the window, row * pool width + column,
    as int32 of the same shape. The first of equals wins; a NaN wins over any number. `strides`
    None is pool_size; with padding 'same', what lies outside the image never wins.

    >>> import numpy as np
    >>> images = np.array([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> maxima, argmax = max_pool2d(images)
    >>> maxima.ravel(), argmax.ravel()
    (array([10., 12.]), array([0, 2], dtype=int32))
    """
    if stands_for_array(images):
        return images.__kernel__("max_pool2d", images, pool_size, strides, padding)
    cdef call c
    open_call(&c, "max_pool2d", isa, threads)
    take(&c, &c.step.x, "images", images, 4)
    pool_windows(&c, images.shape, pool_size, strides, padding)
    out = make(&c, &c.step.y, outputs(&c))
    argmax = make(&c, &c.step.argmax, outputs(&c), INT32)
    run(&c)
    return out, argmax


def max_pool2d_dx(dy, argmax, images_shape, pool_size=2, *, strides=None, padding="valid",
                  isa=None, threads=None):
    """Gradient of `max_pool2d` with respect to its images, of shape `images_shape` (N, H, W, C).

    dy (N, OH, OW, C) goes where `argmax` says; windows that overlap add up.

    >>> import numpy as np
    >>> dy, argmax = np.full((1, 1, 2, 1), 5.0), np.array([0, 2], np.int32).reshape(1, 1, 2, 1)
    >>> max_pool2d_dx(dy, argmax, (1, 2, 4, 1))[0, :, :, 0]
    array([[5., 0., 0., 0.],
           [0., 0., 5., 0.]])
    """
    if stands_for_array(dy):
        return dy.__kernel__("max_pool2d_dx", dy, argmax, images_shape, pool_size, strides, padding)
    cdef call c
    open_call(&c, "max_pool2d_dx", isa, threads)
    take(&c, &c.step.dy, "dy", dy, 4)
    pool_windows(&c, shape4(&c, "images_shape", images_shape), pool_size, strides, padding)
    check_shape(&c, "dy", dy, outputs(&c), OUTPUT)
    take_argmax(&c, argmax, MG_I32, dy.shape)
    out = make(&c, &c.step.dx, tuple(images_shape))
    run(&c)
    return out


def conv2d_relu_pool(images, kernel, bias=None, pool_size=2, *, strides=1, padding="valid",
                     isa=None, threads=None):
    """`conv2d`, `relu` and `max_pool2d` in one: windows side by side, incomplete ones left out.

    Returns the maxima (N, OH // PH, OW // PW, F), and as uint8 of the same shape their places in
    the window, row * pool width + column; 255 where no number is above 0 and nothing is sent back.
    `strides` and `padding` are the convolution's. In float32, 3x3 kernels of many channels before
    2x2 windows go by Winograd's algorithm: faster, as exact, but not `conv2d`'s to the last bit.

    >>> import numpy as np
    >>> images = np.array([[10.0, 6, 4, 6], [8, 2, 12, 5]]).reshape(1, 2, 4, 1)
    >>> maxima, argmax = conv2d_relu_pool(images, np.ones((1, 1, 1, 1)), np.array([-10.0]))
    >>> maxima.ravel(), argmax.ravel()
    (array([0., 2.]), array([255,   2], dtype=uint8))
    """
    if stands_for_array(images):
        return images.__kernel__("conv2d_relu_pool", images, kernel, bias, pool_size, strides, padding)
    cdef call c
    open_call(&c, "conv2d_relu_pool", isa, threads)
    take(&c, &c.step.x, "images", images, 4)
    take(&c, &c.step.w, "kernel", kernel, 4)
    look_through(&c, images.shape, kernel.shape, strides, padding)
    fuse_pooling(&c, pool_size)
    take_bias(&c, bias)
    out = make(&c, &c.step.y, outputs(&c))
    argmax = make(&c, &c.step.argmax, outputs(&c), UINT8)
    run(&c)
    return out, argmax


def conv2d_relu_pool_dx(dy, argmax, kernel, images_shape, pool_size=2, *, strides=1,
                        padding="valid", isa=None, threads=None):
    """Gradient of `conv2d_relu_pool` with respect to its images, of shape `images_shape`.

    dy (N, OH // PH, OW // PW, F) is the gradient with respect to its maxima, argmax as it returned
    them; the rest is the forward pass's.

    >>> import numpy as np
    >>> dy, argmax = np.full((1, 1, 2, 1), 5.0), np.array([255, 2], np.uint8).reshape(1, 1, 2, 1)
    >>> conv2d_relu_pool_dx(dy, argmax, np.ones((1, 1, 1, 1)), (1, 2, 4, 1))[0, :, :, 0]
    array([[0., 0., 0., 0.],
           [0., 0., 5., 0.]])
    """
    if stands_for_array(dy):
        return dy.__kernel__("conv2d_relu_pool_dx", dy, argmax, kernel, images_shape, pool_size, strides, padding)
    cdef call c
    open_call(&c, "conv2d_relu_pool_dx", isa, threads)
    take(&c, &c.step.dy, "dy", dy, 4)
    take(&c, &c.step.w, "kernel", kernel, 4)
    look_through(&c, shape4(&c, "images_shape", images_shape), kernel.shape, strides, padding)
    fuse_pooling(&c, pool_size)
    check_shape(&c, "dy", dy, outputs(&c), OUTPUT)
    take_argmax(&c, argmax, MG_U8, dy.shape)
    out = make(&c, &c.step.dx, tuple(images_shape))
    run(&c)
    return out


def conv2d_relu_pool_dw(images, dy, argmax, kernel_shape, pool_size=2, *, strides=1,
                        padding="valid", isa=None, threads=None):
    """Gradients of `conv2d_relu_pool` with respect to its kernel (KH, KW, C, F) and bias (F,).

    images (N, H, W, C); dy and argmax as in `conv2d_relu_pool_dx`.

    >>> import numpy as np
    >>> images = np.arange(8.0).reshape(1, 2, 4, 1)
    >>> dy, argmax = np.full((1, 1, 2, 1), 5.0), np.array([255, 2], np.uint8).reshape(1, 1, 2, 1)
    >>> dw, db = conv2d_relu_pool_dw(images, dy, argmax, (1, 1, 1, 1))
    >>> dw.ravel(), db
    (array([30.]), array([5.]))
    """
    if stands_for_array(images):
        return images.__kernel__("conv2d_relu_pool_dw", images, dy, argmax, kernel_shape, pool_size, strides, padding)
    cdef call c
    open_call(&c, "conv2d_relu_pool_dw", isa, threads)
    take(&c, &c.step.x, "images", images, 4)
    take(&c, &c.step.dy, "dy", dy, 4)
    look_through(&c, images.shape, shape4(&c, "kernel_shape", kernel_shape), strides, padding)
    fuse_pooling(&c, pool_size)
    check_shape(&c, "dy", dy, outputs(&c), OUTPUT)
    take_argmax(&c, argmax, MG_U8, dy.shape)
    dw = make(&c, &c.step.dw, tuple(kernel_shape))
    db = make(&c, &c.step.db, (c.step.windows.f,))
    run(&c)
    return dw, db


def relu(x, *, isa=None, threads=None):
    """max(x, 0) for each number of x, an array of any shape. NaN stays NaN.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    if stands_for_array(x):
        return x.__kernel__("relu", x)
    cdef call c
    cdef view all_of_it
    open_call(&c, "relu", isa, threads)
    take(&c, &c.step.x, "x", x, ANY, &all_of_it)
    c.n, c.step.units = 1, all_of_it.count
    out = make(&c, &c.step.y, x.shape)
    run(&c)
    return out


def relu_dx(dy, y, *, isa=None, threads=None):
    """Gradient of `relu`: dy where y, its output or its input, is above 0 or NaN, else 0.

    >>> import numpy as np
    >>> relu_dx(np.array([5.0, 5.0, 5.0]), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 5.])
    """
    if stands_for_array(dy):
        return dy.__kernel__("relu_dx", dy, y)
    cdef call c
    cdef view all_of_it
    open_call(&c, "relu_dx", isa, threads)
    take(&c, &c.step.dy, "dy", dy, ANY)
    take(&c, &c.step.y, "y", y, ANY, &all_of_it)
    check_shape(&c, "dy", dy, y.shape, "the shape of y")
    c.n, c.step.units = 1, all_of_it.count
    out = make(&c, &c.step.dx, y.shape)
    run(&c)
    return out


def adam(x, dx, m, v, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, isa=None, threads=None):
    """A step of Adam in place: m += (dx - m) (1 - beta_1), v += (dx**2 - v) (1 - beta_2),
    x -= rate * m / (sqrt(v) + epsilon), for arrays of one shape, whatever it is.

    >>> import numpy as np
    >>> x, m, v = np.ones(2), np.zeros(2), np.zeros(2)
    >>> adam(x, np.array([2.0, 0.0]), m, v, 0.1)
    >>> m, v
    (array([0.2, 0. ]), array([0.004, 0.   ]))
    """
    cdef call c
    cdef view all_of_it
    open_call(&c, "adam", isa, threads)
    take(&c, &c.step.y, "x", x, ANY, &all_of_it, True, True)
    take(&c, &c.step.dy, "dx", dx, ANY)
    take(&c, &c.step.m, "m", m, ANY, NULL, True, True)
    take(&c, &c.step.v, "v", v, ANY, NULL, True, True)
    named = {"x": x, "dx": dx, "m": m, "v": v}
    for name, value in named.items():
        check_shape(&c, name, value, x.shape, "the shape of x")
    for one, other in ("x", "dx"), ("x", "m"), ("x", "v"), ("m", "dx"), ("m", "v"), ("v", "dx"):
        if np.may_share_memory(named[one], named[other]):
            raise ValueError(f"adam: {one} and {other}: expected arrays that do not overlap")
    c.n, c.step.units = 1, all_of_it.count
    c.step.beta_1, c.step.beta_2 = number("adam: beta_1", beta_1), number("adam: beta_2", beta_2)
    c.step.epsilon = number("adam: epsilon", epsilon)
    run(&c, number("adam: rate", rate))


# ---------------------------------------------------------------------------- on import

mg_threads_init()
num_threads = max(1, min(mg_max_threads(), 1024))
default_isa = mg_isa_at(0)
if os.environ.get("MICROGRAD_EXT_ISA"):
    try:
        default_isa = find_isa(os.environ["MICROGRAD_EXT_ISA"])
    except ValueError as error:
        raise ImportError(f"MICROGRAD_EXT_ISA: {error}") from None
