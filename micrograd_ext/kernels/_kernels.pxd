from libc.stdint cimport int64_t


cdef extern from "mg.h" nogil:
    enum:
        MG_F32, MG_F64, MG_U8, MG_I32, MG_I64  # mg_type
        MG_OPS, MG_MOST_OPERANDS
        MG_ARRAY, MG_SIZE, MG_FLAG, MG_NUMBER, MG_CONV, MG_POOL, MG_WINDOW, MG_CODE  # mg_kind
        MG_CONSTANT, MG_LOAD, MG_STORE, MG_OPCODES  # mg_opcode
        MG_FULL, MG_ROW, MG_EXTENTS, MG_CODE_SIZE, MG_REGISTERS_OF_CODE, MG_INPUTS, MG_OUTPUTS

    ctypedef struct mg_windows:
        Py_ssize_t n, h, w, c, kh, kw, f, sh, sw, top, left, oh, ow

    ctypedef struct mg_step:  # of its operands, those that are set by name
        int op, type
        void *x
        void *y
        void *w
        void *bias
        void *dx
        void *dy
        void *dw
        void *db
        void *m
        void *v
        void *argmax
        Py_ssize_t rows, k, units, x_row, x_col, w_row, w_col, ph, pw, length
        mg_windows windows
        double beta_1, beta_2, epsilon

    ctypedef struct mg_run:
        Py_ssize_t n
        int threads
        double rate
        void *scratch
        double loss, correct

    ctypedef struct mg_operand:
        const char *name
        int kind
        size_t offset
        int needed, type, written

    ctypedef struct mg_op_row:
        const char *name
        const mg_operand *operands
        void (*sizes)(const mg_step *step, double n, double *sizes) noexcept nogil

    ctypedef struct mg_feed:
        const char *from_ "from"
        int type
        Py_ssize_t size, stride, itemsize
        float scale, offset
        float *to

    ctypedef struct mg_isa:
        const char *name
        void (*feed)(const mg_feed *feed, const int64_t *order, Py_ssize_t first, Py_ssize_t n,
                     int threads) noexcept nogil

    ctypedef struct mg_opcode_row:
        const char *name
        int inputs

    const mg_op_row *mg_ops
    const mg_opcode_row *mg_opcodes
    const mg_isa *mg_isa_at(int index)
    const char *mg_compiler()
    void mg_run_steps(const mg_isa *isa, const mg_step *steps, Py_ssize_t count, mg_run *run)
    Py_ssize_t mg_scratch(const mg_isa *isa, const mg_step *steps, Py_ssize_t count, Py_ssize_t n,
                          int threads)


cdef extern from "threads.h" nogil:
    int mg_max_threads()
    void mg_threads_init()


cdef enum:
    ANY = -1


cdef struct view:  # of an array; the shape and strides of a matrix, the latter in elements
    void *data
    int type
    Py_ssize_t itemsize, count
    Py_ssize_t shape[2]
    Py_ssize_t strides[2]


cdef int look(const char *op, str name, x, int ndim, int type_, bint dense, bint written,
              view *to) except -1
cdef void *begin(array) except? NULL
cdef int set_conv(mg_step *s, str op, tuple images, tuple kernel, strides, padding) except -1
cdef int set_pool(mg_step *s, str op, tuple images, pool_size, strides, padding) except -1
cdef int set_window(mg_step *s, str op, pool_size) except -1
cdef const mg_isa *find_isa(isa) except NULL
cdef int find_threads(threads) except -1
