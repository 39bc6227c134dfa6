# The types with which engine.py is compiled.

cimport cython


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
    cdef long long _walk    # the last traversal that came here
    cdef int _turn          # which input that traversal takes next


cdef double number(object x) except? -1.0
cdef Value value(object x)
cdef Value needed(object x)
cdef Value leaf(double data)
cdef Value unary(str op, double data, Value x, double dx)
cdef Value binary(str op, double data, Value x, double dx, Value y, double dy)
cdef Value product(Value x, Value y)
cdef double power_dx(double x, double y) noexcept
cdef double power_dy(double x, double y, double data) noexcept
cdef list walk(Value root)
cdef long long walks
cdef int depth
cdef list waiting
