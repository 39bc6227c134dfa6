# cython: language_level=3, embedsignature=True
"""The boundary to csrc/tape.c: what is recorded is checked once, then replayed as it is."""

from cpython.buffer cimport PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_Release, PyObject_GetBuffer
from libc.stdint cimport int32_t

import numpy as np


cdef extern from "tape.h" nogil:
    ctypedef struct mg_tape_node:
        int32_t op, x, y

    const int mg_tape_ops
    const char *mg_tape_op_name(int op)
    int mg_tape_op_arity(int op)
    void mg_tape_forward(const mg_tape_node *, Py_ssize_t, Py_ssize_t, double *)
    void mg_tape_backward(const mg_tape_node *, Py_ssize_t, Py_ssize_t, const double *, double *)
    void mg_tape_locals(
        const mg_tape_node *, Py_ssize_t, Py_ssize_t, const double *, double *, double *
    )


#: the ops that can be replayed: name -> (number, arity)
OPS = {mg_tape_op_name(i).decode(): (i, mg_tape_op_arity(i)) for i in range(mg_tape_ops)}


cdef int hold(array, Py_buffer *to) except -1:
    """The buffer of a dense array, until it is released."""
    return PyObject_GetBuffer(array, to, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)


cdef class Replay:
    """Leaves, then nodes computed from what stands before them.

    nodes: whole numbers, (count, 3): that of an op, and where its inputs stand. leaves: float64,
    (first,). `data` and `grad` are float64 arrays of first + count numbers, writable.

    The calls hold the GIL: `data` and `grad` are in Python's hands too.
    """

    # Held as long as this lives: an array whose buffer is held cannot be given another size. Plain
    # buffers, not memoryviews: these take seconds to compile.
    cdef Py_buffer _nodes
    cdef Py_buffer _data
    cdef Py_buffer _grad
    cdef Py_ssize_t first
    cdef Py_ssize_t count
    cdef readonly object data
    cdef readonly object grad

    def __init__(self, nodes, leaves):
        nodes = np.array(nodes, dtype=np.int64, order="C", ndmin=2)
        leaves = np.array(leaves, dtype=np.float64, order="C", ndmin=1)
        if nodes.ndim != 2 or nodes.shape[1] != 3 or leaves.ndim != 1:
            raise ValueError(
                f"Replay: expected nodes of shape (count, 3) and leaves of shape (first,), "
                f"got {nodes.shape} and {leaves.shape}"
            )
        if len(leaves) + len(nodes) > 2**31 - 1:
            raise ValueError("Replay: expected fewer than 2**31 numbers")
        before = len(leaves) + np.arange(len(nodes))
        good = (nodes >= 0).all(axis=1) & (nodes[:, 0] < mg_tape_ops)
        good &= (nodes[:, 1] < before) & (nodes[:, 2] < before)
        if not good.all():
            i = int(np.argmin(good))
            raise ValueError(
                f"Replay: nodes[{i}]: expected an op below {mg_tape_ops} and two places below "
                f"{before[i]}, got {nodes[i].tolist()}"
            )
        self.first, self.count = len(leaves), len(nodes)
        self.data = np.concatenate([leaves, np.zeros(self.count)])
        self.grad = np.zeros(self.first + self.count)
        self._release()
        hold(nodes.astype(np.int32), &self._nodes)  # a copy: nobody else's
        hold(self.data, &self._data)
        hold(self.grad, &self._grad)
        self.forward()

    def __dealloc__(self):
        self._release()

    cdef void _release(self) noexcept:
        PyBuffer_Release(&self._nodes)  # nothing, where none is held
        PyBuffer_Release(&self._data)
        PyBuffer_Release(&self._grad)

    cdef const mg_tape_node *code(self) noexcept:
        return <const mg_tape_node *> self._nodes.buf

    def forward(self):
        """Compute the data of all nodes from those of the leaves."""
        if self.count:
            mg_tape_forward(self.code(), self.count, self.first, <double *> self._data.buf)

    def backward(self):
        """Multiply along the edges and add up, from the grads that are there."""
        if self.count:
            mg_tape_backward(
                self.code(), self.count, self.first, <double *> self._data.buf,
                <double *> self._grad.buf
            )

    def locals(self):
        """Local derivatives, float64, (2, first + count): those of leaves are 0."""
        derivatives = np.zeros((2, self.first + self.count))
        cdef Py_buffer to
        cdef double *dx
        if self.count:
            hold(derivatives, &to)
            dx = <double *> to.buf + self.first
            mg_tape_locals(
                self.code(), self.count, self.first, <double *> self._data.buf,
                dx, dx + self.first + self.count
            )
            PyBuffer_Release(&to)
        return derivatives
