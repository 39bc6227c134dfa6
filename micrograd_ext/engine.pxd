# The types with which engine.py is compiled.

cimport cython
from cpython.ref cimport PyObject


@cython.cdivision(True)
cdef inline double divide(double x, double y) noexcept:
    return x / y


cdef class Value:
    cdef public double data
    cdef public double grad
    cdef readonly str op
    cdef public object name
    cdef Value _x, _y       # the inputs, or None
    cdef double _dx, _dy    # d(this)/d(input)
    cdef long long _mark    # the last traversal that came here, and the input it takes next
    cdef object __weakref__


cdef double number(object x) except? -1.0
cdef Value value(object x)
cdef Value needed(object x)
cdef Value leaf(double data)
cdef Value unary(str op, double data, Value x, double dx)
cdef Value binary(str op, double data, Value x, double dx, Value y, double dy)
cdef Value add(Value x, Value y)
cdef Value subtract(Value x, Value y)
cdef Value multiply(Value x, Value y)
cdef Value divided(Value x, Value y)
cdef Value power(Value x, Value y)
cdef double power_dx(double x, double y) noexcept
cdef double power_dy(double x, double y, double data) noexcept
cdef list walk(Value root)
cdef long long walks
cdef int depth
cdef list waiting


# What Cython's classes lack: __new__, and that they can be given methods, as in `Value.log = log`.

cdef extern from "Python.h":
    ctypedef object (*newfunc)(type, PyObject *, PyObject *)
    ctypedef object (*vectorcallfunc)(PyObject *, PyObject *const *, size_t, PyObject *)
    ctypedef struct PyTypeObject:
        newfunc tp_new
        vectorcallfunc tp_vectorcall
        unsigned long tp_flags
    const unsigned long Py_TPFLAGS_IMMUTABLETYPE
    Py_ssize_t PyVectorcall_NARGS(size_t)

cdef newfunc plain_new
cdef vectorcallfunc plain_call

cdef object kind(cls, tuple args, dict kwargs)

cdef inline object new_of_a_kind(type cls, PyObject *args, PyObject *kwargs):
    cls = kind(cls, <tuple> args, None if kwargs == NULL else <dict> kwargs)
    return plain_new(cls, args, kwargs)

# Newer Cython calls the class without asking tp_new: faster, and good enough for `Value(2.0)`.
cdef inline object call(PyObject *cls, PyObject *const *args, size_t flags, PyObject *names):
    cdef Py_ssize_t i, n = PyVectorcall_NARGS(flags)
    if n == 1 and names == NULL:
        return plain_call(cls, args, flags, names)
    named = {}
    if names != NULL:
        for i in range(len(<tuple> names)):
            named[(<tuple> names)[i]] = <object> args[n + i]
    return type.__call__(Value, *[<object> args[i] for i in range(n)], **named)

cdef inline void open_up():
    global plain_new, plain_call
    cdef PyTypeObject *cls = <PyTypeObject *> Value
    plain_new, cls.tp_new = cls.tp_new, new_of_a_kind
    if cls.tp_vectorcall != NULL:
        plain_call, cls.tp_vectorcall = cls.tp_vectorcall, call
    cls.tp_flags &= ~Py_TPFLAGS_IMMUTABLETYPE
