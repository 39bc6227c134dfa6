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

import numpy as np

cdef object ndarray = np.ndarray, empty = np.empty
cdef object FLOAT32 = np.dtype(np.float32), FLOAT64 = np.dtype(np.float64), UINT8 = np.dtype(np.uint8)
cdef Py_ssize_t LARGEST = 2**31 - 1  # a stride or a window's side
cdef int ANY = -1
cdef int num_threads = 1
cdef const mg_isa *default_isa = NULL

ctypedef fused real:
    float
    double


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


# ---------------------------------------------------------------------------- checks

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


cdef tuple pair(str name, value):
    """Two numbers >= 1 from one number or a sequence of two."""
    if isinstance(value, (tuple, list)):
        if len(value) != 2:
            raise ValueError(f"{name}: expected a number or two (height, width), got {value!r}")
        return count(name, value[0], LARGEST), count(name, value[1], LARGEST)
    one = count(name, value, LARGEST)
    return one, one


cdef int array(str name, x, int ndim, bint contiguous=True) except -1:
    """An aligned, native float32 or float64 ndarray of `ndim` dimensions, or of ANY number."""
    if not isinstance(x, ndarray):
        raise TypeError(f"{name}: expected a numpy array, got {type(x).__name__}")
    dtype = x.dtype
    if dtype is not FLOAT32 and dtype is not FLOAT64 and dtype != FLOAT32 and dtype != FLOAT64:
        raise TypeError(f"{name}: expected float32 or float64 (native byte order), got {x.dtype}")
    if ndim != ANY and x.ndim != ndim:
        raise ValueError(f"{name}: expected {ndim} dimensions, got shape {x.shape}")
    if contiguous and not x.flags.c_contiguous:
        raise ValueError(f"{name}: expected a C-contiguous array, got strides {x.strides}; "
                         "numpy.ascontiguousarray makes one")
    if not x.flags.aligned:
        raise ValueError(f"{name}: expected an aligned array; numpy.require(x, requirements='A') "
                         "makes one")
    return 0


cdef int same_dtype(str name, x, str other, y) except -1:
    if x.dtype != y.dtype:
        raise TypeError(f"{name} is {x.dtype} but {other} is {y.dtype}: expected the same for both")
    return 0


cdef tuple shape4(str name, value):
    """Four numbers: the first may be 0 (an empty batch), the others are >= 1."""
    if not isinstance(value, (tuple, list)) or len(value) != 4:
        raise ValueError(f"{name}: expected four sizes, got {value!r}")
    if hasattr(value[0], "__index__") and value[0].__index__() == 0:
        return 0, *shape4(name, (1, *value[1:]))[1:]
    return tuple([count(name, size, LARGEST) for size in value])


cdef tuple along(str name, str what, Py_ssize_t size, Py_ssize_t window, Py_ssize_t stride, padding):
    """(number of windows, padding before the first) along one axis, as Keras and TensorFlow do it."""
    if padding == "valid":
        if window > size:
            raise ValueError(f"{name}: {what} of {window} does not fit images of {size} "
                             "with padding 'valid'")
        return (size - window) // stride + 1, 0
    if padding == "same":
        windows = (size + stride - 1) // stride
        return windows, max((windows - 1) * stride + window - size, 0) // 2
    raise ValueError(f"{name}: padding: expected 'valid' or 'same', got {padding!r}")


cdef mg_conv2d conv2d_shape(str name, tuple images, tuple kernel, strides, padding) except *:
    cdef mg_conv2d s
    if 0 in kernel:
        raise ValueError(f"{name}: kernel: expected no empty axis, got shape {kernel}")
    if 0 in images[1:]:
        raise ValueError(f"{name}: images: expected no empty axis but the first, got shape {images}")
    if images[3] != kernel[2]:
        raise ValueError(f"{name}: kernel expects {kernel[2]} input channels (axis 2 of {kernel}), "
                         f"got images of shape {images}")
    s.n, s.h, s.w, s.c = images
    s.kh, s.kw, _, s.f = kernel
    s.sh, s.sw = pair(f"{name}: strides", strides)
    s.oh, s.top = along(name, "kernel height", s.h, s.kh, s.sh, padding)
    s.ow, s.left = along(name, "kernel width", s.w, s.kw, s.sw, padding)
    return s


