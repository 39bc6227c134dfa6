from libc.stdint cimport int32_t, int64_t, uint8_t


cdef extern from "mg.h" nogil:
    ctypedef struct mg_conv2d:
        Py_ssize_t n, h, w, c
        Py_ssize_t kh, kw, f
        Py_ssize_t sh, sw
        Py_ssize_t top, left
        Py_ssize_t oh, ow

    ctypedef struct mg_pool2d:
        Py_ssize_t n, h, w, c
        Py_ssize_t kh, kw
        Py_ssize_t sh, sw
        Py_ssize_t top, left
        Py_ssize_t oh, ow

    ctypedef struct mg_f32:
        void (*matmul)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                       const float *a, Py_ssize_t ars, Py_ssize_t acs,
                       const float *b, Py_ssize_t brs, Py_ssize_t bcs,
                       const float *bias, int relu, float *c, float *scratch,
                       int threads) noexcept nogil
        Py_ssize_t (*matmul_scratch)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, int threads) noexcept nogil
        void (*sum_rows)(Py_ssize_t m, Py_ssize_t n, const float *x, float *y,
                         float *scratch, int threads) noexcept nogil
        Py_ssize_t (*sum_rows_scratch)(Py_ssize_t m, Py_ssize_t n) noexcept nogil
        void (*conv2d)(const mg_conv2d *s, const float *x, const float *w, const float *bias,
                       float *y, float *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*conv2d_dx)(const mg_conv2d *s, const float *dy, const float *w,
                          float *dx, float *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_dx_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*conv2d_dw)(const mg_conv2d *s, const float *x, const float *dy,
                          float *dw, float *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_dw_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*max_pool2d)(const mg_pool2d *s, const float *x, float *y,
                           int32_t *argmax, int threads) noexcept nogil
        void (*max_pool2d_dx)(const mg_pool2d *s, const float *dy, const int32_t *argmax,
                              float *dx, int threads) noexcept nogil
        void (*conv2d_relu_pool)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw, const float *x,
                                 const float *w, const float *bias, float *y, uint8_t *argmax,
                                 float *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                               int threads) noexcept nogil
        void (*conv2d_relu_pool_dx)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                    const float *dy, const uint8_t *argmax, const float *w,
                                    float *dx, float *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_dx_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                                  int threads) noexcept nogil
        void (*conv2d_relu_pool_dw)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                    const float *x, const float *dy, const uint8_t *argmax,
                                    float *dw, float *db, float *scratch,
                                    int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_dw_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                                  int threads) noexcept nogil
        void (*relu)(Py_ssize_t n, const float *x, float *y, int threads) noexcept nogil
        void (*relu_dx)(Py_ssize_t n, const float *dy, const float *y, float *dx,
                        int threads) noexcept nogil
        void (*adam)(Py_ssize_t n, float *x, const float *dx, float *m, float *v, double rate,
                     double beta_1, double beta_2, double epsilon, int threads) noexcept nogil

    ctypedef struct mg_f64:
        void (*matmul)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k,
                       const double *a, Py_ssize_t ars, Py_ssize_t acs,
                       const double *b, Py_ssize_t brs, Py_ssize_t bcs,
                       const double *bias, int relu, double *c, double *scratch,
                       int threads) noexcept nogil
        Py_ssize_t (*matmul_scratch)(Py_ssize_t m, Py_ssize_t n, Py_ssize_t k, int threads) noexcept nogil
        void (*sum_rows)(Py_ssize_t m, Py_ssize_t n, const double *x, double *y,
                         double *scratch, int threads) noexcept nogil
        Py_ssize_t (*sum_rows_scratch)(Py_ssize_t m, Py_ssize_t n) noexcept nogil
        void (*conv2d)(const mg_conv2d *s, const double *x, const double *w, const double *bias,
                       double *y, double *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*conv2d_dx)(const mg_conv2d *s, const double *dy, const double *w,
                          double *dx, double *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_dx_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*conv2d_dw)(const mg_conv2d *s, const double *x, const double *dy,
                          double *dw, double *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_dw_scratch)(const mg_conv2d *s, int threads) noexcept nogil
        void (*max_pool2d)(const mg_pool2d *s, const double *x, double *y,
                           int32_t *argmax, int threads) noexcept nogil
        void (*max_pool2d_dx)(const mg_pool2d *s, const double *dy, const int32_t *argmax,
                              double *dx, int threads) noexcept nogil
        void (*conv2d_relu_pool)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw, const double *x,
                                 const double *w, const double *bias, double *y, uint8_t *argmax,
                                 double *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                               int threads) noexcept nogil
        void (*conv2d_relu_pool_dx)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                    const double *dy, const uint8_t *argmax, const double *w,
                                    double *dx, double *scratch, int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_dx_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                                  int threads) noexcept nogil
        void (*conv2d_relu_pool_dw)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                    const double *x, const double *dy, const uint8_t *argmax,
                                    double *dw, double *db, double *scratch,
                                    int threads) noexcept nogil
        Py_ssize_t (*conv2d_relu_pool_dw_scratch)(const mg_conv2d *s, Py_ssize_t ph, Py_ssize_t pw,
                                                  int threads) noexcept nogil
        void (*relu)(Py_ssize_t n, const double *x, double *y, int threads) noexcept nogil
        void (*relu_dx)(Py_ssize_t n, const double *dy, const double *y, double *dx,
                        int threads) noexcept nogil
        void (*adam)(Py_ssize_t n, double *x, const double *dx, double *m, double *v, double rate,
                     double beta_1, double beta_2, double epsilon, int threads) noexcept nogil

    enum:
        MG_OPS, MG_ADAM, MG_SGD, MG_FUNCTIONS, MG_AFFINE, MG_F32, MG_F64, MG_U8

    ctypedef struct mg_step:
        int op, flag
        float *x
        float *y
        float *w
        float *bias
        float *dx
        float *dy
        float *dw
        float *db
        float *labels
        float *loss
        float *m
        float *v
        void *argmax
        Py_ssize_t r, k, units
        mg_conv2d conv
        Py_ssize_t ph, pw
        mg_pool2d pool
        double a, b, c

    ctypedef struct mg_feed:
        const char *from_ "from"
        int kind
        Py_ssize_t size, stride, itemsize
        float scale, offset
        float *to

    ctypedef struct mg_run:
        Py_ssize_t n
        double rate
        float *scratch
        int threads
        double loss, correct

    ctypedef struct mg_program:
        void (*feed)(const mg_feed *feed, const int64_t *order, Py_ssize_t first, Py_ssize_t n,
                     int threads) noexcept nogil
        void (*run)(const mg_step *steps, Py_ssize_t count, mg_run *r) noexcept nogil
        Py_ssize_t (*scratch)(const mg_step *steps, Py_ssize_t count, Py_ssize_t n,
                              int threads) noexcept nogil

    ctypedef struct mg_isa:
        const char *name
        mg_f32 f32
        mg_f64 f64
        mg_program program

    const mg_isa *mg_isa_at(int index)
    const char *mg_compiler()


cdef extern from "threads.h" nogil:
    int mg_max_threads()
    void mg_threads_init()


cdef const mg_isa *find_isa(isa) except NULL
cdef int find_threads(threads) except -1
cdef mg_conv2d conv2d_shape(str name, tuple images, tuple kernel, strides, padding) except *
cdef mg_pool2d pool2d_shape(str name, tuple images, pool_size, strides, padding) except *
cdef mg_conv2d fused_shape(str name, tuple images, tuple kernel, pool_size, strides, padding,
                           Py_ssize_t *ph, Py_ssize_t *pw) except *
