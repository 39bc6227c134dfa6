/* A model's training step as a list of steps over buffers that are made once: float32, n examples
   at a time. Who lays the steps out is micrograd_ext/compiler/; here they are run.

   A step's operands; (n, ...) are rows of a batch, whatever n is when it is run:

   op                     what it does
   ---------------------  -----------------------------------------------------------------------
   MG_DENSE               y (n*r, units) = x (n*r, k) w (k, units) + bias, or its ReLU if `flag`;
                          for large k by halves, see dense.inl
   MG_DENSE_DW            dw = x' dy, db = sum of dy's rows
   MG_DENSE_DX            dx = dy w'
   MG_CONV2D, _DW, _DX    conv2d of mg.h, its ReLU if `flag`; dw and db; dx
   MG_CONV2D_RELU_POOL,   conv2d_relu_pool of mg.h, and its gradients
    _DW, _DX
   MG_MAX_POOL2D, _DX     max_pool2d of mg.h
   MG_ACTIVATION          y (n*r, units) = the function `flag` says (mg_function) of x
   MG_ACTIVATION_DX       dx = dy times its derivative where it gave y; dx may be dy
   MG_SOFTMAX_LOSS        y = softmax of x, a row; loss[i] = -sum of t log y; t: labels (n, units);
                          dx = (y sum(t) - t) / n; the totals grow by the losses and the correct ones,
                          which are looked for in y, or in x if `flag`
   MG_ADAM, MG_SGD        one step of the optimizer for y, by dy, with its memory m and v, all of
                          `units` numbers

   bias, db, and where nothing is to be sent back dx, may be NULL. */
#ifndef MG_PROGRAM_H
#define MG_PROGRAM_H
#include <stddef.h>
#include <stdint.h>

typedef enum mg_op {
    MG_DENSE, MG_DENSE_DW, MG_DENSE_DX,
    MG_CONV2D, MG_CONV2D_DW, MG_CONV2D_DX,
    MG_CONV2D_RELU_POOL, MG_CONV2D_RELU_POOL_DW, MG_CONV2D_RELU_POOL_DX,
    MG_MAX_POOL2D, MG_MAX_POOL2D_DX,
    MG_ACTIVATION, MG_ACTIVATION_DX, MG_SOFTMAX_LOSS,
    MG_ADAM, MG_SGD,
    MG_OPS
} mg_op;

typedef enum mg_function {
    MG_RELU, MG_LEAKY_RELU, MG_SIGMOID, MG_TANH, MG_EXPONENTIAL, MG_SOFTMAX, MG_AFFINE,
    MG_FUNCTIONS
} mg_function;

typedef struct mg_step {
    int op, flag;
    float *x, *y, *w, *bias, *dx, *dy, *dw, *db, *labels, *loss, *m, *v;
    void *argmax;            /* uint8 of conv2d_relu_pool, int32 of max_pool2d */
    ptrdiff_t r, k, units;
    mg_conv2d conv;          /* its n is the batch's when run; so is the pool's */
    ptrdiff_t ph, pw;
    mg_pool2d pool;
    double a, b, c;          /* leaky_relu: slope a; affine: a x + b; Adam: beta_1, beta_2, epsilon;
                                SGD: momentum, and whether it is Nesterov's */
} mg_step;

/* Where a batch comes from: `size` numbers an example, at `from`, `stride` bytes apart from example
   to example and `itemsize` bytes each, become floats: number * scale + offset. */
typedef enum mg_kind { MG_F32, MG_F64, MG_U8, MG_KINDS } mg_kind;

typedef struct mg_feed {
    const char *from;
    int kind;
    ptrdiff_t size, stride, itemsize;
    float scale, offset;
    float *to;
} mg_feed;

typedef struct mg_run {
    ptrdiff_t n;
    double rate;         /* of the optimizer's steps */
    float *scratch;      /* 64-byte aligned, as long as `scratch` below says */
    int threads;
    double loss, correct;   /* totals: losses, and examples whose largest output is at the largest label */
} mg_run;

typedef struct mg_program {
    /* to[i] = from[order[i]] for i < n; order may be NULL: from[first + i] */
    void (*feed)(const mg_feed *feed, const int64_t *order, ptrdiff_t first, ptrdiff_t n, int threads);
    void (*run)(const mg_step *steps, ptrdiff_t count, mg_run *r);
    ptrdiff_t (*scratch)(const mg_step *steps, ptrdiff_t count, ptrdiff_t n, int threads);
} mg_program;

#endif