cdef mg_pool2d pool2d_shape(str name, tuple images, pool_size, strides, padding) except *:
    cdef mg_pool2d s
    if 0 in images[1:]:
        raise ValueError(f"{name}: images: expected no empty axis but the first, got shape {images}")
    s.n, s.h, s.w, s.c = images
    s.kh, s.kw = pair(f"{name}: pool_size", pool_size)
    if s.kh * s.kw > LARGEST:
        raise ValueError(f"{name}: pool_size: expected at most {LARGEST} pixels, got {pool_size}")
    s.sh, s.sw = (s.kh, s.kw) if strides is None else pair(f"{name}: strides", strides)
    s.oh, s.top = along(name, "pool_size height", s.h, s.kh, s.sh, padding)
    s.ow, s.left = along(name, "pool_size width", s.w, s.kw, s.sw, padding)
    return s


cdef struct matrix:  # what C wants to know of one; steps count elements
    void *data
    Py_ssize_t rows, cols, row_step, col_step
    Py_ssize_t itemsize


cdef int look(str name, x, matrix *to) except -1:
    """Look at a matrix with any strides: what `array` checks, and what C wants to know.

    Through the buffer, which takes a tenth of the time that attributes and memoryviews take. It is
    given back at once: whoever calls holds x, and with it its memory.
    """
    cdef Py_buffer seen
    cdef bint good = type(x) is ndarray and (x.dtype is FLOAT32 or x.dtype is FLOAT64)
    if not good:
        array(name, x, 2, False)
    PyObject_GetBuffer(x, &seen, PyBUF_STRIDES)
    to.data, to.itemsize = seen.buf, seen.itemsize
    good = seen.ndim == 2 and <size_t>seen.buf % <size_t>seen.itemsize == 0
    if good:
        to.rows, to.cols = seen.shape[0], seen.shape[1]
        good = seen.strides[0] % seen.itemsize == 0 and seen.strides[1] % seen.itemsize == 0
        to.row_step, to.col_step = seen.strides[0] // seen.itemsize, seen.strides[1] // seen.itemsize
    PyBuffer_Release(&seen)
    if not good:
        array(name, x, 2, False)
    return 0


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
    cdef Py_buffer seen
    taken, spare = spare, None
    if taken is None or len(taken) < size + 64:
        taken = empty(size + 64, UINT8)
    PyObject_GetBuffer(taken, &seen, PyBUF_STRIDES)
    to[0] = <void *>((<size_t>seen.buf + 63) // 64 * 64)
    PyBuffer_Release(&seen)
    return taken


cdef int give_back(scratch) except -1:
    global spare
    if len(scratch) <= SPARE:
        spare = scratch
    return 0


# ---------------------------------------------------------------------------- kernels

def matmul(a, b, *, isa=None, threads=None):
    """Matrix product of a (M, K) and b (K, N), with any strides: (M, N).

    A transposed view costs nothing extra: `matmul(x.T, dy)` copies no array.

    >>> import numpy as np
    >>> matmul(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]))
    array([[11.]])
    """
    cdef matrix x, y, z
    cdef void *scratch
    look("matmul: a", a, &x)
    look("matmul: b", b, &y)
    if x.itemsize != y.itemsize:
        same_dtype("matmul: a", a, "b", b)
    if x.cols != y.rows:
        raise ValueError(f"matmul: a has {a.shape[1]} columns but b has {b.shape[0]} rows "
                         f"(shapes {a.shape} and {b.shape})")
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    cdef bint single = x.itemsize == sizeof(float)
    if x.rows == 0 or x.cols == 0 or y.cols == 0:
        return np.zeros((x.rows, y.cols), a.dtype)
    out = empty((x.rows, y.cols), FLOAT32 if single else FLOAT64)
    look("matmul: out", out, &z)
    room = take_scratch(
        x.itemsize * (on.f32.matmul_scratch if single else on.f64.matmul_scratch)(
            x.rows, y.cols, x.cols, workers
        ), &scratch)
    with nogil:
        if single:
            on.f32.matmul(x.rows, y.cols, x.cols, <float *>x.data, x.row_step, x.col_step,
                          <float *>y.data, y.row_step, y.col_step, NULL, 0,
                          <float *>z.data, <float *>scratch, workers)
        else:
            on.f64.matmul(x.rows, y.cols, x.cols, <double *>x.data, x.row_step, x.col_step,
                          <double *>y.data, y.row_step, y.col_step, NULL, 0,
                          <double *>z.data, <double *>scratch, workers)
    give_back(room)
    return out


cdef sum_rows_(real *which, x, const mg_isa *isa, int threads):
    cdef const real[:, ::1] xv = x
    cdef Py_ssize_t m = xv.shape[0], n = xv.shape[1], size
    cdef void *scratch
    out = np.empty(n, x.dtype)
    cdef real[::1] y = out
    if real is float:
        size = isa.f32.sum_rows_scratch(m, n)
    else:
        size = isa.f64.sum_rows_scratch(m, n)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.sum_rows(m, n, &xv[0, 0], &y[0], <real *>scratch, threads)
        else:
            isa.f64.sum_rows(m, n, &xv[0, 0], &y[0], <real *>scratch, threads)
    give_back(room)
    return out


def sum_rows(x, *, isa=None, threads=None):
    """Sum of the rows of x (M, N): (N,). The gradient of a bias.

    >>> import numpy as np
    >>> sum_rows(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    array("sum_rows: x", x, 2)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if x.size == 0:
        return np.zeros(x.shape[1], x.dtype)
    if x.dtype == np.float32:
        return sum_rows_(<float *>NULL, x, on, workers)
    return sum_rows_(<double *>NULL, x, on, workers)


cdef conv2d_(real *which, mg_conv2d s, x, w, bias, const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] xv = x
    cdef const real[:, :, :, ::1] wv = w
    cdef const real[::1] bv
    cdef const real *b = NULL
    cdef void *scratch
    cdef Py_ssize_t size
    out = np.empty((s.n, s.oh, s.ow, s.f), x.dtype)
    cdef real[:, :, :, ::1] y = out
    if bias is not None:
        bv = bias
        b = &bv[0]
    if real is float:
        size = isa.f32.conv2d_scratch(&s, threads)
    else:
        size = isa.f64.conv2d_scratch(&s, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d(&s, &xv[0, 0, 0, 0], &wv[0, 0, 0, 0], b, &y[0, 0, 0, 0], <real *>scratch,
                           threads)
        else:
            isa.f64.conv2d(&s, &xv[0, 0, 0, 0], &wv[0, 0, 0, 0], b, &y[0, 0, 0, 0], <real *>scratch,
                           threads)
    give_back(room)
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
    array("conv2d: images", images, 4)
    array("conv2d: kernel", kernel, 4)
    same_dtype("conv2d: images", images, "kernel", kernel)
    cdef mg_conv2d s = conv2d_shape("conv2d", images.shape, kernel.shape, strides, padding)
    if bias is not None:
        check_bias("conv2d", images, bias, kernel.shape)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.empty((0, s.oh, s.ow, s.f), images.dtype)
    if images.dtype == np.float32:
        return conv2d_(<float *>NULL, s, images, kernel, bias, on, workers)
    return conv2d_(<double *>NULL, s, images, kernel, bias, on, workers)


cdef int check_bias(str name, images, bias, tuple kernel_shape) except -1:
    array(f"{name}: bias", bias, 1)
    same_dtype(f"{name}: images", images, "bias", bias)
    if bias.shape[0] != kernel_shape[3]:
        raise ValueError(f"{name}: bias: expected shape ({kernel_shape[3]},) for a kernel of shape "
                         f"{kernel_shape}, got {bias.shape}")
    return 0


cdef int check_winner(str name, argmax, dtype, str expected, tuple shape) except -1:
    if not isinstance(argmax, np.ndarray) or argmax.dtype != dtype:
        raise TypeError(f"{name}: argmax: expected {expected}, got "
                        f"{getattr(argmax, 'dtype', type(argmax).__name__)}")
    if argmax.shape != shape:
        raise ValueError(f"{name}: argmax: expected the shape of dy {shape}, got {argmax.shape}")
    return 0


cdef int check_dy(str name, dy, Py_ssize_t n, Py_ssize_t oh, Py_ssize_t ow, Py_ssize_t c) except -1:
    if dy.shape != (n, oh, ow, c):
        raise ValueError(f"{name}: dy: expected shape {(n, oh, ow, c)} (that of the output), "
                         f"got {dy.shape}")
    return 0


cdef conv2d_dx_(real *which, mg_conv2d s, dy, w, const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] dyv = dy
    cdef const real[:, :, :, ::1] wv = w
    cdef void *scratch
    cdef Py_ssize_t size
    out = np.empty((s.n, s.h, s.w, s.c), dy.dtype)
    cdef real[:, :, :, ::1] dx = out
    if real is float:
        size = isa.f32.conv2d_dx_scratch(&s, threads)
    else:
        size = isa.f64.conv2d_dx_scratch(&s, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d_dx(&s, &dyv[0, 0, 0, 0], &wv[0, 0, 0, 0], &dx[0, 0, 0, 0], <real *>scratch,
                              threads)
        else:
            isa.f64.conv2d_dx(&s, &dyv[0, 0, 0, 0], &wv[0, 0, 0, 0], &dx[0, 0, 0, 0], <real *>scratch,
                              threads)
    give_back(room)
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
    array("conv2d_dx: dy", dy, 4)
    array("conv2d_dx: kernel", kernel, 4)
    same_dtype("conv2d_dx: dy", dy, "kernel", kernel)
    shape = shape4("conv2d_dx: images_shape", images_shape)
    cdef mg_conv2d s = conv2d_shape("conv2d_dx", shape, kernel.shape, strides, padding)
    check_dy("conv2d_dx", dy, s.n, s.oh, s.ow, s.f)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.empty(shape, dy.dtype)
    if dy.dtype == np.float32:
        return conv2d_dx_(<float *>NULL, s, dy, kernel, on, workers)
    return conv2d_dx_(<double *>NULL, s, dy, kernel, on, workers)


cdef conv2d_dw_(real *which, mg_conv2d s, x, dy, const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] xv = x
    cdef const real[:, :, :, ::1] dyv = dy
    cdef void *scratch
    cdef Py_ssize_t size
    out = np.empty((s.kh, s.kw, s.c, s.f), x.dtype)
    cdef real[:, :, :, ::1] dw = out
    if real is float:
        size = isa.f32.conv2d_dw_scratch(&s, threads)
    else:
        size = isa.f64.conv2d_dw_scratch(&s, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d_dw(&s, &xv[0, 0, 0, 0], &dyv[0, 0, 0, 0], &dw[0, 0, 0, 0], <real *>scratch,
                              threads)
        else:
            isa.f64.conv2d_dw(&s, &xv[0, 0, 0, 0], &dyv[0, 0, 0, 0], &dw[0, 0, 0, 0], <real *>scratch,
                              threads)
    give_back(room)
    return out


def conv2d_dw(images, dy, kernel_shape, *, strides=1, padding="valid", isa=None, threads=None):
    """Gradient of `conv2d` with respect to its kernel, of shape `kernel_shape` (KH, KW, C, F).

    images (N, H, W, C) and dy (N, OH, OW, F); strides and padding are the forward pass's.

    >>> import numpy as np
    >>> conv2d_dw(np.ones((1, 3, 3, 1)), np.ones((1, 2, 2, 1)), (2, 2, 1, 1))[:, :, 0, 0]
    array([[4., 4.],
           [4., 4.]])
    """
    array("conv2d_dw: images", images, 4)
    array("conv2d_dw: dy", dy, 4)
    same_dtype("conv2d_dw: images", images, "dy", dy)
    shape = shape4("conv2d_dw: kernel_shape", kernel_shape)
    cdef mg_conv2d s = conv2d_shape("conv2d_dw", images.shape, shape, strides, padding)
    check_dy("conv2d_dw", dy, s.n, s.oh, s.ow, s.f)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.zeros(shape, images.dtype)
    if images.dtype == np.float32:
        return conv2d_dw_(<float *>NULL, s, images, dy, on, workers)
    return conv2d_dw_(<double *>NULL, s, images, dy, on, workers)


cdef max_pool2d_(real *which, mg_pool2d s, x, const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] xv = x
    out = np.empty((s.n, s.oh, s.ow, s.c), x.dtype)
    who = np.empty((s.n, s.oh, s.ow, s.c), np.int32)
    cdef real[:, :, :, ::1] y = out
    cdef int32_t[:, :, :, ::1] argmax = who
    with nogil:
        if real is float:
            isa.f32.max_pool2d(&s, &xv[0, 0, 0, 0], &y[0, 0, 0, 0], &argmax[0, 0, 0, 0], threads)
        else:
            isa.f64.max_pool2d(&s, &xv[0, 0, 0, 0], &y[0, 0, 0, 0], &argmax[0, 0, 0, 0], threads)
    return out, who


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
    array("max_pool2d: images", images, 4)
    cdef mg_pool2d s = pool2d_shape("max_pool2d", images.shape, pool_size, strides, padding)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        shape = (0, s.oh, s.ow, s.c)
        return np.empty(shape, images.dtype), np.empty(shape, np.int32)
    if images.dtype == np.float32:
        return max_pool2d_(<float *>NULL, s, images, on, workers)
    return max_pool2d_(<double *>NULL, s, images, on, workers)


cdef max_pool2d_dx_(real *which, mg_pool2d s, dy, argmax, const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] dyv = dy
    cdef const int32_t[:, :, :, ::1] who = argmax
    out = np.empty((s.n, s.h, s.w, s.c), dy.dtype)
    cdef real[:, :, :, ::1] dx = out
    with nogil:
        if real is float:
            isa.f32.max_pool2d_dx(&s, &dyv[0, 0, 0, 0], &who[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)
        else:
            isa.f64.max_pool2d_dx(&s, &dyv[0, 0, 0, 0], &who[0, 0, 0, 0], &dx[0, 0, 0, 0], threads)
    return out


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
    array("max_pool2d_dx: dy", dy, 4)
    shape = shape4("max_pool2d_dx: images_shape", images_shape)
    cdef mg_pool2d s = pool2d_shape("max_pool2d_dx", shape, pool_size, strides, padding)
    check_dy("max_pool2d_dx", dy, s.n, s.oh, s.ow, s.c)
    check_winner("max_pool2d_dx", argmax, np.int32, "an int32 array", dy.shape)
    if not (argmax.flags.c_contiguous and argmax.flags.aligned):
        raise ValueError("max_pool2d_dx: argmax: expected an aligned C-contiguous array")
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.empty(shape, dy.dtype)
    if dy.dtype == np.float32:
        return max_pool2d_dx_(<float *>NULL, s, dy, argmax, on, workers)
    return max_pool2d_dx_(<double *>NULL, s, dy, argmax, on, workers)


cdef mg_conv2d fused_shape(str name, tuple images, tuple kernel, pool_size, strides, padding,
                           Py_ssize_t *ph, Py_ssize_t *pw) except *:
    cdef mg_conv2d s = conv2d_shape(name, images, kernel, strides, padding)
    ph[0], pw[0] = pair(f"{name}: pool_size", pool_size)
    if ph[0] * pw[0] > 255:
        raise ValueError(f"{name}: pool_size: expected at most 255 pixels, got {pool_size}")
    if ph[0] > s.oh or pw[0] > s.ow:
        raise ValueError(f"{name}: pool_size: a window of {ph[0]} x {pw[0]} does not fit into the "
                         f"convolution's output of {s.oh} x {s.ow}")
    if ((s.oh - 1) * s.sh + s.kh) * ((s.ow - 1) * s.sw + s.kw) > LARGEST:
        raise ValueError(f"{name}: images: expected fewer than 2**31 pixels each, got {images}")
    return s


cdef int check_pooled(str name, mg_conv2d s, Py_ssize_t ph, Py_ssize_t pw, dy, argmax) except -1:
    check_dy(name, dy, s.n, s.oh // ph, s.ow // pw, s.f)
    check_winner(name, argmax, np.uint8, "a uint8 array", dy.shape)
    if not argmax.flags.c_contiguous:
        raise ValueError(f"{name}: argmax: expected a C-contiguous array")
    return 0


cdef conv2d_relu_pool_(real *which, mg_conv2d s, Py_ssize_t ph, Py_ssize_t pw, x, w, bias,
                       const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] xv = x
    cdef const real[:, :, :, ::1] wv = w
    cdef const real[::1] bv
    cdef const real *b = NULL
    cdef void *scratch
    cdef Py_ssize_t size
    shape = s.n, s.oh // ph, s.ow // pw, s.f
    out, who = np.empty(shape, x.dtype), np.empty(shape, np.uint8)
    cdef real[:, :, :, ::1] y = out
    cdef uint8_t[:, :, :, ::1] argmax = who
    if bias is not None:
        bv = bias
        b = &bv[0]
    if real is float:
        size = isa.f32.conv2d_relu_pool_scratch(&s, ph, pw, threads)
    else:
        size = isa.f64.conv2d_relu_pool_scratch(&s, ph, pw, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d_relu_pool(&s, ph, pw, &xv[0, 0, 0, 0], &wv[0, 0, 0, 0], b,
                                     &y[0, 0, 0, 0], &argmax[0, 0, 0, 0], <real *>scratch, threads)
        else:
            isa.f64.conv2d_relu_pool(&s, ph, pw, &xv[0, 0, 0, 0], &wv[0, 0, 0, 0], b,
                                     &y[0, 0, 0, 0], &argmax[0, 0, 0, 0], <real *>scratch, threads)
    give_back(room)
    return out, who


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
    cdef Py_ssize_t ph, pw
    array("conv2d_relu_pool: images", images, 4)
    array("conv2d_relu_pool: kernel", kernel, 4)
    same_dtype("conv2d_relu_pool: images", images, "kernel", kernel)
    cdef mg_conv2d s = fused_shape("conv2d_relu_pool", images.shape, kernel.shape, pool_size,
                                   strides, padding, &ph, &pw)
    if bias is not None:
        check_bias("conv2d_relu_pool", images, bias, kernel.shape)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        shape = (0, s.oh // ph, s.ow // pw, s.f)
        return np.empty(shape, images.dtype), np.empty(shape, np.uint8)
    if images.dtype == np.float32:
        return conv2d_relu_pool_(<float *>NULL, s, ph, pw, images, kernel, bias, on, workers)
    return conv2d_relu_pool_(<double *>NULL, s, ph, pw, images, kernel, bias, on, workers)


cdef conv2d_relu_pool_dx_(real *which, mg_conv2d s, Py_ssize_t ph, Py_ssize_t pw, dy, who, w,
                          const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] dyv = dy
    cdef const uint8_t[:, :, :, ::1] argmax = who
    cdef const real[:, :, :, ::1] wv = w
    cdef void *scratch
    cdef Py_ssize_t size
    out = np.empty((s.n, s.h, s.w, s.c), dy.dtype)
    cdef real[:, :, :, ::1] dx = out
    if real is float:
        size = isa.f32.conv2d_relu_pool_dx_scratch(&s, ph, pw, threads)
    else:
        size = isa.f64.conv2d_relu_pool_dx_scratch(&s, ph, pw, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d_relu_pool_dx(&s, ph, pw, &dyv[0, 0, 0, 0], &argmax[0, 0, 0, 0],
                                        &wv[0, 0, 0, 0], &dx[0, 0, 0, 0], <real *>scratch, threads)
        else:
            isa.f64.conv2d_relu_pool_dx(&s, ph, pw, &dyv[0, 0, 0, 0], &argmax[0, 0, 0, 0],
                                        &wv[0, 0, 0, 0], &dx[0, 0, 0, 0], <real *>scratch, threads)
    give_back(room)
    return out


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
    cdef Py_ssize_t ph, pw
    array("conv2d_relu_pool_dx: dy", dy, 4)
    array("conv2d_relu_pool_dx: kernel", kernel, 4)
    same_dtype("conv2d_relu_pool_dx: dy", dy, "kernel", kernel)
    shape = shape4("conv2d_relu_pool_dx: images_shape", images_shape)
    cdef mg_conv2d s = fused_shape("conv2d_relu_pool_dx", shape, kernel.shape, pool_size, strides,
                                   padding, &ph, &pw)
    check_pooled("conv2d_relu_pool_dx", s, ph, pw, dy, argmax)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.empty(shape, dy.dtype)
    if dy.dtype == np.float32:
        return conv2d_relu_pool_dx_(<float *>NULL, s, ph, pw, dy, argmax, kernel, on, workers)
    return conv2d_relu_pool_dx_(<double *>NULL, s, ph, pw, dy, argmax, kernel, on, workers)


cdef conv2d_relu_pool_dw_(real *which, mg_conv2d s, Py_ssize_t ph, Py_ssize_t pw, x, dy, who,
                          const mg_isa *isa, int threads):
    cdef const real[:, :, :, ::1] xv = x
    cdef const real[:, :, :, ::1] dyv = dy
    cdef const uint8_t[:, :, :, ::1] argmax = who
    cdef void *scratch
    cdef Py_ssize_t size
    out, bias = np.empty((s.kh, s.kw, s.c, s.f), x.dtype), np.empty(s.f, x.dtype)
    cdef real[:, :, :, ::1] dw = out
    cdef real[::1] db = bias
    if real is float:
        size = isa.f32.conv2d_relu_pool_dw_scratch(&s, ph, pw, threads)
    else:
        size = isa.f64.conv2d_relu_pool_dw_scratch(&s, ph, pw, threads)
    room = take_scratch(size * sizeof(real), &scratch)
    with nogil:
        if real is float:
            isa.f32.conv2d_relu_pool_dw(&s, ph, pw, &xv[0, 0, 0, 0], &dyv[0, 0, 0, 0],
                                        &argmax[0, 0, 0, 0], &dw[0, 0, 0, 0], &db[0], <real *>scratch,
                                        threads)
        else:
            isa.f64.conv2d_relu_pool_dw(&s, ph, pw, &xv[0, 0, 0, 0], &dyv[0, 0, 0, 0],
                                        &argmax[0, 0, 0, 0], &dw[0, 0, 0, 0], &db[0], <real *>scratch,
                                        threads)
    give_back(room)
    return out, bias


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
    cdef Py_ssize_t ph, pw
    array("conv2d_relu_pool_dw: images", images, 4)
    array("conv2d_relu_pool_dw: dy", dy, 4)
    same_dtype("conv2d_relu_pool_dw: images", images, "dy", dy)
    shape = shape4("conv2d_relu_pool_dw: kernel_shape", kernel_shape)
    cdef mg_conv2d s = fused_shape("conv2d_relu_pool_dw", images.shape, shape, pool_size, strides,
                                   padding, &ph, &pw)
    check_pooled("conv2d_relu_pool_dw", s, ph, pw, dy, argmax)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if s.n == 0:
        return np.zeros(shape, images.dtype), np.zeros(s.f, images.dtype)
    if images.dtype == np.float32:
        return conv2d_relu_pool_dw_(<float *>NULL, s, ph, pw, images, dy, argmax, on, workers)
    return conv2d_relu_pool_dw_(<double *>NULL, s, ph, pw, images, dy, argmax, on, workers)


cdef relu_(real *which, x, const mg_isa *isa, int threads):
    cdef const real[::1] xv = x.reshape(-1)
    out = np.empty(x.shape, x.dtype)
    cdef real[::1] y = out.reshape(-1)
    with nogil:
        if real is float:
            isa.f32.relu(xv.shape[0], &xv[0], &y[0], threads)
        else:
            isa.f64.relu(xv.shape[0], &xv[0], &y[0], threads)
    return out


def relu(x, *, isa=None, threads=None):
    """max(x, 0) for each number of x, an array of any shape. NaN stays NaN.

    >>> import numpy as np
    >>> relu(np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    """
    array("relu: x", x, ANY)
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if x.size == 0:
        return np.empty(x.shape, x.dtype)
    if x.dtype == np.float32:
        return relu_(<float *>NULL, x, on, workers)
    return relu_(<double *>NULL, x, on, workers)


cdef relu_dx_(real *which, dy, y, const mg_isa *isa, int threads):
    cdef const real[::1] dyv = dy.reshape(-1)
    cdef const real[::1] yv = y.reshape(-1)
    out = np.empty(y.shape, y.dtype)
    cdef real[::1] dx = out.reshape(-1)
    with nogil:
        if real is float:
            isa.f32.relu_dx(yv.shape[0], &dyv[0], &yv[0], &dx[0], threads)
        else:
            isa.f64.relu_dx(yv.shape[0], &dyv[0], &yv[0], &dx[0], threads)
    return out


def relu_dx(dy, y, *, isa=None, threads=None):
    """Gradient of `relu`: dy where y, its output or its input, is above 0 or NaN, else 0.

    >>> import numpy as np
    >>> relu_dx(np.array([5.0, 5.0, 5.0]), np.array([-1.0, 0.0, 2.0]))
    array([0., 0., 5.])
    """
    array("relu_dx: dy", dy, ANY)
    array("relu_dx: y", y, ANY)
    same_dtype("relu_dx: dy", dy, "y", y)
    if dy.shape != y.shape:
        raise ValueError(f"relu_dx: dy: expected the shape of y {y.shape}, got {dy.shape}")
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    if y.size == 0:
        return np.empty(y.shape, y.dtype)
    if y.dtype == np.float32:
        return relu_dx_(<float *>NULL, dy, y, on, workers)
    return relu_dx_(<double *>NULL, dy, y, on, workers)


cdef adam_(real *which, x, dx, m, v, double rate, double beta_1, double beta_2, double epsilon,
           const mg_isa *isa, int threads):
    cdef real[::1] xv = x.reshape(-1)
    cdef const real[::1] dxv = dx.reshape(-1)
    cdef real[::1] mv = m.reshape(-1)
    cdef real[::1] vv = v.reshape(-1)
    with nogil:
        if real is float:
            isa.f32.adam(xv.shape[0], &xv[0], &dxv[0], &mv[0], &vv[0], rate, beta_1, beta_2,
                         epsilon, threads)
        else:
            isa.f64.adam(xv.shape[0], &xv[0], &dxv[0], &mv[0], &vv[0], rate, beta_1, beta_2,
                         epsilon, threads)


def adam(x, dx, m, v, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-7, *, isa=None, threads=None):
    """A step of Adam in place: m += (dx - m) (1 - beta_1), v += (dx**2 - v) (1 - beta_2),
    x -= rate * m / (sqrt(v) + epsilon), for arrays of one shape, whatever it is.

    >>> import numpy as np
    >>> x, m, v = np.ones(2), np.zeros(2), np.zeros(2)
    >>> adam(x, np.array([2.0, 0.0]), m, v, 0.1)
    >>> m, v
    (array([0.2, 0. ]), array([0.004, 0.   ]))
    """
    named = {"x": x, "dx": dx, "m": m, "v": v}
    for name, value in named.items():
        array(f"adam: {name}", value, ANY)
        same_dtype("adam: x", x, name, value)
        if value.shape != x.shape:
            raise ValueError(f"adam: {name}: expected the shape of x {x.shape}, got {value.shape}")
        if name != "dx" and not value.flags.writeable:
            raise ValueError(f"adam: {name}: expected an array that may be written to")
    for one, other in ("x", "dx"), ("x", "m"), ("x", "v"), ("m", "dx"), ("m", "v"), ("v", "dx"):
        if np.may_share_memory(named[one], named[other]):
            raise ValueError(f"adam: {one} and {other}: expected arrays that do not overlap")
    cdef const mg_isa *on = find_isa(isa)
    cdef int workers = find_threads(threads)
    cdef double r = rate, b1 = beta_1, b2 = beta_2, e = epsilon
    if x.size == 0:
        return
    if x.dtype == np.float32:
        adam_(<float *>NULL, x, dx, m, v, r, b1, b2, e, on, workers)
    else:
        adam_(<double *>NULL, x, dx, m, v, r, b1, b2, e, on, workers)


# ---------------------------------------------------------------------------- on import

mg_threads_init()
num_threads = max(1, min(mg_max_threads(), 1024))
default_isa = mg_isa_at(0)
if os.environ.get("MICROGRAD_EXT_ISA"):
    try:
        default_isa = find_isa(os.environ["MICROGRAD_EXT_ISA"])
    except ValueError as error:
        raise ImportError(f"MICROGRAD_EXT_ISA: {error}") from None
